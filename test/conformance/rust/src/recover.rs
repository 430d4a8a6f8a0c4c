//! Recovery: finds what differs between the bases of the replica and the server's items.
//!
//! Sums of ranges of ids are compared, and those that differ are cut. Everything that was found is
//! taken in one transaction at the end: an exchange that is cut before has changed nothing.

use std::collections::{HashMap, VecDeque};

use crate::change_info::read_changes;
use crate::error::{Error, Result};
use crate::fingerprint::{decode_bounds, encode_bounds};
use crate::item::State;
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{
    Checkpoint, Epoch, RangeAnswers, RangeKind, RangeList, RangeOutcome, RangeQuery, Recover,
};
use crate::ranges::{Bases, Range, SHORT};
use crate::replica::Replica;
use crate::session::{Recovery, RecoveryReason, Session};
use crate::settle::Occasion;

/// With the ranges between them that are not asked about, a query may have 4,096.
const RANGES_AT_ONCE: usize = 2000;
/// What is being searched, and what has been found.
struct Search {
    bases: Bases,
    /// Ranges without an answer, in the order in which they were asked; those that are to be asked;
    /// and finer ones of what was answered.
    asked: VecDeque<Range>,
    waiting: Vec<Range>,
    finer: Vec<Range>,
    /// The server's states of what differs, by id.
    found: HashMap<String, State>,
    /// The first answer: it says the head, the fork, and more that holds for all.
    preamble: Option<Preamble>,
}

struct Preamble {
    head: Checkpoint,
    fork: i64,
    compacted: i64,
    lineage: Vec<Epoch>,
}

impl Session<'_> {
    /// Compares all items with the server's, and takes what differs.
    pub async fn recover(&mut self, why: RecoveryReason) -> Result<()> {
        self.recovering = true;
        self.heard = Checkpoint::default();
        self.report.recovery = Some(Recovery { why, offered: Vec::new() });
        let lineage = if self.rebinds { Vec::new() } else { self.replica.lineage.clone() };
        self.send(Request::Recover(Recover { lineage }));
        let bases = Bases::new(&self.replica);
        let waiting = bases.cut(bases.everything());
        let mut search = Search {
            bases,
            waiting,
            asked: VecDeque::new(),
            finer: Vec::new(),
            found: HashMap::new(),
            preamble: None,
        };
        let at_once = (self.limits.window_items / 2).max(1) as usize;
        while !search.waiting.is_empty() {
            let now: Vec<Range> =
                search.waiting.drain(..at_once.min(search.waiting.len())).collect();
            for ranges in now.chunks(RANGES_AT_ONCE) {
                self.send(Request::Ranges(to_query(&search.bases, ranges)));
            }
            search.asked.extend(now);
            self.report.round_trips += 1;
            self.take_answers(&mut search).await?;
            // A query is in the order of ids: what is finer lies before what was not asked yet.
            let finer = std::mem::take(&mut search.finer);
            search.waiting.splice(..0, finer);
        }
        self.complete(search).await
    }

    async fn take_answers(&mut self, search: &mut Search) -> Result<()> {
        while !search.asked.is_empty() {
            let is_wanted =
                |message: &Response| matches!(message, Response::Ranges(_) | Response::Verdicts(_));
            match self.receive_only(is_wanted).await? {
                Response::Ranges(mut answers) => {
                    self.hear(answers.witness.take());
                    search.read_answers(answers)?;
                }
                Response::Verdicts(verdicts) => self.take_verdicts(verdicts).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes what was found, and stands where the server stood when the recovery began.
    async fn complete(&mut self, search: Search) -> Result<()> {
        let Search { mut found, preamble: Some(preamble), .. } = search else {
            return Err(misfit());
        };
        let Preamble { head, fork, lineage, .. } = preamble;
        if !self.rebinds {
            for id in unsettled_creations(&self.replica) {
                found.entry(id.clone()).or_insert_with(|| State::absent(id, head.revision));
            }
        }
        let found = found.into_values().collect();
        let decisions = self.compare_changes(found, Occasion::Recovered { fork }).await?;
        // From here on nothing is awaited: in a database, this is one transaction.
        self.carry_out(decisions);
        // Revisions beyond the fork may be of another history. The server has had all of these
        // states at its head.
        for base in self.replica.entries.values_mut().filter_map(|entry| entry.base.as_mut()) {
            if base.revision > fork.min(head.revision) {
                base.revision = head.revision;
            }
        }
        let known = lineage.last().map_or(0, |epoch| epoch.first_revision);
        let begun = self.begun.iter().filter(|epoch| epoch.first_revision > known).cloned();
        self.replica.lineage = lineage.into_iter().chain(begun).collect();
        self.replica.uid = self.opened.collection_uid.clone();
        // They speak of the history that was left.
        self.replica.lose_checkpoint();
        self.replica.hear(&self.heard);
        self.replica.stand(head);
        self.recovering = false;
        Ok(())
    }
}

/// Creations that were sent: those that the server tells nothing of may have been made, and deleted
/// by others.
fn unsettled_creations(replica: &Replica) -> Vec<String> {
    let sent = replica.entries.values().filter(|entry| {
        let is_sent = entry.pending.as_ref().is_some_and(|pending| !pending.sendings.is_empty());
        is_sent && entry.base_fingerprint().is_none()
    });
    sent.map(|entry| entry.id.clone()).collect()
}

/// The ranges, which are in order, as a query; with nothing asked of what is between them.
fn to_query(bases: &Bases, ranges: &[Range]) -> RangeQuery {
    let mut query = RangeQuery::default();
    let mut ends = Vec::new();
    let mut at = Some("");
    for range in ranges {
        if at != Some(&range.start) {
            ends.push(range.start.as_str());
            query.kinds.push(RangeKind::Unspecified.into());
        }
        at = range.end.as_deref();
        ends.extend(at);
        query.counts.push(range.count() as i64);
        if range.is_leaf() {
            query.kinds.push(RangeKind::Items.into());
            let short =
                bases.fingerprints[range.first..range.last].iter().flat_map(|each| &each[..SHORT]);
            query.items.extend(short);
        } else {
            query.kinds.push(RangeKind::Sum.into());
            query.sums.extend(&bases.total(range).sum[..SHORT]);
        }
    }
    if at.is_some() {
        query.kinds.push(RangeKind::Unspecified.into());
    }
    query.ends = Some(encode_bounds(ends));
    query
}

fn misfit() -> Error {
    Error::out_of_order("the server's answer to a recovery does not fit what was asked")
}

impl Search {
    /// Takes what is listed, and the parts that differ, which are to be asked next.
    fn read_answers(&mut self, answers: RangeAnswers) -> Result<()> {
        let outcomes: Vec<RangeOutcome> = answers.outcomes().collect();
        let RangeAnswers {
            parts,
            ends,
            counts,
            sums,
            lists,
            head,
            fork_revision,
            compacted_revision,
            lineage,
            ..
        } = answers;
        if self.preamble.is_none() {
            let head = head.ok_or_else(misfit)?;
            let (fork, compacted) = (fork_revision, compacted_revision);
            self.preamble = Some(Preamble { head, fork, compacted, lineage });
        }
        if sums.len() != counts.len() * SHORT {
            return Err(misfit());
        }
        let mut ends = decode_bounds(&ends.unwrap_or_default()).ok_or_else(misfit)?.into_iter();
        let mut totals = counts.into_iter().zip(sums.chunks(SHORT));
        let (mut sizes, mut lists) = (parts.into_iter(), lists.into_iter());
        for outcome in outcomes {
            let asked = self.asked.pop_front().ok_or_else(misfit)?;
            match outcome {
                RangeOutcome::Equal => {}
                RangeOutcome::List => self.take_list(&asked, lists.next().ok_or_else(misfit)?)?,
                RangeOutcome::Split => {
                    let size = sizes.next().filter(|size| *size >= 2).ok_or_else(misfit)?;
                    for part in self.parts(&asked, size, &mut ends)? {
                        let (count, short) = totals.next().ok_or_else(misfit)?;
                        let own = self.bases.total(&part);
                        if own.count != count || own.sum[..SHORT] != *short {
                            self.finer.extend(self.bases.cut(part));
                        }
                    }
                }
                RangeOutcome::Unspecified => return Err(misfit()),
            }
        }
        let is_all = sizes.len() + lists.len() + ends.len() + totals.len() == 0;
        if is_all { Ok(()) } else { Err(misfit()) }
    }

    fn parts(
        &self,
        whole: &Range,
        size: u32,
        ends: &mut impl Iterator<Item = String>,
    ) -> Result<Vec<Range>> {
        let mut parts = Vec::new();
        let mut start = whole.start.clone();
        for _ in 1..size {
            let end = ends.next().ok_or_else(misfit)?;
            parts.push(self.bases.narrow(whole, start, Some(end.clone())));
            start = end;
        }
        parts.push(self.bases.narrow(whole, start, whole.end.clone()));
        Ok(parts)
    }

    /// What the server has in a range that differs; and what it does not have, and nothing is known
    /// of its deletion.
    fn take_list(&mut self, asked: &Range, listed: RangeList) -> Result<()> {
        let RangeList { mut items, deleted, differing } = listed;
        items.extend(deleted);
        for state in read_changes(items, None)? {
            self.found.insert(state.id.clone(), state);
        }
        let own = &self.bases.ids[asked.first..asked.last];
        let differing: Vec<&String> = if asked.is_leaf() {
            let differing = differing.iter().map(|at| own.get(*at as usize));
            differing.collect::<Option<_>>().ok_or_else(misfit)?
        } else {
            own.iter().collect()
        };
        // Deletions beyond the fork would be told, but for those up to the horizon.
        let revision = self
            .preamble
            .as_ref()
            .map_or(0, |told| if told.compacted > told.fork { told.compacted } else { 0 });
        for id in differing {
            self.found.entry(id.clone()).or_insert_with(|| State::absent(id, revision));
        }
        Ok(())
    }
}
