use crate::families::Kind;
use crate::options::TranslationStrategy;

/// The Prometheus name of an instrument, or `None` if nothing readable would be left of it (no
/// ASCII letter or digit). `unit` is in words, as [`unit_words`](crate::unit::unit_words) gives it.
pub(crate) fn metric_name(
    strategy: TranslationStrategy,
    name: &str,
    unit: &str,
    kind: Kind,
) -> Option<String> {
    let mut name = legal(name, true, strategy.collapses());
    if !name.contains(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    if strategy.adds_suffixes() {
        // The order is unit, then type: an early `_total` has to make room for the unit.
        let counter = kind == Kind::Counter;
        if counter {
            while let Some(stem) = without_word(&name, "total") {
                name.truncate(stem.len());
            }
        }
        if !unit.is_empty() && without_word(&name, unit).is_none() {
            append_word(&mut name, unit, strategy.collapses());
        }
        if counter {
            append_word(&mut name, "total", strategy.collapses());
        }
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert(0, '_');
    }
    Some(name)
}

/// The Prometheus name of an attribute. Never empty, and never starting with `__`, which
/// Prometheus keeps for itself (`__name__` comes out as `_name__` or `_name_`).
pub(crate) fn label_name(strategy: TranslationStrategy, key: &str) -> String {
    let mut name = legal(key, false, strategy.collapses());
    let doubled = name.len() - name.trim_start_matches('_').len();
    if doubled > 1 {
        name.drain(..doubled - 1);
    }
    match name.as_bytes().first() {
        None => name.push('_'),
        Some(b'0'..=b'9') => name.insert_str(0, "key_"),
        Some(_) => {}
    }
    name
}

/// `text` with every character outside `[a-zA-Z0-9_]` (and `:`, where `colon` allows it) replaced
/// by `_`, and runs of `_` as one where `collapse` says so.
pub(crate) fn legal(text: &str, colon: bool, collapse: bool) -> String {
    let mut name = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        let c = if c.is_ascii_alphanumeric() || (colon && c == ':') {
            c
        } else {
            '_'
        };
        if !(collapse && c == '_' && name.ends_with('_')) {
            name.push(c);
        }
    }
    name
}

/// `name` without `word` at its end, if it stands there as a word of its own.
fn without_word<'a>(name: &'a str, word: &str) -> Option<&'a str> {
    match name.strip_suffix(word)? {
        "" => Some(""),
        stem => stem.strip_suffix('_'),
    }
}

fn append_word(name: &mut String, word: &str, collapse: bool) {
    let separated = name.is_empty() || (collapse && name.ends_with('_'));
    if !separated {
        name.push('_');
    }
    name.push_str(word);
}

#[cfg(test)]
mod tests;
