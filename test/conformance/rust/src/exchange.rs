//! One exchange, from Open to the end of the stream: begin reading here.

use crate::change_info::says;
use crate::error::{Error, Result};
use crate::item::Entry;
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{Capability, ChangeStandard, Done, ErrorReason, Open, Opened, RangeFingerprint};
use crate::session::{OnHistoryChange, RecoveryReason, Report, Session, SyncOptions};
use crate::settle::Occasion;
use crate::shared::Shared;

/// Proofs that are asked for before the exchange gives up on one: others change the collection
/// faster than it is read.
const MOST_PASSES: u32 = 8;

/// Makes a replica equal with its collection.
///
/// The application may change the replica while the exchange waits for the server: whatever was
/// changed then is compared anew. One that begins while another one runs waits for its end. One
/// that fails, or is dropped, has lost nothing: the replica keeps what it has taken, and the next
/// one goes on from there.
///
/// # Errors
///
/// What this side found, and what the server said.
pub async fn sync(replica: &Shared, options: &SyncOptions) -> Result<Report> {
    let mut session = Session::new(replica.begin_exchange().await, options);
    session.exchange().await?;
    session.replica.leave_for(session.stream.finish()).await?;
    let mut report = session.report;
    // A conflict whose change lost its races has not ended.
    for id in &report.contended {
        report.conflicts.remove(id);
    }
    Ok(report)
}

impl Session<'_> {
    async fn exchange(&mut self) -> Result<()> {
        let is_lost = self.replica.checkpoint.token.is_empty() && self.replica.total.count > 0;
        self.send(Request::Open(self.open_message(is_lost)));
        if !is_lost {
            self.send_eagerly();
            self.send(Request::Done(Done {}));
        }
        let why = self.take_opened(is_lost).await?;
        if let Some(why) = why {
            self.recover(why).await?;
        }
        self.judge_held().await?;
        let mut is_asked = why.is_none();
        let mut passes = 0;
        while passes < MOST_PASSES {
            if is_asked || self.send_pending().await? {
                passes += 1;
            }
            if !is_asked {
                self.send(Request::Done(Done {}));
                self.report.round_trips += 1;
            }
            is_asked = false;
            let proof = self.take_to_proof().await?;
            // A content that was fetched may be later than the proof: then it takes another one.
            if !self.due_units().is_empty()
                || self.fetched_revision > self.replica.checkpoint.revision
            {
                continue;
            }
            self.report.verified = says(Some(&proof), self.replica.total);
            if self.report.verified {
                break;
            }
            if self.report.recovery.is_some() || !self.can(Capability::Reconcile) {
                return Err(Error::unverified("the replica does not hold what the server holds"));
            }
            self.recover(RecoveryReason::Unverified).await?;
        }
        Ok(())
    }

    /// Takes what the server says up to the proof that was asked for.
    async fn take_to_proof(&mut self) -> Result<RangeFingerprint> {
        loop {
            let message = self.receive().await?;
            if let Some(proof) = self.take_message(message).await? {
                return match self.on_the_way.is_empty() {
                    true => Ok(proof),
                    false => Err(Error::out_of_order(
                        "a proof came before the verdicts on what was sent before it",
                    )),
                };
            }
        }
    }

    fn open_message(&self, recovers: bool) -> Open {
        let capabilities = [Capability::Reconcile, Capability::Chunks, Capability::Groups];
        Open {
            collection: self.replica.collection.clone(),
            collection_uid: self.replica.uid.clone(),
            token: self.replica.checkpoint.token.clone(),
            witness: self.replica.witness.token.clone(),
            standard: self.options.standard.into(),
            capabilities: capabilities.map(i32::from).into(),
            create: self.options.create,
            recreate: self.options.recreate,
            client: "tercet reference client, Rust".into(),
            recover: recovers,
            ..Open::default()
        }
    }

    /// Takes the server's first message. Answers why a recovery has to come first; `None`: it has
    /// not.
    async fn take_opened(&mut self, is_lost: bool) -> Result<Option<RecoveryReason>> {
        let Response::Opened(opened) = self.receive().await? else {
            return Err(Error::out_of_order("the first message was not Opened"));
        };
        let why = self.why_recover(&opened, is_lost)?;
        if opened.standard() == ChangeStandard::Unspecified {
            let message =
                format!("this client does not know the standard in force, {}", opened.standard);
            return Err(Error::new(ErrorReason::Unsupported, message));
        }
        self.limits = opened.limits.unwrap_or(self.limits);
        self.replica.limits = self.limits;
        self.ceiling_ahead_us = opened.server_time_us - self.now_us() + opened.skew_us;
        self.recovering = why.is_some();
        self.report.standard = opened.standard();
        // In a recovery the lineage stays that of what the replica stands in, until it stands in
        // the server's.
        if why.is_none() {
            self.replica.uid = opened.collection_uid.clone();
            // The epochs that are told begin with the token's.
            if let Some(first) = opened.lineage.first() {
                self.replica.lineage.retain(|epoch| epoch.first_revision < first.first_revision);
                self.replica.lineage.extend(opened.lineage.iter().cloned());
            }
        }
        self.opened = opened;
        Ok(why)
    }

    fn why_recover(&mut self, opened: &Opened, is_lost: bool) -> Result<Option<RecoveryReason>> {
        let is_refused = opened.token_refused() != ErrorReason::Unspecified;
        let is_other = opened.token_refused() == ErrorReason::TokenOtherHistory;
        let can_recover = opened.capabilities().any(|each| each == Capability::Reconcile);
        if is_refused && !can_recover
            || is_other && self.options.on_history_change == OnHistoryChange::Stop
        {
            let message = "the server can't serve the replica's token; nothing was changed";
            return Err(Error::new(opened.token_refused(), message));
        }
        if opened.collection_uid.len() != 16 {
            return Err(Error::out_of_order("the server did not say which collection this is"));
        }
        self.rebinds = !self.replica.uid.is_empty() && self.replica.uid != opened.collection_uid;
        if self.rebinds && !self.options.recreate {
            return Err(Error::out_of_order(
                "the server opened another collection than the replica's",
            ));
        }
        Ok(match () {
            _ if is_lost => Some(RecoveryReason::Asked),
            _ if self.rebinds => Some(RecoveryReason::Recreated),
            _ if is_other => Some(RecoveryReason::History),
            _ if is_refused => Some(RecoveryReason::Compacted),
            _ => None,
        })
    }

    /// Held items are judged anew where a standard was named for that: not where SERVER is in force
    /// for want of any.
    async fn judge_held(&mut self) -> Result<()> {
        let is_unnamed = self.options.standard == ChangeStandard::Unspecified;
        match self.opened.standard() {
            ChangeStandard::Manual => return Ok(()),
            ChangeStandard::Server if is_unnamed => return Ok(()),
            _ => {}
        }
        let held = self.replica.entries.values().filter(|entry| entry.is_held());
        let theirs = held.map(Entry::base_state).collect();
        self.take_changes(theirs, Occasion::Rejudged, None).await
    }
}
