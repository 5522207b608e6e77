//! Sums and maxima of rows, in an order that the row's length alone decides.

use phynexus_simd::LANES;

use super::{Lanes, Number};

/// Four vectors of sums at a time hide the latency of an addition.
const CHAINS: usize = 4;

/// What is added up: term `at ..` of a row, added to the sums so far.
pub(crate) trait Term<L: Lanes>: Copy {
    /// # Safety
    /// Elements `at .. at + many` are valid for reads.
    unsafe fn add_to(self, lanes: L, sums: L::V, at: usize, many: usize) -> L::V;
}

/// The sum of `count` terms.
///
/// # Safety
/// The terms' elements are valid for reads.
#[inline(always)]
pub(crate) unsafe fn total<L: Lanes>(lanes: L, count: usize, term: impl Term<L>) -> L::N {
    let mut sums = [lanes.zero(); CHAINS];
    let mut at = 0;
    // SAFETY: as the caller vouches.
    unsafe {
        while at + CHAINS * LANES <= count {
            for (chain, sum) in sums.iter_mut().enumerate() {
                *sum = term.add_to(lanes, *sum, at + chain * LANES, LANES);
            }
            at += CHAINS * LANES;
        }
        for sum in &mut sums {
            if at + LANES <= count {
                *sum = term.add_to(lanes, *sum, at, LANES);
                at += LANES;
            } else if at < count {
                let many = count - at;
                *sum = lanes.select(lanes.first(many), term.add_to(lanes, *sum, at, many), *sum);
                at = count;
            }
        }
    }
    let [a, b, c, d] = sums;
    lanes.reduce_add(lanes.add(lanes.add(a, b), lanes.add(c, d)))
}

/// The largest of `count` numbers; of none, minus infinity. Which of them NaN hides is not said.
///
/// # Safety
/// They are valid for reads.
#[inline(always)]
pub(crate) unsafe fn largest<L: Lanes>(lanes: L, count: usize, from: *const L::N) -> L::N {
    let least = lanes.splat(L::N::NEG_INFINITY);
    let mut best = [least; CHAINS];
    let mut at = 0;
    // SAFETY: as the caller vouches.
    unsafe {
        while at + CHAINS * LANES <= count {
            for (chain, best) in best.iter_mut().enumerate() {
                *best = lanes.max(*best, lanes.load(from.add(at + chain * LANES)));
            }
            at += CHAINS * LANES;
        }
        let [ref mut first, ..] = best;
        while at < count {
            let many = LANES.min(count - at);
            let x = lanes.select(lanes.first(many), lanes.load_some(from.add(at), many), least);
            *first = lanes.max(*first, x);
            at += many;
        }
    }
    let [a, b, c, d] = best;
    lanes.reduce_max(lanes.max(lanes.max(a, b), lanes.max(c, d)))
}

/// `x`
pub(crate) struct Plain<N>(pub *const N);
/// `(x - mean)^2`
pub(crate) struct CentredSquare<N>(pub *const N, pub N);
/// `x * y`
pub(crate) struct Product<N>(pub *const N, pub *const N);
/// `y * (x - mean)`: x, mean, y
pub(crate) struct ProductCentred<N>(pub *const N, pub N, pub *const N);

macro_rules! terms {
    ($($name:ident, |$self:ident, $lanes:ident, $sums:ident, $at:ident, $many:ident| $body:expr;)*) => {$(
        impl<N: Copy> Clone for $name<N> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<N: Copy> Copy for $name<N> {}
        impl<L: Lanes> Term<L> for $name<L::N> {
            #[inline(always)]
            unsafe fn add_to($self, $lanes: L, $sums: L::V, $at: usize, $many: usize) -> L::V {
                // SAFETY: as the caller vouches.
                unsafe { $body }
            }
        }
    )*};
}

terms! {
    Plain, |self, lanes, sums, at, many| lanes.add(sums, lanes.load_some(self.0.add(at), many));
    CentredSquare, |self, lanes, sums, at, many| {
        let x = lanes.sub(lanes.load_some(self.0.add(at), many), lanes.splat(self.1));
        lanes.fma(x, x, sums)
    };
    Product, |self, lanes, sums, at, many| {
        lanes.fma(lanes.load_some(self.0.add(at), many), lanes.load_some(self.1.add(at), many), sums)
    };
    ProductCentred, |self, lanes, sums, at, many| {
        let x = lanes.sub(lanes.load_some(self.0.add(at), many), lanes.splat(self.1));
        lanes.fma(lanes.load_some(self.2.add(at), many), x, sums)
    };
}
