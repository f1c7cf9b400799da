use std::borrow::Cow;

use super::{Rule, Stop};

/// Reads a text page from front to back.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn is_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Steps over one ASCII character.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// Blanks and tabs.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|byte| byte == b' ' || byte == b'\t');
    }

    /// `wanted` must hold for whole characters: for no byte beyond ASCII, or for all.
    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let length = bytes.iter().position(|byte| !wanted(*byte));
        let length = length.unwrap_or(bytes.len());
        self.at += length;
        &rest[..length]
    }

    /// Up to a blank, a tab or the end of the line.
    pub(super) fn token(&mut self) -> &'a str {
        self.take_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'))
    }

    /// Up to the end of the line.
    pub(super) fn line(&mut self) -> &'a str {
        self.take_while(|byte| byte != b'\n')
    }

    /// Steps over the line feed that must be here.
    pub(super) fn end_of_line(&mut self) -> Result<(), Stop> {
        if self.eat(b'\n') {
            return Ok(());
        }
        if self.is_end() {
            return self.stop(
                Rule::LineEnd,
                "the page ends within a line; end the last line with a line feed (is the page cut off?)",
            );
        }
        if self.peek() == Some(b'\r') {
            return self.stop(
                Rule::LineEnd,
                "there is a carriage return; end lines with a line feed alone",
            );
        }
        let found = shown(self.rest());
        self.stop(
            Rule::Line,
            format!("expected the end of the line, found {found}; remove it"),
        )
    }

    pub(super) fn stop<T>(&self, rule: Rule, message: impl Into<String>) -> Result<T, Stop> {
        Err(Stop::new(self.at, rule, message))
    }

    /// A metric name without quotes; empty if there is none here.
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.name(true)
    }

    /// A label name without quotes; empty if there is none here.
    pub(super) fn label_name(&mut self) -> &'a str {
        self.name(false)
    }

    fn name(&mut self, colon: bool) -> &'a str {
        if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return "";
        }
        self.take_while(|byte| {
            byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':')
        })
    }

    /// A string in quotes, unescaped. Where `keep_unknown`, a backslash before anything else than
    /// `\`, `"` and `n` stands for itself, as OpenMetrics' grammar has it.
    pub(super) fn quoted(&mut self, keep_unknown: bool) -> Result<Cow<'a, str>, Stop> {
        let opened = self.at;
        if !self.eat(b'"') {
            let found = shown(self.rest());
            return self.stop(
                Rule::Labels,
                format!("expected a quote (\"), found {found}"),
            );
        }
        let plain = self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n'));
        if self.eat(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => self.escape(&mut text, true, keep_unknown)?,
                Some(_) if self.peek() != Some(b'\n') => {}
                _ => {
                    let why = "the quote opened here is not closed on its line; close it, and write \\\" for a quote and \\n for a line feed inside";
                    return Err(match self.peek() {
                        None => Stop::new(
                            self.at,
                            Rule::LineEnd,
                            "the page ends inside quotes; close them (is the page cut off?)",
                        ),
                        Some(_) => Stop::new(opened, Rule::Labels, why),
                    });
                }
            }
            text += self.take_while(|byte| !matches!(byte, b'"' | b'\\' | b'\n'));
        }
    }

    /// The rest of a line, unescaped: help.
    pub(super) fn help(&mut self, quotes: bool, keep_unknown: bool) -> Result<Cow<'a, str>, Stop> {
        let plain = self.take_while(|byte| !matches!(byte, b'\\' | b'\n'));
        if self.peek() != Some(b'\\') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while self.peek() == Some(b'\\') {
            self.escape(&mut text, quotes, keep_unknown)?;
            text += self.take_while(|byte| !matches!(byte, b'\\' | b'\n'));
        }
        Ok(Cow::Owned(text))
    }

    fn escape(&mut self, text: &mut String, quotes: bool, keep_unknown: bool) -> Result<(), Stop> {
        let escaped = self.text.as_bytes().get(self.at + 1);
        let plain = match escaped {
            Some(b'\\') => '\\',
            Some(b'n') => '\n',
            Some(b'"') if quotes => '"',
            _ if keep_unknown => {
                self.at += 1;
                text.push('\\');
                return Ok(());
            }
            _ => {
                let after = shown(&self.text[self.at + 1..]);
                return self.stop(
                    Rule::Escape,
                    format!(
                        "a backslash before {after} means nothing here; write \\\\ for a backslash"
                    ),
                );
            }
        };
        text.push(plain);
        self.at += 2;
        Ok(())
    }
}

/// The character a text begins with, for a message.
pub(super) fn shown(text: &str) -> String {
    match text.chars().next() {
        None => "the end of the page".to_owned(),
        Some('\n') => "the end of the line".to_owned(),
        Some(found) => format!("{found:?}"),
    }
}

/// A token as a message may show it: escaped, and not too long.
pub(super) fn quoted(token: &str) -> String {
    match token.char_indices().nth(40) {
        Some((cut, _)) => format!("{:?}...", &token[..cut]),
        None => format!("{token:?}"),
    }
}

/// A number: digits with point and exponent, `Inf`, `Infinity`, `NaN` in any case, as both
/// Prometheus and the grammar of OpenMetrics have it. `None` also for one beyond 64-bit floats.
pub(super) fn number(token: &str) -> Option<f64> {
    let unsigned = token.strip_prefix(['+', '-']).unwrap_or(token);
    let digits = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    // Prometheus has no signed NaN, Rust has.
    if !digits && unsigned.len() != token.len() && unsigned.eq_ignore_ascii_case("nan") {
        return None;
    }
    let value: f64 = token.parse().ok()?;
    (!digits || value.is_finite()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (token, value) in [
            ("1", 1.0),
            ("+1", 1.0),
            ("-1.5e3", -1500.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("1E5", 1e5),
            ("007", 7.0),
            ("inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("+Inf", f64::INFINITY),
        ] {
            assert_eq!(number(token), Some(value), "{token}");
        }
        assert!(number("nAn").is_some_and(f64::is_nan));
        for token in [
            "", "+", ".", "e5", "-NaN", "+nan", "1e999", "0x1p3", "1_000", "1,0", "١", "1e",
            "infinit",
        ] {
            assert_eq!(number(token), None, "{token}");
        }
    }
}
