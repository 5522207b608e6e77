//! Elements that an index names along one axis: gather, scatter, scatter_add; and put.

use phynexus_runtime::parallel_for;

use super::{Indices, check};
use crate::movement::copy;
use crate::operation::{first_output, required};
use crate::tensor::{Axes, MAX_AXES};
use crate::truth::Truth;
use crate::{DType, KernelError, Operation, TensorMut, TensorRef};

/// `out[..., i, ...] = x[..., index[..., i, ...], ...]` along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gather {
    /// The axis that is indexed.
    pub axis: usize,
}

/// A copy of `x` with `value` written to the places of the index along an axis; the last one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scatter {
    /// The axis that is indexed.
    pub axis: usize,
}

/// A copy of `x` with `value` added at the places of the index along an axis, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScatterAdd {
    /// The axis that is indexed.
    pub axis: usize,
}

/// Writes `value` at the places of several index tensors, one a leading axis of `x`, in place: the
/// output is `x`. Inputs are x, value and the indices, which broadcast; negative ones count from
/// the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put;

/// Elements that are worth a second thread.
const PARALLEL: usize = 1 << 15;

/// Lines along the indexed axis, one for every place of the index in the other axes.
struct Lines {
    rank: usize,
    sizes: [usize; MAX_AXES],
    /// Steps of the index, of the indexed tensor, and of the tensor that is as large as the index.
    strides: [[isize; 3]; MAX_AXES],
    /// The steps along the indexed axis.
    along: [isize; 3],
    length: usize,
}

impl Lines {
    fn new(index: &Axes, indexed: &Axes, other: &Axes, axis: usize) -> Self {
        let mut lines =
            Self { rank: 0, sizes: [1; MAX_AXES], strides: [[0; 3]; MAX_AXES], along: [0; 3], length: 1 };
        for a in (0..index.rank()).rev() {
            let strides = [index.strides()[a], indexed.strides()[a], other.strides()[a]];
            if a == axis {
                (lines.along, lines.length) = (strides, index.sizes()[a]);
            } else {
                (lines.sizes[lines.rank], lines.strides[lines.rank]) = (index.sizes()[a], strides);
                lines.rank += 1;
            }
        }
        lines
    }

    fn count(&self) -> usize {
        self.sizes[..self.rank].iter().product()
    }

    /// Where a line starts in the three tensors.
    #[inline(always)]
    fn start(&self, mut line: usize) -> [isize; 3] {
        let mut start = [0; 3];
        for axis in 0..self.rank {
            let place = (line % self.sizes[axis]) as isize;
            line /= self.sizes[axis];
            for (at, stride) in start.iter_mut().zip(self.strides[axis]) {
                *at += place * stride;
            }
        }
        start
    }

    /// Calls `f(place in the indexed tensor, place in the other)` for the elements of a line.
    ///
    /// # Safety
    /// The indices are those of the lines.
    #[inline(always)]
    unsafe fn each(&self, line: usize, indices: Indices, mut f: impl FnMut(isize, isize)) {
        let [index, indexed, other] = self.start(line);
        for place in 0..self.length as isize {
            // SAFETY: as the caller vouches.
            let at = unsafe { indices.at(index + place * self.along[0]) } as isize;
            f(indexed + at * self.along[1], other + place * self.along[2]);
        }
    }

    /// Runs lines on all threads if there is enough to do; no two write the same places.
    fn share_out(&self, line: impl Fn(usize) + Sync) {
        let count = self.count();
        if count * self.length < PARALLEL {
            (0..count).for_each(line);
            return;
        }
        let group = (PARALLEL / 4 / self.length.max(1)).max(1);
        parallel_for(count.div_ceil(group), |task| {
            (task * group..count.min((task + 1) * group)).for_each(&line);
        });
    }
}

/// An address that threads share; each reads and writes places of its own.
#[derive(Clone, Copy)]
struct Address<T>(*mut T);

// SAFETY: who goes through it answers for that.
unsafe impl<T> Sync for Address<T> {}

impl<T: Copy> Address<T> {
    #[inline(always)]
    unsafe fn read(&self, at: isize) -> T {
        // SAFETY: as the caller vouches.
        unsafe { *self.0.offset(at) }
    }
    #[inline(always)]
    unsafe fn write(&self, at: isize, value: T) {
        // SAFETY: as the caller vouches.
        unsafe { *self.0.offset(at) = value };
    }
}

macro_rules! by_width {
    ($width:expr, $function:ident($($argument:expr),*)) => {
        match $width {
            1 => $function::<u8>($($argument),*),
            2 => $function::<u16>($($argument),*),
            4 => $function::<u32>($($argument),*),
            _ => $function::<u64>($($argument),*),
        }
    };
}

impl Operation for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, index) = (required(inputs, 0), required(inputs, 1));
        let (out, indices) = (first_output(outputs), Indices::of(self.name(), index)?);
        check(self.name(), index, indices, x.sizes()[self.axis])?;
        let lines = Lines::new(index.axes(), x.axes(), out.axes(), self.axis);
        by_width!(out.dtype().size(), gather(&lines, indices, x.bytes(), out.bytes()));
        Ok(())
    }
}

fn gather<T: Copy>(lines: &Lines, indices: Indices, x: *const u8, out: *mut u8) {
    let (x, out) = (Address(x.cast_mut().cast::<T>()), Address(out.cast::<T>()));
    // SAFETY: the indices are in range.
    lines.share_out(|line| unsafe { lines.each(line, indices, |from, to| out.write(to, x.read(from))) });
}

impl Operation for Scatter {
    fn name(&self) -> &'static str {
        "scatter"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, index, value) = (required(inputs, 0), required(inputs, 1), required(inputs, 2));
        let (out, indices) = (first_output(outputs), Indices::of(self.name(), index)?);
        check(self.name(), index, indices, x.sizes()[self.axis])?;
        copy(out, x)?;
        let lines = Lines::new(index.axes(), out.axes(), value.axes(), self.axis);
        by_width!(out.dtype().size(), scatter(&lines, indices, value.bytes(), out.bytes()));
        Ok(())
    }
}

fn scatter<T: Copy>(lines: &Lines, indices: Indices, value: *const u8, out: *mut u8) {
    let (value, out) = (Address(value.cast_mut().cast::<T>()), Address(out.cast::<T>()));
    // SAFETY: the indices are in range; lines lie apart along the axes that are not indexed.
    lines.share_out(|line| unsafe { lines.each(line, indices, |to, from| out.write(to, value.read(from))) });
}

/// What may be added; 16-bit floats add up in f32.
trait Summand: Copy + 'static {
    fn plus(self, other: Self) -> Self;
}

macro_rules! summands {
    ($($type:ident: $a:ident, $b:ident => $sum:expr;)*) => {$(
        impl Summand for $type {
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $sum
            }
        }
    )*};
}

summands! {
    f32: a, b => a + b;
    f64: a, b => a + b;
    i8: a, b => a.wrapping_add(b);
    i16: a, b => a.wrapping_add(b);
    i32: a, b => a.wrapping_add(b);
    i64: a, b => a.wrapping_add(b);
    u8: a, b => a.wrapping_add(b);
    Truth: a, b => (a.holds() || b.holds()).into();
}

impl Operation for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (x, index, value) = (required(inputs, 0), required(inputs, 1), required(inputs, 2));
        let (out, indices) = (first_output(outputs), Indices::of(self.name(), index)?);
        check(self.name(), index, indices, x.sizes()[self.axis])?;
        if matches!(out.dtype(), DType::F16 | DType::Bf16) {
            return self.run_widened(out, x, index, value);
        }
        copy(out, x)?;
        let lines = Lines::new(index.axes(), out.axes(), value.axes(), self.axis);
        let (value, to) = (value.bytes(), out.bytes());
        match out.dtype() {
            DType::F32 => scatter_add::<f32>(&lines, indices, value, to),
            DType::F64 => scatter_add::<f64>(&lines, indices, value, to),
            DType::I8 => scatter_add::<i8>(&lines, indices, value, to),
            DType::I16 => scatter_add::<i16>(&lines, indices, value, to),
            DType::I32 => scatter_add::<i32>(&lines, indices, value, to),
            DType::I64 => scatter_add::<i64>(&lines, indices, value, to),
            DType::U8 => scatter_add::<u8>(&lines, indices, value, to),
            _ => scatter_add::<Truth>(&lines, indices, value, to),
        }
        Ok(())
    }
}

fn scatter_add<T: Summand>(lines: &Lines, indices: Indices, value: *const u8, out: *mut u8) {
    let (value, out) = (Address(value.cast_mut().cast::<T>()), Address(out.cast::<T>()));
    lines.share_out(|line| {
        // SAFETY: the indices are in range; lines lie apart along the axes that are not indexed.
        unsafe { lines.each(line, indices, |to, from| out.write(to, out.read(to).plus(value.read(from)))) };
    });
}

impl ScatterAdd {
    /// Adds up in f32 and rounds once.
    fn run_widened(
        &self,
        out: &TensorMut<'_>,
        x: &TensorRef<'_>,
        index: &TensorRef<'_>,
        value: &TensorRef<'_>,
    ) -> Result<(), KernelError> {
        use crate::elementwise::Cast;
        let (sums, values) = (Axes::dense(x.sizes())?, Axes::dense(value.sizes())?);
        let bytes = (sums.count() + values.count()) * size_of::<f32>();
        phynexus_runtime::scratch::with_scratch(bytes, |scratch| {
            // SAFETY: the scratch has room for both.
            let (sums, values) = unsafe {
                let after = scratch.add(sums.count() * size_of::<f32>());
                (TensorMut::new(scratch, DType::F32, sums), TensorMut::new(after, DType::F32, values))
            };
            Cast.run(&[sums], &[Some(*x)])?;
            Cast.run(&[values], &[Some(*value)])?;
            let indices = Indices::of(self.name(), index)?;
            let lines = Lines::new(index.axes(), sums.axes(), values.axes(), self.axis);
            scatter_add::<f32>(&lines, indices, values.bytes(), sums.bytes());
            Cast.run(&[*out], &[Some(sums.as_ref())])
        })?
    }
}

impl Operation for Put {
    fn name(&self) -> &'static str {
        "put"
    }

    fn run(&self, outputs: &[TensorMut<'_>], inputs: &[Option<TensorRef<'_>>]) -> Result<(), KernelError> {
        let (out, [_, value, given @ ..]) = (first_output(outputs), inputs) else {
            unreachable!("two inputs")
        };
        let value = value.as_ref().expect("a value");
        let given: Vec<&TensorRef<'_>> = given.iter().flatten().collect();
        let axes = out.axes();
        // The shape that the indices have together, which the value broadcasts to with the axes
        // that have none.
        let rank = given.iter().map(|index| index.sizes().len()).max().unwrap_or(0);
        let mut sizes = vec![1; rank];
        for index in &given {
            for (size, &own) in sizes[rank - index.sizes().len()..].iter_mut().zip(index.sizes()) {
                *size = if own == 1 { *size } else { own };
            }
        }
        let (rest, rest_strides) = (&axes.sizes()[given.len()..], &axes.strides()[given.len()..]);
        let slice_sizes: Vec<usize> = sizes.iter().chain(rest).copied().collect();
        let value_strides = broadcast_strides(value, &slice_sizes);
        let places: usize = sizes.iter().product();
        let mut wanted = Vec::with_capacity(places);
        for place in 0..places {
            let mut at = 0;
            for (axis, index) in given.iter().enumerate() {
                let indices = Indices::of(self.name(), index)?;
                let strides = broadcast_strides(index, &sizes);
                // SAFETY: an element of the index tensor.
                let found = unsafe { indices.at(offset_of(place, &sizes, &strides)) };
                let size = axes.sizes()[axis] as i64;
                let from_start = if found < 0 { found + size } else { found };
                if !(0..size).contains(&from_start) {
                    return Err(KernelError::Index(format!(
                        "put got the index {found}, but axis {axis} has {size} elements; indices must be from {} to {}",
                        -size,
                        size - 1
                    )));
                }
                at += from_start as isize * axes.strides()[axis];
            }
            wanted.push((at, offset_of(place, &sizes, &value_strides[..rank])));
        }
        let width = out.dtype().size() as isize;
        let (target, source) = (Axes::new(rest, rest_strides)?, Axes::new(rest, &value_strides[rank..])?);
        for (to, from) in wanted {
            // SAFETY: the slice of the output at an index that is there, and that of the value.
            unsafe {
                let to = TensorMut::new(out.bytes().offset(to * width), out.dtype(), target);
                let from = TensorRef::new(value.bytes().offset(from * width), out.dtype(), source);
                copy(&to, &from)?;
            }
        }
        Ok(())
    }
}

/// The strides with which a tensor repeats to larger sizes.
fn broadcast_strides(tensor: &TensorRef<'_>, sizes: &[usize]) -> Vec<isize> {
    let lead = sizes.len() - tensor.sizes().len();
    let own = tensor.sizes().iter().zip(tensor.axes().strides());
    std::iter::repeat_n(0, lead)
        .chain(own.map(|(&size, &stride)| if size == 1 { 0 } else { stride }))
        .collect()
}

/// Where the element of a row-major number lies.
fn offset_of(mut number: usize, sizes: &[usize], strides: &[isize]) -> isize {
    let mut offset = 0;
    for (&size, &stride) in sizes.iter().zip(strides).rev() {
        offset += (number % size) as isize * stride;
        number /= size;
    }
    offset
}
