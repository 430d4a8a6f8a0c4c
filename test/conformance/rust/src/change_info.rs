//! Step 1: reads the server's change info.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, RangeSum};
use crate::item::{Content, State, Version};
use crate::proto::{
    self, ChangeInfo, ChangeKind, ErrorReason, FingerprintAlgorithm, RangeFingerprint,
};
use crate::proto::{change_info, item_content};

/// Fingerprint of a state whose content did not agree with what it was told with: it has to be
/// fetched. (No content that anybody knows of has it.)
pub const UNPROVED: Fingerprint = [0; 32];

/// Fills in what changes leave out, and proves every inline content.
///
/// It is proved by its own fingerprint, or, with all others that came without one, by the
/// fingerprint of the page. What is not proved comes without its content, and with the fingerprint
/// UNPROVED.
///
/// # Errors
///
/// UNSUPPORTED: a change that this client does not understand can't be taken, and so no checkpoint
/// that covers it.
pub fn read_changes(
    changes: Vec<ChangeInfo>,
    proof: Option<&RangeFingerprint>,
) -> Result<Vec<State>> {
    let mut states = Vec::with_capacity(changes.len());
    let mut covered = HashSet::new();
    let mut total = RangeSum::default();
    let (mut revision, mut time_us) = (0, 0);
    for info in changes {
        revision = if info.revision == 0 { revision + 1 } else { info.revision };
        time_us = if info.modify_time_us == 0 { time_us } else { info.modify_time_us };
        let told = read_fingerprint(&info)?;
        let version = info.content.map(|content| Version::new(&info.id, content.into()));
        let state = State { revision, time_us, size: info.size, ..State::absent(info.id, 0) };
        states.push(match version {
            None => State { fingerprint: told, ..state },
            Some(version) if told.is_some() => state.proved(Some(version), told),
            Some(version) => {
                covered.insert(states.len());
                total = total + RangeSum::of(Some(version.fingerprint));
                let own = Some(version.fingerprint);
                state.proved(Some(version), own)
            }
        });
    }
    if !says(proof, total) {
        for at in covered {
            states[at].fingerprint = Some(UNPROVED);
            states[at].version = None;
        }
    }
    Ok(states)
}

/// The fingerprint that a change is told with, if this client knows what it is told.
fn read_fingerprint(info: &ChangeInfo) -> Result<Option<Fingerprint>> {
    let told = info.fingerprint.as_ref().map(from_fingerprint);
    match (info.kind(), told) {
        (ChangeKind::Deleted, _) => Ok(None),
        (ChangeKind::Upserted, None) if info.content.is_some() => Ok(None),
        (ChangeKind::Upserted, Some(Some(fingerprint))) => Ok(Some(fingerprint)),
        _ => {
            let message =
                format!("the server told of {:?} what this client does not know", info.id);
            Err(Error::new(ErrorReason::Unsupported, message))
        }
    }
}

/// The fingerprint of a message; `None` where it is not one that this client knows.
pub fn from_fingerprint(message: &proto::Fingerprint) -> Option<Fingerprint> {
    let is_known = message.algorithm() == FingerprintAlgorithm::Sha256;
    is_known.then(|| message.value.as_slice().try_into().ok()).flatten()
}

/// The message for a fingerprint; unset for no item.
pub fn to_fingerprint(fingerprint: Option<Fingerprint>) -> Option<proto::Fingerprint> {
    let algorithm = FingerprintAlgorithm::Sha256.into();
    fingerprint.map(|value| proto::Fingerprint { algorithm, value: value.into() })
}

/// Whether a message says the same as a sum. One that is not set says: no items.
pub fn says(told: Option<&RangeFingerprint>, own: RangeSum) -> bool {
    match told {
        Some(told) if told.count != 0 => {
            let is_known = told.algorithm() == FingerprintAlgorithm::Sha256;
            is_known && told.count == own.count && told.sum == own.sum
        }
        _ => own.count == 0,
    }
}

impl From<change_info::Content> for Content {
    fn from(content: change_info::Content) -> Self {
        match content {
            change_info::Content::Text(text) => Content::Text(text.into()),
            change_info::Content::Data(data) => Content::Data(data.into()),
        }
    }
}

impl From<item_content::Content> for Content {
    fn from(content: item_content::Content) -> Self {
        match content {
            item_content::Content::Text(text) => Content::Text(text.into()),
            item_content::Content::Data(data) => Content::Data(data.into()),
        }
    }
}
