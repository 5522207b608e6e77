//! Rows of elements: f32 by vectors, everything else by loops that the compiler vectorises.
//!
//! Each is compiled once an instruction set, and chosen by a pointer once a call.

use std::marker::PhantomData;

use phynexus_simd::{Kernel, LANES, Simd, dispatch};

use crate::rows::RowCode;

/// A function of f32 vectors; `parameter` is the op's number, repeated.
pub trait Vector1: 'static {
    /// The function.
    fn vector<S: Simd>(s: S, x: S::F32, parameter: S::F32) -> S::F32;
}

/// A function of two f32 vectors.
pub trait Vector2: 'static {
    /// The function.
    fn vector<S: Simd>(s: S, x: S::F32, y: S::F32) -> S::F32;
}

/// A function of an element.
pub trait Scalar1<T, R>: 'static {
    /// The function; `parameter` is the op's number.
    fn scalar(x: T, parameter: f64) -> R;
}

/// A function of two elements.
pub trait Scalar2<T, R>: 'static {
    /// The function.
    fn scalar(x: T, y: T) -> R;
}

/// The proof that the processor has an instruction set, from one who had it.
///
/// # Safety
/// A value of the type has existed.
#[inline(always)]
unsafe fn proof<S: Simd>() -> S {
    const { assert!(size_of::<S>() == 0) };
    // SAFETY: it has no bytes, and the caller vouches that there is such a value.
    unsafe { std::ptr::NonNull::<S>::dangling().read() }
}

/// Chooses the code for the instruction set in use.
macro_rules! choice {
    ($(#[$doc:meta])* $choose:ident, $kernel:ident, [$($param:ident: $bound:path),*], [$($plain:ident),*]) => {
        $(#[$doc])*
        pub fn $choose<$($param: $bound,)* $($plain: Copy + 'static,)*>() -> RowCode {
            struct Choice<T>(PhantomData<T>);
            impl<$($param: $bound,)* $($plain: Copy + 'static,)*> Kernel for Choice<($($param,)* $($plain,)*)> {
                type Output = RowCode;

                #[inline(always)]
                fn run<S: Simd>(self, _: S) -> RowCode {
                    enter::<S, $($param,)* $($plain,)*>
                }
            }
            unsafe fn enter<S: Simd, $($param: $bound,)* $($plain: Copy + 'static,)*>(
                out: *mut u8,
                inputs: [*const u8; 3],
                repeated: [bool; 3],
                count: usize,
                parameter: f64,
            ) {
                let row = $kernel::<$($param,)* $($plain,)*> {
                    out: out.cast(),
                    inputs: [inputs[0].cast(), inputs[1].cast()],
                    repeated: [repeated[0], repeated[1]],
                    count,
                    parameter,
                    op: PhantomData,
                };
                // SAFETY: the choice was made by a proof.
                unsafe { proof::<S>() }.vectorize(row);
            }
            dispatch(Choice::<($($param,)* $($plain,)*)>(PhantomData))
        }
    };
}

choice! {
    /// The code for f32 of a function of vectors.
    vector_1, VectorRow1, [Op: Vector1], []
}
choice! {
    /// The code for f32 of a function of two vectors.
    vector_2, VectorRow2, [Op: Vector2], []
}
choice! {
    /// The code of a function of an element.
    scalar_1, ScalarRow1, [Op: Scalar1<T, R>], [T, R]
}
choice! {
    /// The code of a function of two elements.
    scalar_2, ScalarRow2, [Op: Scalar2<T, R>], [T, R]
}

struct VectorRow1<Op> {
    out: *mut f32,
    inputs: [*const f32; 2],
    repeated: [bool; 2],
    count: usize,
    parameter: f64,
    op: PhantomData<Op>,
}

impl<Op: Vector1> Kernel for VectorRow1<Op> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { out, count, .. } = self;
        let parameter = s.splat(self.parameter as f32);
        let (whole, rest) = (count / LANES * LANES, count % LANES);
        // SAFETY: the caller of the row's code vouches for `count` elements, or one that is repeated.
        unsafe {
            let repeated = Repeated::<f32, LANES>::of(self.inputs[0], self.repeated[0]);
            let (x, step) = repeated.source(self.inputs[0]);
            for start in (0..whole).step_by(LANES) {
                s.store(out.add(start), Op::vector(s, s.load(x.add(start * step)), parameter));
            }
            if rest > 0 {
                let last = s.load_first(x.add(whole * step), rest);
                s.store_first(out.add(whole), rest, Op::vector(s, last, parameter));
            }
        }
    }
}

struct VectorRow2<Op> {
    out: *mut f32,
    inputs: [*const f32; 2],
    repeated: [bool; 2],
    count: usize,
    parameter: f64,
    op: PhantomData<Op>,
}

impl<Op: Vector2> Kernel for VectorRow2<Op> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        debug_assert_eq!(self.parameter, 0.0);
        let Self { out, count, .. } = self;
        let (whole, rest) = (count / LANES * LANES, count % LANES);
        // SAFETY: the caller of the row's code vouches for `count` elements, or one that is repeated.
        unsafe {
            let first = Repeated::<f32, LANES>::of(self.inputs[0], self.repeated[0]);
            let second = Repeated::<f32, LANES>::of(self.inputs[1], self.repeated[1]);
            let ((x, x_step), (y, y_step)) = (first.source(self.inputs[0]), second.source(self.inputs[1]));
            for start in (0..whole).step_by(LANES) {
                let value = Op::vector(s, s.load(x.add(start * x_step)), s.load(y.add(start * y_step)));
                s.store(out.add(start), value);
            }
            if rest > 0 {
                let x = s.load_first(x.add(whole * x_step), rest);
                let y = s.load_first(y.add(whole * y_step), rest);
                s.store_first(out.add(whole), rest, Op::vector(s, x, y));
            }
        }
    }
}

/// An element as many times as a loop reads at once: read again and again, it saves a loop of its
/// own for every op.
struct Repeated<T, const N: usize>(Option<[T; N]>);

impl<T: Copy, const N: usize> Repeated<T, N> {
    /// The element, if the input is one that is repeated.
    #[inline(always)]
    unsafe fn of(input: *const T, is_repeated: bool) -> Self {
        // SAFETY: as the caller vouches.
        Self(if is_repeated { Some([unsafe { *input }; N]) } else { None })
    }

    /// Where to read, and by how many elements to go on from element to element.
    #[inline(always)]
    fn source(&self, input: *const T) -> (*const T, usize) {
        self.0.as_ref().map_or((input, 1), |elements| (elements.as_ptr(), 0))
    }
}

/// Elements of a part of a row.
const PART: usize = 128;

/// A row of results, a part of which can be computed.
///
/// This is no closure: one is not always inlined, and would then be compiled for no instruction set.
trait Parts<R> {
    /// Computes the results from `start` on.
    ///
    /// # Safety
    /// The row has as many elements.
    unsafe fn part(&self, results: &mut [R], start: usize);
}

/// Writes a row of results, a part at a time.
///
/// Results are kept aside before they are written where the output is an input's memory: the
/// compiler would not vectorise else.
#[inline(always)]
unsafe fn by_parts<R: Copy>(
    out: *mut R,
    count: usize,
    is_in_place: bool,
    is_repeated: bool,
    row: &impl Parts<R>,
) {
    let mut aside = [const { std::mem::MaybeUninit::<R>::uninit() }; PART];
    let step = if is_in_place || is_repeated { PART } else { count.max(1) };
    for start in (0..count).step_by(step) {
        let length = step.min(count - start);
        // SAFETY: the array, or the output, has as many elements, which are only written.
        unsafe {
            let target = out.add(start);
            let results = if is_in_place { aside.as_mut_ptr().cast() } else { target };
            row.part(std::slice::from_raw_parts_mut(results, length), start);
            if is_in_place {
                std::ptr::copy_nonoverlapping(results, target, length);
            }
        }
    }
}

struct ScalarRow1<Op, T, R> {
    out: *mut R,
    inputs: [*const T; 2],
    repeated: [bool; 2],
    count: usize,
    parameter: f64,
    op: PhantomData<Op>,
}

impl<Op: Scalar1<T, R>, T: Copy, R: Copy> Kernel for ScalarRow1<Op, T, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        // SAFETY: the caller of the row's code vouches for `count` elements, or one that is repeated.
        unsafe {
            let repeated = Repeated::<T, PART>::of(self.inputs[0], self.repeated[0]);
            let (x, step) = repeated.source(self.inputs[0]);
            let is_in_place = self.out.addr() == x.addr();
            let row = Parts1 { x, step, parameter: self.parameter, op: self.op };
            by_parts(self.out, self.count, is_in_place, self.repeated[0], &row);
        }
    }
}

struct Parts1<Op, T> {
    x: *const T,
    step: usize,
    parameter: f64,
    op: PhantomData<Op>,
}

impl<Op: Scalar1<T, R>, T: Copy, R> Parts<R> for Parts1<Op, T> {
    #[inline(always)]
    unsafe fn part(&self, results: &mut [R], start: usize) {
        // SAFETY: as the caller vouches.
        let x = unsafe { std::slice::from_raw_parts(self.x.add(start * self.step), results.len()) };
        for (result, &x) in results.iter_mut().zip(x) {
            *result = Op::scalar(x, self.parameter);
        }
    }
}

struct ScalarRow2<Op, T, R> {
    out: *mut R,
    inputs: [*const T; 2],
    repeated: [bool; 2],
    count: usize,
    parameter: f64,
    op: PhantomData<Op>,
}

impl<Op: Scalar2<T, R>, T: Copy, R: Copy> Kernel for ScalarRow2<Op, T, R> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        debug_assert_eq!(self.parameter, 0.0);
        // SAFETY: the caller of the row's code vouches for `count` elements, or one that is repeated.
        unsafe {
            let first = Repeated::<T, PART>::of(self.inputs[0], self.repeated[0]);
            let second = Repeated::<T, PART>::of(self.inputs[1], self.repeated[1]);
            let ((x, x_step), (y, y_step)) = (first.source(self.inputs[0]), second.source(self.inputs[1]));
            let is_in_place = self.out.addr() == x.addr() || self.out.addr() == y.addr();
            let is_repeated = self.repeated[0] || self.repeated[1];
            let row = Parts2 { x, x_step, y, y_step, op: self.op };
            by_parts(self.out, self.count, is_in_place, is_repeated, &row);
        }
    }
}

struct Parts2<Op, T> {
    x: *const T,
    x_step: usize,
    y: *const T,
    y_step: usize,
    op: PhantomData<Op>,
}

impl<Op: Scalar2<T, R>, T: Copy, R> Parts<R> for Parts2<Op, T> {
    #[inline(always)]
    unsafe fn part(&self, results: &mut [R], start: usize) {
        // SAFETY: as the caller vouches.
        let (x, y) = unsafe {
            (
                std::slice::from_raw_parts(self.x.add(start * self.x_step), results.len()),
                std::slice::from_raw_parts(self.y.add(start * self.y_step), results.len()),
            )
        };
        for ((result, &x), &y) in results.iter_mut().zip(x).zip(y) {
            *result = Op::scalar(x, y);
        }
    }
}
