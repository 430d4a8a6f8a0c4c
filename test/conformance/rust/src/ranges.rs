//! Ranges of ids, and what the bases in them come to.

use crate::fingerprint::{Fingerprint, RangeSum};
use crate::replica::Replica;

/// A range with so few bases is compared item by item.
const LEAF_ITEMS: usize = 12;
/// Bytes of sums and fingerprints that travel in a recovery.
pub(crate) const SHORT: usize = 8;

/// A range of ids, [start, end), with the bases in it: [first, last) in the list of all.
pub(crate) struct Range {
    pub start: String,
    /// `None`: to the last id.
    pub end: Option<String>,
    pub first: usize,
    pub last: usize,
}

impl Range {
    pub fn count(&self) -> usize {
        self.last - self.first
    }

    pub fn is_leaf(&self) -> bool {
        self.count() <= LEAF_ITEMS
    }
}

/// All bases in the order of their ids, and the sums of the first n of them.
pub(crate) struct Bases {
    pub ids: Vec<String>,
    pub fingerprints: Vec<Fingerprint>,
    sums: Vec<RangeSum>,
}

impl Bases {
    pub fn new(replica: &Replica) -> Self {
        let mut bases =
            Bases { ids: Vec::new(), fingerprints: Vec::new(), sums: vec![RangeSum::default()] };
        let mut total = RangeSum::default();
        for (id, entry) in &replica.entries {
            if let Some(fingerprint) = entry.base_fingerprint() {
                total = total + RangeSum::of(Some(fingerprint));
                bases.ids.push(id.clone());
                bases.fingerprints.push(fingerprint);
                bases.sums.push(total);
            }
        }
        bases
    }

    pub fn everything(&self) -> Range {
        Range { start: String::new(), end: None, first: 0, last: self.ids.len() }
    }

    pub fn total(&self, part: &Range) -> RangeSum {
        self.sums[part.last] - self.sums[part.first]
    }

    /// A part of a range, with the bases in it.
    pub fn narrow(&self, within: &Range, start: String, end: Option<String>) -> Range {
        let below = |bound: &str| {
            within.first
                + self.ids[within.first..within.last].partition_point(|id| id.as_str() < bound)
        };
        let first = below(&start);
        let last = end.as_deref().map_or(within.last, below).max(first);
        Range { start, end, first, last }
    }

    /// Parts of about the same size. Few parts cost fewer bytes, many parts fewer round trips.
    pub fn cut(&self, whole: Range) -> Vec<Range> {
        if whole.is_leaf() {
            return vec![whole];
        }
        let count = whole.count();
        let parts = match count {
            16_384.. => 16,
            1024.. => 8,
            _ => 4,
        };
        let cut = |part: usize| whole.first + count * part / parts;
        let bound = |part: usize| match part {
            0 => Some(whole.start.clone()),
            _ if part == parts => whole.end.clone(),
            _ => Some(self.ids[cut(part)].clone()),
        };
        let range = |part| Range {
            start: bound(part).unwrap_or_default(),
            end: bound(part + 1),
            first: cut(part),
            last: cut(part + 1),
        };
        (0..parts).map(range).collect()
    }
}
