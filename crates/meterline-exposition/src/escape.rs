/// Appends `text` as the text format wants it: `\` and newline escaped everywhere, `"` inside
/// quotes (label values) only. Source: Prometheus exposition formats, "Comments, help text, and
/// type information".
pub(crate) fn escape_into(out: &mut String, text: &str, quoted: bool) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| c == '\\' || c == '\n' || (quoted && c == '"')) {
        out.push_str(&rest[..at]);
        out.push('\\');
        out.push(match rest.as_bytes()[at] {
            b'\n' => 'n',
            special => char::from(special),
        });
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// The inverse of [`escape_into`] for text that it wrote.
pub(crate) fn unescape(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => plain.push('\n'),
                other => plain.extend(other),
            },
            c => plain.push(c),
        }
    }
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, quoted: bool) -> String {
        let mut out = String::new();
        escape_into(&mut out, text, quoted);
        out
    }

    #[test]
    fn help_keeps_quotes_and_labels_do_not() {
        assert_eq!(escaped("a\\b\n\"c\"", false), r#"a\\b\n"c""#);
        assert_eq!(escaped("a\\b\n\"c\"", true), r#"a\\b\n\"c\""#);
        assert_eq!(escaped("", true), "");
    }

    #[test]
    fn unescaping_restores_what_was_escaped() {
        for text in ["", "plain", "\\", "\\n", "\n", "\"\\\"", "é\n\u{10ffff}\\"] {
            assert_eq!(unescape(&escaped(text, true)), text);
        }
    }
}
