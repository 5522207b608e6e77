//! Stable sorting along an axis, and the k largest or smallest. NaN counts as larger than every
//! number.
//!
//! Elements become unsigned keys in whose order they are to come; a key with the element's place
//! below it is one number, so that a sort of numbers, which need not be stable, does.

use std::ops::Range;

use half::{bf16, f16};
use phynexus_runtime::scratch::with_scratch;

use crate::operation::required;
use crate::shares::share_out;
use crate::{DType, Element, KernelError, Operation, TensorMut, TensorRef};

/// Sorted values and their places (i64); equal values keep their order.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// The axis.
    pub axis: usize,
    /// From the largest to the smallest.
    pub descending: bool,
}

/// The k largest (or smallest) values in order, and their places (i64); of equal ones the first
/// counts. The output's size along the axis is k.
#[derive(Clone, Copy, Debug)]
pub struct TopK {
    /// The axis.
    pub axis: usize,
    /// The largest, or else the smallest.
    pub largest: bool,
}

/// An element in the order that it is sorted in.
trait Ordered: Element {
    /// Rises with the element; the same for equal elements.
    fn key(self) -> u64;
    /// The key of the largest element.
    const LARGEST: u64;
}

macro_rules! integers {
    ($($kind:ty: $unsigned:ty;)*) => {$(
        impl Ordered for $kind {
            const LARGEST: u64 = <$unsigned>::MAX as u64;
            #[inline(always)]
            fn key(self) -> u64 {
                (self as $unsigned ^ (<$kind>::MIN as $unsigned)) as u64
            }
        }
    )*};
}
integers! {
    i64: u64;
    i32: u32;
    i16: u16;
    i8: u8;
    u8: u8;
}

macro_rules! floats {
    ($($kind:ty: $unsigned:ty, $zero:expr;)*) => {$(
        impl Ordered for $kind {
            const LARGEST: u64 = <$unsigned>::MAX as u64;
            #[inline(always)]
            fn key(self) -> u64 {
                const SIGN: $unsigned = 1 << (<$unsigned>::BITS - 1);
                if self.is_nan() {
                    return Self::LARGEST;
                }
                // Both zeros are one number.
                let bits = if self == $zero { 0 } else { self.to_bits() };
                u64::from(if bits & SIGN == 0 { bits | SIGN } else { !bits })
            }
        }
    )*};
}
floats! {
    f32: u32, 0.0;
    f64: u64, 0.0;
    f16: u16, f16::ZERO;
    bf16: u16, bf16::ZERO;
}

/// A key with a place below it.
trait Entry: Copy + Ord {
    fn new(key: u64, place: usize) -> Self;
    fn place(self) -> usize;
}

/// For keys of up to 32 bits and rows of up to 2^32 elements.
impl Entry for u64 {
    #[inline(always)]
    fn new(key: u64, place: usize) -> Self {
        key << 32 | place as u64
    }
    #[inline(always)]
    fn place(self) -> usize {
        (self & u64::from(u32::MAX)) as usize
    }
}

impl Entry for u128 {
    #[inline(always)]
    fn new(key: u64, place: usize) -> Self {
        u128::from(key) << 64 | place as u128
    }
    #[inline(always)]
    fn place(self) -> usize {
        self as u64 as usize
    }
}

/// Rows along an axis: neighbours are `inner` elements apart.
struct Rows<'a> {
    x: TensorRef<'a>,
    values: TensorMut<'a>,
    indices: TensorMut<'a>,
    count: usize,
    kept: usize,
    inner: usize,
    is_descending: bool,
    range: Range<usize>,
}

impl Rows<'_> {
    fn run<T: Ordered, E: Entry>(self) -> Result<(), KernelError> {
        let Self { x, values, indices, count, kept, inner, is_descending, range } = self;
        let flip = if is_descending { T::LARGEST } else { 0 };
        let (x, values, indices) = (x.bytes().cast::<T>(), values.bytes().cast::<T>(), indices.ptr::<i64>());
        with_scratch(count * size_of::<E>(), |room| {
            for row in range {
                let (outer, column) = (row / inner, row % inner);
                // SAFETY: a row of the tensors, and room for an entry an element.
                unsafe {
                    let from = x.add(outer * count * inner + column);
                    let first = outer * kept * inner + column;
                    let entries = room.cast::<E>();
                    for place in 0..count {
                        entries.add(place).write(E::new((*from.add(place * inner)).key() ^ flip, place));
                    }
                    let mut entries = std::slice::from_raw_parts_mut(entries, count);
                    if kept < count {
                        if kept > 0 {
                            entries.select_nth_unstable(kept - 1);
                        }
                        entries = &mut entries[..kept];
                    }
                    entries.sort_unstable();
                    for (place, entry) in entries.iter().enumerate() {
                        let to = first + place * inner;
                        *values.add(to) = *from.add(entry.place() * inner);
                        *indices.add(to) = entry.place() as i64;
                    }
                }
            }
        })?;
        Ok(())
    }
}

fn sort(
    axis: usize,
    is_descending: bool,
    outputs: &[TensorMut<'_>],
    inputs: &[Option<TensorRef<'_>>],
) -> Result<(), KernelError> {
    let (x, values, indices) = (*required(inputs, 0), outputs[0], outputs[1]);
    let (sizes, kept) = (x.sizes(), values.sizes()[axis]);
    let count = sizes[axis];
    let inner: usize = sizes[axis + 1..].iter().product();
    let outer: usize = sizes[..axis].iter().product();
    // A comparison that cannot be foreseen costs some ten additions.
    let work = count * 10 * (usize::BITS - kept.leading_zeros()) as usize;
    share_out(outer * inner, work, |range| {
        let rows = Rows { x, values, indices, count, kept, inner, is_descending, range };
        let is_short = u32::try_from(count).is_ok();
        macro_rules! run {
            ($kind:ty, $short:ty) => {
                if is_short { rows.run::<$kind, $short>() } else { rows.run::<$kind, u128>() }
            };
        }
        match x.dtype() {
            DType::F32 => run!(f32, u64),
            DType::F64 => run!(f64, u128),
            DType::F16 => run!(f16, u64),
            DType::Bf16 => run!(bf16, u64),
            DType::I64 => run!(i64, u128),
            DType::I32 => run!(i32, u64),
            DType::I16 => run!(i16, u64),
            DType::I8 => run!(i8, u64),
            DType::U8 | DType::Bool => run!(u8, u64),
        }
    })
}

impl Operation for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        sort(self.axis, self.descending, outputs, inputs)
    }
}

impl Operation for TopK {
    fn name(&self) -> &'static str {
        "topk"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        sort(self.axis, self.largest, outputs, inputs)
    }
}
