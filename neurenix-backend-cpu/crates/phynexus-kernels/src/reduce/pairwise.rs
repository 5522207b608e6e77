//! Joining a sequence in pairs, pairs of pairs and so on, without knowing its length.

use std::mem::MaybeUninit;

/// As many levels as a sequence may have.
const LEVELS: usize = 48;

/// A way to join two values. This is no closure, which might not be inlined.
pub trait Joins<V> {
    /// Joins two neighbours.
    fn join(&self, left: V, right: V) -> V;
}

/// What is left to join: at most one value a level, of 2^level blocks.
pub struct Pairwise<V> {
    values: [MaybeUninit<V>; LEVELS],
    used: usize,
    count: u64,
}

impl<V: Copy> Pairwise<V> {
    /// Of nothing.
    #[inline(always)]
    pub fn new() -> Self {
        Self { values: [const { MaybeUninit::uninit() }; LEVELS], used: 0, count: 0 }
    }

    /// Adds the next value, which joins those that wait for one of its size.
    #[inline(always)]
    pub fn push(&mut self, value: V, by: &impl Joins<V>) {
        let mut value = value;
        let mut count = self.count;
        while count & 1 == 1 {
            self.used -= 1;
            // SAFETY: the values below `used` are initialised.
            value = by.join(unsafe { self.values[self.used].assume_init() }, value);
            count >>= 1;
        }
        self.values[self.used].write(value);
        self.used += 1;
        self.count += 1;
    }

    /// Joins what is left, the shortest first.
    #[inline(always)]
    pub fn finish(mut self, by: &impl Joins<V>) -> Option<V> {
        let mut total = None;
        while self.used > 0 {
            self.used -= 1;
            // SAFETY: the values below `used` are initialised.
            let value = unsafe { self.values[self.used].assume_init() };
            total = Some(match total {
                Some(total) => by.join(value, total),
                None => value,
            });
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Brackets;

    impl Joins<&'static str> for Brackets {
        fn join(&self, left: &'static str, right: &'static str) -> &'static str {
            Box::leak(format!("({left}{right})").into())
        }
    }

    fn tree(names: &[&'static str]) -> Option<&'static str> {
        let mut pairs = Pairwise::new();
        for name in names {
            pairs.push(*name, &Brackets);
        }
        pairs.finish(&Brackets)
    }

    #[test]
    fn pairs_are_joined_as_they_are_complete() {
        assert_eq!(tree(&["a", "b", "c", "d", "e", "f", "g"]), Some("(((ab)(cd))((ef)g))"));
        assert_eq!(tree(&["a"]), Some("a"));
        assert_eq!(tree(&[]), None);
    }

    #[test]
    fn whole_subtrees_may_be_joined_apart() {
        let parts: Vec<_> = [&["a", "b"][..], &["c", "d"], &["e", "f"], &["g"]]
            .iter()
            .filter_map(|part| tree(part))
            .collect();
        assert_eq!(tree(&parts), tree(&["a", "b", "c", "d", "e", "f", "g"]));
    }
}
