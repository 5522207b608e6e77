//! The ways in which reductions join elements.

use phynexus_simd::Simd;

/// A way to join totals of one type.
pub trait Join<T>: 'static {
    /// What changes nothing.
    const IDENTITY: T;
    /// Joins two.
    fn join(a: T, b: T) -> T;
}

/// A way to join vectors of f32.
pub trait JoinVectors: Join<f32> {
    /// Joins two.
    fn join_vectors<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32;
}

/// The sum.
pub struct Sum;
/// The product.
pub struct Product;
/// The largest; NaN wins.
pub struct Max;
/// The smallest; NaN wins.
pub struct Min;

macro_rules! joins_of_floats {
    ($($type:ident)*) => {$(
        impl Join<$type> for Sum {
            const IDENTITY: $type = 0.0;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                a + b
            }
        }
        impl Join<$type> for Product {
            const IDENTITY: $type = 1.0;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                a * b
            }
        }
        impl Join<$type> for Max {
            const IDENTITY: $type = $type::NEG_INFINITY;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                if a > b || a.is_nan() { a } else { b }
            }
        }
        impl Join<$type> for Min {
            const IDENTITY: $type = $type::INFINITY;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                if a < b || a.is_nan() { a } else { b }
            }
        }
    )*};
}

macro_rules! joins_of_integers {
    ($($type:ident)*) => {$(
        impl Join<$type> for Max {
            const IDENTITY: $type = $type::MIN;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                a.max(b)
            }
        }
        impl Join<$type> for Min {
            const IDENTITY: $type = $type::MAX;
            #[inline(always)]
            fn join(a: $type, b: $type) -> $type {
                a.min(b)
            }
        }
    )*};
}

joins_of_floats! { f32 f64 }
joins_of_integers! { i8 i16 i32 i64 u8 }

impl Join<i64> for Sum {
    const IDENTITY: i64 = 0;
    #[inline(always)]
    fn join(a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}

impl Join<i64> for Product {
    const IDENTITY: i64 = 1;
    #[inline(always)]
    fn join(a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
}

impl JoinVectors for Sum {
    #[inline(always)]
    fn join_vectors<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
        s.add(a, b)
    }
}

impl JoinVectors for Product {
    #[inline(always)]
    fn join_vectors<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
        s.mul(a, b)
    }
}

impl JoinVectors for Max {
    #[inline(always)]
    fn join_vectors<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
        s.select(s.ne(a, a), a, s.max(a, b))
    }
}

impl JoinVectors for Min {
    #[inline(always)]
    fn join_vectors<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
        s.select(s.ne(a, a), a, s.min(a, b))
    }
}
