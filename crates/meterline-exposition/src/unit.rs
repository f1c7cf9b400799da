/// The units the OpenTelemetry specification names ("Prometheus and OpenMetrics Compatibility",
/// metric metadata), and their words. It spells `TiBy` "tebibytes" and kilobytes `kBy`, where the
/// Go translator differs; the specification wins.
const WORDS: &[(&str, &str)] = &[
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tebibytes"),
    ("kBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
    ("1", ""),
];

/// What stands behind the slash of a rate.
const PER: &[(&str, &str)] = &[
    ("s", "second"),
    ("m", "minute"),
    ("min", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// A UCUM unit as words fit for a metric name: `s` is `seconds`, `By/s` is `bytes_per_second`.
/// Empty if there is nothing to say: `1`, annotations such as `{packet}`, and units with
/// characters outside ASCII, of which only a misleading rest would be left (`µs` is not `s`).
pub(crate) fn unit_words(unit: &str) -> String {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let main = half(main, WORDS);
    match half(per, PER) {
        per if per.is_empty() => main,
        per if main.is_empty() => format!("per_{per}"),
        per => format!("{main}_per_{per}"),
    }
}

fn half(unit: &str, table: &[(&str, &str)]) -> String {
    let unit = without_annotations(unit);
    let unit = unit.trim();
    if let Some((_, words)) = table.iter().find(|(symbol, _)| *symbol == unit) {
        return (*words).to_owned();
    }
    if !unit.is_ascii() {
        return String::new();
    }
    let legal = crate::name::legal(unit, false, true);
    legal.trim_matches('_').to_owned()
}

/// What is left without `{...}`; an unclosed brace hides the rest.
fn without_annotations(unit: &str) -> String {
    let mut kept = String::new();
    let mut rest = unit;
    while let Some((before, annotation)) = rest.split_once('{') {
        kept.push_str(before);
        rest = annotation.split_once('}').map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_table() {
        for (symbol, words) in WORDS {
            assert_eq!(unit_words(symbol), *words);
        }
        assert_eq!(unit_words("TiBy"), "tebibytes");
        assert_eq!(unit_words("kBy"), "kilobytes");
    }

    #[test]
    fn rates_annotations_and_strangers() {
        for (unit, words) in [
            ("", ""),
            ("1", ""),
            ("{packet}", ""),
            ("{request}/s", "per_second"),
            ("m/s", "meters_per_second"),
            ("By/min", "bytes_per_minute"),
            ("1/s", "per_second"),
            ("By/{packet}", "bytes"),
            ("By{total}", "bytes"),
            ("{open", ""),
            ("/", ""),
            ("s/m/x", "seconds_per_m_x"),
            ("madeup", "madeup"),
            ("kW.h", "kW_h"),
            (" s ", "seconds"),
            ("$", ""),
            ("µs", ""),
        ] {
            assert_eq!(unit_words(unit), words, "{unit}");
        }
    }
}
