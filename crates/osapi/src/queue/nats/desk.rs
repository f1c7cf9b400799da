//! Waiting for messages without taking any from others.
//!
//! A *desk* is a worker's place. Asked to wait, it keeps one request standing with each of its
//! routes and uses it again for the next wait, because requests left behind would each take a message
//! from somebody who is still there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::names::Route;
use super::pulls::{AT_ONCE, Delivery, Pulls, STANDING};

/// A worker's place.
#[derive(Debug, Default)]
pub(super) struct Desk {
    on_it: Mutex<OnDesk>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct OnDesk {
    arrived: VecDeque<Delivery>,
    /// How many messages those who wait here would take.
    wanted: usize,
    standing: HashMap<Route, Instant>,
    /// When the routes other than `any` were asked last.
    asked_own: Option<Instant>,
}

impl Desk {
    /// Returns what nobody here wants.
    pub(super) fn arrived(&self, route: &Route, delivery: Option<Delivery>) -> Option<Delivery> {
        let mut desk = self.on_it.lock();
        desk.standing.remove(route);
        let refused = match delivery {
            Some(delivery) if desk.arrived.len() < desk.wanted => {
                desk.arrived.push_back(delivery);
                None
            }
            other => other,
        };
        drop(desk);
        self.changed.notify_waiters();
        refused
    }

    /// Says that up to so many messages are wanted, until the guard is dropped.
    pub(super) fn want(self: &Arc<Self>, pulls: &Arc<Pulls>, most: u32) -> Wanting {
        self.on_it.lock().wanted += most as usize;
        Wanting {
            desk: Arc::clone(self),
            pulls: Arc::clone(pulls),
            most: most as usize,
        }
    }

    /// Whether it is time to ask the routes other than `any`. They are asked now and then only while
    /// there is enough to do from everybody's.
    pub(super) fn own_routes_due(&self, pace: Duration) -> bool {
        let mut desk = self.on_it.lock();
        let due = desk.asked_own.is_none_or(|asked| asked.elapsed() >= pace);
        if due {
            desk.asked_own = Some(Instant::now());
        }
        due
    }

    /// Forgets which requests stand: the broker has.
    pub(super) fn reconnected(&self) {
        self.on_it.lock().standing.clear();
        self.changed.notify_waiters();
    }
}

/// A wait at a desk.
pub(super) struct Wanting {
    desk: Arc<Desk>,
    pulls: Arc<Pulls>,
    most: usize,
}

impl Wanting {
    /// What has arrived so far.
    pub(super) fn arrived(&self, most: usize) -> Vec<Delivery> {
        let mut desk = self.desk.on_it.lock();
        let most = most.min(desk.arrived.len());
        desk.arrived.drain(..most).collect()
    }

    /// Waits until something has arrived or the time is over.
    pub(super) async fn wait(
        &self,
        routes: &[Route],
        until: tokio::time::Instant,
    ) -> Vec<Delivery> {
        loop {
            let changed = self.desk.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let arrived = self.arrived(self.most);
            if !arrived.is_empty() || tokio::time::Instant::now() >= until {
                return arrived;
            }
            for route in routes {
                self.stand(route).await;
            }
            let again = tokio::time::Instant::now() + STANDING;
            let _ = tokio::time::timeout_at(until.min(again), changed).await;
        }
    }

    /// Makes sure a request stands with this route.
    async fn stand(&self, route: &Route) {
        {
            let mut desk = self.desk.on_it.lock();
            let stands = desk.standing.get(route);
            if stands.is_some_and(|since| since.elapsed() < STANDING + AT_ONCE) {
                return;
            }
            desk.standing.insert(route.clone(), Instant::now());
        }
        if !self.pulls.stand(&self.desk, route).await {
            self.desk.on_it.lock().standing.remove(route);
        }
    }
}

impl Drop for Wanting {
    fn drop(&mut self) {
        let mut desk = self.desk.on_it.lock();
        desk.wanted = desk.wanted.saturating_sub(self.most);
        let keep = desk.wanted.min(desk.arrived.len());
        let left: Vec<_> = desk.arrived.drain(keep..).collect();
        drop(desk);
        self.pulls.return_all(left);
    }
}
