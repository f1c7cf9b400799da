use crate::number::bucket_bound;

/// A bucket's bound in both spellings: OpenMetrics wants a point or an exponent in it.
#[derive(Debug)]
pub(super) struct Le {
    canonical: Box<str>,
    plain: usize,
}

impl Le {
    pub(super) fn new(bound: f64) -> Self {
        let mut text = bucket_bound(bound);
        let plain = text.len();
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            text.push_str(".0");
        }
        Self {
            canonical: text.into_boxed_str(),
            plain,
        }
    }

    /// As in text 0.0.4.
    pub(super) fn plain(&self) -> &str {
        &self.canonical[..self.plain]
    }

    /// As in OpenMetrics.
    pub(super) fn canonical(&self) -> &str {
        &self.canonical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_25_both_spellings() {
        for (bound, plain, canonical) in [
            (0.0, "0", "0.0"),
            (1.0, "1", "1.0"),
            (-5.0, "-5", "-5.0"),
            (0.005, "0.005", "0.005"),
            (100_000.0, "100000", "100000.0"),
            (1e6, "1e+06", "1e+06"),
            (1e-5, "1e-05", "1e-05"),
            (f64::INFINITY, "+Inf", "+Inf"),
        ] {
            let le = Le::new(bound);
            assert_eq!((le.plain(), le.canonical()), (plain, canonical));
        }
    }
}
