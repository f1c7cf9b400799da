//! Rounds that interleave the contenders: A B C, B C A, C A B, ...
//!
//! On a machine shared with others, a minute is never like the minute before. A round is short, so
//! its contenders met the same conditions, and a *ratio* is the median over the rounds of what two
//! contenders took in the same one. Numbers of their own are medians too.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Instant;

/// Takes part in every round, and says what it measured in it; always the same unit, the less the
/// better.
pub(crate) type Contender<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// What one contender measured, round by round.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<f64>);

/// Runs all contenders in each of so many rounds, after one that does not count.
pub(crate) fn interleave(rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<Samples> {
    let mut samples = vec![Samples(Vec::with_capacity(rounds)); contenders.len()];
    for contender in contenders.iter_mut() {
        contender();
    }
    for round in 0..rounds {
        for turn in 0..contenders.len() {
            let who = (round + turn) % contenders.len();
            samples[who].0.push(contenders[who]());
        }
    }
    samples
}

impl Samples {
    /// Of something that is measured once.
    pub(crate) fn once(value: f64) -> Self {
        Self(vec![value])
    }

    pub(crate) fn rounds(&self) -> usize {
        self.0.len()
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The least: what it takes when nothing disturbs.
    pub(crate) fn least(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The median over the rounds of this one divided by the other.
    pub(crate) fn ratio(&self, other: &Self) -> f64 {
        median(self.pairs(other).map(|(one, other)| one / other).collect())
    }

    /// This one less what another took in the same round.
    pub(crate) fn over(&self, floor: &Self) -> Self {
        Self(self.pairs(floor).map(|(one, floor)| one - floor).collect())
    }

    fn pairs<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = (f64, f64)> + 'a {
        assert_eq!(self.0.len(), other.0.len(), "of the same rounds");
        self.0.iter().copied().zip(other.0.iter().copied())
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 {
        samples[middle]
    } else {
        f64::midpoint(samples[middle - 1], samples[middle])
    }
}

/// Nanoseconds an operation takes as each of so many threads sees it, all running at once. `run`
/// does as many operations as it is told; every thread calls it twice, with a tenth of `operations`
/// to warm up and then with all of them.
pub(crate) fn in_threads(threads: usize, operations: u64, run: &(dyn Fn(u64) + Sync)) -> f64 {
    let ready = AtomicUsize::new(0);
    let measure = || {
        run(operations / 10);
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < threads {
            std::hint::spin_loop();
        }
        let begun = Instant::now();
        run(operations);
        begun.elapsed().as_nanos() as f64 / operations as f64
    };
    thread::scope(|scope| {
        let threads_: Vec<_> = (0..threads).map(|_| scope.spawn(measure)).collect();
        let taken = threads_
            .into_iter()
            .map(|thread| thread.join().expect("a benchmark's thread does not panic"));
        taken.sum::<f64>() / threads as f64
    })
}

/// How many operations [`in_threads`] runs.
pub(crate) fn operations_of(threads: usize, operations: u64) -> u64 {
    threads as u64 * (operations + operations / 10)
}

/// Milliseconds that something takes.
pub(crate) fn timed(run: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    run();
    begun.elapsed().as_secs_f64() * 1e3
}
