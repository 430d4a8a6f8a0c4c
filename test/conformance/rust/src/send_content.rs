//! Step 3, towards the server: sends pending changes, each with its content, its fingerprint and
//! what it was made on.
//!
//! What is sent is remembered before it is sent.

use std::collections::BTreeMap;

use crate::change_info::to_fingerprint;
use crate::error::{Error, Result};
use crate::item::{Content, Entry, Pending, Version};
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{Capability, ChangeKind, ContentChunk, ErrorReason, Push, PushBatch, push};
use crate::session::{Sent, Session};

/// Larger contents travel in chunks.
pub(crate) const WHOLE_BYTES: i64 = 1 << 20;
const EAGER_CHANGES: i64 = 4096;

/// A pending change by itself, or all changes of an atomic group.
type Unit = Vec<Entry>;

impl Session<'_> {
    /// Pending changes in their order, those of a group together: without those that had their
    /// turn, or are held.
    pub fn due_units(&self) -> Vec<Unit> {
        let mut units: Vec<Unit> = Vec::new();
        let mut groups = BTreeMap::new();
        for entry in self.replica.pending() {
            // A change without a group is one of its own.
            let number = if entry.group() == 0 { -entry.sequence() } else { entry.group() };
            let at = *groups.entry(number).or_insert(units.len());
            if at == units.len() {
                units.push(Unit::new());
            }
            units[at].push(entry);
        }
        units.retain(|unit| {
            let is_held = unit.iter().any(Entry::is_held);
            !is_held && unit.iter().any(|entry| !self.tried.contains(&entry.sequence()))
        });
        units
    }

    /// Sends what is small and was never sent, right behind Open, if all of that is little enough.
    pub fn send_eagerly(&mut self) {
        let is_new = |entry: &Entry| {
            entry.pending.as_ref().is_some_and(|pending| pending.sendings.is_empty())
        };
        let units: Vec<Unit> =
            self.due_units().into_iter().filter(|unit| unit.iter().all(is_new)).collect();
        let (bytes, items) = size_of(units.iter().flatten());
        let is_much = bytes > self.limits.eager_bytes
            || items > EAGER_CHANGES.min(self.limits.window_items / 4);
        // Without a token there is nothing that the server could hold a change against.
        if is_much
            || units.iter().flatten().any(is_large)
            || self.replica.checkpoint.token.is_empty()
        {
            return;
        }
        for batch in batches(units, self.limits.message_bytes) {
            self.push(batch, None);
        }
    }

    /// Sends what is due, as far as it fits into the window: what is small first, as the application
    /// may change others while a large one is uploaded. Answers whether that was all.
    pub async fn send_pending(&mut self) -> Result<bool> {
        let limits = self.limits;
        let seen = Some(self.replica.checkpoint.revision);
        let (large, small): (Vec<Unit>, Vec<Unit>) =
            self.due_units().into_iter().partition(|unit| unit.iter().any(is_large));
        let (mut bytes, mut items) = (0, 0);
        for batch in batches(small, limits.message_bytes).into_iter().chain(large) {
            let (batch_bytes, batch_items) = size_of(&batch);
            bytes += batch_bytes;
            items += batch_items;
            // Nothing waits for the last chunks of an upload: they count as the rest does.
            if items > batch_items && (bytes > limits.window_bytes || items > limits.window_items) {
                return Ok(false);
            }
            if !batch.iter().any(is_large) {
                self.push(batch, seen);
                continue;
            }
            // It is in no group.
            for entry in batch {
                if let Some(uploaded) = self.upload(entry).await? {
                    self.push(vec![uploaded], seen);
                }
            }
        }
        Ok(true)
    }

    fn is_too_large(&self, entry: &Entry) -> bool {
        let most = if self.can(Capability::Chunks) { self.limits.item_bytes } else { WHOLE_BYTES };
        content_size(entry) > most.min(self.limits.item_bytes)
    }

    /// What the server would not take is not sent.
    fn reject(&mut self, entry: &Entry) {
        let reason = ErrorReason::ItemTooLarge.into();
        self.report.rejected.insert(entry.id.clone(), reason);
        self.tried.insert(entry.sequence());
        self.replica.change_pending(&entry.id, |pending| pending.rejected = reason);
    }

    /// Sends one batch. `seen`: the checkpoint that its changes have seen; `None`: the token's in
    /// Open.
    fn push(&mut self, entries: Vec<Entry>, seen: Option<i64>) {
        let pushes = entries.into_iter().map(|entry| self.remember(entry)).collect();
        self.send(Request::Push(PushBatch { pushes, fingerprint: None, revision_seen: seen }));
    }

    /// Remembers that an entry's change is sent, and makes the message.
    fn remember(&mut self, entry: Entry) -> Push {
        let pending = entry.pending.clone().unwrap_or_default();
        let fingerprint = entry.fingerprint();
        let resent = !pending.sendings.is_empty();
        if !pending.sendings.contains(&fingerprint) {
            self.replica.change_pending(&entry.id, |pending| pending.sendings.push(fingerprint));
        }
        self.on_the_way.push_back(Sent {
            id: entry.id.clone(),
            sequence: pending.sequence,
            version: entry.mine.clone(),
            time_us: entry.time_us,
            resent,
            again: !self.sent.insert(pending.sequence),
        });
        self.tried.insert(pending.sequence);
        self.to_push(entry, pending, resent)
    }

    fn to_push(&self, entry: Entry, pending: Pending, fence: bool) -> Push {
        let base_revision = entry.base.as_ref().map(|base| base.revision);
        let kind = if entry.mine.is_some() { ChangeKind::Upserted } else { ChangeKind::Deleted };
        let is_chunked = is_large(&entry);
        let whole = entry.mine.as_ref().filter(|_| !is_chunked);
        Push {
            kind: kind.into(),
            content: whole.map(|version| version.content.clone().into()),
            upload_id: pending.upload.filter(|_| is_chunked).map_or_else(Vec::new, Vec::from),
            fingerprint: to_fingerprint(entry.fingerprint()),
            expected: to_fingerprint(entry.base_fingerprint()),
            // What was sent before may have been made and undone since, which a recovery does not tell: it has seen its
            // base, and no more.
            revision_seen: base_revision
                .filter(|revision| fence || *revision > self.replica.checkpoint.revision),
            overrides: pending.overrides.into(),
            modify_time_us: entry.time_us,
            group: pending.group,
            fence,
            id: entry.id,
        }
    }

    /// Sends a large content in chunks, before its push. What was begun before goes on where the
    /// server has it. Answers the entry with the id of the upload; `None` where it can't be sent, or
    /// has been changed meanwhile and so has its turn later.
    async fn upload(&mut self, entry: Entry) -> Result<Option<Entry>> {
        if !self.is_still_pending(&entry) {
            return Ok(None);
        }
        if self.is_too_large(&entry) {
            self.reject(&entry);
            return Ok(None);
        }
        let begun = entry.pending.as_ref().and_then(|pending| pending.upload);
        let upload = begun.unwrap_or_else(random_id);
        self.replica.change_pending(&entry.id, |pending| pending.upload = Some(upload));
        let size = content_size(&entry);
        let mut held = 0;
        if begun.is_some() {
            // A chunk without data asks how much there is.
            self.send(chunk_of(&entry, upload, 0, 0));
            held = self.held_by_server(&upload).await?;
        }
        let mut sent = held;
        let piece = self.limits.message_bytes.max(1);
        while sent < size {
            if sent == held || sent - held + piece <= self.limits.window_bytes {
                self.send(chunk_of(&entry, upload, sent, piece));
                sent += piece;
                continue;
            }
            let before = held;
            held = self.held_by_server(&upload).await?;
            if held <= before {
                return Err(Error::out_of_order("the server loses what it was sent of an upload"));
            }
            sent = sent.max(held);
        }
        Ok(self.is_still_pending(&entry).then(|| self.replica.entry(&entry.id)))
    }

    fn is_still_pending(&self, entry: &Entry) -> bool {
        self.replica.entry(&entry.id).sequence() == entry.sequence()
    }

    /// How much of an upload the server holds, once it says so.
    async fn held_by_server(&mut self, upload: &[u8; 16]) -> Result<i64> {
        loop {
            let is_upload = |message: &Response| matches!(message, Response::Upload(_));
            if let Response::Upload(state) = self.receive_only(is_upload).await?
                && state.upload_id == upload
            {
                return Ok(state.offset.max(0));
            }
        }
    }
}

fn chunk_of(entry: &Entry, upload: [u8; 16], offset: i64, length: i64) -> Request {
    let content = entry.mine.as_ref().map(|version| &version.content);
    let bytes = content.map_or(&[][..], Content::bytes);
    let (from, size) = (offset as usize, bytes.len());
    let to = size.min(from + length as usize);
    Request::Chunk(ContentChunk {
        upload_id: upload.into(),
        id: entry.id.clone(),
        offset,
        data: bytes[from..to].into(),
        size: size as i64,
        text: matches!(content, Some(Content::Text(_))),
        ..ContentChunk::default()
    })
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system has random numbers");
    id
}

/// Bytes that changes count, and how many they are.
fn size_of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> (i64, i64) {
    entries.into_iter().fold((0, 0), |(bytes, items), entry| (bytes + entry.size(), items + 1))
}

fn content_size(entry: &Entry) -> i64 {
    entry.mine.as_ref().map_or(0, Version::size)
}

fn is_large(entry: &Entry) -> bool {
    content_size(entry) > WHOLE_BYTES
}

/// Units cut where a message would be too long; a larger one by itself.
fn batches(units: Vec<Unit>, message_bytes: i64) -> Vec<Vec<Entry>> {
    let mut batches: Vec<Vec<Entry>> = Vec::new();
    let mut bytes = 0;
    for unit in units {
        let (unit_bytes, _) = size_of(&unit);
        bytes += unit_bytes;
        match batches.last_mut() {
            Some(batch) if bytes <= message_bytes => batch.extend(unit),
            _ => {
                batches.push(unit);
                bytes = unit_bytes;
            }
        }
    }
    batches
}

impl From<Content> for push::Content {
    fn from(content: Content) -> Self {
        match content {
            Content::Text(text) => push::Content::Text(text.as_ref().to_owned()),
            Content::Data(data) => push::Content::Data(data.as_ref().to_owned()),
        }
    }
}
