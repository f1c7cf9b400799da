//! One page of metrics for whoever asks, at a cost that callers cannot drive up.
//!
//! Collecting and encoding run on a blocking thread, one page at a time. Requests that arrive while
//! a page is being made share the next one of their kind, which begins after they came: they wait a
//! little, but never see numbers older than their request, and a thousand of them cost two pages.
//! Between pages there is a rest as long as the last one took, so that a flood of requests costs half
//! a core; and only so many pages may be on their way to clients, so that slow readers cost bounded
//! memory. A large page is sent while the rest of it is still being encoded.

mod compress;
mod maker;
mod page;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, Shared};
use futures_util::{FutureExt as _, TryFutureExt as _};
use meterline_exposition::{
    Coding, DropReason, Dropped, Exposition, NameFilter, TranslationOptions,
};
use meterline_sdk::MeterProvider;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use maker::Maker;
pub(crate) use page::Page;
use page::{Buffers, PageWriter, Place};

/// The longest rest between two pages.
const LONGEST_REST: Duration = Duration::from_millis(100);

/// How many kinds of pages may wait to be made: callers choose the kind, and with it how many there
/// are.
const MOST_WAITING: usize = 32;

/// What a section of the JSON page, such as `database`, says when asked.
pub(crate) type Section = Box<dyn Fn() -> serde_json::Value + Send + Sync>;

/// What requests have to agree on to be answered with the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PageKind {
    pub(crate) content: Content,
    pub(crate) coding: Coding,
    /// The families to show; all if `None`.
    pub(crate) only: Option<NameFilter>,
}

/// What a page looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    Exposition(Exposition),
    Json,
}

impl Content {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Exposition(exposition) => exposition.content_type(),
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
    #[error("too many different pages are asked for at once")]
    Busy,
}

/// Makes pages.
pub(crate) struct Scraper {
    provider: MeterProvider,
    maker: Mutex<Maker>,
    /// For pages that are being made or not yet sent to their last byte.
    places: Arc<Semaphore>,
    /// Held by the page being made.
    turn: Arc<Semaphore>,
    /// The pages whose making has not begun.
    next: Mutex<HashMap<PageKind, SharedPage>>,
    buffers: Arc<Buffers>,
    dropped: [AtomicU64; DropReason::ALL.len()],
    made: Box<dyn Fn(Made) + Send + Sync>,
    longest: Duration,
}

type SharedPage = Shared<BoxFuture<'static, Result<Page, NoPage>>>;

/// What making a page took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) took: Duration,
    /// Uncompressed.
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
        translation: TranslationOptions,
        options: ScraperOptions,
    ) -> Self {
        Self {
            provider,
            maker: Mutex::new(Maker::new(translation, options.sections)),
            places: Arc::new(Semaphore::new(options.most_at_once)),
            turn: Arc::new(Semaphore::new(1)),
            next: Mutex::default(),
            buffers: Arc::default(),
            dropped: Default::default(),
            made: options.made,
            longest: options.longest,
        }
    }

    /// A page that was begun after this call, within the time the scraper has. Its end may still be
    /// in the making.
    pub(crate) async fn page(
        self: &Arc<Self>,
        kind: PageKind,
        patience: Option<Duration>,
    ) -> Result<Page, NoPage> {
        let patience = patience.map_or(self.longest, |asked| asked.min(self.longest));
        let page = self.next_page(kind)?;
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

    fn next_page(self: &Arc<Self>, kind: PageKind) -> Result<SharedPage, NoPage> {
        let mut next = self.next.lock();
        if let Some(page) = next.get(&kind)
            // One that failed before its turn, because its runtime ended, would stay for ever.
            && !matches!(page.peek(), Some(Err(_)))
        {
            return Ok(page.clone());
        }
        next.retain(|_, page| !matches!(page.peek(), Some(Err(_))));
        if next.len() >= MOST_WAITING {
            return Err(NoPage::Busy);
        }
        let scraper = Arc::clone(self);
        let own_kind = kind.clone();
        // A task of its own: it goes on when the request that began it goes away.
        let task = tokio::spawn(async move { scraper.make_in_turn(own_kind).await });
        let page = task
            .map(|joined| joined.unwrap_or(Err(NoPage::Failed)))
            .boxed()
            .shared();
        next.insert(kind, page.clone());
        Ok(page)
    }

    async fn make_in_turn(self: Arc<Self>, kind: PageKind) -> Result<Page, NoPage> {
        let acquire = |of: &Arc<Semaphore>| {
            Arc::clone(of)
                .acquire_owned()
                .map_err(|_closed| NoPage::Failed)
        };
        let turn = acquire(&self.turn).await?;
        let place = Place::new(acquire(&self.places).await?);
        // Whoever comes from now on wants numbers newer than these.
        self.next.lock().remove(&kind);
        let (begun, page) = oneshot::channel();
        let writer = PageWriter::new(Arc::clone(&self.buffers), place, begun);
        let making = tokio::task::spawn_blocking(move || self.make(&kind, writer));
        tokio::spawn(async move {
            let took = making.await.unwrap_or_default();
            tokio::time::sleep(took.min(LONGEST_REST)).await;
            drop(turn);
        });
        page.await.map_err(|_gone| NoPage::Failed)
    }

    fn make(&self, kind: &PageKind, writer: PageWriter) -> Duration {
        let began = Instant::now();
        let snapshot = self.provider.collect();
        let made = self.maker.lock().make(kind, &snapshot, writer);
        match made {
            Ok((bytes, dropped)) => {
                self.count_dropped(dropped);
                let took = began.elapsed();
                (self.made)(Made { took, bytes });
                took
            }
            Err(error) => {
                tracing::error!(%error, "the metrics page could not be written");
                began.elapsed()
            }
        }
    }

    fn count_dropped(&self, dropped: Dropped) {
        for ((_, points), total) in dropped.iter().zip(&self.dropped) {
            total.fetch_add(points, Relaxed);
        }
    }
}
