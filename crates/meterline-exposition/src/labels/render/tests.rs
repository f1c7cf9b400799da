use super::*;
use crate::labels::Labels;

fn rendered(kind: Kind, attributes: &[KeyValue]) -> String {
    let mut out = String::new();
    LabelRules::bare(Naming::default(), kind).render(&mut out, &Attributes::new(attributes));
    out
}

fn gauge(attributes: &[(&'static str, &'static str)]) -> String {
    let attributes: Vec<_> = attributes
        .iter()
        .map(|(k, v)| KeyValue::new(*k, *v))
        .collect();
    rendered(Kind::Gauge, &attributes)
}

fn scoped(options: &TranslationOptions, attributes: &[KeyValue]) -> String {
    let scope = InstrumentationScope::builder("shop")
        .with_version("1.2")
        .with_schema_url("https://example.com/1")
        .with_attributes([
            KeyValue::new("team", "till"),
            KeyValue::new("name", "dropped"),
            KeyValue::new("schema.url", "dropped"),
        ])
        .build();
    let resource = Resource::new(&[
        KeyValue::new("host.name", "db1"),
        KeyValue::new("service.name", "osapi"),
    ]);
    let mut rules = LabelRules::new(options, Kind::Gauge, &scope, &resource);
    let mut out = String::new();
    rules.render(&mut out, &Attributes::new(attributes));
    out
}

#[test]
fn sorted_by_name_and_escaped() {
    assert_eq!(gauge(&[]), "");
    assert_eq!(
        gauge(&[("b.c", "say \"hi\"\n"), ("a", "C:\\")]),
        r#"a="C:\\",b_c="say \"hi\"\n""#
    );
}

/// In the order of the keys, whatever the values say.
#[test]
fn colliding_keys_are_joined_in_the_order_of_their_keys() {
    let joined = gauge(&[("k_x", "a"), ("k.x", "z"), ("k-x", "m")]);
    assert_eq!(joined, r#"k_x="m;z;a""#);
}

#[test]
fn empty_values_are_absent_unless_joined() {
    assert_eq!(gauge(&[("a", ""), ("b", "1")]), r#"b="1""#);
    assert_eq!(gauge(&[("k.x", ""), ("k_x", "1")]), r#"k_x=";1""#);
}

#[test]
fn buckets_keep_their_label_to_themselves() {
    let le = [KeyValue::new("le", "5"), KeyValue::new("exported.le", "6")];
    assert_eq!(rendered(Kind::Histogram, &le), r#"exported_le="6;5""#);
    assert_eq!(rendered(Kind::Gauge, &le), r#"exported_le="6",le="5""#);
}

#[test]
fn the_metric_name_cannot_be_given_as_a_label() {
    assert_eq!(gauge(&[("__name__", "evil")]), r#"_name_="evil""#);
}

#[test]
fn scope_labels_leave_out_attributes_that_would_pose_as_its_identity() {
    let options = TranslationOptions::default();
    assert_eq!(
        scoped(&options, &[]),
        r#"otel_scope_name="shop",otel_scope_schema_url="https://example.com/1",otel_scope_team="till",otel_scope_version="1.2""#
    );
}

#[test]
fn attributes_that_collide_with_scope_labels_are_joined() {
    let options = TranslationOptions::default();
    let labels = scoped(
        &options,
        &[
            KeyValue::new("otel.scope.name", "evil"),
            KeyValue::new("otel_scope_team", "red"),
        ],
    );
    assert!(
        labels.contains(r#"otel_scope_name="evil;shop""#),
        "{labels}"
    );
    assert!(labels.contains(r#"otel_scope_team="till;red""#), "{labels}");
}

#[test]
fn resource_labels_are_those_asked_for() {
    let options = TranslationOptions {
        scope_labels: false,
        resource_labels: vec!["host.name".into(), "absent".into()],
        ..TranslationOptions::default()
    };
    let labels = scoped(&options, &[KeyValue::new("host_name", "x")]);
    assert_eq!(labels, r#"host_name="db1;x""#);
}

#[test]
fn pairs_read_back_what_was_rendered() {
    let text = gauge(&[("a", "\\\",b=\"x\""), ("b", "line\nbreak"), ("c", "{},= ")]);
    let pairs: Vec<_> = Labels::rendered(&text).iter().collect();
    let pairs: Vec<_> = pairs.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(
        pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect::<Vec<_>>(),
        [("a", "\\\",b=\"x\""), ("b", "line\nbreak"), ("c", "{},= ")]
    );
}
