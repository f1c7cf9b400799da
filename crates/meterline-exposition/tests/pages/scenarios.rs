//! The pages that golden files show.

use meterline_exposition::{Escaping, TranslationOptions, TranslationStrategy};
use meterline_sdk::{Data, Histograms, Number, Snapshot};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};

use crate::build::{
    attributes, counter, exponential, gauge, histogram, in_scope, metric, snapshot, with_exemplars,
};

/// A snapshot, how to show it, and the golden files' name.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) options: TranslationOptions,
    pub(crate) snapshot: Snapshot,
}

pub(crate) fn all() -> Vec<Scenario> {
    let plain = TranslationOptions::default();
    let mut scenarios = vec![
        scenario("web_service", plain.clone(), web_service()),
        scenario("label_rules", plain.clone(), label_rules()),
        scenario("conflicts", without_scope(), conflicts()),
        scenario("numbers", without_scope(), numbers()),
        scenario("scopes_and_resource", with_resource_labels(), scopes()),
        scenario("nothing", plain.clone(), snapshot(&[], Vec::new())),
        scenario("exemplars", plain.clone(), exemplars()),
        scenario(
            "created_timestamps",
            with_created_timestamps(),
            web_service(),
        ),
        scenario(
            "exponential_histograms",
            without_scope(),
            exponential_histograms(),
        ),
        scenario("openmetrics_names", without_scope(), openmetrics_names()),
        scenario("utf8_names", with_utf8_names(), utf8_names()),
    ];
    for (name, strategy) in [
        (
            "strategy_underscores_without_suffixes",
            TranslationStrategy::UnderscoresWithoutSuffixes,
        ),
        (
            "strategy_utf8_with_suffixes",
            TranslationStrategy::Utf8WithSuffixes,
        ),
        ("strategy_none", TranslationStrategy::None),
    ] {
        let mut options = TranslationOptions::default();
        options.strategy = strategy;
        scenarios.push(scenario(name, options, names()));
    }
    scenarios.push(scenario(
        "strategy_underscores_with_suffixes",
        TranslationOptions::default(),
        names(),
    ));
    scenarios
}

/// The scenario of this name.
pub(crate) fn named(name: &str) -> Scenario {
    let found = all().into_iter().find(|scenario| scenario.name == name);
    found.expect("there is such a scenario")
}

fn scenario(name: &'static str, options: TranslationOptions, snapshot: Snapshot) -> Scenario {
    Scenario {
        name,
        options,
        snapshot,
    }
}

fn without_scope() -> TranslationOptions {
    let mut options = TranslationOptions::default();
    options.scope_labels = false;
    options
}

fn with_created_timestamps() -> TranslationOptions {
    let mut options = TranslationOptions::default();
    options.created_timestamps = true;
    options
}

fn with_utf8_names() -> TranslationOptions {
    let mut options = without_scope();
    options.strategy = TranslationStrategy::Utf8WithSuffixes;
    options.escaping = Escaping::AllowUtf8;
    options.created_timestamps = true;
    options
}

fn with_resource_labels() -> TranslationOptions {
    let mut options = TranslationOptions::default();
    options.resource_labels = vec!["host.name".into()];
    options
}

fn web_service() -> Snapshot {
    let route = |status: i64| {
        let mut series =
            attributes(&[("http.request.method", "GET"), ("http.route", "/jobs/{id}")]);
        series.push(KeyValue::new("http.response.status_code", status));
        series
    };
    let latency: [(&[u64], Number); 2] = [
        (&[3, 5, 1, 0], Number::F64(0.127)),
        (&[0, 0, 0, 2], Number::F64(6.5)),
    ];
    let seconds = [0.005, 0.1, 2.5];
    snapshot(
        &attributes(&[("service.name", "osapi"), ("service.version", "0.1.0")]),
        vec![
            metric(
                [
                    "http.server.active_requests",
                    "{request}",
                    "Requests in flight.",
                ],
                vec![attributes(&[("http.request.method", "GET")])],
                Data::Sum {
                    monotonic: false,
                    values: vec![Number::I64(4)],
                },
            ),
            metric(
                ["http.server.request", "", "HTTP requests."],
                vec![route(200), route(500)],
                counter(&[9, 2]),
            ),
            metric(
                [
                    "http.server.request.duration",
                    "s",
                    "Duration of HTTP server requests.",
                ],
                vec![route(200), route(500)],
                histogram(&seconds, &latency),
            ),
            metric(
                ["io", "By", "Bytes moved."],
                vec![Vec::new()],
                counter(&[1 << 40]),
            ),
        ],
    )
}

fn label_rules() -> Snapshot {
    let values: [(&'static str, Value); 6] = [
        ("bool", true.into()),
        ("int", (-7).into()),
        ("float", 0.5.into()),
        ("nan", f64::NAN.into()),
        ("numbers", Value::Array(Array::I64(vec![1, 2]))),
        ("words", Value::Array(Array::String(vec!["a\"b".into()]))),
    ];
    let typed = values.map(|(key, value)| KeyValue::new(key, value));
    let escapes = attributes(&[
        ("a", "back\\slash"),
        ("b", "two\nlines"),
        ("c", "\"quoted\""),
    ]);
    let collisions = attributes(&[("k.x", "dot"), ("k_x", "line"), ("k-x", "dash")]);
    let reserved = attributes(&[("__name__", "n"), ("le", "5"), ("otel_scope_name", "evil")]);
    let odd = attributes(&[
        ("", "no key"),
        ("1st", "digit"),
        ("ключ", "Кириллица"),
        ("empty", ""),
    ]);
    let series = vec![typed.to_vec(), escapes, collisions, reserved.clone(), odd];
    let help = "Help with \"quotes\", a \\ and\na second line.";
    snapshot(
        &[],
        vec![
            metric(
                ["labels", "", help],
                series,
                gauge(&[1.0, 2.0, 3.0, 4.0, 5.0]),
            ),
            metric(
                ["reserved", "", "Buckets keep `le`."],
                vec![reserved],
                histogram(&[1.0], &[(&[1, 1], Number::U64(5))]),
            ),
        ],
    )
}

fn conflicts() -> Snapshot {
    let one = || vec![attributes(&[("id", "1")])];
    let twice = vec![
        vec![KeyValue::new("code", 200)],
        vec![KeyValue::new("code", "200")],
    ];
    let point: [(&[u64], Number); 1] = [(&[1, 0], Number::U64(1))];
    snapshot(
        &attributes(&[("service.name", "osapi")]),
        vec![
            metric(["a.b", "", "The first help wins."], one(), counter(&[1])),
            metric(["a_b", "", "Unheard."], vec![Vec::new()], counter(&[2])),
            metric(["a_b_total", "", "Of another type."], one(), gauge(&[3.0])),
            metric(["h", "", "Buckets."], one(), histogram(&[1.0], &point)),
            metric(["h_count", "", "In the way."], one(), gauge(&[4.0])),
            metric(["target.info", "", "Posing."], one(), gauge(&[5.0])),
            metric(["twice", "", "Same text."], twice, gauge(&[6.0, 7.0])),
            metric(["...", "", "No name."], one(), gauge(&[8.0])),
        ],
    )
}

fn numbers() -> Snapshot {
    let values = [
        0.0,
        -0.0,
        0.1,
        1e15,
        1e16,
        5e-324,
        f64::MAX,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ];
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let series = ids.map(|id| attributes(&[("id", id)])).to_vec();
    let bounds = [-1.0, 0.0, 1e-5, 0.25, 1.0, 1e6];
    let point: [(&[u64], Number); 1] = [(&[1, 0, 0, 2, 0, 0, 3], Number::F64(-2.5))];
    snapshot(
        &[],
        vec![
            metric(
                ["bounds", "", "Of every form."],
                vec![Vec::new()],
                histogram(&bounds, &point),
            ),
            metric(
                ["floats", "", "Read back the same."],
                series,
                gauge(&values),
            ),
            metric(
                ["most", "", "The largest."],
                vec![Vec::new()],
                counter(&[u64::MAX]),
            ),
        ],
    )
}

fn scopes() -> Snapshot {
    let full = InstrumentationScope::builder("billing")
        .with_version("2.0")
        .with_schema_url("https://opentelemetry.io/schemas/1.44.0")
        .with_attributes(attributes(&[("team", "till"), ("version", "dropped")]))
        .build();
    let bare = InstrumentationScope::builder("").build();
    let series = || {
        vec![
            attributes(&[("host.name", "given")]),
            attributes(&[("id", "1")]),
        ]
    };
    snapshot(
        &attributes(&[("host.name", "db1"), ("service.name", "osapi")]),
        vec![
            in_scope(bare, ["sales", "", "Sold."], series(), counter(&[1, 2])),
            in_scope(full, ["sales", "", "Sold."], series(), counter(&[3, 4])),
        ],
    )
}

fn names() -> Snapshot {
    let one = || vec![attributes(&[("a..b", "1")])];
    snapshot(
        &[],
        vec![
            metric(["1st..place", "", "Leading digit."], one(), gauge(&[1.0])),
            metric(["foo.bar", "By", "A counter."], one(), counter(&[2])),
            metric(
                ["io.bytes_total", "By", "Suffixes already there."],
                one(),
                counter(&[3]),
            ),
            metric(["speed", "m/s", "A rate."], one(), gauge(&[4.0])),
        ],
    )
}

fn exemplars() -> Snapshot {
    let long = "x".repeat(40);
    let duration = metric(
        ["http.duration", "s", "With examples."],
        vec![Vec::new(), attributes(&[("route", "/quiet")])],
        histogram(
            &[0.1, 1.0],
            &[
                (&[2, 0, 1], Number::F64(99.05)),
                (&[0, 0, 0], Number::F64(0.0)),
            ],
        ),
    );
    // Of two in one bucket the later one is shown; one that fits no label limit loses attributes.
    let duration = with_exemplars(
        duration,
        &[
            (0, 0.02, &[]),
            (0, 0.03, &[]),
            (0, 99.0, &[KeyValue::new("user.id", 7)]),
        ],
    );
    let given = [
        KeyValue::new("trace_id", "not this"),
        KeyValue::new("much", "y".repeat(80)),
        KeyValue::new("note", long),
    ];
    let orders = metric(["orders", "", "Counted."], vec![Vec::new()], counter(&[2]));
    let none: &[KeyValue] = &[];
    let earlier = [
        (0, 1.0, none),
        (0, 1.0, none),
        (0, 1.0, none),
        (0, 1.0, none),
    ];
    let mut all = earlier.to_vec();
    all.push((0, 2.0, &given));
    let orders = with_exemplars(orders, &all);
    let level = metric(
        ["level", "", "Gauges show none."],
        vec![Vec::new()],
        gauge(&[1.0]),
    );
    let level = with_exemplars(level, &[(0, 1.0, &[])]);
    snapshot(&[], vec![duration, level, orders])
}

fn exponential_histograms() -> Snapshot {
    let one = || vec![Vec::new()];
    let native = |name: &'static str, help, points: &[_]| {
        metric(
            [name, "", help],
            one(),
            Data::ExponentialHistogram(exponential(points)),
        )
    };
    // The example of the specification.
    let worked = (0, 0, (3, &[10, 0, 0, 20, 5, 2][..]), (0, &[][..]));
    let mut fixed = Histograms::new([1.0, 100.0].into());
    fixed.push([0, 17, 20], Number::F64(12.5), None);
    let both = Data::Both(fixed, exponential(&[worked]));
    snapshot(
        &[],
        vec![
            metric(["both", "s", "Fixed and exponential."], one(), both),
            native(
                "coarse",
                "Coarser than any schema.",
                &[(-6, 1, (-1, &[3, 4]), (0, &[]))],
            ),
            native("empty", "Nothing recorded.", &[(20, 0, (0, &[]), (0, &[]))]),
            native(
                "fine",
                "Finer than any schema.",
                &[(10, 2, (0, &[1, 2, 3, 4, 5]), (-3, &[6, 7]))],
            ),
            native("worked", "The specification's example.", &[worked]),
        ],
    )
}

/// Names that are no trouble elsewhere.
fn openmetrics_names() -> Snapshot {
    let one = || vec![Vec::new()];
    let point: [(&[u64], Number); 1] = [(&[1, 2], Number::F64(-4.0))];
    snapshot(
        &attributes(&[("service.name", "osapi")]),
        vec![
            metric(
                ["a", "", "In the way of the counter."],
                one(),
                gauge(&[1.0]),
            ),
            metric(
                ["a", "", "Its name without _total is taken."],
                one(),
                counter(&[2]),
            ),
            metric(["b", "", "In a unit: \"s\"."], one(), counter(&[3])),
            metric(
                ["h", "By", "A sum that may fall."],
                one(),
                histogram(&[-1.0], &point),
            ),
            metric(
                ["h.created", "By", "In the way of a histogram."],
                one(),
                gauge(&[4.0]),
            ),
            metric(
                ["target", "", "In the way of the resource."],
                one(),
                gauge(&[5.0]),
            ),
            metric(["time", "s", "With a unit."], one(), counter(&[6])),
            metric(
                ["less", "", "Below zero."],
                one(),
                Data::Sum {
                    monotonic: true,
                    values: vec![Number::F64(-1.0)],
                },
            ),
        ],
    )
}

fn utf8_names() -> Snapshot {
    let labels = || attributes(&[("http.route", "/a"), ("plain", "b"), ("say \"hi\"\n", "c")]);
    let point: [(&[u64], Number); 1] = [(&[1, 2], Number::F64(4.0))];
    let latency = metric(
        ["http.latency", "s", "Quoted."],
        vec![Vec::new(), labels()],
        histogram(&[1.0], &[point[0], point[0]]),
    );
    let latency = with_exemplars(latency, &[(0, 0.5, &[KeyValue::new("user.id", "x")])]);
    snapshot(
        &attributes(&[("service.name", "osapi")]),
        vec![
            latency,
            metric(
                ["jobs.done", "", "Dots."],
                vec![Vec::new(), labels()],
                counter(&[3, 4]),
            ),
            metric(
                ["plain", "By", "Needs none."],
                vec![labels()],
                gauge(&[5.0]),
            ),
            metric(
                ["temperature.日本", "Cel", "Other letters."],
                vec![Vec::new()],
                gauge(&[21.5]),
            ),
            metric(
                ["a \"b\"\\\nc", "", "Escaped."],
                vec![Vec::new()],
                gauge(&[1.0]),
            ),
        ],
    )
}
