//! Pages as their readers see them: chunks, of which the last may not be made yet.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

/// How large the chunks are that large pages are sent in.
pub(super) const CHUNK: usize = 256 << 10;

/// What a chunk may have more: it ends with the point that fills it.
const SLACK: usize = 16 << 10;

/// Memory of chunks kept for the next page.
const KEPT_CHUNKS: usize = (32 << 20) / CHUNK;

/// A page, or as much of it as there is. Cloning costs nothing; all clones see the same.
#[derive(Clone)]
pub(crate) struct Page(watch::Receiver<Chunks>);

#[derive(Default)]
struct Chunks {
    chunks: Vec<Bytes>,
    complete: bool,
}

impl Page {
    /// A response's body. If the page breaks off, so does the body, with an error.
    pub(crate) fn into_body(self) -> Body {
        {
            let now = self.0.borrow();
            if let ([chunk], true) = (now.chunks.as_slice(), now.complete) {
                // With its length in the header, as most pages.
                return Body::from(chunk.clone());
            }
        }
        Body::from_stream(stream::unfold((self.0, 0), |(mut page, at)| async move {
            let chunk = next_chunk(&mut page, at).await.transpose()?;
            Some((chunk, (page, at + 1)))
        }))
    }
}

/// The chunk at this position, once it is there; `None` behind the last.
async fn next_chunk(page: &mut watch::Receiver<Chunks>, at: usize) -> io::Result<Option<Bytes>> {
    let there = page.wait_for(|page| page.complete || page.chunks.len() > at);
    match there.await {
        Ok(page) => Ok(page.chunks.get(at).cloned()),
        Err(_gone) => Err(io::Error::other("the page could not be finished")),
    }
}

/// Where a page is written. One that is dropped before its end breaks the page off.
pub(super) struct PageWriter {
    page: watch::Sender<Chunks>,
    /// Told of the page when it has something to show.
    begun: Option<oneshot::Sender<Page>>,
    buffers: Arc<Buffers>,
    place: Place,
}

impl PageWriter {
    pub(super) fn new(buffers: Arc<Buffers>, place: Place, begun: oneshot::Sender<Page>) -> Self {
        Self {
            page: watch::Sender::default(),
            begun: Some(begun),
            buffers,
            place,
        }
    }

    /// An empty buffer for a chunk.
    pub(super) fn buffer(&self) -> Vec<u8> {
        let kept = self.buffers.0.lock().pop();
        kept.unwrap_or_else(|| Vec::with_capacity(CHUNK + SLACK))
    }

    /// Takes a buffer back.
    pub(super) fn give(&self, buffer: Vec<u8>) {
        self.buffers.give(buffer);
    }

    /// Adds a chunk, which whoever reads the page can see at once.
    pub(super) fn push(&mut self, chunk: Vec<u8>) {
        self.add(chunk, false);
        self.tell();
    }

    /// Adds the last chunk.
    pub(super) fn end(mut self, chunk: Vec<u8>) {
        self.add(chunk, true);
        self.tell();
    }

    fn add(&self, chunk: Vec<u8>, complete: bool) {
        let chunk = Bytes::from_owner(Pooled {
            chunk,
            buffers: Arc::clone(&self.buffers),
            _place: self.place.clone(),
        });
        self.page.send_modify(|page| {
            page.chunks.push(chunk);
            page.complete = complete;
        });
    }

    fn tell(&mut self) {
        if let Some(begun) = self.begun.take() {
            // Nobody waits any more if the program is ending.
            let _ = begun.send(Page(self.page.subscribe()));
        }
    }
}

/// The right to have a page on its way; given back when the last byte of it is sent.
#[derive(Clone)]
pub(super) struct Place(#[allow(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

impl Place {
    pub(super) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit))
    }
}

/// Memory of chunks that were sent, so that a large page need not be faulted in anew each time.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn give(&self, mut buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if kept.len() < KEPT_CHUNKS && (CHUNK..=2 * CHUNK).contains(&buffer.capacity()) {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

/// A chunk that gives its memory back when it is sent.
struct Pooled {
    chunk: Vec<u8>,
    buffers: Arc<Buffers>,
    _place: Place,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.chunk));
    }
}
