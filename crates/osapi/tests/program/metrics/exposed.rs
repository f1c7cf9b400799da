//! How a row of the catalogue shows on a page.

use std::collections::BTreeSet;

use meterline_exposition::{TranslationOptions, Translator};
use meterline_sdk::MeterProvider;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use osapi::metrics::Instruments;
use osapi::metrics::catalogue::{Kind, Metric};

/// What Prometheus sees of a row.
#[derive(Debug, PartialEq)]
pub(crate) struct Exposed {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) unit: String,
    pub(crate) help: String,
}

/// Records one measurement of a row, and translates what comes of it: nothing here knows the rules
/// for names.
pub(crate) fn exposed(row: &Metric) -> Exposed {
    let provider = MeterProvider::builder().build();
    let meter = provider.meter("scratch");
    let name = row.name_in("osapi");
    let instruments = Instruments::new(meter.clone(), "osapi");
    let attributes: Vec<_> = row
        .attributes
        .iter()
        .map(|key| KeyValue::new(*key, "x"))
        .collect();
    match row.kind {
        Kind::Histogram(_) => instruments.histogram(row).record(1.0, &attributes),
        Kind::Gauge | Kind::Counter => {
            instruments.observe(row, move |to| to.observe(1.0, &attributes));
        }
        Kind::UpDownCounter => {
            let counter = meter.i64_up_down_counter(name.clone()).with_unit(row.unit);
            counter
                .with_description(row.help)
                .build()
                .add(1, &attributes);
        }
    }
    let mut options = TranslationOptions::default();
    options.target_info = false;
    let mut translator = Translator::new(options);
    let snapshot = provider.collect();
    let families = translator.translate(&snapshot);
    let mut all = families.iter();
    let family = all.next().unwrap_or_else(|| panic!("{name} shows nothing"));
    assert!(all.next().is_none(), "{name} is more than one family");
    Exposed {
        name: family.name().to_owned(),
        kind: family.kind().as_str(),
        unit: family.unit().to_owned(),
        help: family.help().to_owned(),
    }
}

/// The labels of a row's series, without those every series has.
pub(crate) fn labels(row: &Metric) -> BTreeSet<String> {
    let names = row.attributes.iter();
    names.map(|name| name.replace('.', "_")).collect()
}
