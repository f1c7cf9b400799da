use super::*;
use proptest::prelude::*;

/// As the endpoint offers them by default.
const ALL: [Format; 5] = Format::ALL;

const PROTOBUF: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn negotiated(accept: &str) -> (Format, Escaping) {
    let chosen = Exposition::negotiate(Some(accept), &ALL);
    (chosen.format, chosen.escaping)
}

/// What real servers send, as they sent it.
const PROMETHEUS_2_42: &str = "application/openmetrics-text;version=1.0.0,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_2_42_NATIVE: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited,\
    application/openmetrics-text;version=1.0.0;q=0.8,\
    application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
const PROMETHEUS_3_NATIVE: &str = "application/vnd.google.protobuf;\
    proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
    application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,\
    text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
const PROMETHEUS_3_LEGACY: &str = "application/openmetrics-text;version=1.0.0;\
    escaping=underscores;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=1.0.0;escaping=underscores;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

#[test]
fn what_each_prometheus_asks_for() {
    use Escaping::{AllowUtf8, Underscores};
    use Format::{OpenMetrics, OpenMetrics0, Protobuf, Text, TextUtf8};
    let without_openmetrics = [Text, TextUtf8, Protobuf];
    for (accept, offered, format, escaping) in [
        (PROMETHEUS_2_42, &ALL[..], OpenMetrics, Underscores),
        (
            PROMETHEUS_2_42,
            &[Text, OpenMetrics0],
            OpenMetrics0,
            Underscores,
        ),
        (PROMETHEUS_2_42, &without_openmetrics, Text, Underscores),
        (PROMETHEUS_2_42, &[Protobuf], Protobuf, Underscores),
        (PROMETHEUS_2_42_NATIVE, &ALL, Protobuf, Underscores),
        (PROMETHEUS_3, &ALL, OpenMetrics, AllowUtf8),
        (PROMETHEUS_3, &without_openmetrics, TextUtf8, AllowUtf8),
        (PROMETHEUS_3, &[Text], Text, Underscores),
        (PROMETHEUS_3_NATIVE, &ALL, Protobuf, Underscores),
        (
            PROMETHEUS_3_NATIVE,
            &[Text, OpenMetrics],
            OpenMetrics,
            AllowUtf8,
        ),
        (PROMETHEUS_3_LEGACY, &ALL, OpenMetrics, Underscores),
        (
            PROMETHEUS_3_LEGACY,
            &without_openmetrics,
            TextUtf8,
            Underscores,
        ),
    ] {
        let chosen = Exposition::negotiate(Some(accept), offered);
        assert_eq!(
            (chosen.format, chosen.escaping),
            (format, escaping),
            "{accept}"
        );
    }
}

#[test]
fn ranges_versions_and_qualities() {
    use Format::{OpenMetrics, OpenMetrics0, Protobuf, Text, TextUtf8};
    for (accept, format) in [
        ("", Text),
        ("*/*", Text),
        (
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            Text,
        ),
        ("application/json", Text),
        ("application/openmetrics-text;version=2.0.0", Text),
        ("application/openmetrics-text", OpenMetrics0),
        ("APPLICATION/OpenMetrics-Text; Version=1.0.0", OpenMetrics),
        (
            "application/openmetrics-text; version=\"1.0.0\"",
            OpenMetrics,
        ),
        ("text/plain", Text),
        ("text/plain;version=1.0.0", TextUtf8),
        ("text/plain;version=0.0.5", Text),
        ("text/*", Text),
        ("application/*", OpenMetrics),
        (PROTOBUF, Protobuf),
        ("application/vnd.google.protobuf", Text),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text",
            Text,
        ),
        // The highest quality, then the order.
        (
            "text/plain;q=0.4,application/openmetrics-text;version=1.0.0;q=0.5",
            OpenMetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.5",
            OpenMetrics,
        ),
        (
            "text/plain;q=0.5,application/openmetrics-text;version=1.0.0;q=0.5",
            Text,
        ),
        // A quality of zero excludes, also from a wider range.
        ("text/plain;q=0,*/*;q=0.1", TextUtf8),
        ("text/*;q=0,*/*;q=0.1", OpenMetrics),
        ("application/openmetrics-text;version=1.0.0;q=0", Text),
        // Nothing acceptable at all.
        ("*/*;q=0", Text),
        (
            "application/openmetrics-text;version=1.0.0;q=x,text/plain;q=0.1",
            Text,
        ),
        (";;,,=;/\"", Text),
    ] {
        assert_eq!(negotiated(accept).0, format, "{accept}");
    }
    assert_eq!(Exposition::negotiate(None, &ALL), Exposition::default());
}

#[test]
fn escaping_as_asked_for_where_the_format_can() {
    use Escaping::{AllowUtf8, Dots, Underscores, Values};
    for (accept, escaping) in [
        (
            "application/openmetrics-text;version=1.0.0;escaping=values",
            Values,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=dots",
            Dots,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=nonsense",
            Underscores,
        ),
        (
            "application/openmetrics-text;version=0.0.1;escaping=allow-utf-8",
            Underscores,
        ),
        (
            "application/openmetrics-text;version=0.0.1;escaping=values",
            Values,
        ),
        ("text/plain;version=0.0.4;escaping=allow-utf-8", Underscores),
        ("text/plain;version=0.0.4;escaping=dots", Dots),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", AllowUtf8),
    ] {
        assert_eq!(negotiated(accept).1, escaping, "{accept}");
    }
    let protobuf = format!("{PROTOBUF};escaping=allow-utf-8");
    assert_eq!(negotiated(&protobuf), (Format::Protobuf, AllowUtf8));
}

/// Prometheus 3 fails a scrape whose Content-Type it does not know.
#[test]
fn trap_25_every_answer_says_exactly_what_it_is() {
    let page = |format, escaping| Exposition::new(format, escaping).content_type();
    for (format, escaping, expected) in [
        (
            Format::Text,
            Escaping::Underscores,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            Format::Text,
            Escaping::AllowUtf8,
            "text/plain; version=0.0.4; charset=utf-8",
        ),
        (
            Format::Text,
            Escaping::Values,
            "text/plain; version=0.0.4; charset=utf-8; escaping=values",
        ),
        (
            Format::TextUtf8,
            Escaping::AllowUtf8,
            "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
        ),
        (
            Format::OpenMetrics,
            Escaping::Underscores,
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
        (
            Format::OpenMetrics0,
            Escaping::Underscores,
            "application/openmetrics-text; version=0.0.1; charset=utf-8",
        ),
        (
            Format::Protobuf,
            Escaping::Dots,
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
             encoding=delimited; escaping=dots",
        ),
    ] {
        assert_eq!(page(format, escaping), expected);
    }
}

/// What the Content-Type says, taken as an Accept header, is answered the same.
#[test]
fn content_types_ask_for_themselves() {
    for format in Format::ALL {
        for escaping in Escaping::ALL {
            let exposition = Exposition::new(format, escaping);
            let again = Exposition::negotiate(Some(exposition.content_type()), &ALL);
            assert_eq!(again, exposition);
        }
    }
}

#[test]
fn trap_29_codings_and_their_qualities() {
    use Coding::{Gzip, Identity, Zstd};
    for (accept, coding) in [
        ("", Identity),
        ("gzip", Gzip),
        ("GZIP", Gzip),
        ("x-gzip", Gzip),
        ("zstd", Zstd),
        ("gzip, deflate, br, zstd", Zstd),
        ("gzip;q=0", Identity),
        ("gzip;q=0.0, zstd;q=0.1", Zstd),
        ("gzip;q=1, zstd;q=0.5", Gzip),
        ("identity, gzip;q=0.5", Identity),
        ("identity;q=0.5, gzip;q=0.5", Gzip),
        ("identity;q=0", Identity),
        ("identity;q=0, *", Gzip),
        ("*", Gzip),
        ("*;q=0", Identity),
        ("gzip;q=0, *", Identity),
        ("deflate, br", Identity),
        ("gzip;q=nonsense", Identity),
    ] {
        assert_eq!(Coding::negotiate(Some(accept)), coding, "{accept}");
    }
    assert_eq!(Coding::negotiate(None), Identity);
}

proptest! {
    #[test]
    fn any_header_gets_something_offered(
        accept in prop_oneof![
            "\\PC*",
            "(text/(plain|\\*)|application/openmetrics-text|\\*/\\*)(;(q=[01.]{0,3}|version=[01.]{5}|escaping=[a-z-]*)){0,3}(,[a-z*/]*){0,3}",
        ],
        offered in proptest::sample::subsequence(ALL.to_vec(), 1..5),
    ) {
        let chosen = Exposition::negotiate(Some(&accept), &offered);
        prop_assert!(offered.contains(&chosen.format));
        prop_assert!(chosen.format.has_utf8_names() || chosen.escaping != Escaping::AllowUtf8);
        let coding = Coding::negotiate(Some(&accept));
        prop_assert_eq!(coding == Coding::Identity, coding.as_str().is_none());
    }
}
