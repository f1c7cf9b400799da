//! What a scraper asks for: Accept, and Accept-Encoding.

use meterline_exposition::{Coding, Escaping, Exposition, Format};

/// Negotiates by the headers in the input, one per line after a byte that says which formats there
/// are, and asserts what holds of every answer.
pub fn negotiate(input: &[u8]) {
    let Some((&choice, headers)) = input.split_first() else {
        return;
    };
    let headers = String::from_utf8_lossy(headers);
    let (accept, encoding) = headers.split_once('\n').unwrap_or((&headers, ""));
    let chosen = Format::ALL.into_iter().enumerate();
    let offered: Vec<_> = chosen
        .filter(|(at, _)| choice & 1 << at != 0)
        .map(|(_, format)| format)
        .collect();
    let answer = Exposition::negotiate(Some(accept), &offered);
    assert!(offered.contains(&answer.format) || offered.is_empty());
    assert!(answer.format.has_utf8_names() || answer.escaping != Escaping::AllowUtf8);
    // Whoever asks for exactly what was answered gets it again.
    let again = Exposition::negotiate(Some(answer.content_type()), &offered);
    assert_eq!(again, answer, "{}", answer.content_type());
    // Blanks around elements and the case of names say nothing.
    let spread = accept.replace(',', " , ");
    if !accept.contains('"') {
        assert_eq!(Exposition::negotiate(Some(&spread), &offered), answer);
    }
    let coding = Coding::negotiate(Some(encoding));
    if let Some(name) = coding.as_str() {
        let asked = encoding.to_ascii_lowercase();
        assert!(asked.contains(name) || asked.contains('*'), "{encoding:?}");
    }
}
