use super::*;

fn fault(page: &str, syntax: Syntax) -> Fault {
    match Page::parse(page.as_bytes(), syntax) {
        Ok(page) => panic!("no fault: {page:?}"),
        Err(fault) => fault,
    }
}

#[track_caller]
fn refused(syntax: Syntax, page: &str, rule: Rule, line: usize, column: usize) {
    let fault = fault(page, syntax);
    let expected = (rule, Place::Line { line, column });
    assert_eq!((fault.rule, fault.place), expected, "{page:?}: {fault}");
}

#[test]
fn faults_of_text_have_their_place() {
    for (page, rule, line, column) in [
        ("a 1", Rule::LineEnd, 1, 4),
        ("a 1\r\n", Rule::Number, 1, 3),
        ("a 1\nb x\n", Rule::Number, 2, 3),
        ("a\n", Rule::Number, 1, 2),
        ("a 1 2 3\n", Rule::Line, 1, 7),
        ("a 1 1.5\n", Rule::Timestamp, 1, 5),
        ("1a 1\n", Rule::MetricName, 1, 1),
        ("é 1\n", Rule::MetricName, 1, 1),
        ("{\"a.b\"} 1\n", Rule::MetricName, 1, 1),
        ("a{\"b.c\"=\"d\"} 1\n", Rule::LabelName, 1, 3),
        ("a{b=\"ü\",1=\"d\"} 1\n", Rule::LabelName, 1, 9),
        ("a{b=\"c\",b=\"d\"} 1\n", Rule::LabelTwice, 1, 2),
        ("a{b=\"c} 1\n", Rule::Labels, 1, 5),
        ("a{b=\"c\\x\"} 1\n", Rule::Escape, 1, 7),
        ("a{b=\"c\"", Rule::LineEnd, 1, 8),
        ("a{__name__=\"b\"} 1\n", Rule::LabelName, 1, 3),
        ("# HELP\n", Rule::Metadata, 1, 7),
        ("# TYPE a\n", Rule::Type, 1, 9),
        ("# TYPE a Counter\n", Rule::Type, 1, 10),
        ("# HELP a x\n# HELP a x\n", Rule::Metadata, 2, 1),
        ("a 1\n# TYPE a gauge\n", Rule::Metadata, 2, 1),
        ("# HELP a b\\\"c\n", Rule::Escape, 1, 11),
        ("# TYPE a summary\n# TYPE a_sum gauge\n", Rule::Clash, 2, 8),
        (
            "# TYPE a histogram\na_bucket{le=\"x\"} 1\n",
            Rule::Bound,
            2,
            1,
        ),
    ] {
        refused(Syntax::Text, page, rule, line, column);
    }
}

#[test]
fn faults_of_openmetrics_have_their_place() {
    for (page, rule, line, column) in [
        ("", Rule::Eof, 1, 1),
        ("a 1\n", Rule::Eof, 2, 1),
        ("# EOF\n\n", Rule::Eof, 2, 1),
        ("\n# EOF\n", Rule::Line, 1, 1),
        ("# a comment\n# EOF\n", Rule::Line, 1, 1),
        ("a  1\n# EOF\n", Rule::Number, 1, 3),
        ("a{ b=\"c\"} 1\n# EOF\n", Rule::LabelName, 1, 3),
        ("a{b=\"c\",} 1\n# EOF\n", Rule::LabelName, 1, 9),
        ("a 1 # {} 1\n# EOF\n", Rule::Exemplar, 1, 1),
        ("# TYPE a counter\na 1\n# EOF\n", Rule::Clash, 2, 1),
        ("# TYPE a counter\na_total -1\n# EOF\n", Rule::Range, 2, 1),
        ("# TYPE a counter\na_total NaN\n# EOF\n", Rule::Range, 2, 1),
        ("# TYPE a untyped\n# EOF\n", Rule::Type, 1, 10),
        (
            "# TYPE a counter\n# TYPE a_total gauge\n# EOF\n",
            Rule::Clash,
            2,
            1,
        ),
        ("# UNIT a seconds\n# EOF\n", Rule::Unit, 1, 1),
        ("# UNIT seconds seconds\n# EOF\n", Rule::Unit, 1, 1),
        ("# TYPE a_x info\n# UNIT a_x x\n# EOF\n", Rule::Unit, 1, 1),
        ("a 1\n# HELP a x\n# EOF\n", Rule::Metadata, 2, 1),
        ("a 1\na 1\n# EOF\n", Rule::Duplicate, 2, 1),
        (
            "a{x=\"1\"} 1\na 1\na{x=\"1\"} 1\n# EOF\n",
            Rule::Grouping,
            3,
            1,
        ),
        ("a 1 2\na 1 1\n# EOF\n", Rule::Timestamp, 2, 1),
        ("a 1 2\na 1\n# EOF\n", Rule::Timestamp, 2, 1),
        ("# TYPE a stateset\na 1\n# EOF\n", Rule::Range, 2, 1),
        ("# TYPE a info\na_info 2\n# EOF\n", Rule::Range, 2, 1),
        (
            "# TYPE a summary\na{quantile=\"2\"} 1\n# EOF\n",
            Rule::Bound,
            2,
            1,
        ),
        ("# TYPE a histogram\na_bucket 1\n# EOF\n", Rule::Bound, 2, 1),
        (
            "# TYPE a histogram\na_bucket{le=\"inf\"} 1\n# EOF\n",
            Rule::Bound,
            2,
            1,
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"1\"} 1\n# EOF\n",
            Rule::Histogram,
            2,
            1,
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\n# EOF\n",
            Rule::Histogram,
            3,
            1,
        ),
        (
            "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1\n# EOF\n",
            Rule::Histogram,
            2,
            1,
        ),
    ] {
        refused(Syntax::OpenMetrics, page, rule, line, column);
    }
}

const OPENMETRICS: &str = "\
# TYPE http_seconds histogram
# UNIT http_seconds seconds
# HELP http_seconds A \\\"quoted\\\" help.\\nSecond line.
http_seconds_bucket{code=\"200\",le=\"0.5\"} 1 # {trace_id=\"abc\"} 0.3 1.5
http_seconds_bucket{code=\"200\",le=\"+Inf\"} 2
http_seconds_count{code=\"200\"} 2
http_seconds_sum{code=\"200\"} 4.25
http_seconds_created{code=\"200\"} 1e9
# TYPE \"jobs.done\" counter
{\"jobs.done_total\",\"x.y\"=\"z\"} 3
# TYPE target info
target_info{service_name=\"a\"} 1
# TYPE mode stateset
mode{mode=\"on\"} 1
mode{mode=\"off\"} 0
# EOF
";

#[test]
fn openmetrics_is_read() {
    let page = Page::parse(OPENMETRICS.as_bytes(), Syntax::OpenMetrics).unwrap();
    let names: Vec<_> = page.families.iter().map(|f| (&*f.name, f.kind)).collect();
    let expected = [
        ("http_seconds", Type::Histogram),
        ("jobs.done", Type::Counter),
        ("target", Type::Info),
        ("mode", Type::StateSet),
    ];
    assert_eq!(names, expected);
    let histogram = &page.families[0];
    assert_eq!(histogram.unit.as_deref(), Some("seconds"));
    assert_eq!(
        histogram.help.as_deref(),
        Some("A \"quoted\" help.\nSecond line.")
    );
    let bucket = &histogram.samples[0];
    assert_eq!((bucket.suffix, bucket.bound), (Suffix::Bucket, Some(0.5)));
    assert_eq!(page.labels(bucket)[0].value, "200");
    let exemplar = bucket.exemplar.as_ref().unwrap();
    assert_eq!((exemplar.value, exemplar.timestamp), (0.3, Some(1.5)));
    assert_eq!(page.exemplar_labels(exemplar)[0].value, "abc");
    let counter = &page.families[1].samples[0];
    assert_eq!(page.labels(counter)[0].name, "x.y");
    let line = page.places(OPENMETRICS.as_bytes()).at(counter.offset);
    assert_eq!(
        line,
        Place::Line {
            line: 10,
            column: 1
        }
    );
    assert!(
        page.lint(LintOptions::default())
            .iter()
            .all(|f| f.severity() == Severity::Warning)
    );
}

#[test]
fn text_puts_scattered_lines_together() {
    let text = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\nb 2 1500\na_count 1\na_sum\t3 \n";
    let page = Page::parse(text.as_bytes(), Syntax::Text).unwrap();
    assert_eq!(page.families.len(), 2);
    assert_eq!(page.families[0].samples.len(), 3);
    assert_eq!(page.families[1].samples[0].timestamp, Some(1.5));
    let found = page.lint(LintOptions::default());
    let scattered = found
        .iter()
        .find(|f| f.lint == Lint::ScatteredFamily)
        .unwrap();
    assert_eq!(
        (&*scattered.family, scattered.severity()),
        ("a", Severity::Error)
    );
    let mut places = page.places(text.as_bytes());
    assert_eq!(places.at(19), Place::Line { line: 2, column: 1 });
    let place = places.at(scattered.offset);
    assert_eq!(places.at(0), Place::Line { line: 1, column: 1 });
    assert_eq!(place, Place::Line { line: 4, column: 1 });
}

#[test]
fn bytes_that_are_not_utf8_have_their_place() {
    for syntax in [Syntax::Text, Syntax::OpenMetrics] {
        let page = b"a 1\nb{c=\"\xc3\xa9\xff\"} 2\n# EOF\n";
        let fault = Page::parse(page, syntax).unwrap_err();
        assert_eq!(fault.rule, Rule::Encoding);
        assert_eq!(fault.place, Place::Line { line: 2, column: 7 });
        let page = b"a x\nb{c=\"\xff\"} 2\n";
        assert_eq!(Page::parse(page, syntax).unwrap_err().rule, Rule::Number);
    }
}

#[test]
fn limits_hold() {
    let limits = Limits {
        bytes: 100,
        samples: 2,
        labels: 3,
    };
    for (page, at) in [
        ("a 1\n".repeat(26), 26),
        ("a 1\nb 1\nc 1\n".to_owned(), 3),
        ("a{b=\"\",c=\"\",d=\"\",e=\"\"} 1\n".to_owned(), 1),
    ] {
        let fault = Page::parse_within(page.as_bytes(), Syntax::Text, limits).unwrap_err();
        assert_eq!(fault.rule, Rule::Limit, "{fault}");
        assert!(
            matches!(fault.place, Place::Line { line, .. } if line == at),
            "{fault}"
        );
    }
}

#[test]
fn content_types() {
    for (header, syntax) in [
        (
            "text/plain; version=0.0.4; charset=utf-8",
            Some(Syntax::Text),
        ),
        ("text/plain", Some(Syntax::Text)),
        (
            "Text/Plain;Version=\"1.0.0\";escaping=allow-utf-8",
            Some(Syntax::TextUtf8),
        ),
        (
            "application/openmetrics-text; version=1.0.0",
            Some(Syntax::OpenMetrics),
        ),
        ("application/openmetrics-text; version=2.0.0", None),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            Some(Syntax::Protobuf),
        ),
        ("application/vnd.google.protobuf; encoding=text", None),
        ("text/html", None),
        ("", None),
    ] {
        assert_eq!(Syntax::from_content_type(header), syntax, "{header}");
    }
    assert_eq!(Syntax::sniff(OPENMETRICS.as_bytes()), Syntax::OpenMetrics);
    assert_eq!(Syntax::sniff(b"\n\na 1\n"), Syntax::Text);
    assert_eq!(Syntax::sniff(b"{\"a\"} 1\n"), Syntax::TextUtf8);
    assert_eq!(Syntax::sniff(b"\x05\x0a\x01a\x18\x01"), Syntax::Protobuf);
    assert_eq!(Syntax::sniff(b""), Syntax::Text);
}

fn lints(text: &str) -> Vec<Lint> {
    let page = Page::parse(text.as_bytes(), Syntax::sniff(text.as_bytes())).unwrap();
    let found = page.lint(LintOptions::default());
    found.iter().map(|finding| finding.lint).collect()
}

#[test]
fn lints_find_what_they_are_for() {
    let many: String = (0..201)
        .map(|i| format!("a_total{{user=\"{i}\"}} 1\n"))
        .collect();
    for (text, expected) in [
        ("# HELP a x\n# TYPE a gauge\na 1\n", &[][..]),
        ("a 1\n", &[Lint::NoHelp, Lint::NoType]),
        (
            "# HELP a x\n# TYPE a gauge\na 1\na 2\n",
            &[Lint::DuplicateSeries],
        ),
        ("# HELP a x\n# TYPE a counter\na 1\n", &[Lint::Suffix]),
        (
            "# HELP a_total x\n# TYPE a_total gauge\na_total 1\n",
            &[Lint::Suffix],
        ),
        (
            "# HELP a_bucket x\n# TYPE a_bucket gauge\na_bucket 1\n",
            &[Lint::Suffix],
        ),
        (
            "# HELP a_ms x\n# TYPE a_ms gauge\na_ms 1\n",
            &[Lint::NonBaseUnit],
        ),
        (
            "# HELP a_kilobytes_total x\n# TYPE a_kilobytes_total counter\na_kilobytes_total 1\n",
            &[Lint::NonBaseUnit],
        ),
        ("# HELP aB x\n# TYPE aB gauge\naB 1\n", &[Lint::Name]),
        ("# HELP a:b x\n# TYPE a:b gauge\na:b 1\n", &[Lint::Name]),
        (
            "# HELP a_gauge x\n# TYPE a_gauge gauge\na_gauge 1\n",
            &[Lint::Name],
        ),
        (
            "# HELP a x\n# TYPE a gauge\na{le=\"1\"} 1\n",
            &[Lint::Label],
        ),
        (
            "# HELP a x\n# TYPE a gauge\na{__b=\"1\"} 1\n",
            &[Lint::Label],
        ),
        (
            "# HELP a x\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_count 1\na_sum 1\n",
            &[Lint::NoUnit],
        ),
        (
            "# HELP a_bytes x\n# TYPE a_bytes histogram\na_bytes_count 1\na_bytes_sum 1\n",
            &[Lint::BrokenHistogram],
        ),
        (
            "# HELP a_bytes x\n# TYPE a_bytes histogram\na_bytes_bucket{le=\"+Inf\"} 1\na_bytes_count 2\n",
            &[Lint::BrokenHistogram],
        ),
        (
            "# HELP a_bytes x\n# TYPE a_bytes histogram\na_bytes_bucket 1\n",
            &[Lint::BrokenHistogram],
        ),
        (
            "# HELP a_seconds x\n# TYPE a_seconds gauge\na_seconds 1\n# EOF\n",
            &[Lint::NoUnit],
        ),
        (
            &format!("# HELP a_total x\n# TYPE a_total counter\n{many}"),
            &[Lint::Cardinality],
        ),
    ] {
        assert_eq!(lints(text), expected, "{text}");
    }
}

/// Pages that are cheap to send and would be dear to read, if anything were quadratic or recursive.
/// A machine that takes a minute for one of them has met a quadratic loop: linear takes milliseconds.
#[test]
fn large_hostile_pages_end() {
    let many = 30_000;
    let pages = [
        "a{".repeat(many),
        "a\\".repeat(many),
        format!("a{{b=\"{}", "\\\\".repeat(many)),
        format!(
            "a{{{}}} 1\n",
            (0..many).map(|i| format!("l{i}=\"\",")).collect::<String>()
        ),
        (0..many).map(|i| format!("m{i} 1\n")).collect(),
        (0..many)
            .map(|i| format!("# TYPE m{i} histogram\n"))
            .collect(),
        (0..many).map(|i| format!("m{} 1\n", i % 2)).collect(),
        format!("a {}\n", "1".repeat(many)),
        format!("# HELP a {}\n", "\\n".repeat(many)),
        "#".repeat(many),
        "\n".repeat(many),
    ];
    for page in pages {
        for text in [page.clone(), format!("{page}# EOF\n")] {
            for syntax in Syntax::ALL {
                if let Ok(page) = Page::parse(text.as_bytes(), syntax) {
                    assert!(page.lint(LintOptions::default()).len() <= 3 * many);
                }
            }
        }
    }
}
