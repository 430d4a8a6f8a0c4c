//! What the server says of its own accord: pages of change info, and verdicts on pushes.

use crate::change_info::read_changes;
use crate::error::{Error, Result};
use crate::item::{State, Version};
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{
    ChangePage, ErrorReason, PushOutcome, RangeFingerprint, Taken, Verdict, Verdicts,
};
use crate::session::{Sent, Session};
use crate::settle::Occasion;

/// After so many lost races a change stays pending for another time.
const MOST_RACES: u32 = 5;

impl Session<'_> {
    /// Takes a message in full, with whatever has to be fetched for it. Answers the proof, if it
    /// came with one.
    pub async fn take_message(&mut self, message: Response) -> Result<Option<RangeFingerprint>> {
        match message {
            Response::Page(page) => return self.take_page(page).await,
            Response::Verdicts(verdicts) => self.take_verdicts(verdicts).await?,
            // Of an upload whose push has been sent; and what matters only to an exchange that
            // stays open.
            Response::Upload(_) | Response::GoingAway(_) => {}
            _ => return Err(Error::out_of_order("a message came that was not asked for")),
        }
        Ok(None)
    }

    async fn take_page(&mut self, page: ChangePage) -> Result<Option<RangeFingerprint>> {
        let ChangePage { changes, fingerprint, checkpoint, proof, .. } = page;
        let is_fetched =
            changes.iter().any(|info| info.content.is_none() && info.fingerprint.is_some());
        let told = read_changes(changes, fingerprint.as_ref())?;
        self.take_changes(told, Occasion::Told, checkpoint).await?;
        // The server waits for this before it goes on with contents that have to be fetched.
        if is_fetched {
            self.send(Request::Taken(Taken { revision: self.replica.checkpoint.revision }));
        }
        Ok(proof)
    }

    pub async fn take_verdicts(&mut self, verdicts: Verdicts) -> Result<()> {
        self.hear(verdicts.witness);
        let mut told = Vec::new();
        for verdict in verdicts.verdicts {
            self.take_verdict(verdict, &mut told)?;
        }
        // What is settled is stored already, even if the contents to be fetched for the rest never
        // come.
        self.replica.hear(&self.heard);
        self.take_changes(told, Occasion::Told, verdicts.checkpoint).await
    }

    /// Settles what a verdict speaks of, and tells what is to be compared because of it.
    fn take_verdict(&mut self, verdict: Verdict, told: &mut Vec<State>) -> Result<()> {
        let fits = (1..=self.on_the_way.len() as i64).contains(&verdict.count);
        if verdict.ordinal != self.first_ordinal || !fits {
            return Err(Error::out_of_order(format!(
                "a verdict on push {} came out of order",
                verdict.ordinal
            )));
        }
        self.first_ordinal += verdict.count;
        let meant: Vec<Sent> = self.on_the_way.drain(..verdict.count as usize).collect();
        for (sent, index) in meant.into_iter().zip(0..) {
            let revision = match verdict.outcome() {
                PushOutcome::Applied => {
                    let is_deletion = sent.version.is_none();
                    self.report.sent += i64::from(!is_deletion);
                    self.report.sent_deletions += i64::from(is_deletion);
                    verdict.revision + if verdict.one_revision { 0 } else { index }
                }
                PushOutcome::AlreadyApplied => {
                    self.report.settled += i64::from(!self.settled.contains(&sent.sequence));
                    verdict.revision
                }
                // It may have been made: so it stays among the sendings.
                PushOutcome::Unspecified => {
                    let message = format!("this client does not know the verdict on {:?}", sent.id);
                    return Err(Error::new(ErrorReason::Unsupported, message));
                }
                _ => {
                    self.take_back(&sent, &verdict);
                    continue;
                }
            };
            told.extend(self.settle(sent, revision));
        }
        if let (PushOutcome::Conflict, Some(current)) = (verdict.outcome(), verdict.current) {
            // A content that does not come along is still to come with the change feed.
            let is_to_come =
                current.revision > self.replica.checkpoint.revision && current.content.is_none();
            let read = read_changes(vec![current], None)?;
            told.extend(
                read.into_iter().filter(|state| state.fingerprint.is_none() || !is_to_come),
            );
        }
        Ok(())
    }

    /// The server has what was sent. Where it is not pending any more, that is to be compared like
    /// anybody's change.
    fn settle(&mut self, sent: Sent, revision: i64) -> Option<State> {
        let entry = self.replica.entry(&sent.id);
        let fingerprint = sent.fingerprint();
        if entry.sequence() != sent.sequence {
            let Sent { id, version, time_us, .. } = sent;
            let size = version.as_ref().map_or(0, Version::size);
            return Some(State { id, fingerprint, revision, time_us, size, version });
        }
        let is_later = entry.base.as_ref().is_none_or(|base| {
            base.revision < revision || base.revision == revision && base.fingerprint == fingerprint
        });
        if is_later {
            self.replica.agree(entry, revision);
        }
        None
    }

    /// What was sent was not made. But where something was sent on an earlier stream, that may
    /// still arrive.
    fn take_back(&mut self, sent: &Sent, verdict: &Verdict) {
        let fingerprint = sent.fingerprint();
        let outcome = verdict.outcome();
        self.replica.change_pending(&sent.id, |pending| {
            if !sent.resent {
                pending.sendings.retain(|each| *each != fingerprint);
            }
            if outcome == PushOutcome::Rejected && pending.sequence == sent.sequence {
                pending.rejected = verdict.reason;
            }
        });
        if outcome == PushOutcome::CompareFirst {
            self.tried.remove(&sent.sequence);
        }
        if outcome == PushOutcome::Rejected {
            self.report.rejected.insert(sent.id.clone(), verdict.reason);
        }
        if outcome == PushOutcome::Conflict && sent.again {
            let lost = self.races.entry(sent.id.clone()).or_default();
            *lost += 1;
            if *lost >= MOST_RACES {
                self.report.contended.insert(sent.id.clone());
            }
        }
    }
}
