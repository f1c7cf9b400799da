//! The JSON shows the families of the text page, whatever they hold.

use meterline_exposition::{Block, Translator, encode_json};
use serde_json::{Value, json};

use crate::hostile;

/// A number as a reader gets it from JSON: as such, or by its name.
fn number(value: &Value) -> f64 {
    let named = value
        .as_str()
        .map(|name| name.parse().expect("a number's name"));
    named.or_else(|| value.as_f64()).expect("a number")
}

fn same(value: &Value, expected: f64) -> bool {
    let value = number(value);
    value.to_bits() == expected.to_bits() || (value.is_nan() && expected.is_nan())
}

#[test]
fn hostile_snapshots_read_back() {
    for (options, snapshot) in hostile::samples(300) {
        let mut translator = Translator::new(options);
        let families = translator.translate(&snapshot);
        let mut page = Vec::new();
        encode_json(&families, &mut page).expect("every value has a JSON form");
        let shown: Vec<Value> = serde_json::from_slice(&page).expect("JSON");
        assert_eq!(shown.len(), families.iter().count());
        for (shown, family) in shown.iter().zip(families.iter()) {
            assert_eq!(shown["name"], family.name());
            assert_eq!(shown["type"], family.kind().as_str());
            assert_eq!(shown["help"], family.help());
            assert_eq!(shown["unit"], family.unit());
            let mut series = shown["series"].as_array().expect("series").iter();
            for block in family.blocks() {
                compare(block, &mut series);
            }
            assert_eq!(series.next(), None);
        }
    }
}

fn compare<'a>(block: Block<'_>, series: &mut impl Iterator<Item = &'a Value>) {
    let mut next = || series.next().expect("a series for every point");
    match block {
        Block::Numbers(block) => {
            for row in block.iter() {
                let shown = next();
                assert_eq!(shown["labels"], row.labels.iter().collect::<Value>());
                let value = row.value.as_f64();
                assert!(same(&shown["value"], value), "{shown} is {value:?}");
            }
        }
        Block::Histograms(block) => {
            for row in block.iter() {
                let shown = next();
                assert_eq!(shown["labels"], row.labels.iter().collect::<Value>());
                assert!(
                    same(&shown["sum"], row.sum().as_f64()),
                    "{shown} is {row:?}"
                );
                let buckets = shown["buckets"].as_array().expect("buckets");
                assert_eq!(buckets.len(), row.buckets().count());
                for (shown, bucket) in buckets.iter().zip(row.buckets()) {
                    assert!(same(&shown[0], bucket.bound), "{shown} is {bucket:?}");
                    assert_eq!(shown[1], json!(bucket.count));
                }
                let last = buckets.last().expect("at least +Inf");
                assert_eq!(*last, json!(["+Inf", shown["count"]]));
            }
        }
        _ => unreachable!("a block of a kind this test does not know"),
    }
}
