//! What both sides must compute alike: fingerprints of items, their sums, ids, and bounds between
//! ids.
//!
//! The order of ids, by their UTF-8 bytes, needs nothing here: it is Rust's own order of strings.

use std::array::from_fn;
use std::ops::{Add, Sub};

use sha2::{Digest, Sha256};

use crate::proto::IdBounds;

const MOST_ID_BYTES: usize = 512;
const MOST_BOUND_BYTES: usize = 516;

/// The fingerprint of an item. Everywhere in this client, `None` in its place is "no such item", or
/// a deleted one.
pub type Fingerprint = [u8; 32];

pub fn fingerprint_of(id: &str, content: &[u8]) -> Fingerprint {
    Sha256::new().chain_update(id).chain_update([0]).chain_update(content).finalize().into()
}

/// A range fingerprint: the number of items, and the sum of their fingerprints modulo 2^256,
/// little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeSum {
    pub count: i64,
    pub sum: [u8; 32],
}

impl RangeSum {
    /// The sum that one item comes to; no item comes to nothing.
    pub fn of(fingerprint: Option<Fingerprint>) -> Self {
        fingerprint.map_or_else(Self::default, |sum| RangeSum { count: 1, sum })
    }
}

impl Add for RangeSum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut carry = false;
        let sum = from_fn(|at| {
            let (digit, above) = self.sum[at].overflowing_add(other.sum[at]);
            let (digit, above_again) = digit.overflowing_add(carry.into());
            carry = above || above_again;
            digit
        });
        RangeSum { count: self.count + other.count, sum }
    }
}

impl Sub for RangeSum {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let mut borrow = false;
        let sum = from_fn(|at| {
            let (digit, below) = self.sum[at].overflowing_sub(other.sum[at]);
            let (digit, below_again) = digit.overflowing_sub(borrow.into());
            borrow = below || below_again;
            digit
        });
        RangeSum { count: self.count - other.count, sum }
    }
}

/// Whether an id is a good one: 1 to 512 bytes without control characters.
pub fn is_id(id: &str) -> bool {
    (1..=MOST_ID_BYTES).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// Codes ascending bounds: each as the bytes (of whole characters) shared with the one before it,
/// and the rest.
pub fn encode_bounds<'a>(bounds: impl IntoIterator<Item = &'a str>) -> IdBounds {
    let mut coded = IdBounds::default();
    let mut before = "";
    for bound in bounds {
        let same = before.chars().zip(bound.chars()).take_while(|(a, b)| a == b);
        let shared = same.map(|(character, _)| character.len_utf8()).sum();
        coded.shared.push(shared as u32);
        coded.rest.push(bound[shared..].to_owned());
        before = bound;
    }
    coded
}

/// The bounds again; `None` where they are too long, cut in mid-character, or do not ascend.
pub fn decode_bounds(coded: &IdBounds) -> Option<Vec<String>> {
    let mut bounds: Vec<String> = Vec::new();
    for (&shared, rest) in coded.shared.iter().zip(&coded.rest) {
        let before = bounds.last().map_or("", String::as_str);
        let bound = before.get(..shared as usize)?.to_owned() + rest;
        if bound.len() > MOST_BOUND_BYTES || bound.as_str() <= before {
            return None;
        }
        bounds.push(bound);
    }
    (coded.shared.len() == coded.rest.len()).then_some(bounds)
}
