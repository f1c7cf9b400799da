//! How everything is, again and again, to whoever watches: one reading for all of them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use parking_lot::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::extract::Allowed;
use super::super::problem::Problem;
use super::super::state::ApiState;
use super::reading::Reading;

/// How often a reading is taken.
const PERIOD: Duration = Duration::from_secs(2);

/// How many readings a newcomer is shown: five minutes, so that its charts don't begin empty.
const REMEMBERED: usize = 150;

/// How long readings go on when the last viewer has left: as long as they are remembered.
const LINGER: Duration = Duration::from_secs(300);

/// Readings a slow viewer may be behind before it misses some.
const BACKLOG: usize = 8;

/// The readings. Clones share them. Nothing runs before the first viewer, or after the last.
#[derive(Clone, Default)]
pub(in super::super) struct Live(Arc<Mutex<Feed>>);

#[derive(Default)]
struct Feed {
    /// Events as they are sent, oldest first.
    past: VecDeque<Bytes>,
    /// There while readings are taken.
    sender: Option<broadcast::Sender<Bytes>>,
}

/// Sends how everything is, every two seconds, as Server-Sent Events named `reading`: at first those of
/// the last minutes, if somebody watched then. Until the viewer leaves, the token expires or the server
/// stops. 503 while there are too many streams.
#[utoipa::path(
    get,
    path = "/live",
    tag = "page",
    responses((status = 200, description = "How everything is, every two seconds", content_type = "text/event-stream", body = serde_json::Value))
)]
pub(in super::super) async fn follow(
    State(state): State<ApiState>,
    allowed: Allowed,
) -> Result<Response, Problem> {
    let room = state.stream()?;
    let events = state.live.subscribe(&state);
    let ended = state.lifecycle.closed_owned();
    let events = events
        .map(move |event| {
            // Given back when the stream is dropped, however it ends.
            let _ = &room;
            Ok::<_, Infallible>(event)
        })
        .take_until(ended)
        .take_until(Box::pin(allowed.over()));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

impl Live {
    fn subscribe(&self, state: &ApiState) -> impl Stream<Item = Bytes> + Send + use<> {
        let (past, receiver) = {
            let mut feed = self.0.lock();
            let receiver = match &feed.sender {
                Some(sender) => sender.subscribe(),
                None => {
                    let (sender, receiver) = broadcast::channel(BACKLOG);
                    feed.sender = Some(sender);
                    tokio::spawn(self.clone().keep_reading(state.clone()));
                    receiver
                }
            };
            (Vec::from(feed.past.clone()), receiver)
        };
        stream::iter(past).chain(stream::unfold(receiver, next))
    }

    /// Takes readings until nobody has watched for a while.
    async fn keep_reading(self, state: ApiState) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watched = Instant::now();
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = state.lifecycle.closed() => return self.0.lock().stop(),
            }
            let event = Reading::take(&state).await.event();
            let mut feed = self.0.lock();
            if feed.publish(event) {
                watched = Instant::now();
            } else if watched.elapsed() > LINGER {
                return feed.stop();
            }
        }
    }
}

impl Feed {
    /// Whether anybody watches.
    fn publish(&mut self, event: Bytes) -> bool {
        if self.past.len() == REMEMBERED {
            self.past.pop_front();
        }
        self.past.push_back(event.clone());
        self.sender
            .as_ref()
            .is_some_and(|sender| sender.send(event).is_ok())
    }

    fn stop(&mut self) {
        *self = Self::default();
    }
}

async fn next(
    mut receiver: broadcast::Receiver<Bytes>,
) -> Option<(Bytes, broadcast::Receiver<Bytes>)> {
    loop {
        match receiver.recv().await {
            Ok(event) => return Some((event, receiver)),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
