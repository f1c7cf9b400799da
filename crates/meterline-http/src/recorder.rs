//! What all requests of a layer share: the instruments, and the series found so far.

use std::sync::{Arc, OnceLock};

use http::{Method, Request};
use opentelemetry::metrics::Meter;
use opentelemetry::{KeyValue, StringValue};

use crate::config::Config;
use crate::instruments::{ActiveSeries, Instruments, Measured, Series};
use crate::labels::{Ending, Labels};
use crate::route::{RequestHead, RouteSource};
use crate::table::Table;

/// What a method outside the list is called.
const OTHER_METHOD: &str = "_OTHER";

/// A request's route, resolved when it came in.
#[derive(Clone, Debug)]
pub(crate) enum RouteRef {
    /// No route matched.
    Unmatched,
    /// A route in the table.
    Cached(u32),
    /// One the table had no room for; boxed, since the usual ones are small and a request carries them along.
    Uncached(Box<Arc<str>>),
}

/// What tells one cached series from another. All of it is small numbers, the route being its place in the table, and
/// together they are one: hashed and compared at once, for every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct SeriesKey(u64);

impl SeriesKey {
    fn new(route: u32, method: u8, ending: Ending) -> Self {
        Self(u64::from(route) << 32 | u64::from(method) << 24 | u64::from(ending.packed()))
    }
}

/// See the module.
pub(crate) struct Recorder {
    instruments: Instruments,
    methods: Box<[KnownMethod]>,
    other: KnownMethod,
    exclude: Box<[String]>,
    route_source: RouteSource,
    routes: Table<Arc<str>, ()>,
    series: Table<SeriesKey, Series>,
    scheme: StringValue,
    bind: bool,
    counts_request_bodies: bool,
}

struct KnownMethod {
    method: Method,
    name: StringValue,
    /// Made at the first such request, so that no series exists for methods nobody uses.
    active: OnceLock<ActiveSeries>,
}

impl Recorder {
    pub(crate) fn new(meter: &Meter, config: Config, methods: Vec<Method>) -> Self {
        let known = |method: Method| {
            let name = method.as_str().to_owned().into();
            KnownMethod {
                method,
                name,
                active: OnceLock::new(),
            }
        };
        let instruments = Instruments::new(meter, &config);
        Self {
            counts_request_bodies: instruments.measure_request_bodies(),
            instruments,
            methods: methods.into_iter().map(known).collect(),
            other: KnownMethod {
                method: Method::default(),
                name: OTHER_METHOD.into(),
                active: OnceLock::new(),
            },
            exclude: config.exclude.into_boxed_slice(),
            route_source: config.route,
            routes: Table::new(config.max_series),
            series: Table::new(config.max_series),
            scheme: config.scheme.into(),
            bind: config.bind,
        }
    }

    /// Whether this request is left out of everything.
    pub(crate) fn excludes<B>(&self, request: &Request<B>) -> bool {
        if self.exclude.is_empty() {
            return false;
        }
        let path = request.uri().path();
        self.exclude.iter().any(|excluded| *excluded == *path)
    }

    /// Whether the bytes of request bodies are wanted at all.
    pub(crate) fn counts_request_bodies(&self) -> bool {
        self.counts_request_bodies
    }

    /// The number of a method: its place in the list, or one past the end.
    pub(crate) fn method(&self, method: &Method) -> u8 {
        let found = self
            .methods
            .iter()
            .position(|known| known.method == *method);
        // The builder allows 100 methods.
        found.unwrap_or(self.methods.len()) as u8
    }

    /// The route of a request, as its extensions and head tell it.
    pub(crate) fn route<B>(&self, request: &Request<B>) -> RouteRef {
        let Some(route) = self.route_source.route(&RequestHead::new(request)) else {
            return RouteRef::Unmatched;
        };
        match self
            .routes
            .get_or_insert(route.as_ref(), || (Arc::from(route.as_ref()), ()))
        {
            // A table has far fewer than 2^32 places.
            Some((index, ())) => RouteRef::Cached(index as u32),
            None => RouteRef::Uncached(Box::new(Arc::from(route.as_ref()))),
        }
    }

    /// Where requests in progress with this method are counted.
    pub(crate) fn active(&self, method: u8) -> &ActiveSeries {
        let known = self.known(method);
        known.active.get_or_init(|| {
            let method = KeyValue::new("http.request.method", known.name.clone());
            self.instruments.active(
                method,
                KeyValue::new("url.scheme", self.scheme.clone()),
                self.bind,
            )
        })
    }

    /// Records one finished request.
    pub(crate) fn record(&self, method: u8, route: &RouteRef, ending: Ending, measured: Measured) {
        let number = match route {
            RouteRef::Unmatched => u32::MAX,
            RouteRef::Cached(index) => *index,
            RouteRef::Uncached(name) => {
                return self
                    .series(method, Some(name), ending, false)
                    .record(measured);
            }
        };
        let key = SeriesKey::new(number, method, ending);
        let make = |bind| {
            let name = self.routes.key_at(number as usize);
            self.series(method, name, ending, bind)
        };
        match self.series.get_or_insert(&key, || (key, make(self.bind))) {
            Some((_, series)) => series.record(measured),
            None => make(false).record(measured),
        }
    }

    fn series(&self, method: u8, route: Option<&Arc<str>>, ending: Ending, bind: bool) -> Series {
        let method = self.known(method).name.clone();
        self.instruments.series(
            &Labels {
                method,
                scheme: self.scheme.clone(),
                route,
                ending,
            },
            bind,
        )
    }

    fn known(&self, method: u8) -> &KnownMethod {
        self.methods.get(usize::from(method)).unwrap_or(&self.other)
    }
}
