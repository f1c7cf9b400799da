//! Which attributes a stream keeps.

use opentelemetry::KeyValue;

/// Keeps some attributes and leaves others out, by their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Sorted.
    keys: Box<[String]>,
    /// Whether `keys` are those that stay, or those that go.
    keeps: bool,
}

impl Filter {
    /// Keeps `keep` (everything, if not given) but for `without`; none if that is everything.
    pub(super) fn new(keep: Option<Vec<String>>, without: Vec<String>) -> Option<Self> {
        let keeps = keep.is_some();
        let mut keys = match keep {
            Some(keep) => {
                let kept = keep.into_iter().filter(|key| !without.contains(key));
                kept.collect()
            }
            None => without,
        };
        if keys.is_empty() && !keeps {
            return None;
        }
        keys.sort();
        keys.dedup();
        let keys = keys.into_boxed_slice();
        Some(Self { keys, keeps })
    }

    pub(crate) fn passes(&self, key: &str) -> bool {
        let listed = self.keys.binary_search_by(|known| known.as_str().cmp(key));
        listed.is_ok() == self.keeps
    }

    /// Those that stay, in the order given.
    pub(crate) fn kept(&self, given: &[KeyValue]) -> Vec<KeyValue> {
        let stays = |attribute: &&KeyValue| self.passes(attribute.key.as_str());
        given.iter().filter(stays).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(keep: Option<&[&str]>, without: &[&str]) -> Option<String> {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        let filter = Filter::new(keep.map(owned), owned(without))?;
        let given = ["c", "a", "b"].map(|key| KeyValue::new(key, 1));
        let kept = filter.kept(&given);
        Some(kept.iter().map(|kept| kept.key.as_str()).collect())
    }

    #[test]
    fn what_is_left_out_goes_and_what_is_kept_stays() {
        assert_eq!(kept(None, &[]), None);
        assert_eq!(kept(None, &["a", "x"]).as_deref(), Some("cb"));
        assert_eq!(kept(Some(&["b", "c", "x"]), &[]).as_deref(), Some("cb"));
        assert_eq!(kept(Some(&["b", "c"]), &["c"]).as_deref(), Some("b"));
        assert_eq!(kept(Some(&[]), &[]).as_deref(), Some(""));
    }
}
