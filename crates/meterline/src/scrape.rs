//! One page of metrics for whoever asks, at a cost that callers cannot drive up.
//!
//! Collecting and encoding run on a blocking thread, one page at a time. Requests that arrive while
//! a page is being made share the next one, which begins after they came: they wait a little, but
//! never see numbers older than their request, and a thousand of them cost two pages. Between pages
//! there is a rest as long as the last one took, so that a flood of requests costs half a core; and
//! only so many pages may be on their way to clients, so that slow readers cost bounded memory.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt as _, TryFutureExt as _};
use meterline_exposition::{
    DropReason, Families, TEXT_CONTENT_TYPE, Translator, encode_json, encode_text,
};
use meterline_sdk::MeterProvider;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pages' memory kept for the next page.
const KEPT_BUFFERS: usize = 2;

/// The longest rest between two pages.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// What a section of the JSON page, such as `database`, says when asked.
pub(crate) type Section = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What a page looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PageFormat {
    Text,
    Json,
}

impl PageFormat {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => TEXT_CONTENT_TYPE,
            Self::Json => "application/json",
        }
    }
}

/// Why there is no page. Each means: come back later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoPage {
    #[error("the page was not ready in time")]
    TimedOut,
    #[error("making the page failed")]
    Failed,
}

/// Makes pages.
pub(crate) struct Scraper {
    provider: MeterProvider,
    translator: Mutex<Translator>,
    sections: Vec<(String, Section)>,
    /// For pages that are being made or not yet sent to their last byte.
    places: Arc<Semaphore>,
    /// Held by the page being made.
    turn: Arc<Semaphore>,
    /// The pages whose making has not begun.
    next: Mutex<HashMap<PageFormat, SharedPage>>,
    buffers: Arc<Buffers>,
    dropped: [AtomicU64; DropReason::ALL.len()],
    made: Box<dyn Fn(Made) + Send + Sync>,
    longest: Duration,
}

type SharedPage = Shared<BoxFuture<'static, Result<Bytes, NoPage>>>;

/// What making a page took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) took: Duration,
    pub(crate) bytes: usize,
}

/// Limits and contents of a [`Scraper`].
pub(crate) struct ScraperOptions {
    /// How many pages may be on their way to clients.
    pub(crate) most_at_once: usize,
    /// How long a request may wait, unless it asks for less.
    pub(crate) longest: Duration,
    pub(crate) sections: Vec<(String, Section)>,
    /// Told of each page made.
    pub(crate) made: Box<dyn Fn(Made) + Send + Sync>,
}

impl Scraper {
    pub(crate) fn new(
        provider: MeterProvider,
        translator: Translator,
        options: ScraperOptions,
    ) -> Self {
        Self {
            provider,
            translator: Mutex::new(translator),
            sections: options.sections,
            places: Arc::new(Semaphore::new(options.most_at_once)),
            turn: Arc::new(Semaphore::new(1)),
            next: Mutex::default(),
            buffers: Arc::default(),
            dropped: Default::default(),
            made: options.made,
            longest: options.longest,
        }
    }

    /// A page that was begun after this call, within the time the scraper has.
    pub(crate) async fn page(
        self: &Arc<Self>,
        format: PageFormat,
        patience: Option<Duration>,
    ) -> Result<Bytes, NoPage> {
        let patience = patience.map_or(self.longest, |asked| asked.min(self.longest));
        let page = self.next_page(format);
        tokio::time::timeout(patience, page)
            .await
            .unwrap_or(Err(NoPage::TimedOut))
    }

    /// Points that pages could not show so far, by reason.
    pub(crate) fn dropped(&self) -> impl Iterator<Item = (DropReason, u64)> {
        DropReason::ALL
            .into_iter()
            .zip(&self.dropped)
            .map(|(reason, n)| (reason, n.load(Relaxed)))
    }

    fn next_page(self: &Arc<Self>, format: PageFormat) -> SharedPage {
        let mut next = self.next.lock();
        if let Some(page) = next.get(&format)
            // One that failed before its turn, because its runtime ended, would stay for ever.
            && !matches!(page.peek(), Some(Err(_)))
        {
            return page.clone();
        }
        let scraper = Arc::clone(self);
        // A task of its own: it goes on when the request that began it goes away.
        let task = tokio::spawn(async move { scraper.make_in_turn(format).await });
        let page = task
            .map(|joined| joined.unwrap_or(Err(NoPage::Failed)))
            .boxed()
            .shared();
        next.insert(format, page.clone());
        page
    }

    async fn make_in_turn(self: Arc<Self>, format: PageFormat) -> Result<Bytes, NoPage> {
        let acquire = |of: &Arc<Semaphore>| {
            Arc::clone(of)
                .acquire_owned()
                .map_err(|_closed| NoPage::Failed)
        };
        let turn = acquire(&self.turn).await?;
        let place = acquire(&self.places).await?;
        // Whoever comes from now on wants numbers newer than these.
        self.next.lock().remove(&format);
        let made = tokio::task::spawn_blocking(move || self.make(format, place)).await;
        let (page, took) = made.unwrap_or((Err(NoPage::Failed), Duration::ZERO));
        tokio::spawn(async move {
            tokio::time::sleep(took.min(LONGEST_REST)).await;
            drop(turn);
        });
        page
    }

    fn make(
        &self,
        format: PageFormat,
        place: OwnedSemaphorePermit,
    ) -> (Result<Bytes, NoPage>, Duration) {
        let began = Instant::now();
        let snapshot = self.provider.collect();
        let mut translator = self.translator.lock();
        let families = translator.translate(&snapshot);
        for ((_, points), total) in families.dropped().iter().zip(&self.dropped) {
            total.fetch_add(points, Relaxed);
        }
        let mut page = self.buffers.take();
        let written = match format {
            PageFormat::Text => {
                encode_text(&families, &mut page);
                Ok(())
            }
            PageFormat::Json => self.write_json(&families, &mut page),
        };
        let made = Made {
            took: began.elapsed(),
            bytes: page.len(),
        };
        let buffers = Arc::clone(&self.buffers);
        let page = Bytes::from_owner(Pooled {
            page,
            buffers,
            _place: place,
        });
        (self.made)(made);
        let page = written.map(|()| page).map_err(|error| {
            tracing::error!(%error, "the metrics page could not be written");
            NoPage::Failed
        });
        (page, made.took)
    }

    fn write_json(&self, families: &Families<'_>, page: &mut Vec<u8>) -> std::io::Result<()> {
        let now = jiff::Timestamp::now();
        write!(page, "{{\"timestamp\":\"{now:.3}\"")?;
        for (name, section) in &self.sections {
            write!(page, ",{}:", serde_json::Value::from(name.as_str()))?;
            serde_json::to_writer(&mut *page, &section())?;
        }
        page.extend_from_slice(b",\"metrics\":");
        encode_json(families, page)?;
        page.push(b'}');
        Ok(())
    }
}

/// Memory of pages that were sent, so that a large page need not be faulted in anew each time.
#[derive(Default)]
struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    fn take(&self) -> Vec<u8> {
        self.0.lock().pop().unwrap_or_default()
    }
}

/// A page that gives its memory back when the last byte is sent.
struct Pooled {
    page: Vec<u8>,
    buffers: Arc<Buffers>,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.page
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut page = std::mem::take(&mut self.page);
        let mut kept = self.buffers.0.lock();
        if kept.len() < KEPT_BUFFERS {
            page.clear();
            kept.push(page);
        }
    }
}
