//! Step 2: what is to be done with one item of which the server's state was told, and whose change
//! prevails. Nothing but values.

use crate::fingerprint::Fingerprint;
use crate::item::{Entry, State};
use crate::proto::ChangeStandard;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Nothing to do.
    Known,
    /// Only the revision is new.
    Same,
    /// Changed only there: take it.
    Theirs,
    /// Changed on both sides into the same: nothing moves.
    Agreed,
    /// It is what this client sent earlier, and changed since: send the change on top of it.
    Arrived,
    /// Created here; there was something else of that name, which is deleted: send the creation.
    New,
    /// The server, restored from a backup, lost what was agreed on: offer it again (recovery only).
    Lost,
    /// Changed on both sides: the change standard decides.
    Conflict,
}

/// How a conflict ends; held: not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Mine,
    Theirs,
    Held,
}

/// The comparison of an exchange. An item that the server tells nothing of is unchanged there.
///
/// `sendings`: what was sent of the item, had no verdict, and may be what the server tells of.
pub fn compare(entry: &Entry, sendings: &[Option<Fingerprint>], theirs: &State) -> Comparison {
    let base = entry.base.as_ref();
    if base.is_some_and(|base| theirs.revision <= base.revision) {
        return Comparison::Known;
    }
    if entry.pending.is_none() {
        return match theirs.fingerprint {
            other if other != entry.base_fingerprint() => Comparison::Theirs,
            None => Comparison::Known,
            Some(_) => Comparison::Same,
        };
    }
    let never_had = base.is_none() && sendings.is_empty();
    if never_had && theirs.fingerprint.is_none() && entry.mine.is_some() {
        return Comparison::New;
    }
    compare_pending(entry, sendings, theirs)
}

/// The comparison of a recovery. `fork` is the last revision that the histories of both sides
/// share.
///
/// What was agreed on up to it is as real as what the server has; what was agreed on later the
/// server lost, and its revisions say nothing then.
pub fn compare_recovered(
    entry: &Entry,
    sendings: &[Option<Fingerprint>],
    theirs: &State,
    fork: i64,
) -> Comparison {
    let Some(base) = &entry.base else {
        return compare(entry, sendings, theirs);
    };
    let is_shared = base.revision <= fork;
    if is_shared && theirs.revision > base.revision {
        return compare(entry, sendings, theirs);
    }
    if base.fingerprint == theirs.fingerprint {
        return if is_shared { Comparison::Known } else { Comparison::Same };
    }
    let found = match &entry.pending {
        Some(_) => compare_pending(entry, sendings, theirs),
        None if is_shared => Comparison::Theirs,
        None => Comparison::Conflict,
    };
    let is_lost = found == Comparison::Conflict && !is_shared && theirs.revision <= fork;
    if is_lost { Comparison::Lost } else { found }
}

fn compare_pending(entry: &Entry, sendings: &[Option<Fingerprint>], theirs: &State) -> Comparison {
    if entry.fingerprint() == theirs.fingerprint {
        Comparison::Agreed
    } else if sendings.contains(&theirs.fingerprint) {
        Comparison::Arrived
    } else {
        Comparison::Conflict
    }
}

/// Whose change prevails by a standard that is in force.
///
/// `time_us`: of mine; at most the server's clock and `skew_us`, as the server would store it.
pub fn judge(
    standard: ChangeStandard,
    mine: Option<Fingerprint>,
    time_us: i64,
    theirs: &State,
) -> Outcome {
    // Later is greater, on a tie the greater fingerprint, and `None`, a deletion, is less than any.
    let is_newer = (time_us, mine) > (theirs.time_us, theirs.fingerprint);
    match standard {
        ChangeStandard::Manual => Outcome::Held,
        ChangeStandard::Client => Outcome::Mine,
        ChangeStandard::Newest if is_newer => Outcome::Mine,
        _ => Outcome::Theirs,
    }
}
