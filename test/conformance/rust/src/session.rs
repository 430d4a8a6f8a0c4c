//! An exchange under way: what its steps need, and what they have to remember until its end.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::compare::Outcome;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::item::Version;
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{Capability, ChangeStandard, Checkpoint, Epoch, EpochBegun, Limits, Opened};
use crate::shared::Hold;
use crate::stream::Stream;

/// What is done where the server was restored to an earlier time: what it lost is offered again, or
/// given up; or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnHistoryChange {
    Offer,
    Follow,
    Stop,
}

/// How an exchange is to be.
pub struct SyncOptions {
    /// host:port
    pub server: String,
    /// The clock, in microseconds.
    pub now_us: fn() -> i64,
    /// Unspecified: the collection's, else SERVER.
    pub standard: ChangeStandard,
    pub create: bool,
    pub recreate: bool,
    pub on_history_change: OnHistoryChange,
    /// Of the whole exchange.
    pub timeout: Option<Duration>,
}

impl SyncOptions {
    /// An exchange with a server at host:port, and nothing else asked for.
    pub fn new(server: impl Into<String>) -> Self {
        SyncOptions {
            server: server.into(),
            now_us: system_now_us,
            standard: ChangeStandard::Unspecified,
            create: false,
            recreate: false,
            on_history_change: OnHistoryChange::Offer,
            timeout: None,
        }
    }
}

/// The system's clock, in microseconds since 1970.
pub fn system_now_us() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryReason {
    Compacted,
    History,
    Recreated,
    Unverified,
    /// The replica has no checkpoint.
    Asked,
}

/// Why a recovery was needed, and what was offered to the server again.
#[derive(Clone, Debug)]
pub struct Recovery {
    pub why: RecoveryReason,
    pub offered: Vec<String>,
}

/// What an exchange did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub standard: ChangeStandard,
    pub received: i64,
    pub deleted: i64,
    pub sent: i64,
    pub sent_deletions: i64,
    pub settled: i64,
    /// By id: the standard, and how it ended.
    pub conflicts: BTreeMap<String, (ChangeStandard, Outcome)>,
    /// By id: the ErrorReason.
    pub rejected: BTreeMap<String, i32>,
    pub contended: BTreeSet<String>,
    pub recovery: Option<Recovery>,
    pub verified: bool,
    pub round_trips: i64,
}

/// A push without a verdict.
pub(crate) struct Sent {
    pub id: String,
    pub sequence: i64,
    /// What was sent; `None`: a deletion.
    pub version: Option<Version>,
    pub time_us: i64,
    /// Something was sent of the item on an earlier stream that may arrive yet.
    pub resent: bool,
    /// It was sent before on this stream.
    pub again: bool,
}

impl Sent {
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.version.as_ref().map(|version| version.fingerprint)
    }
}

pub(crate) struct Session<'a> {
    pub replica: Hold<'a>,
    pub options: &'a SyncOptions,
    pub stream: Stream,
    pub report: Report,
    /// The server's first message, once it has come.
    pub opened: Opened,
    /// In force; before Opened, what was last heard of.
    pub limits: Limits,
    /// What to add to this side's clock for the latest modify time that the server takes.
    pub ceiling_ahead_us: i64,
    /// Pushes without a verdict, in order, and the ordinal of the first.
    pub on_the_way: VecDeque<Sent>,
    pub first_ordinal: i64,
    /// Sequence numbers of changes that were sent on this stream; that are not due (again) before a
    /// comparison; and that were settled by a comparison while the push was on its way, so that its
    /// verdict adds nothing.
    pub sent: HashSet<i64>,
    pub tried: HashSet<i64>,
    pub settled: HashSet<i64>,
    /// Races that each item lost.
    pub races: HashMap<String, u32>,
    /// Epochs that the server began since Opened.
    pub begun: Vec<Epoch>,
    /// The replica does not stand in the server's history: a recovery is due, or under way.
    pub recovering: bool,
    /// The replica goes on with another collection than its own, which was deleted.
    pub rebinds: bool,
    /// The latest revision that the server spoke of on this stream, and that of a content that was
    /// fetched.
    pub heard: Checkpoint,
    pub fetched_revision: i64,
    /// Messages that came while others were waited for.
    put_off: VecDeque<Response>,
}

impl<'a> Session<'a> {
    pub fn new(replica: Hold<'a>, options: &'a SyncOptions) -> Self {
        Session {
            stream: Stream::new(&options.server, options.timeout),
            report: Report { round_trips: 1, ..Report::default() },
            opened: Opened::default(),
            limits: replica.limits,
            ceiling_ahead_us: 0,
            on_the_way: VecDeque::new(),
            first_ordinal: 0,
            sent: HashSet::new(),
            tried: HashSet::new(),
            settled: HashSet::new(),
            races: HashMap::new(),
            begun: Vec::new(),
            recovering: false,
            rebinds: false,
            heard: Checkpoint::default(),
            fetched_revision: 0,
            put_off: VecDeque::new(),
            replica,
            options,
        }
    }

    pub fn now_us(&self) -> i64 {
        (self.options.now_us)()
    }

    pub fn can(&self, capability: Capability) -> bool {
        self.opened.capabilities().any(|each| each == capability)
    }

    pub fn hear(&mut self, witness: Option<Checkpoint>) {
        if let Some(witness) = witness.filter(|witness| witness.revision > self.heard.revision) {
            self.heard = witness;
        }
    }

    pub fn send(&self, message: Request) {
        self.stream.send(message);
    }

    /// The next message: one that was put off before, or one that comes.
    pub async fn receive(&mut self) -> Result<Response> {
        match self.put_off.pop_front() {
            Some(message) => Ok(message),
            None => self.read().await,
        }
    }

    /// The next message that is wanted. Others that come first are put off.
    pub async fn receive_only(&mut self, is_wanted: fn(&Response) -> bool) -> Result<Response> {
        loop {
            let message = self.read().await?;
            if is_wanted(&message) {
                return Ok(message);
            }
            self.put_off.push_back(message);
        }
    }

    async fn read(&mut self) -> Result<Response> {
        while let Some(response) = self.replica.leave_for(self.stream.next()).await? {
            match response.message {
                Some(Response::EpochBegun(EpochBegun { epoch })) => {
                    self.begin_epoch(epoch.unwrap_or_default())
                }
                Some(message) => return Ok(message),
                // A message that this client does not know is none to it.
                None => {}
            }
        }
        Err(Error::out_of_order("the server ended the exchange before it was through"))
    }

    /// New epochs may be told at any time, and count at once.
    fn begin_epoch(&mut self, epoch: Epoch) {
        // In a recovery the lineage stays that of what the replica stands in.
        if !self.recovering {
            self.replica.lineage.push(epoch.clone());
        }
        self.begun.push(epoch);
    }
}
