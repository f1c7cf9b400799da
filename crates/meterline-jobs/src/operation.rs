//! The series of one operation.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, UpDownCounter};

use crate::catalogue;
use crate::handle::{CounterSeries, SecondsSeries, UpDownSeries};
use crate::instruments::Instruments;
use crate::status::{AttemptStatus, UnitStatus};

/// Everything that is recorded about jobs of one operation. A series comes into being when it is first recorded into.
pub(crate) struct Operation {
    pub(crate) created: CounterSeries,
    pub(crate) wait: SecondsSeries,
    pub(crate) active: UpDownSeries,
    pub(crate) retries: CounterSeries,
    pub(crate) rescued: CounterSeries,
    pub(crate) late_results: CounterSeries,
    completed: [CounterSeries; UnitStatus::ALL.len()],
    duration: [SecondsSeries; AttemptStatus::ALL.len()],
}

impl Operation {
    pub(crate) fn completed(&self, status: UnitStatus) -> &CounterSeries {
        &self.completed[status as usize]
    }

    pub(crate) fn duration(&self, status: AttemptStatus) -> &SecondsSeries {
        &self.duration[status as usize]
    }
}

/// The operations seen so far. Their names come from the program, and yet there is a limit to how many are kept.
pub(crate) struct Operations {
    created: Counter<u64>,
    completed: Counter<u64>,
    duration: Histogram<f64>,
    wait: Histogram<f64>,
    active: UpDownCounter<i64>,
    retries: Counter<u64>,
    rescued: Counter<u64>,
    late_results: Counter<u64>,
    known: RwLock<HashMap<Box<str>, Arc<Operation>>>,
    limit: usize,
    bind: bool,
}

impl Operations {
    pub(crate) fn new(instruments: &Instruments) -> Self {
        Self {
            created: instruments.counter(&catalogue::JOBS_CREATED),
            completed: instruments.counter(&catalogue::JOBS_COMPLETED),
            duration: instruments.duration(),
            wait: instruments.wait(),
            active: instruments.up_down_counter(&catalogue::JOBS_ACTIVE),
            retries: instruments.counter(&catalogue::JOB_RETRIES),
            rescued: instruments.counter(&catalogue::JOBS_RESCUED),
            late_results: instruments.counter(&catalogue::JOB_LATE_RESULTS),
            known: RwLock::default(),
            limit: instruments.max_operations,
            bind: instruments.bind,
        }
    }

    /// The series of an operation: kept ones, or new ones if it is not known and there are too many.
    pub(crate) fn get(&self, name: &str) -> Arc<Operation> {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(operation) = known.get(name) {
                return Arc::clone(operation);
            }
            if known.len() >= self.limit {
                // Not bound: a bound series is for the many recordings it is kept for.
                return Arc::new(self.operation(name, false));
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(operation) = known.get(name) {
            return Arc::clone(operation);
        }
        let bind = self.bind && known.len() < self.limit;
        let operation = Arc::new(self.operation(name, bind));
        if known.len() < self.limit {
            known.insert(name.into(), Arc::clone(&operation));
        }
        operation
    }

    fn operation(&self, name: &str, bind: bool) -> Operation {
        let operation = KeyValue::new("operation", name.to_owned());
        let alone = || vec![operation.clone()];
        let with = |status| vec![operation.clone(), KeyValue::new("status", status)];
        Operation {
            created: CounterSeries::new(&self.created, alone(), bind),
            wait: SecondsSeries::new(&self.wait, alone(), bind),
            active: UpDownSeries::new(&self.active, alone(), bind),
            retries: CounterSeries::new(&self.retries, alone(), bind),
            rescued: CounterSeries::new(&self.rescued, alone(), bind),
            late_results: CounterSeries::new(&self.late_results, alone(), bind),
            completed: UnitStatus::ALL
                .map(|status| CounterSeries::new(&self.completed, with(status.as_str()), bind)),
            duration: AttemptStatus::ALL
                .map(|status| SecondsSeries::new(&self.duration, with(status.as_str()), bind)),
        }
    }
}
