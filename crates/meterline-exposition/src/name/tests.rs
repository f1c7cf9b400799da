use super::*;
use TranslationStrategy::{
    None as Raw, UnderscoresWithSuffixes, UnderscoresWithoutSuffixes, Utf8WithSuffixes,
};
use proptest::prelude::*;

fn named(strategy: TranslationStrategy, name: &str, unit: &str, kind: Kind) -> String {
    metric_name(strategy, name, &crate::unit::unit_words(unit), kind).unwrap()
}

#[test]
fn suffixes_are_added_once_and_in_order() {
    use Kind::{Counter, Gauge, Histogram};
    for (name, unit, kind, expected) in [
        ("foo.bar", "By", Counter, "foo_bar_bytes_total"),
        ("io.bytes_total", "By", Counter, "io_bytes_total"),
        ("io_total", "By", Counter, "io_bytes_total"),
        ("requests_total", "", Counter, "requests_total"),
        ("requests.total", "1", Counter, "requests_total"),
        ("total", "", Counter, "total"),
        ("total", "By", Counter, "bytes_total"),
        ("seconds", "s", Counter, "seconds_total"),
        ("d_seconds", "s", Histogram, "d_seconds"),
        ("milliseconds", "s", Histogram, "milliseconds_seconds"),
        ("subtotal", "", Counter, "subtotal_total"),
        ("speed", "m/s", Gauge, "speed_meters_per_second"),
        ("ratio", "1", Gauge, "ratio"),
        ("packets", "{packet}", Counter, "packets_total"),
        ("queue_total", "", Gauge, "queue_total"),
        ("a..b__c-d", "", Gauge, "a_b_c_d"),
        ("trailing.", "s", Gauge, "trailing_seconds"),
        ("1st.try", "", Gauge, "_1st_try"),
        ("héllo", "", Gauge, "h_llo"),
        ("job:rate", "", Gauge, "job:rate"),
    ] {
        let got = named(UnderscoresWithSuffixes, name, unit, kind);
        assert_eq!(got, expected, "{name} in {unit}");
    }
}

/// The table of the specification's Prometheus exporter page, for formats without UTF-8 names.
#[test]
fn each_strategy_escaped_for_a_page_without_utf8() {
    for (strategy, expected) in [
        (UnderscoresWithSuffixes, "foo_bar_bytes_total"),
        (UnderscoresWithoutSuffixes, "foo_bar"),
        (Utf8WithSuffixes, "foo_bar_bytes_total"),
        (Raw, "foo_bar"),
    ] {
        assert_eq!(named(strategy, "foo.bar", "By", Kind::Counter), expected);
    }
    assert_eq!(named(Raw, "a..b", "", Kind::Gauge), "a__b");
    assert_eq!(named(Raw, "1a", "", Kind::Gauge), "_1a");
}

#[test]
fn a_name_of_nothing_but_symbols_is_no_name() {
    for name in ["", "_", "...", "日本", ":", "-/"] {
        for strategy in TranslationStrategy::ALL {
            assert_eq!(metric_name(strategy, name, "seconds", Kind::Counter), None);
        }
    }
}

#[test]
fn labels() {
    for (key, expected) in [
        ("http.route", "http_route"),
        ("1abc", "key_1abc"),
        ("", "_"),
        ("__name__", "_name_"),
        ("a:b", "a_b"),
        ("a::b", "a_b"),
        ("ключ", "_"),
        ("_private", "_private"),
    ] {
        assert_eq!(label_name(UnderscoresWithSuffixes, key), expected, "{key}");
    }
    assert_eq!(label_name(Raw, "__name__"), "_name__");
    assert_eq!(label_name(Raw, "a..b"), "a__b");
}

proptest! {
    #[test]
    fn names_and_labels_are_always_legal(
        text in prop_oneof!["\\PC*", any::<String>(), "[_:0-9a.]{0,8}"],
        unit: String,
        strategy in proptest::sample::select(&TranslationStrategy::ALL[..]),
        kind in proptest::sample::select(&[Kind::Counter, Kind::Gauge, Kind::Histogram][..]),
    ) {
        let unit = crate::unit::unit_words(&unit);
        if let Some(name) = metric_name(strategy, &text, &unit, kind) {
            prop_assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':'));
            prop_assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'));
            let counter = kind == Kind::Counter && strategy.adds_suffixes();
            prop_assert!(!counter || !name.ends_with("total_total"));
            if strategy.collapses() {
                prop_assert!(!name.contains("__"));
                prop_assert!(!counter || name.ends_with("total"));
            }
        }
        let label = label_name(strategy, &text);
        prop_assert!(label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'));
        prop_assert!(label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        prop_assert!(!label.starts_with("__"));
    }
}
