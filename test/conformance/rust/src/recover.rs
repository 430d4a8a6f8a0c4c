//! Recovery: finds what differs between the bases of the replica and the server's items.
//!
//! Sums of ranges of ids are compared, and those that differ are cut. Everything that was found is
//! taken in one transaction at the end: an exchange that is cut before has changed nothing.

use std::collections::HashMap;
use std::slice::Iter;

use crate::change_info::read_changes;
use crate::error::{Error, Result};
use crate::fingerprint::{RangeSum, decode_bounds, encode_bounds};
use crate::item::State;
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{
    Checkpoint, Epoch, RangeAnswers, RangeKind, RangeList, RangeOutcome, RangeQuery, Recover,
};
use crate::replica::Replica;
use crate::session::{Recovery, RecoveryReason, Session};
use crate::settle::Occasion;

/// With the ranges between them that are not asked about, a query may have 4,096.
const RANGES_AT_ONCE: usize = 2000;
/// A range with more bases than this is asked about in so many parts.
const SMALL: usize = 16;
const PARTS: usize = 4;
/// Bytes of a sum that travel in a recovery.
const SHORT: usize = 8;

/// A range of ids, [start, end), with the bases in it: [first, last) in the list of all.
#[derive(Clone)]
struct Range {
    start: String,
    /// `None`: to the last id.
    end: Option<String>,
    first: usize,
    last: usize,
}

/// Looks for what differs from the bases of a replica, and collects what it has found.
struct Search {
    /// All bases in the order of their ids, and the sums of the first n of them.
    ids: Vec<String>,
    sums: Vec<RangeSum>,
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
        let mut search = Search::new(&self.replica);
        let at_once = (self.limits.window_items as usize).clamp(1, RANGES_AT_ONCE);
        let last = search.ids.len();
        let mut ranges = search.cut(Range { start: String::new(), end: None, first: 0, last });
        while !ranges.is_empty() {
            let mut finer = Vec::new();
            for asked in ranges.chunks(at_once) {
                finer.extend(self.compare_ranges(&mut search, asked).await?);
            }
            ranges = finer;
        }
        self.complete(search).await
    }

    /// Lets the server compare ranges, and takes what it lists; answers those parts of the others
    /// that differ.
    async fn compare_ranges(&mut self, search: &mut Search, asked: &[Range]) -> Result<Vec<Range>> {
        self.send(Request::Ranges(search.to_query(asked)));
        self.report.round_trips += 1;
        let mut asked = asked.iter();
        let mut finer = Vec::new();
        while asked.len() > 0 {
            let is_wanted =
                |message: &Response| matches!(message, Response::Ranges(_) | Response::Verdicts(_));
            match self.receive_only(is_wanted).await? {
                Response::Ranges(mut answers) => {
                    self.hear(answers.witness.take());
                    finer.extend(search.read_answers(&mut asked, answers)?);
                }
                Response::Verdicts(verdicts) => self.take_verdicts(verdicts).await?,
                _ => {}
            }
        }
        Ok(finer)
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
/// by others. One that was deleted here since is still to be deleted there: what was sent may be
/// under way yet.
fn unsettled_creations(replica: &Replica) -> Vec<String> {
    let sent = replica.entries.values().filter(|entry| {
        let is_sent = entry.pending.as_ref().is_some_and(|pending| !pending.sendings.is_empty());
        is_sent && entry.mine.is_some() && entry.base_fingerprint().is_none()
    });
    sent.map(|entry| entry.id.clone()).collect()
}

fn misfit() -> Error {
    Error::out_of_order("the server's answer to a recovery does not fit what was asked")
}

impl Search {
    fn new(replica: &Replica) -> Self {
        let mut total = RangeSum::default();
        let (mut ids, mut sums) = (Vec::new(), vec![total]);
        for (id, entry) in &replica.entries {
            if let Some(fingerprint) = entry.base_fingerprint() {
                total = total + RangeSum::of(Some(fingerprint));
                ids.push(id.clone());
                sums.push(total);
            }
        }
        Search { ids, sums, found: HashMap::new(), preamble: None }
    }

    /// Count and sum of the bases in a range.
    fn total(&self, part: &Range) -> RangeSum {
        self.sums[part.last] - self.sums[part.first]
    }

    /// Parts of about the same size, unless it is small: the server cuts them again, which saves
    /// round trips.
    fn cut(&self, whole: Range) -> Vec<Range> {
        let count = whole.last - whole.first;
        if count <= SMALL {
            return vec![whole];
        }
        let bound = |part: usize| self.ids[whole.first + count * part / PARTS].clone();
        self.split(&whole, (1..PARTS).map(bound))
    }

    /// The parts of a range between these bounds.
    fn split(&self, whole: &Range, inner: impl IntoIterator<Item = String>) -> Vec<Range> {
        let mut parts = Vec::new();
        let mut rest = whole.clone();
        for bound in inner {
            let bases = &self.ids[rest.first..rest.last];
            let at = rest.first + bases.partition_point(|id| *id < bound);
            parts.push(Range { end: Some(bound.clone()), last: at, ..rest.clone() });
            rest = Range { start: bound, first: at, ..rest };
        }
        parts.push(rest);
        parts
    }

    /// The ranges, which are in order, as a query by their sums; with nothing asked of what is
    /// between them.
    fn to_query(&self, ranges: &[Range]) -> RangeQuery {
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
            let total = self.total(range);
            query.kinds.push(RangeKind::Sum.into());
            query.counts.push(total.count);
            query.sums.extend(&total.sum[..SHORT]);
        }
        if at.is_some() {
            query.kinds.push(RangeKind::Unspecified.into());
        }
        query.ends = Some(encode_bounds(ends));
        query
    }

    /// Takes what is listed; answers the parts that differ.
    fn read_answers(
        &mut self,
        asked: &mut Iter<'_, Range>,
        answers: RangeAnswers,
    ) -> Result<Vec<Range>> {
        let outcomes: Vec<RangeOutcome> = answers.outcomes().collect();
        if self.preamble.is_none() {
            self.preamble = Some(Preamble {
                head: answers.head.ok_or_else(misfit)?,
                fork: answers.fork_revision,
                compacted: answers.compacted_revision,
                lineage: answers.lineage,
            });
        }
        let ends = decode_bounds(&answers.ends.unwrap_or_default()).ok_or_else(misfit)?;
        if answers.sums.len() != answers.counts.len() * SHORT {
            return Err(misfit());
        }
        let mut totals = answers.counts.into_iter().zip(answers.sums.chunks(SHORT));
        let mut sizes = answers.parts.into_iter();
        let (mut ends, mut lists) = (ends.into_iter(), answers.lists.into_iter());
        let mut finer = Vec::new();
        for outcome in outcomes {
            let whole = asked.next().ok_or_else(misfit)?;
            match outcome {
                RangeOutcome::Equal => {}
                RangeOutcome::List => self.take_list(whole, lists.next().ok_or_else(misfit)?)?,
                RangeOutcome::Split => {
                    let size = sizes.next().filter(|size| *size >= 2).ok_or_else(misfit)? as usize;
                    let inner: Vec<String> = ends.by_ref().take(size - 1).collect();
                    if inner.len() + 1 != size {
                        return Err(misfit());
                    }
                    for part in self.split(whole, inner) {
                        let own = self.total(&part);
                        let theirs = totals.next().ok_or_else(misfit)?;
                        if theirs != (own.count, &own.sum[..SHORT]) {
                            finer.extend(self.cut(part));
                        }
                    }
                }
                RangeOutcome::Unspecified => return Err(misfit()),
            }
        }
        let is_all = sizes.len() + lists.len() + ends.len() + totals.len() == 0;
        if is_all { Ok(finer) } else { Err(misfit()) }
    }

    /// Takes what the server has in a range that differs, and what it has deleted after the fork.
    ///
    /// Of the rest nothing is known there: it was deleted up to the fork, or up to the horizon of
    /// tombstones.
    fn take_list(&mut self, whole: &Range, listed: RangeList) -> Result<()> {
        let horizon = |told: &Preamble| if told.compacted > told.fork { told.compacted } else { 0 };
        let revision = self.preamble.as_ref().map_or(0, horizon);
        for id in &self.ids[whole.first..whole.last] {
            self.found.insert(id.clone(), State::absent(id, revision));
        }
        for state in read_changes([listed.items, listed.deleted].concat(), None)? {
            self.found.insert(state.id.clone(), state);
        }
        Ok(())
    }
}
