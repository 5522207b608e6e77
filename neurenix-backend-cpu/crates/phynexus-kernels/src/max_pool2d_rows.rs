//! Rows of values with their places: which of two wins, element by element.

use phynexus_simd::{LANES, Simd};

use crate::Element;
use crate::lanes::{Lanes, Single, vectors};
use crate::pool_windows::by_step;

/// What can be compared.
pub(crate) trait Comparable: Element + PartialOrd {
    /// Loses against every other, save its like.
    const LOWEST: Self;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;

    /// Puts each of `count` candidates, with its place, into the place of a value that it beats: a
    /// smaller one, one that is not NaN where it is, or its equal with a higher place.
    ///
    /// # Safety
    /// `count` elements are valid; of places, as many as the next multiple of 16 is.
    #[inline(always)]
    unsafe fn win<S: Simd>(_simd: S, count: usize, best: Best<Self>, new: Candidates<Self>) {
        for at in 0..count {
            // SAFETY: as the caller vouches.
            unsafe {
                let (x, place) = (*new.values.add(at), *new.places.add(at));
                let (value, code) = (&mut *best.values.add(at), &mut *best.places.add(at));
                let is_equal = (x == *value) | (x.is_nan() & value.is_nan());
                let is_larger = (x > *value) | (x.is_nan() & !value.is_nan());
                if is_larger | (is_equal & (place < *code)) {
                    (*value, *code) = (x, place);
                }
            }
        }
    }
}

/// The best values so far and their places.
#[derive(Clone, Copy)]
pub(crate) struct Best<T> {
    pub values: *mut T,
    pub places: *mut i32,
}

/// Values that may be better, and their places.
#[derive(Clone, Copy)]
pub(crate) struct Candidates<T> {
    pub values: *const T,
    pub places: *const i32,
}

macro_rules! comparable {
    ($($kind:ty: $lowest:expr, |$x:ident| $is_nan:expr;)*) => {$(
        impl Comparable for $kind {
            const LOWEST: Self = $lowest;
            #[inline(always)]
            fn is_nan(self) -> bool {
                let $x = self;
                $is_nan
            }
        }
    )*};
}
comparable! {
    f64: f64::NEG_INFINITY, |x| x.is_nan();
    i64: i64::MIN, |_x| false;
    i32: i32::MIN, |_x| false;
    i16: i16::MIN, |_x| false;
    i8: i8::MIN, |_x| false;
    u8: 0, |_x| false;
}

impl Comparable for f32 {
    const LOWEST: Self = f32::NEG_INFINITY;

    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    unsafe fn win<S: Simd>(s: S, count: usize, best: Best<f32>, new: Candidates<f32>) {
        let lanes = Single(s);
        vectors!(count, |at, many| {
            // SAFETY: as the caller vouches; lanes past the end do not win, and so keep their place.
            unsafe {
                let (x, place) = (lanes.load_some(new.values.add(at), many), s.load_i32(new.places.add(at)));
                let value = lanes.load_some(best.values.add(at), many);
                let code = s.load_i32(best.places.add(at));
                let (is_nan, was_nan) = (s.ne(x, x), s.ne(value, value));
                let is_larger = s.mask_or(s.lt(value, x), s.mask_and(is_nan, s.eq(value, value)));
                let is_equal = s.mask_or(s.eq(x, value), s.mask_and(is_nan, was_nan));
                let mut wins = s.mask_or(is_larger, s.mask_and(is_equal, s.gt_i32(code, place)));
                if many < LANES {
                    wins = s.mask_and(wins, lanes.first(many));
                }
                lanes.store_some(best.values.add(at), many, s.select(wins, x, value));
                s.store_i32(best.places.add(at), s.select_i32(wins, place, code));
            }
        });
    }
}

/// Numbers behind a row, so that whole vectors of places may be read and written.
const SLACK: usize = LANES;

/// Values of the rooms of a plane: a row of the image, and one by phases of the step.
pub(crate) fn room_values(width: usize, stride: usize) -> usize {
    2 * (width + SLACK) + stride
}

/// Places of the rooms of a plane: a row of the image, twice, one by phases, one of the results.
pub(crate) fn room_places(width: usize, stride: usize, cols: usize) -> usize {
    3 * (width + SLACK) + stride + cols + SLACK
}

/// The rooms of a plane.
pub(crate) struct Rooms<T> {
    pub column_values: *mut T,
    pub column_places: *mut i32,
    pub line_places: *mut i32,
    phase_values: *mut T,
    phase_places: *mut i32,
    pub places: *mut i32,
}

impl<T: Copy> Rooms<T> {
    #[inline(always)]
    pub fn new(values: *mut T, places: *mut i32, width: usize, stride: usize, cols: usize) -> Self {
        let line = width + SLACK;
        let results = places.wrapping_add(3 * line + stride);
        debug_assert!(
            results.wrapping_add(cols + SLACK) == places.wrapping_add(room_places(width, stride, cols))
        );
        Self {
            column_values: values,
            column_places: places,
            line_places: places.wrapping_add(line),
            phase_values: values.wrapping_add(line),
            phase_places: places.wrapping_add(2 * line),
            places: results,
        }
    }

    /// The columns with those that one tap meets, `stride` apart, side by side; and the distance
    /// between two phases.
    ///
    /// # Safety
    /// The rooms are those of a plane of this width and stride.
    #[inline(always)]
    pub unsafe fn by_phase(&self, width: usize, stride: usize) -> (Candidates<T>, usize) {
        if stride == 1 {
            return (Candidates { values: self.column_values, places: self.column_places }, width);
        }
        let high = width.div_ceil(stride);
        by_step!(stride, |STEP| {
            let step = if STEP == 0 { stride } else { STEP };
            for phase in 0..step.min(width) {
                // SAFETY: the phases together have as many elements as the row, and each begins
                // less than a step behind its place in it.
                unsafe {
                    for k in 0..(width - phase).div_ceil(step) {
                        *self.phase_values.add(phase * high + k) = *self.column_values.add(phase + k * step);
                    }
                    for k in 0..(width - phase).div_ceil(step) {
                        *self.phase_places.add(phase * high + k) = *self.column_places.add(phase + k * step);
                    }
                }
            }
        });
        (Candidates { values: self.phase_values, places: self.phase_places }, high)
    }
}
