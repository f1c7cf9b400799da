//! Where other exporters go wrong, each by its number in `docs/traps.md`.

use meterline_exposition::{Escaping, Exposition, Format, TranslationOptions, Translator};
use meterline_sdk::{Data, Metric, Number};
use opentelemetry::{InstrumentationScope, KeyValue};

use crate::build::{
    attributes, counter, gauge, histogram, in_scope, metric, page as page_in, snapshot, text_page,
    with_exemplars,
};

/// The page of these metrics, without scope labels.
fn page(metrics: Vec<Metric>) -> String {
    let mut options = TranslationOptions::default();
    options.scope_labels = false;
    text_page(&options, &snapshot(&[], metrics))
}

fn scoped(scope: &'static str, name: &str, data: Data) -> Metric {
    let scope = InstrumentationScope::builder(scope).build();
    in_scope(scope, [name, "", "Help."], [Vec::new()], data)
}

#[test]
fn trap_01_no_attribute_key_breaks_the_page() {
    let keys = [
        ("1abc", "a"),
        ("k.x", "b"),
        ("k_x", "c"),
        ("le", "d"),
        ("__name__", "e"),
    ];
    let metric = metric(
        ["h", "", ""],
        vec![attributes(&keys)],
        histogram(&[1.0], &[(&[1, 0], Number::U64(1))]),
    );
    let labels = r#"{_name_="e",exported_le="d",k_x="b;c",key_1abc="a""#;
    let page = page(vec![metric]);
    assert!(
        page.contains(&format!("h_bucket{labels},le=\"1\"}} 1\n")),
        "{page}"
    );
}

#[test]
fn trap_02_the_same_type_wins_every_time() {
    for _ in 0..20 {
        let page = page(vec![
            scoped("a", "x", counter(&[1])),
            scoped("c", "x_total", gauge(&[2.0])),
        ]);
        assert_eq!(
            page,
            "# HELP x_total Help.\n# TYPE x_total counter\nx_total 1\n"
        );
    }
}

#[test]
fn trap_03_two_scopes_share_one_family() {
    let both = vec![
        scoped("a", "x", counter(&[1])),
        scoped("b", "x", counter(&[2])),
    ];
    let page = text_page(&TranslationOptions::default(), &snapshot(&[], both));
    assert_eq!(page.matches("# TYPE x_total counter").count(), 1, "{page}");
    assert!(page.contains("x_total{otel_scope_name=\"a\"} 1\nx_total{otel_scope_name=\"b\"} 2\n"));
}

#[test]
fn trap_04_no_series_is_there_twice() {
    let metrics = vec![
        scoped("a", "a.b", counter(&[1])),
        scoped("a", "a_b", counter(&[2])),
    ];
    let snapshot = snapshot(&[], metrics);
    let mut translator = Translator::new(TranslationOptions::default());
    assert_eq!(translator.translate(&snapshot).dropped().total(), 1);
    let page = text_page(&TranslationOptions::default(), &snapshot);
    assert_eq!(page.matches("\na_b_total").count(), 1, "{page}");
}

#[test]
fn trap_05_and_06_suffixes_once_and_units_of_one_table() {
    for (name, unit, data, shown) in [
        ("requests_total", "", counter(&[1]), "requests_total"),
        ("io_bytes_total", "By", counter(&[1]), "io_bytes_total"),
        ("d_seconds", "s", gauge(&[1.0]), "d_seconds"),
        ("rate", "By/s", gauge(&[1.0]), "rate_bytes_per_second"),
        ("c1", "1", counter(&[1]), "c1_total"),
        ("disk", "TiBy", gauge(&[1.0]), "disk_tebibytes"),
        ("disk", "kBy", gauge(&[1.0]), "disk_kilobytes"),
    ] {
        let page = page(vec![metric([name, unit, ""], [Vec::new()], data)]);
        assert!(page.ends_with(&format!("\n{shown} 1\n")), "{page}");
    }
}

#[test]
fn trap_12_the_count_is_that_of_the_last_bucket() {
    let data = histogram(&[1.0, 2.0], &[(&[3, 4, 5], Number::F64(20.5))]);
    let page = page(vec![metric(["h", "", ""], [Vec::new()], data)]);
    assert!(
        page.contains("h_bucket{le=\"+Inf\"} 12\nh_sum 20.5\nh_count 12\n"),
        "{page}"
    );
}

#[test]
fn trap_01_colliding_keys_are_joined_in_the_order_of_the_keys() {
    let keys = attributes(&[("c.d", "z"), ("c_d", "a")]);
    let page = page(vec![metric(["x", "", ""], [keys], gauge(&[1.0]))]);
    assert!(page.contains("x{c_d=\"z;a\"} 1\n"), "{page}");
}

#[test]
fn trap_26_escapes_and_empty_labels() {
    let keys = attributes(&[("a", "\\ \n \""), ("b", "")]);
    let page = page(vec![metric(["x", "", "\\ \n \""], [keys], gauge(&[1.0]))]);
    let expected = "# HELP x \\\\ \\n \"\n# TYPE x gauge\nx{a=\"\\\\ \\n \\\"\"} 1\n";
    assert_eq!(page, expected);
}

#[test]
fn trap_27_values_of_other_types_and_their_collisions() {
    let series = vec![
        vec![KeyValue::new("c", 200)],
        vec![KeyValue::new("c", "200")],
    ];
    let snapshot = snapshot(&[], vec![metric(["x", "", ""], series, gauge(&[1.0, 2.0]))]);
    let mut translator = Translator::new(TranslationOptions::default());
    assert_eq!(translator.translate(&snapshot).dropped().total(), 1);
    let list = KeyValue::new("l", opentelemetry::Value::Array(vec![1_i64, 2].into()));
    let page = page(vec![metric(["x", "", ""], [vec![list]], gauge(&[1.0]))]);
    assert!(page.contains("x{l=\"[1,2]\"} 1\n"), "{page}");
}

#[test]
fn trap_25_what_openmetrics_demands() {
    let long = KeyValue::new("note", "x".repeat(200));
    let orders = metric(["orders", "", ""], [Vec::new()], counter(&[2]));
    let orders = with_exemplars(orders, &[(0, 2.0, &[long])]);
    let data = histogram(&[1.0], &[(&[1, 0], Number::F64(0.5))]);
    let latency = metric(["latency", "s", ""], [Vec::new()], data);
    let mut options = TranslationOptions::default();
    options.scope_labels = false;
    let snapshot = snapshot(&[], vec![latency, orders]);
    let page = page_in(Format::OpenMetrics, &options, &snapshot);
    let trace = format!("{:032x}", 1);
    let span = format!("{:016x}", 1);
    let expected = format!(
        "# TYPE latency_seconds histogram\n# UNIT latency_seconds seconds\n\
         latency_seconds_bucket{{le=\"1.0\"}} 1\nlatency_seconds_bucket{{le=\"+Inf\"}} 1\n\
         latency_seconds_sum 0.5\nlatency_seconds_count 1\n\
         # TYPE orders counter\n\
         orders_total 2 # {{trace_id=\"{trace}\",span_id=\"{span}\"}} 2 1700000000.001\n# EOF\n"
    );
    assert_eq!(String::from_utf8_lossy(&page), expected);
}

#[test]
fn trap_32_the_defaults_are_the_specifications() {
    let options = TranslationOptions::default();
    assert!(options.scope_labels && options.target_info && options.resource_labels.is_empty());
    let nothing_said = Exposition::negotiate(None, &Format::ALL);
    assert_eq!(nothing_said.format, Format::Text);
    assert_eq!(nothing_said.escaping, Escaping::Underscores);
    // Its protobuf is another than the one OpenMetrics describes, which exporters must not send.
    let openmetrics = "application/openmetrics-protobuf;version=1.0.0";
    let asked = Exposition::negotiate(Some(openmetrics), &Format::ALL);
    assert_eq!(asked.format, Format::Text);
}
