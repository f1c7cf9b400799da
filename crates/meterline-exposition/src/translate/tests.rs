use std::time::UNIX_EPOCH;

use meterline_sdk::{
    Data, Descriptor, Exemplars, Histograms, InstrumentKind, Number, Resource, Series, Temporality,
};
use opentelemetry::{InstrumentationScope, KeyValue};

use super::*;
use crate::Format;
use crate::dropped::Dropped;

fn metric(scope: &'static str, name: &'static str, data: Data) -> Metric {
    let series = (0..data.len()).map(|id| series(i64::try_from(id).unwrap()));
    Metric {
        scope: Arc::new(InstrumentationScope::builder(scope).build()),
        descriptor: Arc::new(Descriptor {
            name: name.into(),
            kind: InstrumentKind::Counter,
            unit: "".into(),
            description: scope.into(),
        }),
        series: series.collect(),
        data,
        temporality: Temporality::Cumulative,
        exemplars: Exemplars::default(),
    }
}

fn series(id: i64) -> Arc<Series> {
    Arc::new(Series::new(&[KeyValue::new("id", id)], UNIX_EPOCH))
}

fn counter(values: &[u64]) -> Data {
    Data::Sum {
        monotonic: true,
        values: values.iter().copied().map(Number::U64).collect(),
    }
}

fn gauge(values: &[u64]) -> Data {
    Data::Gauge(values.iter().copied().map(Number::U64).collect())
}

fn histogram() -> Data {
    let mut data = Histograms::new([1.0].into());
    data.push([1, 2], Number::U64(9), None);
    Data::Histogram(data)
}

fn snapshot(metrics: Vec<Metric>) -> Snapshot {
    Snapshot {
        time: UNIX_EPOCH,
        resource: Arc::default(),
        metrics,
    }
}

fn bare() -> Translator {
    Translator::new(TranslationOptions {
        scope_labels: false,
        ..TranslationOptions::default()
    })
}

fn page(translator: &mut Translator, snapshot: &Snapshot) -> (String, Dropped) {
    let families = translator.translate(snapshot);
    let mut page = Vec::new();
    Format::Text.encode(&families, &mut page);
    (String::from_utf8(page).unwrap(), families.dropped())
}

fn only(reason: DropReason, points: usize) -> Dropped {
    let mut dropped = Dropped::default();
    dropped.add(reason, points);
    dropped
}

#[test]
fn of_conflicting_types_the_first_wins_and_the_others_go_as_a_whole() {
    let metrics = vec![
        metric("a", "x", counter(&[1, 2])),
        metric("b", "x_total", gauge(&[3, 4])),
    ];
    let (text, dropped) = page(&mut bare(), &snapshot(metrics));
    assert_eq!(
        text,
        "# HELP x_total a\n# TYPE x_total counter\nx_total{id=\"0\"} 1\nx_total{id=\"1\"} 2\n"
    );
    assert_eq!(dropped, only(DropReason::TypeConflict, 2));
}

#[test]
fn no_sample_bears_the_name_of_another_familys_sample() {
    let histogram_first = snapshot(vec![
        metric("a", "x", histogram()),
        metric("b", "x_count", gauge(&[1])),
    ]);
    let (text, dropped) = page(&mut bare(), &histogram_first);
    assert!(text.contains("# TYPE x histogram"));
    assert!(!text.contains("gauge"));
    assert_eq!(dropped, only(DropReason::NameConflict, 1));

    let gauge_first = snapshot(vec![
        metric("a", "x_bucket", gauge(&[1])),
        metric("b", "x", histogram()),
    ]);
    let (text, dropped) = page(&mut bare(), &gauge_first);
    assert!(!text.contains("histogram"));
    assert_eq!(dropped, only(DropReason::NameConflict, 1));
}

#[test]
fn one_name_from_two_scopes_is_one_family_with_the_first_help() {
    let metrics = vec![metric("a", "x", gauge(&[1])), metric("b", "x", gauge(&[2]))];
    let mut translator = Translator::new(TranslationOptions::default());
    let (text, dropped) = page(&mut translator, &snapshot(metrics));
    assert_eq!(
        text,
        "# HELP x a\n# TYPE x gauge\n\
         x{id=\"0\",otel_scope_name=\"a\"} 1\nx{id=\"0\",otel_scope_name=\"b\"} 2\n"
    );
    assert_eq!(dropped, Dropped::default());
}

#[test]
fn a_missing_help_is_taken_from_the_next_that_has_one() {
    let metrics = vec![metric("", "x", gauge(&[1])), metric("b", "x", gauge(&[2]))];
    let mut translator = Translator::new(TranslationOptions::default());
    let (text, _) = page(&mut translator, &snapshot(metrics));
    assert!(text.starts_with("# HELP x b\n"), "{text}");
}

#[test]
fn of_duplicates_the_first_is_kept() {
    let metrics = vec![
        metric("a", "a.b", counter(&[1, 2])),
        metric("a", "a_b", counter(&[3, 4, 5])),
    ];
    let (text, dropped) = page(&mut bare(), &snapshot(metrics));
    let values: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(
        values,
        [
            "a_b_total{id=\"0\"} 1",
            "a_b_total{id=\"1\"} 2",
            "a_b_total{id=\"2\"} 5"
        ]
    );
    assert_eq!(dropped, only(DropReason::DuplicateSeries, 2));
}

#[test]
fn duplicates_within_one_instrument_by_value_type_and_emptiness() {
    let attributes = [
        vec![KeyValue::new("code", 200)],
        vec![KeyValue::new("code", "200")],
        vec![KeyValue::new("code", "200"), KeyValue::new("empty", "")],
        vec![KeyValue::new("code", 200.0)],
    ];
    let mut x = metric("a", "x", gauge(&[1, 2, 3, 4]));
    x.series = attributes
        .iter()
        .map(|a| Arc::new(Series::new(a, UNIX_EPOCH)))
        .collect();
    let (text, dropped) = page(&mut bare(), &snapshot(vec![x]));
    assert!(text.ends_with("gauge\nx{code=\"200\"} 1\n"), "{text}");
    assert_eq!(dropped, only(DropReason::DuplicateSeries, 3));
}

#[test]
fn unnameable_instruments_are_dropped_and_counted() {
    let metrics = vec![
        metric("a", "...", gauge(&[1, 2])),
        metric("a", "", histogram()),
    ];
    let (text, dropped) = page(&mut bare(), &snapshot(metrics));
    assert_eq!(text, "");
    assert_eq!(dropped, only(DropReason::InvalidName, 3));
}

#[test]
fn the_resource_is_target_info_and_no_instrument_poses_as_it() {
    let mut snapshot = snapshot(vec![metric("a", "target.info", gauge(&[7]))]);
    snapshot.resource = Arc::new(Resource::new(&[KeyValue::new("service.name", "osapi")]));
    let (text, dropped) = page(&mut bare(), &snapshot);
    assert_eq!(
        text,
        "# HELP target_info Target metadata\n# TYPE target_info gauge\n\
         target_info{service_name=\"osapi\"} 1\n"
    );
    assert_eq!(dropped, only(DropReason::TypeConflict, 1));

    let options = TranslationOptions {
        scope_labels: false,
        target_info: false,
        ..TranslationOptions::default()
    };
    let (text, dropped) = page(&mut Translator::new(options), &snapshot);
    assert!(text.ends_with("target_info{id=\"0\"} 7\n"), "{text}");
    assert_eq!(dropped, Dropped::default());
}

#[test]
fn an_empty_resource_is_no_target() {
    let (text, _) = page(&mut bare(), &snapshot(Vec::new()));
    assert_eq!(text, "");
}

/// One translator over changing snapshots writes what a new one writes for each of them.
#[test]
fn nothing_remembered_shows_where_it_should_not() {
    let x = metric("a", "x", gauge(&[1, 2, 3]));
    let y = metric("b", "x", gauge(&[4, 5]));
    let clash = metric("0", "x", counter(&[6]));
    let mut fewer = x.clone();
    fewer.series = [Arc::clone(&x.series[0]), Arc::clone(&x.series[2])].into();
    fewer.data = gauge(&[7, 8]);
    let mut described = y.clone();
    described.descriptor = Arc::new(Descriptor {
        name: "z".into(),
        ..(*y.descriptor).clone()
    });
    let mut other_resource = snapshot(vec![x.clone()]);
    other_resource.resource = Arc::new(Resource::new(&[KeyValue::new("host", "h")]));
    let steps = [
        snapshot(vec![x.clone(), y.clone()]),
        snapshot(vec![x.clone(), y.clone()]),
        snapshot(vec![fewer.clone(), y.clone()]),
        snapshot(vec![y.clone()]),
        snapshot(Vec::new()),
        snapshot(vec![clash, x.clone(), y.clone()]),
        snapshot(vec![x.clone(), x.clone(), y.clone()]),
        snapshot(vec![x, described]),
        other_resource,
    ];
    let mut options = TranslationOptions {
        resource_labels: vec!["host".into()],
        ..TranslationOptions::default()
    };
    for scope_labels in [false, true] {
        options.scope_labels = scope_labels;
        let mut translator = Translator::new(options.clone());
        for step in steps.iter().chain(steps.iter().rev()) {
            let remembered = page(&mut translator, step);
            assert_eq!(
                remembered,
                page(&mut Translator::new(options.clone()), step)
            );
        }
    }
}

#[test]
fn more_values_than_series_or_fewer_is_no_panic() {
    let mut x = metric("a", "x", gauge(&[1, 2]));
    x.data = gauge(&[1]);
    let mut y = metric("a", "y", gauge(&[1]));
    y.data = gauge(&[1, 2]);
    let (text, _) = page(&mut bare(), &snapshot(vec![x, y]));
    let samples = text.lines().filter(|l| !l.starts_with('#'));
    assert_eq!(samples.count(), 2);
}
