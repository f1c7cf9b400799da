//! Requests of bounded size: the levels around the points, opened where they are needed and closed
//! where a request is full.

use meterline_protobuf::{Nested, Writer};

use super::{Batch, EncoderOptions};

/// What a message holds before and after the list that makes it long.
#[derive(Debug, Default)]
pub(super) struct Headers {
    pub(super) before: Writer,
    pub(super) after: Writer,
}

/// How long a message around many points is, to the digit: 16 KiB to 2 MiB.
const LONG: usize = 1 << 15;
/// How long a point is, to the digit: 128 bytes to 16 KiB.
const POINT: usize = 200;
/// What closing all levels may add to a request, beyond what `after` holds.
const CLOSING: usize = 16;

/// Writes points into requests.
#[derive(Debug)]
pub(super) struct Batches {
    options: EncoderOptions,
    resource: Headers,
    scope: Headers,
    metric: Headers,
    /// The field of `Metric` that holds the points.
    data_field: u32,
    out: Writer,
    open: Open,
    points: usize,
    full: Vec<Batch>,
}

/// The messages that are begun and not ended.
#[derive(Debug, Default)]
struct Open {
    resource: Option<Nested>,
    scope: Option<Nested>,
    /// The metric and the data within.
    metric: Option<(Nested, Nested)>,
}

impl Batches {
    pub(super) fn new(options: EncoderOptions, resource: Headers) -> Self {
        Self {
            options,
            resource,
            scope: Headers::default(),
            metric: Headers::default(),
            data_field: 0,
            out: Writer::new(),
            open: Open::default(),
            points: 0,
            full: Vec::new(),
        }
    }

    /// The points to come are of this scope.
    pub(super) fn scope(&mut self, scope: Headers) {
        self.close_scope();
        self.scope = scope;
    }

    /// The points to come are of this metric.
    pub(super) fn metric(&mut self, metric: Headers, data_field: u32) {
        self.close_metric();
        self.metric = metric;
        self.data_field = data_field;
    }

    /// Adds a point; `write` is called again where the first attempt made the request too large.
    pub(super) fn point(&mut self, write: impl Fn(&mut Writer)) {
        let before = self.out.len();
        let (in_scope, in_metric) = (self.open.scope.is_some(), self.open.metric.is_some());
        self.write(&write);
        if self.points > 0 && self.is_too_large() {
            self.out.truncate(before);
            // What was opened for this point only is gone with it.
            self.open.metric.take_if(|_| !in_metric);
            self.open.scope.take_if(|_| !in_scope);
            self.end_request();
            self.write(&write);
        }
        self.points += 1;
    }

    pub(super) fn finish(mut self) -> Vec<Batch> {
        self.end_request();
        self.full
    }

    fn is_too_large(&self) -> bool {
        let after = self.resource.after.len() + self.scope.after.len() + self.metric.after.len();
        self.points == self.options.max_points
            || self.out.len() + after + CLOSING > self.options.max_bytes
    }

    fn write(&mut self, write: impl Fn(&mut Writer)) {
        let out = &mut self.out;
        if self.open.resource.is_none() {
            self.open.resource = Some(out.begin_about(1, LONG));
            out.raw(self.resource.before.as_slice());
        }
        if self.open.scope.is_none() {
            self.open.scope = Some(out.begin_about(2, LONG));
            out.raw(self.scope.before.as_slice());
        }
        if self.open.metric.is_none() {
            let metric = out.begin_about(2, LONG);
            out.raw(self.metric.before.as_slice());
            self.open.metric = Some((metric, out.begin_about(self.data_field, LONG)));
        }
        let point = out.begin_about(1, POINT);
        write(out);
        out.end(point);
    }

    fn close_metric(&mut self) {
        if let Some((metric, data)) = self.open.metric.take() {
            self.out.raw(self.metric.after.as_slice());
            self.out.end(data);
            self.out.end(metric);
        }
    }

    fn close_scope(&mut self) {
        self.close_metric();
        if let Some(scope) = self.open.scope.take() {
            self.out.raw(self.scope.after.as_slice());
            self.out.end(scope);
        }
    }

    fn end_request(&mut self) {
        self.close_scope();
        if let Some(resource) = self.open.resource.take() {
            self.out.raw(self.resource.after.as_slice());
            self.out.end(resource);
            // The next one is likely to be as long.
            let next = Writer::with_capacity(self.out.len());
            let message = std::mem::replace(&mut self.out, next);
            self.full.push(Batch {
                message: message.into_vec().into(),
                points: std::mem::take(&mut self.points) as u64,
            });
        }
    }
}
