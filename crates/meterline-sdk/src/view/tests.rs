use super::*;

fn refused(builder: ViewBuilder) -> InvalidView {
    builder.build().expect_err("it cannot be")
}

#[test]
fn a_view_that_cannot_be_is_refused() {
    let any = || View::builder("*");
    let scale = |max_scale| ExponentialOptions {
        max_scale,
        ..ExponentialOptions::default()
    };
    let size = |max_size| ExponentialOptions {
        max_size,
        ..ExponentialOptions::default()
    };
    let zero = |zero_threshold| ExponentialOptions {
        zero_threshold,
        ..ExponentialOptions::default()
    };
    let exponential = |options| any().aggregation(ViewAggregation::Exponential(options));

    assert_eq!(refused(View::builder("")), InvalidView::NoInstrument);
    assert_eq!(
        refused(View::builder("a").rename("1 bad name")),
        InvalidView::Name("1 bad name".into())
    );
    for pattern in ["*", "a*", "a?"] {
        assert_eq!(
            refused(View::builder(pattern).rename("b")),
            InvalidView::OneNameForMany(pattern.into(), "b".into())
        );
    }
    for boundaries in [&[1.0, 1.0][..], &[2.0, 1.0], &[f64::NAN], &[f64::INFINITY]] {
        assert_eq!(refused(any().buckets(boundaries)), InvalidView::Boundaries);
    }
    assert_eq!(
        refused(any().buckets([1.0]).aggregation(ViewAggregation::Sum)),
        InvalidView::BoundariesWithoutBuckets
    );
    assert_eq!(
        refused(exponential(scale(20)).buckets([1.0])),
        InvalidView::BoundariesWithoutBuckets
    );
    for options in [
        scale(21),
        scale(-11),
        size(1),
        size(16385),
        zero(-1.0),
        zero(f64::NAN),
        zero(f64::INFINITY),
    ] {
        assert_eq!(refused(exponential(options)), InvalidView::Exponential);
    }
    assert_eq!(
        refused(any().cardinality_limit(0)),
        InvalidView::NoCardinality
    );
}

#[test]
fn errors_say_what_is_allowed() {
    assert_eq!(
        refused(View::builder("a*").rename("b")).to_string(),
        "\"a*\" may select several instruments, and they cannot all be called \"b\""
    );
}
