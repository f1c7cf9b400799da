use std::sync::Arc;

use meterline_sdk::Series;

/// The texts of all series of one metric, in one piece, so that encoding walks memory once from
/// front to back.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Appends one more text, written by `write`.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut String)) {
        write(&mut self.text);
        self.ends.push(self.text.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of all texts.
    pub(crate) fn total_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = &self.text[start..end];
            start = end;
            text
        })
    }

    /// As [`Self::iter`], without a look at where characters begin: measurably faster.
    pub(crate) fn iter_bytes(&self) -> impl Iterator<Item = &[u8]> {
        let text = self.text.as_bytes();
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let line = &text[start..end];
            start = end;
            line
        })
    }

    /// The texts of `now`, of which those whose series is among `before` (the series of `self`)
    /// are copied, and the others written by `render`. Both lists are sorted by attributes, so one
    /// pass over both finds what stayed; were they not, more would be rendered than needed.
    pub(crate) fn rebuilt(
        &self,
        before: &[Arc<Series>],
        now: &[Arc<Series>],
        mut render: impl FnMut(&mut String, &Series),
    ) -> Self {
        let mut texts = Self {
            text: String::with_capacity(self.text.len()),
            ends: Vec::with_capacity(now.len()),
        };
        let mut kept = before.iter().zip(self.iter()).peekable();
        for series in now {
            while kept
                .next_if(|(old, _)| {
                    !Arc::ptr_eq(old, series) && old.attributes() < series.attributes()
                })
                .is_some()
            {}
            // Equal attributes in a new allocation are a series that expired and came back.
            let same = kept.next_if(|(old, _)| {
                Arc::ptr_eq(old, series) || old.attributes() == series.attributes()
            });
            texts.push(|out| match same {
                Some((_, text)) => out.push_str(text),
                None => render(out, series),
            });
        }
        texts.text.shrink_to_fit();
        texts
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::KeyValue;
    use proptest::prelude::*;

    use super::*;

    fn series(id: u8) -> Arc<Series> {
        let attributes = [KeyValue::new("id", i64::from(id))];
        Arc::new(Series::new(&attributes, UNIX_EPOCH))
    }

    fn text(out: &mut String, series: &Series) {
        out.push_str(&series.attributes()[0].value.as_str());
    }

    proptest! {
        /// Whatever comes and goes, the texts are right; and what stayed is not rendered again.
        #[test]
        fn only_newcomers_are_rendered(
            before in proptest::collection::btree_set(any::<u8>(), 0..40),
            now in proptest::collection::btree_set(any::<u8>(), 0..40),
        ) {
            let all: Vec<_> = (0..=u8::MAX).map(series).collect();
            let pick = |ids: &std::collections::BTreeSet<u8>| -> Vec<_> {
                ids.iter().map(|&id| Arc::clone(&all[usize::from(id)])).collect()
            };
            let first = Texts::default().rebuilt(&[], &pick(&before), text);
            let mut rendered = 0;
            let second = first.rebuilt(&pick(&before), &pick(&now), |out, series| {
                rendered += 1;
                text(out, series);
            });
            let expected: Vec<_> = now.iter().map(ToString::to_string).collect();
            prop_assert_eq!(second.iter().collect::<Vec<_>>(), expected);
            prop_assert_eq!(rendered, now.difference(&before).count());
        }
    }

    #[test]
    fn unsorted_series_still_get_their_own_text() {
        let (a, b, c) = (series(1), series(2), series(3));
        let before = [Arc::clone(&c), Arc::clone(&a)];
        let first = Texts::default().rebuilt(&[], &before, text);
        let second = first.rebuilt(&before, &[a, c, b], text);
        assert_eq!(second.iter().collect::<Vec<_>>(), ["1", "3", "2"]);
    }
}
