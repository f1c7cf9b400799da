use super::*;
use crate::escaping::is_legacy;
use TranslationStrategy::{
    None as Raw, UnderscoresWithSuffixes, UnderscoresWithoutSuffixes, Utf8WithSuffixes,
};
use proptest::prelude::*;

fn naming(strategy: TranslationStrategy, escaping: Escaping) -> Naming {
    Naming { strategy, escaping }
}

fn named(strategy: TranslationStrategy, name: &str, unit: &str, kind: Kind) -> String {
    let naming = naming(strategy, Escaping::Underscores);
    naming
        .metric(name, &crate::unit::unit_words(unit), kind)
        .unwrap()
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

/// The table of the specification's Prometheus exporter page.
#[test]
fn each_strategy_then_each_escaping() {
    for (strategy, underscores, utf8) in [
        (
            UnderscoresWithSuffixes,
            "foo_bar_bytes_total",
            "foo_bar_bytes_total",
        ),
        (UnderscoresWithoutSuffixes, "foo_bar", "foo_bar"),
        (
            Utf8WithSuffixes,
            "foo_bar_bytes_total",
            "foo.bar_bytes_total",
        ),
        (Raw, "foo_bar", "foo.bar"),
    ] {
        assert_eq!(named(strategy, "foo.bar", "By", Kind::Counter), underscores);
        let allowed = naming(strategy, Escaping::AllowUtf8);
        let allowed = allowed.metric("foo.bar", "bytes", Kind::Counter);
        assert_eq!(allowed.as_deref(), Some(utf8));
    }
    assert_eq!(named(Raw, "a..b", "", Kind::Gauge), "a__b");
    assert_eq!(named(Raw, "1a", "", Kind::Gauge), "_a");
    let dots = naming(UnderscoresWithSuffixes, Escaping::Dots);
    let dotted = dots.metric("foo.bar", "", Kind::Gauge);
    assert_eq!(dotted.as_deref(), Some("foo__bar"));
    let values = naming(Utf8WithSuffixes, Escaping::Values);
    let values = values.metric("日.x", "seconds", Kind::Gauge);
    assert_eq!(values.as_deref(), Some("U___65e5__2e_x__seconds"));
}

#[test]
fn a_name_of_nothing_but_symbols_is_no_name() {
    for name in ["", "_", "...", "日本", ":", "-/"] {
        for strategy in TranslationStrategy::ALL {
            let naming = naming(strategy, Escaping::Underscores);
            assert_eq!(naming.metric(name, "seconds", Kind::Counter), None);
        }
    }
    let utf8 = naming(Raw, Escaping::AllowUtf8);
    assert_eq!(
        utf8.metric("日本", "", Kind::Gauge).as_deref(),
        Some("日本")
    );
    assert_eq!(utf8.metric("", "seconds", Kind::Gauge), None);
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
        let naming = naming(UnderscoresWithSuffixes, Escaping::Underscores);
        assert_eq!(naming.label(key), expected, "{key}");
    }
    for (escaping, key, expected) in [
        (Escaping::Underscores, "__name__", "_name__"),
        (Escaping::Underscores, "a..b", "a__b"),
        (Escaping::Underscores, "._x", "_x"),
        (Escaping::AllowUtf8, "__name__", "_name__"),
        (Escaping::AllowUtf8, "a..b", "a..b"),
        (Escaping::AllowUtf8, "", "_"),
        (Escaping::Values, "a:b", "U__a_3a_b"),
        (Escaping::Dots, "_x", "key__x"),
        (Escaping::Dots, "a.b_c", "a_dot_b__c"),
    ] {
        assert_eq!(naming(Raw, escaping).label(key), expected, "{key}");
    }
}

proptest! {
    #[test]
    fn names_and_labels_are_always_legal(
        text in prop_oneof!["\\PC*", any::<String>(), "[_:0-9a.]{0,8}"],
        unit: String,
        strategy in proptest::sample::select(&TranslationStrategy::ALL[..]),
        escaping in proptest::sample::select(&Escaping::ALL[1..]),
        kind in proptest::sample::select(&[Kind::Counter, Kind::Gauge, Kind::Histogram][..]),
    ) {
        let unit = crate::unit::unit_words(&unit);
        let naming = naming(strategy, escaping);
        if let Some(name) = naming.metric(&text, &unit, kind) {
            prop_assert!(is_legacy(&name, true), "{}", name);
            if escaping == Escaping::Underscores {
                let counter = kind == Kind::Counter && strategy.adds_suffixes();
                prop_assert!(!counter || !name.ends_with("total_total"));
                prop_assert!(!(counter && strategy.is_legal()) || name.ends_with("total"));
                prop_assert!(!strategy.is_legal() || !name.contains("__"));
            }
        }
        let label = naming.label(&text);
        prop_assert!(is_legacy(&label, false), "{}", label);
        prop_assert!(!label.starts_with("__"));
    }
}
