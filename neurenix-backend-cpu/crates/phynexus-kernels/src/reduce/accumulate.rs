//! What a reduction does with vectors of 16 elements, for every op and dtype.

use std::marker::PhantomData;

use half::{bf16, f16};
use phynexus_simd::{LANES, Simd};

use super::joins::{Join, JoinVectors};
use super::pairwise::Joins;

/// A reduction of elements of one kind, in vectors of 16.
pub trait Accumulate: 'static {
    /// An element in memory.
    type Element: Copy;
    /// What it is accumulated in.
    type Total: Copy + Send + Sync;
    /// 16 of these.
    type Vector<S: Simd>: Copy;

    /// What changes nothing.
    const IDENTITY: Self::Total;

    /// A vector of 16 totals.
    fn vector<S: Simd>(s: S, lanes: [Self::Total; LANES]) -> Self::Vector<S>;
    /// The lanes of a vector.
    fn lanes<S: Simd>(s: S, vector: Self::Vector<S>) -> [Self::Total; LANES];
    /// Reads 16 elements.
    ///
    /// # Safety
    /// They are valid for reads.
    unsafe fn load<S: Simd>(s: S, from: *const Self::Element) -> Self::Vector<S>;
    /// Joins two vectors, lane by lane.
    fn join<S: Simd>(s: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Joins two totals.
    fn join_totals(a: Self::Total, b: Self::Total) -> Self::Total;
    /// Makes a total of an element.
    fn widen(element: Self::Element) -> Self::Total;
    /// Writes an element of the output.
    ///
    /// # Safety
    /// `out` is the first element of the output, of which there are more than `index`.
    unsafe fn write(out: *mut u8, index: isize, total: Self::Total);

    /// Reads `count < 16` elements; the other lanes change nothing.
    ///
    /// # Safety
    /// They are valid for reads.
    #[inline(always)]
    unsafe fn load_first<S: Simd>(s: S, from: *const Self::Element, count: usize) -> Self::Vector<S> {
        let mut lanes = [Self::IDENTITY; LANES];
        for (lane, total) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: as the caller vouches.
            *total = Self::widen(unsafe { *from.add(lane) });
        }
        Self::vector(s, lanes)
    }

    /// Reads `count <= 16` elements at once where that is quick.
    ///
    /// # Safety
    /// They are valid for reads.
    #[inline(always)]
    unsafe fn load_up_to<S: Simd>(s: S, from: *const Self::Element, count: usize) -> Self::Vector<S> {
        // SAFETY: as the caller vouches.
        unsafe { if count == LANES { Self::load(s, from) } else { Self::load_first(s, from, count) } }
    }

    /// Joins the lanes: those 8 apart, then 4, 2 and 1 apart.
    #[inline(always)]
    fn total<S: Simd>(s: S, vector: Self::Vector<S>) -> Self::Total {
        let mut lanes = Self::lanes(s, vector);
        let mut width = LANES / 2;
        while width > 0 {
            for lane in 0..width {
                lanes[lane] = Self::join_totals(lanes[lane], lanes[lane + width]);
            }
            width /= 2;
        }
        lanes[0]
    }
}

/// Joins vectors as a reduction does.
pub struct ByVectors<S, A>(pub S, pub PhantomData<A>);

impl<S: Simd, A: Accumulate> Joins<A::Vector<S>> for ByVectors<S, A> {
    #[inline(always)]
    fn join(&self, left: A::Vector<S>, right: A::Vector<S>) -> A::Vector<S> {
        A::join(self.0, left, right)
    }
}

/// How floats that are accumulated in f32 lie in memory.
pub trait Memory: 'static {
    /// An element.
    type Element: Copy;
    /// Reads 16.
    ///
    /// # Safety
    /// They are valid for reads.
    unsafe fn load<S: Simd>(s: S, from: *const Self::Element) -> S::F32;
    /// Reads `count < 16`; the other lanes are `rest`.
    ///
    /// # Safety
    /// They are valid for reads.
    #[inline(always)]
    unsafe fn load_first<S: Simd>(s: S, from: *const Self::Element, count: usize, rest: f32) -> S::F32 {
        let mut lanes = [rest; LANES];
        for (lane, value) in lanes.iter_mut().enumerate().take(count) {
            // SAFETY: as the caller vouches.
            *value = Self::widen(unsafe { *from.add(lane) });
        }
        // SAFETY: the array has 16 elements.
        unsafe { s.load(lanes.as_ptr()) }
    }
    /// Makes f32 of one.
    fn widen(element: Self::Element) -> f32;
    /// Makes one of f32, rounded.
    fn narrow(total: f32) -> Self::Element;
}

/// f32
pub struct Single;
/// f16
pub struct Half;
/// bf16
pub struct Brain;

impl Memory for Single {
    type Element = f32;
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const f32) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { s.load(from) }
    }
    #[inline(always)]
    unsafe fn load_first<S: Simd>(s: S, from: *const f32, count: usize, rest: f32) -> S::F32 {
        const NUMBERS: [f32; LANES] =
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];
        // SAFETY: as the caller vouches; the array has 16 elements.
        unsafe {
            let is_first = s.lt(s.load(NUMBERS.as_ptr()), s.splat(count as f32));
            s.select(is_first, s.load_first(from, count), s.splat(rest))
        }
    }
    #[inline(always)]
    fn widen(element: f32) -> f32 {
        element
    }
    #[inline(always)]
    fn narrow(total: f32) -> f32 {
        total
    }
}

impl Memory for Half {
    type Element = f16;
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const f16) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { s.load_f16(from.cast()) }
    }
    #[inline(always)]
    fn widen(element: f16) -> f32 {
        element.to_f32_const()
    }
    #[inline(always)]
    fn narrow(total: f32) -> f16 {
        f16::from_f32_const(total)
    }
}

impl Memory for Brain {
    type Element = bf16;
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const bf16) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { s.load_bf16(from.cast()) }
    }
    #[inline(always)]
    fn widen(element: bf16) -> f32 {
        element.to_f32()
    }
    #[inline(always)]
    fn narrow(total: f32) -> bf16 {
        bf16::from_f32(total)
    }
}

/// Floats that are accumulated in f32.
pub struct Float<Op, M>(PhantomData<(Op, M)>);

impl<Op: JoinVectors, M: Memory> Accumulate for Float<Op, M> {
    type Element = M::Element;
    type Total = f32;
    type Vector<S: Simd> = S::F32;

    const IDENTITY: f32 = Op::IDENTITY;

    #[inline(always)]
    fn vector<S: Simd>(s: S, lanes: [f32; LANES]) -> S::F32 {
        // SAFETY: the array has 16 elements.
        unsafe { s.load(lanes.as_ptr()) }
    }
    #[inline(always)]
    fn lanes<S: Simd>(s: S, vector: S::F32) -> [f32; LANES] {
        s.to_array(vector)
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const M::Element) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { M::load(s, from) }
    }
    #[inline(always)]
    unsafe fn load_first<S: Simd>(s: S, from: *const M::Element, count: usize) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe { M::load_first(s, from, count, Op::IDENTITY) }
    }
    #[inline(always)]
    fn join<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
        Op::join_vectors(s, a, b)
    }
    #[inline(always)]
    fn join_totals(a: f32, b: f32) -> f32 {
        Op::join(a, b)
    }
    #[inline(always)]
    fn widen(element: M::Element) -> f32 {
        M::widen(element)
    }
    #[inline(always)]
    unsafe fn write(out: *mut u8, index: isize, total: f32) {
        // SAFETY: as the caller vouches.
        unsafe { out.cast::<M::Element>().offset(index).write(M::narrow(total)) };
    }
}

/// Elements that are accumulated in a plain type, by loops that the compiler vectorises.
pub struct Plain<Op, T, Total>(PhantomData<(Op, T, Total)>);

impl<Op, T, Total> Accumulate for Plain<Op, T, Total>
where
    Op: Join<Total>,
    T: Copy + Into<Total> + 'static,
    Total: Copy + Send + Sync + 'static,
{
    type Element = T;
    type Total = Total;
    type Vector<S: Simd> = [Total; LANES];

    const IDENTITY: Total = Op::IDENTITY;

    #[inline(always)]
    fn vector<S: Simd>(_: S, lanes: [Total; LANES]) -> [Total; LANES] {
        lanes
    }
    #[inline(always)]
    fn lanes<S: Simd>(_: S, vector: [Total; LANES]) -> [Total; LANES] {
        vector
    }
    #[inline(always)]
    unsafe fn load<S: Simd>(_: S, from: *const T) -> [Total; LANES] {
        // SAFETY: as the caller vouches.
        let elements = unsafe { from.cast::<[T; LANES]>().read() };
        let mut totals = [Self::IDENTITY; LANES];
        for lane in 0..LANES {
            totals[lane] = elements[lane].into();
        }
        totals
    }
    #[inline(always)]
    fn join<S: Simd>(_: S, a: [Total; LANES], b: [Total; LANES]) -> [Total; LANES] {
        let mut joined = a;
        for lane in 0..LANES {
            joined[lane] = Op::join(a[lane], b[lane]);
        }
        joined
    }
    #[inline(always)]
    fn join_totals(a: Total, b: Total) -> Total {
        Op::join(a, b)
    }
    #[inline(always)]
    fn widen(element: T) -> Total {
        element.into()
    }
    #[inline(always)]
    unsafe fn write(out: *mut u8, index: isize, total: Total) {
        // SAFETY: as the caller vouches.
        unsafe { out.cast::<Total>().offset(index).write(total) };
    }
}
