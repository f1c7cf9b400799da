use crate::escaping::Escaping;
use crate::families::Kind;
use crate::options::TranslationStrategy;

/// How the names of one page are made: the strategy first, then the escaping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) strategy: TranslationStrategy,
    pub(crate) escaping: Escaping,
}

impl Naming {
    /// The Prometheus name of an instrument, or `None` if nothing readable would be left of it (no
    /// ASCII letter or digit, unless the page can carry other characters). `unit` is in words, as
    /// [`unit_words`](crate::unit::unit_words) gives it.
    pub(crate) fn metric(self, name: &str, unit: &str, kind: Kind) -> Option<String> {
        let Self { strategy, escaping } = self;
        let mut name = if strategy.is_legal() {
            legal(name, true, true)
        } else {
            name.to_owned()
        };
        let any_will_do =
            !strategy.is_legal() && matches!(escaping, Escaping::AllowUtf8 | Escaping::Values);
        let readable = name.contains(|c: char| c.is_ascii_alphanumeric());
        if name.is_empty() || !(readable || any_will_do) {
            return None;
        }
        if strategy.adds_suffixes() {
            add_suffixes(&mut name, unit, kind, strategy.is_legal());
        }
        if strategy.is_legal() && name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert(0, '_');
        }
        Some(escaping.apply(&name, true))
    }

    /// The Prometheus name of an attribute. Never empty, and never starting with `__`, which
    /// Prometheus keeps for itself (`__name__` comes out as `_name__` or `_name_`).
    pub(crate) fn label(self, key: &str) -> String {
        let Self { strategy, escaping } = self;
        let mut name = if strategy.is_legal() {
            legal(key, false, true)
        } else {
            without_reserved(key).to_owned()
        };
        match name.as_bytes().first() {
            None => name.push('_'),
            Some(b'0'..=b'9') if strategy.is_legal() => name.insert_str(0, "key_"),
            Some(_) => {}
        }
        let mut name = escaping.apply(&name, false);
        if name.starts_with("__") {
            match escaping {
                // Two underscores mean one here, so that none may be taken away.
                Escaping::Dots => name.insert_str(0, "key"),
                _ => name = without_reserved(&name).to_owned(),
            }
        }
        name
    }
}

/// Appends the unit, then the type: an early `_total` has to make room for the unit.
fn add_suffixes(name: &mut String, unit: &str, kind: Kind, collapse: bool) {
    let counter = kind == Kind::Counter;
    if counter {
        while let Some(stem) = without_word(name, "total") {
            name.truncate(stem.len());
        }
    }
    if !unit.is_empty() && without_word(name, unit).is_none() {
        append_word(name, unit, collapse);
    }
    if counter {
        append_word(name, "total", collapse);
    }
}

/// `name` with at most one underscore in front.
fn without_reserved(name: &str) -> &str {
    let doubled = name.len() - name.trim_start_matches('_').len();
    &name[doubled.saturating_sub(1)..]
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
        stem => stem.strip_suffix(['_', '.']),
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
