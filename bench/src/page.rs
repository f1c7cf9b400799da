//! Reading totals from text pages: how each benchmark asserts its answer.

/// The sum of a sample over all its series, and how many there are.
pub(crate) fn total(page: &str, sample: &str) -> (f64, usize) {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(sample)?;
        let own = rest.starts_with(['{', ' ']);
        own.then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    values.fold((0.0, 0), |(sum, series), value| (sum + value, series + 1))
}

/// Asserts what the series of a sample add up to.
pub(crate) fn assert_total(who: &str, page: &str, sample: &str, expected: u64) {
    let (total, series) = total(page, sample);
    assert!(series > 0, "{who} has no {sample} on its page");
    assert!(
        total == expected as f64,
        "{who} counted {total} in {sample}, {expected} were recorded"
    );
}
