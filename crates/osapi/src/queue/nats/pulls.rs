//! Asking consumers for messages, so that no message is ever left with somebody who went away.
//!
//! A request goes out on a *lane*, a subscription of its own: what a consumer delivers does not say
//! which request it answers. Lanes are used again. Whoever asks may leave before the answer comes: what
//! then arrives on the lane is handed back at once, where it would be held until the lease ends otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_nats::{Client, Message, StatusCode, Subject};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::desk::Desk;
use super::names::Route;

/// How long a standing request is good for. A broker that restarts forgets it, so it is not long.
pub(super) const STANDING: Duration = Duration::from_secs(5);

/// How long an answer to a request that does not wait may take.
pub(super) const AT_ONCE: Duration = Duration::from_secs(2);

/// Gives a message back to whoever is next.
pub(super) const NAK: &str = "-NAK";

/// A message of the work stream in our hands: to be acknowledged by `reply`.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) reply: Subject,
    pub(super) payload: bytes::Bytes,
    /// Its place in the stream.
    pub(super) sequence: u64,
    /// How often it was delivered.
    pub(super) delivered: i64,
}

impl Delivery {
    fn of(message: Message) -> Option<Self> {
        let reply = message.reply?;
        // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, or the
        // same with domain and account before the stream, and a token behind.
        let tokens: Vec<&str> = reply.split('.').collect();
        let first = match tokens.len() {
            9 => 4,
            11.. => 6,
            _ => return None,
        };
        let (delivered, sequence) = (tokens[first].parse().ok()?, tokens[first + 1].parse().ok()?);
        Some(Self {
            payload: message.payload,
            sequence,
            delivered,
            reply,
        })
    }
}

/// What came of a request.
enum Answer {
    Delivery(Delivery),
    End,
    /// There is no such consumer.
    Missing,
}

enum Asked {
    AtOnce {
        to: mpsc::UnboundedSender<Answer>,
        /// Messages that may still come.
        left: u32,
    },
    Standing(Weak<Desk>, Route),
    /// By somebody who left.
    Abandoned,
}

/// The requests of a process.
#[derive(Debug)]
pub(super) struct Pulls {
    client: Client,
    stream: String,
    inbox: String,
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Default)]
struct Lanes {
    made: usize,
    idle: Vec<usize>,
    busy: HashMap<usize, (Instant, Asked)>,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AtOnce { .. } => "AtOnce",
            Self::Standing(..) => "Standing",
            Self::Abandoned => "Abandoned",
        })
    }
}

impl Lanes {
    fn free(&mut self, lane: usize) {
        if self.busy.remove(&lane).is_some() {
            self.idle.push(lane);
        }
    }

    /// What still comes for this request is nobody's.
    fn abandon(&mut self, lane: usize, asked: Instant) {
        if let Some((since, who)) = self.busy.get_mut(&lane)
            && *since == asked
        {
            *who = Asked::Abandoned;
        }
    }

    /// A lane whose request is older than any answer: its broker was restarted.
    fn forgotten(&mut self) -> Option<usize> {
        let old = 2 * (STANDING + AT_ONCE);
        let mut busy = self.busy.iter();
        let found = busy.find(|(_, (since, _))| since.elapsed() > old);
        found.map(|(lane, _)| *lane)
    }
}

/// What was taken at once.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) deliveries: Vec<Delivery>,
    /// The consumer is gone and has to be made again.
    pub(super) missing: bool,
}

impl Pulls {
    pub(super) fn new(client: Client, stream: String) -> Arc<Self> {
        Arc::new(Self {
            inbox: client.new_inbox(),
            client,
            stream,
            lanes: Mutex::default(),
        })
    }

    /// Takes a lane for a request.
    async fn lane(self: &Arc<Self>, who: Asked) -> Option<(usize, Instant)> {
        let now = Instant::now();
        {
            let mut lanes = self.lanes.lock();
            let free = lanes.idle.pop().or_else(|| lanes.forgotten());
            if let Some(lane) = free {
                lanes.busy.insert(lane, (now, who));
                return Some((lane, now));
            }
        }
        // The number first: it is in the subject.
        let lane = {
            let mut lanes = self.lanes.lock();
            let lane = lanes.made;
            lanes.made += 1;
            lanes.busy.insert(lane, (now, who));
            lane
        };
        let subscribed = self.client.subscribe(self.reply_of(lane)).await;
        let Ok(mut answers) = subscribed else {
            self.lanes.lock().busy.remove(&lane);
            return None;
        };
        let pulls = Arc::downgrade(self);
        let dispatch = tokio::spawn(async move {
            while let Some(message) = answers.next().await {
                let Some(pulls) = pulls.upgrade() else { return };
                if let Some(delivery) = pulls.hand_over(lane, message) {
                    pulls.hand_back(&delivery).await;
                }
            }
        });
        let mut lanes = self.lanes.lock();
        lanes.tasks.push(AbortOnDropHandle::new(dispatch));
        Some((lane, now))
    }

    fn reply_of(&self, lane: usize) -> String {
        format!("{}.{lane}", self.inbox)
    }

    /// Returns what nobody wants.
    fn hand_over(&self, lane: usize, message: Message) -> Option<Delivery> {
        let status = message.status;
        if status == Some(StatusCode::IDLE_HEARTBEAT) {
            return None;
        }
        let ends = status.is_some();
        let delivery = if ends { None } else { Delivery::of(message) };
        let mut lanes = self.lanes.lock();
        let Some((_, who)) = lanes.busy.get_mut(&lane) else {
            return delivery;
        };
        let (over, refused, standing) = match who {
            Asked::AtOnce { to, left } => {
                *left = left.saturating_sub(1);
                let over = ends || *left == 0;
                let answer = match (delivery, status) {
                    (Some(delivery), _) => Answer::Delivery(delivery),
                    (None, Some(StatusCode::NO_RESPONDERS)) => Answer::Missing,
                    (None, _) => Answer::End,
                };
                let refused = match to.send(answer) {
                    Err(mpsc::error::SendError(Answer::Delivery(delivery))) => Some(delivery),
                    _ => None,
                };
                (over, refused, None)
            }
            // One message is all it asked for, so either way it is over.
            Asked::Standing(desk, route) => (true, delivery, Some((desk.clone(), route.clone()))),
            Asked::Abandoned => (ends, delivery, None),
        };
        if over {
            lanes.free(lane);
        }
        drop(lanes);
        match standing.map(|(desk, route)| (desk.upgrade(), route)) {
            Some((Some(desk), route)) => desk.arrived(&route, refused),
            _ => refused,
        }
    }

    async fn hand_back(&self, delivery: &Delivery) {
        let _ = self
            .client
            .publish(delivery.reply.clone(), NAK.into())
            .await;
    }

    /// Lets a request for one message stand with a route, for a desk. `false` if it could not be sent.
    pub(super) async fn stand(self: &Arc<Self>, desk: &Arc<Desk>, route: &Route) -> bool {
        let text = format!("{{\"batch\":1,\"expires\":{}}}", STANDING.as_nanos());
        let who = Asked::Standing(Arc::downgrade(desk), route.clone());
        self.ask(route, who, text).await.is_some()
    }

    async fn ask(
        self: &Arc<Self>,
        route: &Route,
        who: Asked,
        text: String,
    ) -> Option<(usize, Instant)> {
        let (lane, now) = self.lane(who).await?;
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            self.stream,
            route.as_str()
        );
        let inbox = self.reply_of(lane);
        let sent = self.client.publish_with_reply(subject, inbox, text.into());
        if sent.await.is_err() {
            self.lanes.lock().free(lane);
            return None;
        }
        Some((lane, now))
    }

    /// Takes up to so many messages that are due.
    pub(super) async fn take(self: &Arc<Self>, route: &Route, most: u32) -> Taken {
        let mut taken = Taken::default();
        let (to, answers) = mpsc::unbounded_channel();
        let text = format!("{{\"batch\":{most},\"no_wait\":true}}");
        let who = Asked::AtOnce { to, left: most };
        let Some((lane, asked)) = self.ask(route, who, text).await else {
            return taken;
        };
        let mut fetch = Fetch {
            pulls: self,
            lane,
            asked,
            answers,
        };
        while taken.deliveries.len() < most as usize {
            match tokio::time::timeout(AT_ONCE, fetch.answers.recv()).await {
                Ok(Some(Answer::Delivery(delivery))) => taken.deliveries.push(delivery),
                Ok(Some(Answer::Missing)) => {
                    taken.missing = true;
                    break;
                }
                Ok(Some(Answer::End) | None) | Err(_) => break,
            }
        }
        taken
    }

    /// Hands messages back without waiting for it.
    pub(super) fn return_all(self: &Arc<Self>, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let pulls = Arc::clone(self);
        tokio::spawn(async move {
            for delivery in &deliveries {
                pulls.hand_back(delivery).await;
            }
        });
    }
}

/// A request under way. Dropped, it hands back what has come and what is still to come.
struct Fetch<'a> {
    pulls: &'a Arc<Pulls>,
    lane: usize,
    asked: Instant,
    answers: mpsc::UnboundedReceiver<Answer>,
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.pulls.lanes.lock().abandon(self.lane, self.asked);
        self.answers.close();
        let mut left = Vec::new();
        while let Ok(answer) = self.answers.try_recv() {
            if let Answer::Delivery(delivery) = answer {
                left.push(delivery);
            }
        }
        self.pulls.return_all(left);
    }
}
