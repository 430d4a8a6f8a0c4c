//! What a replica knows of its items. Clones are cheap: the bytes of contents are shared.

use std::sync::Arc;

use crate::change_info::UNPROVED;
use crate::fingerprint::{Fingerprint, fingerprint_of};
use crate::proto::ChangeStandard;

/// What came as text goes as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(Arc<str>),
    Data(Arc<[u8]>),
}

impl Content {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Content::Text(text) => text.as_bytes(),
            Content::Data(data) => data,
        }
    }
}

/// A content of an item, with the item's fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub fingerprint: Fingerprint,
    pub content: Content,
}

impl Version {
    pub fn new(id: &str, content: Content) -> Self {
        Version { fingerprint: fingerprint_of(id, content.bytes()), content }
    }

    pub fn size(&self) -> i64 {
        self.content.bytes().len() as i64
    }
}

/// A state that an item has, or had, at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub id: String,
    pub fingerprint: Option<Fingerprint>,
    pub revision: i64,
    pub time_us: i64,
    /// Bytes of its content.
    pub size: i64,
    /// Its content, where it is at hand.
    pub version: Option<Version>,
}

impl State {
    /// The state of an item that is not there.
    pub fn absent(id: impl Into<String>, revision: i64) -> Self {
        State { id: id.into(), fingerprint: None, revision, time_us: 0, size: 0, version: None }
    }

    /// The state with a content, if it has the fingerprint that it should have; else UNPROVED.
    pub fn proved(self, version: Option<Version>, fingerprint: Option<Fingerprint>) -> Self {
        match version {
            Some(version) if Some(version.fingerprint) == fingerprint => {
                State { fingerprint, size: version.size(), version: Some(version), ..self }
            }
            _ => State { fingerprint: Some(UNPROVED), version: None, ..self },
        }
    }
}

/// A change of this side that the server does not have yet. What the item is now, its entry says.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Grows with every local change. A verdict on another number speaks of an earlier change.
    pub sequence: i64,
    /// What was sent and has no verdict: it may arrive yet, or have arrived.
    pub sendings: Vec<Option<Fingerprint>>,
    /// Set where it prevails over a change of the server, the base: by which standard.
    pub overrides: ChangeStandard,
    /// In conflict with the base until somebody resolves it. Not sent.
    pub held: bool,
    /// Changes with the same number go together, or not at all; 0 for none.
    pub group: i64,
    /// Why the server did not accept it: an ErrorReason, 0 for none.
    pub rejected: i32,
    /// Under which id the chunks of a large content were begun to be sent.
    pub upload: Option<[u8; 16]>,
}

/// All that is known of an item.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub id: String,
    /// What the application sees; `None`: no item.
    pub mine: Option<Version>,
    pub time_us: i64,
    /// What was last agreed on with the server; of a held item, theirs. `None`: nothing is known of
    /// it there.
    pub base: Option<State>,
    /// `None`: the item is clean.
    pub pending: Option<Pending>,
}

impl Entry {
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        fingerprint_in(&self.mine)
    }

    pub fn base_fingerprint(&self) -> Option<Fingerprint> {
        self.base.as_ref().and_then(|base| base.fingerprint)
    }

    /// The base, with its content where that is at hand; of an item that nothing is known of, that
    /// it is not there.
    pub fn base_state(&self) -> State {
        let base = self.base.clone();
        self.with_content(base.unwrap_or_else(|| State::absent(&self.id, 0)))
    }

    /// A state of the item, with its content where that is at hand.
    pub fn with_content(&self, mut state: State) -> State {
        let base = self.base.as_ref().and_then(|base| base.version.as_ref());
        if state.fingerprint.is_some() && state.version.is_none() {
            let is_it = |version: &&Version| Some(version.fingerprint) == state.fingerprint;
            state.version = self.mine.as_ref().into_iter().chain(base).find(is_it).cloned();
        }
        state
    }

    /// The number of its pending change; 0 where it has none.
    pub fn sequence(&self) -> i64 {
        self.pending.as_ref().map_or(0, |pending| pending.sequence)
    }

    pub fn group(&self) -> i64 {
        self.pending.as_ref().map_or(0, |pending| pending.group)
    }

    pub fn is_held(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.held)
    }

    /// What its change counts in the window, and in an atomic group.
    pub fn size(&self) -> i64 {
        size_of(&self.id, &self.mine)
    }
}

pub(crate) fn fingerprint_in(version: &Option<Version>) -> Option<Fingerprint> {
    version.as_ref().map(|version| version.fingerprint)
}

/// What a change counts in the window, and in an atomic group.
pub(crate) fn size_of(id: &str, version: &Option<Version>) -> i64 {
    id.len() as i64 + version.as_ref().map_or(0, Version::size) + 64
}

/// A version of this side (`None`: a deletion) that gave way to another, by a standard.
#[derive(Clone, Debug)]
pub struct ConflictRecord {
    pub id: String,
    pub version: Option<Version>,
    pub time_us: i64,
    pub prevailed: Option<Fingerprint>,
    pub standard: ChangeStandard,
}

/// A large content of which some chunks have come.
#[derive(Clone, Debug)]
pub struct Download {
    pub revision: i64,
    pub size: i64,
    pub time_us: i64,
    pub is_text: bool,
    pub data: Vec<u8>,
}
