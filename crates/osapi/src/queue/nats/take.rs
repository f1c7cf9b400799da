//! Handing out work: a message of the work stream becomes a lease once its record says so.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{error, warn};

use super::Core;
use super::desk::Desk;
use super::names::Route;
use super::pulls::Delivery;
use super::record::{Ending, Unit};
use super::store::Unwritten;
use crate::queue::{Claim, JobId, JobState, Lease, LeaseToken, QueueError, Rescued, TimelineKind};

/// The message is done with.
pub(super) const ACK: &str = "+ACK";

/// The lease goes on.
pub(super) const IN_PROGRESS: &str = "+WPI";

/// How often a change is tried again when others change the same record.
pub(super) const TRIES: usize = 8;

/// How often, at most, a busy worker's own routes are asked.
const OWN_ROUTES_PACE: Duration = Duration::from_millis(100);

/// How long a claim of a draining worker waits before it says that there is nothing.
const DRAINING_PAUSE: Duration = Duration::from_millis(500);

/// When a unit is handed out again that could not be begun, its record could not be read or written: after so
/// long for each time it was delivered. The broker delivers it so often only, and a stream may be full for days.
const UNBEGUN_PAUSE: Duration = Duration::from_secs(1);

/// Deliveries after which that pause grows no more.
const UNBEGUN_GROWS: u32 = 60;

/// Gives a message back, to be handed out again after a while.
pub(super) fn nak_after(delay: Duration) -> String {
    format!("-NAK {{\"delay\": {}}}", delay.as_nanos())
}

/// An attempt this process holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) unit: Unit,
    pub(super) reply: async_nats::Subject,
    /// Marks what this process writes about it.
    pub(super) mark: u64,
}

impl Core {
    pub(super) async fn claim(self: &Arc<Self>, claim: Claim) -> Result<Vec<Lease>, QueueError> {
        self.store.link.usable()?;
        if claim.slots == 0 {
            return Ok(Vec::new());
        }
        let until = Instant::now() + claim.wait;
        if self.is_draining(&claim.worker).await? {
            tokio::time::sleep(claim.wait.min(DRAINING_PAUSE)).await;
            return Ok(Vec::new());
        }
        let mut own = vec![Route::worker(&claim.worker), Route::host(&claim.worker)];
        if claim.hostname != claim.worker {
            own.push(Route::host(&claim.hostname));
        }
        let mut all = own.clone();
        all.push(Route::any());
        for route in &all {
            self.ensure(route).await?;
        }
        let desk = self.desk(&claim.worker);
        loop {
            let deliveries = self.collect(&claim, &desk, &own, &all, until).await;
            let waited_in_vain = deliveries.is_empty();
            let leases = self.begin_all(deliveries, &claim.worker).await;
            // Messages of cancelled jobs come to nothing; then the next ones are looked at.
            let over = waited_in_vain && Instant::now() >= until;
            if !leases.is_empty() || over || !self.store.link.is_connected() {
                return Ok(leases);
            }
            if self.is_draining(&claim.worker).await? {
                return Ok(Vec::new());
            }
        }
    }

    /// Takes what is due, or waits for a first message.
    async fn collect(
        self: &Arc<Self>,
        claim: &Claim,
        desk: &Arc<Desk>,
        own: &[Route],
        all: &[Route],
        until: Instant,
    ) -> Vec<Delivery> {
        let waiting = desk.want(&self.pulls, claim.slots);
        let most = claim.slots as usize;
        let mut got = waiting.arrived(most);
        let mut asked_own = false;
        if got.len() < most && desk.own_routes_due(OWN_ROUTES_PACE) {
            asked_own = true;
            self.take_from(own, most, &mut got).await;
        }
        if got.len() < most {
            self.take_from(&[Route::any()], most, &mut got).await;
        }
        if got.is_empty() && !asked_own {
            self.take_from(own, most, &mut got).await;
        }
        if got.is_empty() && Instant::now() < until {
            got = waiting.wait(all, until).await;
        }
        got
    }

    async fn take_from(self: &Arc<Self>, routes: &[Route], most: usize, got: &mut Vec<Delivery>) {
        let room = u32::try_from(most - got.len()).unwrap_or(u32::MAX);
        let asked = routes.iter().map(|route| self.pulls.take(route, room));
        for (taken, route) in join_all(asked).await.into_iter().zip(routes) {
            if taken.missing {
                self.forget(route);
            }
            got.extend(taken.deliveries);
        }
        got.sort_by_key(|delivery| delivery.sequence);
        let too_many = got.split_off(most.min(got.len()));
        self.pulls.return_all(too_many);
    }

    /// Makes leases of messages. Goes on if whoever asked leaves, and gives back what they leave behind.
    async fn begin_all(self: &Arc<Self>, deliveries: Vec<Delivery>, worker: &str) -> Vec<Lease> {
        if deliveries.is_empty() {
            return Vec::new();
        }
        let (to, leases) = oneshot::channel();
        let (core, worker) = (Arc::clone(self), worker.to_owned());
        tokio::spawn(async move {
            let begun = deliveries
                .into_iter()
                .map(|delivery| core.begin(delivery, &worker));
            let begun: Vec<Lease> = join_all(begun).await.into_iter().flatten().collect();
            if let Err(unclaimed) = to.send(begun) {
                let tokens: Vec<_> = unclaimed.iter().map(|lease| lease.token).collect();
                // What cannot be given back starts anew when its lease ends.
                let _ = core.give_back(tokens).await;
            }
        });
        leases.await.unwrap_or_default()
    }

    /// Makes a lease of a message; `None` if there is nothing to be done, or not by us.
    async fn begin(self: &Arc<Self>, delivery: Delivery, worker: &str) -> Option<Lease> {
        let Ok(submitted) = serde_json::from_slice::<Unit>(&delivery.payload) else {
            error!(
                sequence = delivery.sequence,
                "a message of the work stream is no unit of work; it is taken out"
            );
            self.store.tell(&delivery.reply, "+TERM".to_owned()).await;
            return None;
        };
        match self.record_start(&delivery, submitted, worker).await {
            Ok(lease) => lease,
            Err(error) => {
                warn!(%error, "a unit could not be begun, it goes back for a while");
                let delivered = u32::try_from(delivery.delivered).unwrap_or(u32::MAX);
                let pause = UNBEGUN_PAUSE * delivered.clamp(1, UNBEGUN_GROWS);
                self.store.tell(&delivery.reply, nak_after(pause)).await;
                None
            }
        }
    }

    async fn record_start(
        self: &Arc<Self>,
        delivery: &Delivery,
        submitted: Unit,
        worker: &str,
    ) -> Result<Option<Lease>, QueueError> {
        let id = submitted.id;
        for attempt in 0..TRIES {
            let found = self
                .store
                .key(&super::names::job_key(id), attempt > 0)
                .await?;
            let (mut unit, revision) = match found {
                // Whoever submitted it has not come to write its record, or never will.
                None => (submitted.clone(), 0),
                Some(found) if found.removed => {
                    self.store.tell(&delivery.reply, ACK.to_owned()).await;
                    return Ok(None);
                }
                Some(found) => match found.parse() {
                    Some(unit) => (unit, found.revision),
                    None => return Ok(None),
                },
            };
            if unit.state.is_final() {
                self.bury(&unit).await;
                self.store.tell(&delivery.reply, ACK.to_owned()).await;
                return Ok(None);
            }
            let lost = unit.state == JobState::Processing;
            if lost && delivery.delivered <= 1 {
                // A second message of a unit that runs: only if that attempt is lost is it needed.
                let again = nak_after(self.options.lease);
                self.store.tell(&delivery.reply, again).await;
                return Ok(None);
            }
            if lost && unit.attempts >= self.options.max_attempts {
                if self.give_up_lost(unit, revision).await? {
                    self.store.tell(&delivery.reply, ACK.to_owned()).await;
                    return Ok(None);
                }
                continue;
            }
            let waited = waited(&unit);
            if lost {
                unit.put_back(TimelineKind::Rescued, Timestamp::now(), unit.vanished());
            }
            unit.start(worker);
            match self.store.put(&unit, revision).await {
                Ok(serial) => {
                    if lost {
                        self.note_rescued(&unit, false);
                    }
                    return Ok(Some(self.hold(unit, serial, delivery, waited).await));
                }
                Err(Unwritten::Raced) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Unwritten::Raced.into())
    }

    async fn hold(
        self: &Arc<Self>,
        unit: Unit,
        serial: u64,
        delivery: &Delivery,
        waited: Duration,
    ) -> Lease {
        let token = LeaseToken {
            unit: unit.id,
            serial,
        };
        if let Some(parent) = unit.parent {
            self.start_whole(parent).await;
        }
        let lease = Lease {
            token,
            job: unit.parent.unwrap_or(unit.id),
            operation: unit.operation.clone(),
            attempt: unit.attempts,
            waited,
            trace_context: unit.trace.clone(),
        };
        let held = Held {
            unit,
            reply: delivery.reply.clone(),
            mark: rand::random(),
        };
        self.held.lock().insert(token, held);
        lease
    }

    /// The first part of a job for all that starts, starts the job.
    async fn start_whole(&self, id: JobId) {
        for _ in 0..TRIES {
            let Ok(Some((mut job, revision))) = self.store.unit(id, true).await else {
                return;
            };
            if job.state != JobState::Submitted {
                return;
            }
            job.state = JobState::Processing;
            job.started_at = Some(Timestamp::now());
            if !matches!(self.store.put(&job, revision).await, Err(Unwritten::Raced)) {
                return;
            }
        }
    }

    /// Fails a unit whose last attempt was lost. `false` if somebody else changed it first.
    pub(super) async fn give_up_lost(
        &self,
        mut unit: Unit,
        revision: u64,
    ) -> Result<bool, QueueError> {
        let ending = Ending::failed(unit.vanished(), None);
        unit.end(ending);
        match self.store.put(&unit, revision).await {
            Ok(_) => {
                self.note_rescued(&unit, true);
                self.after_end(&unit).await;
                Ok(true)
            }
            Err(Unwritten::Raced) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn note_rescued(&self, unit: &Unit, failed: bool) {
        self.rescued.lock().push(Rescued {
            operation: unit.operation.kind.clone(),
            failed,
        });
    }

    /// Makes sure a route's consumer is there, asking the broker the first time only.
    async fn ensure(&self, route: &Route) -> Result<(), QueueError> {
        if self.ensured.lock().contains(route) {
            return Ok(());
        }
        let store = &self.store;
        super::layout::consumer(&store.jetstream, &store.names, route, self.options.lease).await?;
        self.ensured.lock().insert(route.clone());
        Ok(())
    }

    fn forget(&self, route: &Route) {
        self.ensured.lock().remove(route);
    }

    fn desk(&self, worker: &str) -> Arc<Desk> {
        let mut desks = self.desks.lock();
        Arc::clone(desks.entry(worker.to_owned()).or_default())
    }
}

/// How long a unit waited: from its creation, or from when its retry was due.
fn waited(unit: &Unit) -> Duration {
    let since = unit.due.unwrap_or(unit.created_at);
    Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default()
}
