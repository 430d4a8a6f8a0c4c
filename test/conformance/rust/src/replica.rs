//! A replica in memory. In a database each public method is one transaction: so is what it writes
//! together.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::error::{Error, Result};
use crate::fingerprint::{Fingerprint, RangeSum, is_id};
use crate::item::{
    ConflictRecord, Download, Entry, Pending, State, Version, fingerprint_in, size_of,
};
use crate::proto::{ChangeStandard, Checkpoint, Epoch, ErrorReason, Limits};
use crate::send_content::WHOLE_BYTES;

/// The limits of a server that has not said anything else.
const DEFAULT_LIMITS: Limits = Limits {
    inline_bytes: 16 << 10,
    eager_bytes: 512 << 10,
    message_bytes: 128 << 10,
    item_bytes: 64 << 20,
    window_bytes: 4 << 20,
    window_items: 16_384,
    group_items: 1000,
    group_bytes: 1 << 20,
};
/// A clock that is further ahead than this must not carry ours away.
const MOST_AHEAD_US: i64 = 60_000_000;

/// How a conflict that was held ends.
pub enum Resolution {
    Mine,
    Theirs,
    /// Both give way to a version; `None`: to a deletion.
    Other(Option<Version>),
}

/// A copy of a collection, which the application may change while it is apart from the server.
#[derive(Clone, Debug)]
pub struct Replica {
    pub collection: String,
    /// Empty before the first exchange.
    pub uid: Vec<u8>,
    /// How far the server's changes were taken; an empty token before the first page.
    pub checkpoint: Checkpoint,
    /// The latest revision that was heard of beyond the checkpoint.
    pub witness: Checkpoint,
    pub lineage: Vec<Epoch>,
    /// As last heard from the server.
    pub limits: Limits,
    /// Count and sum over the fingerprints of all bases.
    pub total: RangeSum,
    /// In the order of ids.
    pub entries: BTreeMap<String, Entry>,
    pub conflicts: Vec<ConflictRecord>,
    pub downloads: HashMap<String, Download>,
    last_sequence: i64,
    /// The latest modify time that was given out or heard of: a hybrid logical clock.
    last_time_us: i64,
}

/// For the application.
impl Replica {
    pub fn new(collection: &str) -> Result<Self> {
        let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let begins = collection.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || collection.len() > 128 || !collection.bytes().all(is_ok) {
            let message = format!("{collection:?} is no name of a collection");
            return Err(Error::new(ErrorReason::InvalidCollectionName, message));
        }
        Ok(Replica {
            collection: collection.to_owned(),
            uid: Vec::new(),
            checkpoint: Checkpoint::default(),
            witness: Checkpoint::default(),
            lineage: Vec::new(),
            limits: DEFAULT_LIMITS,
            total: RangeSum::default(),
            entries: BTreeMap::new(),
            conflicts: Vec::new(),
            downloads: HashMap::new(),
            last_sequence: 0,
            last_time_us: 0,
        })
    }

    /// Changes one item; no version deletes it. Where it is pending in an atomic group, it stays in
    /// that.
    pub fn write(&mut self, id: &str, version: Option<Version>, now_us: i64) -> Result<()> {
        self.transaction(vec![(id.to_owned(), version)], now_us)
    }

    /// Changes items all or none, here and at the server, with all that is pending in a group with
    /// one of them.
    pub fn transaction(
        &mut self,
        writes: Vec<(String, Option<Version>)>,
        now_us: i64,
    ) -> Result<()> {
        let mut ids = HashSet::new();
        for (id, version) in &writes {
            self.check(id, version)?;
            if !ids.insert(id) {
                return Err(Error::new(
                    ErrorReason::DuplicateId,
                    "an id stands twice in one transaction",
                ));
            }
        }
        let mut changes = Vec::new();
        let mut sizes = BTreeMap::new();
        for (id, version) in &writes {
            let entry = self.entry(id);
            if entry.fingerprint() == fingerprint_in(version) {
                continue;
            }
            for member in self.group_of(&entry) {
                sizes.entry(member.id.clone()).or_insert(member.size());
            }
            sizes.insert(id.clone(), size_of(id, version));
            changes.push((entry, version.clone()));
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.check_group(&sizes)?;
        let time_us = self.tick(now_us);
        for (entry, version) in changes {
            self.write_entry(entry, version, time_us);
        }
        // A number that no other group has, also where the changes undid what was pending. What is
        // left alone is in none.
        self.last_sequence += 1;
        let left = sizes.keys().filter(|id| self.entry(id).pending.is_some()).count();
        let group = if left > 1 { self.last_sequence } else { 0 };
        sizes.keys().for_each(|id| self.change_pending(id, |pending| pending.group = group));
        Ok(())
    }

    /// Ends a conflict that is held, with all of its group.
    pub fn resolve(&mut self, id: &str, how: Resolution, now_us: i64) -> Result<()> {
        let manual = ChangeStandard::Manual;
        let held = self.entry(id);
        if !held.is_held() {
            return Err(Error::new(ErrorReason::ItemHeld, "the item is not held"));
        }
        let group = self.group_of(&held);
        if let Resolution::Other(version) = &how {
            self.check(id, version)?;
            let sizes = group.iter().map(|member| (member.id.clone(), member.size()));
            let mut sizes: BTreeMap<String, i64> = sizes.collect();
            sizes.insert(id.to_owned(), size_of(id, version));
            self.check_group(&sizes)?;
        }
        for mut entry in group {
            match (&how, entry.pending.take()) {
                (Resolution::Theirs, _) => {
                    let theirs = entry.base_state();
                    self.take_theirs(entry, theirs, Some(manual), now_us);
                }
                (_, before) => {
                    let before =
                        Pending { held: false, overrides: manual, ..before.unwrap_or_default() };
                    entry.pending = Some(self.renew(before));
                    self.keep(entry);
                }
            }
        }
        if let Resolution::Other(version) = how
            && fingerprint_in(&version) != held.fingerprint()
        {
            self.replace_held(id, version, now_us);
        }
        Ok(())
    }

    /// Both versions of a conflict give way to another.
    fn replace_held(&mut self, id: &str, version: Option<Version>, now_us: i64) {
        let entry = self.entry(id);
        let fingerprint = fingerprint_in(&version);
        match entry.base.clone() {
            Some(base) if base.fingerprint == fingerprint => {
                self.take_theirs(
                    entry,
                    State { version, ..base },
                    Some(ChangeStandard::Manual),
                    now_us,
                );
            }
            _ => {
                self.keep_record(&entry, fingerprint, ChangeStandard::Manual);
                let time_us = self.tick(now_us);
                self.write_entry(entry, version, time_us);
            }
        }
    }

    /// Pending changes in the order in which they were made.
    pub fn pending(&self) -> Vec<Entry> {
        let mut pending: Vec<Entry> =
            self.entries.values().filter(|entry| entry.pending.is_some()).cloned().collect();
        pending.sort_by_key(Entry::sequence);
        pending
    }

    pub fn lose_checkpoint(&mut self) {
        self.checkpoint = Checkpoint::default();
        self.witness = Checkpoint::default();
    }
}

/// For the exchange.
impl Replica {
    /// The entry of an item; one that nothing is known of has an empty one.
    pub fn entry(&self, id: &str) -> Entry {
        let empty = || Entry { id: id.to_owned(), ..Entry::default() };
        self.entries.get(id).cloned().unwrap_or_else(empty)
    }

    /// All members of a pending change's atomic group; without a group, the change alone.
    pub fn group_of(&self, entry: &Entry) -> Vec<Entry> {
        match entry.group() {
            0 => vec![entry.clone()],
            group => self.pending().into_iter().filter(|other| other.group() == group).collect(),
        }
    }

    pub fn change_pending(&mut self, id: &str, change: impl FnOnce(&mut Pending)) {
        if let Some(pending) = self.entries.get_mut(id).and_then(|entry| entry.pending.as_mut()) {
            change(pending);
        }
    }

    /// The item becomes what the server has. With a standard, mine gave way by it, and is kept in a
    /// record.
    pub fn take_theirs(
        &mut self,
        mut entry: Entry,
        theirs: State,
        standard: Option<ChangeStandard>,
        now_us: i64,
    ) {
        assert_eq!(theirs.fingerprint, fingerprint_in(&theirs.version), "the content is at hand");
        if let Some(standard) = standard
            && entry.fingerprint() != theirs.fingerprint
        {
            self.keep_record(&entry, theirs.fingerprint, standard);
        }
        self.last_time_us = self.last_time_us.max(theirs.time_us.min(now_us + MOST_AHEAD_US));
        entry.mine = theirs.version.clone();
        entry.time_us = theirs.time_us;
        entry.pending = None;
        self.move_base(entry, Some(theirs));
    }

    /// The pending change stays, on what the server has now: whatever was sent of it before is
    /// settled.
    pub fn stand_on(
        &mut self,
        mut entry: Entry,
        theirs: State,
        overrides: ChangeStandard,
        held: bool,
    ) {
        let pending = entry.pending.unwrap_or_default();
        entry.pending = Some(Pending { sendings: Vec::new(), overrides, held, ..pending });
        self.move_base(entry, Some(theirs));
    }

    /// The server has what mine is, as of this revision: nothing is left to send.
    pub fn agree(&mut self, mut entry: Entry, revision: i64) {
        let base = State {
            id: entry.id.clone(),
            fingerprint: entry.fingerprint(),
            revision,
            time_us: entry.time_us,
            size: entry.mine.as_ref().map_or(0, Version::size),
            version: entry.mine.clone(),
        };
        entry.pending = None;
        self.move_base(entry, Some(base));
    }

    /// A clean item is pending again: the server, which was restored to an earlier time, lost it.
    pub fn offer(
        &mut self,
        mut entry: Entry,
        theirs: State,
        overrides: ChangeStandard,
        held: bool,
    ) {
        entry.pending = Some(self.renew(Pending { overrides, held, ..Pending::default() }));
        // Where nothing is known of it at the server, not even of a deletion, it is a creation.
        let base = (theirs.revision != 0).then_some(theirs);
        self.move_base(entry, base);
    }

    /// The only place where a base changes: the sum over all bases changes with it.
    pub fn move_base(&mut self, mut entry: Entry, base: Option<State>) {
        let before = RangeSum::of(entry.base_fingerprint());
        entry.base = base;
        self.total = self.total - before + RangeSum::of(entry.base_fingerprint());
        self.keep(entry);
    }

    /// The server spoke of a revision: one that does not know it any more was restored to before
    /// it.
    pub fn hear(&mut self, witness: &Checkpoint) {
        if witness.revision > self.checkpoint.revision.max(self.witness.revision) {
            self.witness = witness.clone();
        }
    }

    /// All changes up to a checkpoint have been taken. Stored together with the last of them.
    pub fn stand(&mut self, checkpoint: Checkpoint) {
        if self.witness.revision <= checkpoint.revision {
            self.witness = Checkpoint::default();
        }
        self.checkpoint = checkpoint;
    }
}

/// Inside.
impl Replica {
    fn check(&self, id: &str, version: &Option<Version>) -> Result<()> {
        if !is_id(id) {
            return Err(Error::new(ErrorReason::InvalidId, format!("{id:?} is no id")));
        }
        let most = self.limits.item_bytes;
        if version.as_ref().map_or(0, Version::size) > most {
            return Err(Error::new(
                ErrorReason::ItemTooLarge,
                format!("a content may have {most} bytes"),
            ));
        }
        Ok(())
    }

    /// Refuses a group that would be too large, by the sizes of its members.
    fn check_group(&self, sizes: &BTreeMap<String, i64>) -> Result<()> {
        let (items, bytes) = (sizes.len() as i64, sizes.values().sum::<i64>());
        // Whatever the server says: a content in chunks is no member of a group.
        let most_bytes = self.limits.group_bytes.min(WHOLE_BYTES);
        if items > 1 && (items > self.limits.group_items || bytes > most_bytes) {
            return Err(Error::new(ErrorReason::GroupInvalid, "the atomic group is too large"));
        }
        Ok(())
    }

    fn tick(&mut self, now_us: i64) -> i64 {
        self.last_time_us = now_us.max(self.last_time_us + 1);
        self.last_time_us
    }

    fn write_entry(&mut self, mut entry: Entry, mine: Option<Version>, time_us: i64) {
        entry.mine = mine;
        entry.time_us = time_us;
        let is_back = entry.fingerprint() == entry.base_fingerprint();
        entry.pending = match entry.pending.take() {
            // Back to what the server has: nothing is left to send. But what was sent, or overrides
            // another change, goes on.
            Some(Pending { sendings, overrides: ChangeStandard::Unspecified, .. })
                if is_back && sendings.is_empty() =>
            {
                entry.time_us = entry.base.as_ref().map_or(time_us, |base| base.time_us);
                None
            }
            before => Some(self.renew(before.unwrap_or_default())),
        };
        self.keep(entry);
    }

    /// A pending change with a number of its own; it goes on from the one before it.
    fn renew(&mut self, before: Pending) -> Pending {
        self.last_sequence += 1;
        Pending { sequence: self.last_sequence, rejected: 0, upload: None, ..before }
    }

    /// Stores an entry; of an item that is gone on both sides nothing is kept.
    fn keep(&mut self, entry: Entry) {
        if entry.mine.is_none() && entry.pending.is_none() {
            self.entries.remove(&entry.id);
        } else {
            self.entries.insert(entry.id.clone(), entry);
        }
    }

    fn keep_record(
        &mut self,
        entry: &Entry,
        prevailed: Option<Fingerprint>,
        standard: ChangeStandard,
    ) {
        let Entry { id, mine, time_us, .. } = entry.clone();
        self.conflicts.push(ConflictRecord { id, version: mine, time_us, prevailed, standard });
    }
}
