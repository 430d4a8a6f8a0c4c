//! Step 3, towards the client: asks for contents that were not inline, and proves each by its
//! fingerprint.

use std::collections::HashSet;

use crate::change_info::{UNPROVED, from_fingerprint};
use crate::error::{Error, Result};
use crate::item::{Content, Download, State, Version};
use crate::proto::exchange_request::Message as Request;
use crate::proto::exchange_response::Message as Response;
use crate::proto::{ContentChunk, ContentWanted, Contents, ErrorReason, Fetch};
use crate::replica::Replica;
use crate::session::Session;

const IDS_AT_ONCE: usize = 1000;

impl Session<'_> {
    /// Fetches the contents of these items, within the window.
    ///
    /// What comes may be of a later revision than was told, or a deletion. A content that is not
    /// what its fingerprint says is fetched once more, then the exchange fails.
    pub async fn fetch_contents(&mut self, wanted: &[&State]) -> Result<Vec<State>> {
        let mut states = Vec::new();
        let mut rest = wanted;
        while !rest.is_empty() {
            // As much as fits into the window; a larger content by itself.
            let most = IDS_AT_ONCE.min(self.limits.window_items as usize);
            let mut bytes = 0;
            let fits = rest.iter().take(most).take_while(|state| {
                bytes += state.size + 64;
                bytes <= self.limits.window_bytes
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            self.fetch(now, &mut states).await?;
            rest = later;
        }
        Ok(states)
    }

    async fn fetch(&mut self, wanted: &[&State], states: &mut Vec<State>) -> Result<()> {
        let mut waiting: HashSet<String> = wanted.iter().map(|state| state.id.clone()).collect();
        let unproved = wanted.iter().filter(|state| state.fingerprint == Some(UNPROVED));
        let mut wrong_once: HashSet<String> = unproved.map(|state| state.id.clone()).collect();
        self.ask(wanted.iter().map(|state| resumed(&self.replica, &state.id)).collect());
        let mut chunked = String::new();
        while !waiting.is_empty() {
            let is_content =
                |message: &Response| matches!(message, Response::Contents(_) | Response::Chunk(_));
            let came = match self.receive_only(is_content).await? {
                Response::Contents(contents) => self.read_contents(contents)?,
                Response::Chunk(chunk) => {
                    if !chunk.id.is_empty() {
                        chunked.clone_from(&chunk.id);
                    }
                    Vec::from_iter(read_chunk(&mut self.replica, &chunked, chunk)?)
                }
                _ => continue,
            };
            for state in came {
                if !waiting.contains(&state.id) {
                    return Err(Error::out_of_order(format!(
                        "the content of {:?} was not asked for",
                        state.id
                    )));
                }
                if state.fingerprint != Some(UNPROVED) {
                    waiting.remove(&state.id);
                    self.fetched_revision = self.fetched_revision.max(state.revision);
                    states.push(state);
                } else if wrong_once.insert(state.id.clone()) {
                    self.ask(vec![ContentWanted { id: state.id, ..ContentWanted::default() }]);
                } else {
                    let message = format!(
                        "the content of {:?} does not agree with its fingerprint, twice",
                        state.id
                    );
                    return Err(Error::unverified(message));
                }
            }
        }
        Ok(())
    }

    fn ask(&self, items: Vec<ContentWanted>) {
        self.send(Request::Fetch(Fetch { items }));
    }

    fn read_contents(&mut self, contents: Contents) -> Result<Vec<State>> {
        self.hear(contents.witness);
        if let Some(refused) = contents.refused.first() {
            let message = format!("the server can't send {:?}: {}", refused.id, refused.message);
            return Err(Error::new(ErrorReason::ItemTooLarge, message));
        }
        let gone = contents.deleted.into_iter().map(|info| {
            let time_us = info.modify_time_us;
            State { time_us, ..State::absent(info.id, info.revision) }
        });
        let items = contents.items.into_iter().map(|item| {
            let version = item.content.map(|content| Version::new(&item.id, content.into()));
            let fingerprint = item.fingerprint.as_ref().and_then(from_fingerprint);
            let time_us = item.modify_time_us;
            State { time_us, ..State::absent(item.id, item.revision) }.proved(version, fingerprint)
        });
        Ok(gone.chain(items).collect())
    }
}

/// What was cut in mid-content goes on from there.
fn resumed(replica: &Replica, id: &str) -> ContentWanted {
    let begun = replica.downloads.get(id);
    let (offset, revision) =
        begun.map_or((0, 0), |begun| (begun.data.len() as i64, begun.revision));
    ContentWanted { id: id.to_owned(), offset, revision }
}

/// A piece of a large content. It is kept beyond the exchange, should that be cut, until the
/// content is whole.
fn read_chunk(replica: &mut Replica, id: &str, chunk: ContentChunk) -> Result<Option<State>> {
    let ContentChunk { revision, offset, data, size, text, fingerprint, modify_time_us, .. } =
        chunk;
    let begun = match offset {
        0 => Some(Download {
            revision,
            size,
            time_us: modify_time_us,
            is_text: text,
            data: Vec::new(),
        }),
        _ => replica.downloads.remove(id),
    };
    let goes_on = |begun: &Download| {
        (begun.data.len() as i64, begun.revision, begun.size) == (offset, revision, size)
    };
    let end = offset + data.len() as i64;
    let is_piece = end == size || end < size && !data.is_empty();
    let Some(mut begun) = begun.filter(|begun| is_piece && goes_on(begun)) else {
        let message = format!("a piece of {id:?} does not go on from the one before it");
        return Err(Error::out_of_order(message));
    };
    begun.data.extend(data);
    if end < size {
        replica.downloads.insert(id.to_owned(), begun);
        return Ok(None);
    }
    replica.downloads.remove(id);
    // A text that is not UTF-8 is not what anybody sent: it fails its proof, or was bytes after
    // all.
    let content = match String::from_utf8(begun.data) {
        Ok(text) if begun.is_text => Content::Text(text.into()),
        Ok(text) => Content::Data(text.into_bytes().into()),
        Err(error) => Content::Data(error.into_bytes().into()),
    };
    let state = State { time_us: begun.time_us, ..State::absent(id, revision) };
    Ok(Some(
        state.proved(
            Some(Version::new(id, content)),
            fingerprint.as_ref().and_then(from_fingerprint),
        ),
    ))
}
