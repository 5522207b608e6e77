//! Floats of any dtype as the numbers that a kernel computes with: in place where they are those
//! already, else converted a piece at a time through a buffer that stays in the cache.

use std::marker::PhantomData;

use phynexus_runtime::scratch::with_scratch;

use crate::lanes::{Lanes, Number};
use crate::{DType, KernelError, TensorMut, TensorRef};

/// A dense tensor of floats that is read as numbers.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a, N> {
    data: *const u8,
    dtype: DType,
    kind: PhantomData<&'a N>,
}

/// A dense tensor of floats that numbers are written to. Tasks on several threads write parts of
/// their own.
#[derive(Clone, Copy)]
pub(crate) struct Sink<'a, N> {
    data: *mut u8,
    dtype: DType,
    kind: PhantomData<&'a N>,
}

// SAFETY: a shared borrow of plain numbers.
unsafe impl<N> Send for Source<'_, N> {}
// SAFETY: as above.
unsafe impl<N> Sync for Source<'_, N> {}
// SAFETY: who writes through it shares out the parts.
unsafe impl<N> Send for Sink<'_, N> {}
// SAFETY: as above.
unsafe impl<N> Sync for Sink<'_, N> {}

impl<'a, N: Number> Source<'a, N> {
    /// A dense tensor.
    ///
    /// # Errors
    /// It has no floats.
    pub fn new(op: &'static str, tensor: &TensorRef<'a>) -> Result<Self, KernelError> {
        debug_assert!(tensor.axes().is_dense());
        let dtype = tensor.dtype();
        if !dtype.is_float() {
            return Err(KernelError::DType { op, dtype });
        }
        Ok(Self { data: tensor.bytes(), dtype, kind: PhantomData })
    }

    /// Whether numbers are read where they lie.
    pub fn is_direct(&self) -> bool {
        self.dtype == N::DTYPE
    }

    /// The address of `count` numbers from element `at` on: where they lie, or in `room`.
    ///
    /// # Safety
    /// The tensor has these elements, and `room` is valid for `count` numbers if it is not direct.
    #[inline(always)]
    pub unsafe fn read<L: Lanes<N = N>>(&self, lanes: L, at: usize, count: usize, room: *mut N) -> *const N {
        // SAFETY: as the caller vouches.
        unsafe {
            let from = self.data.add(at * self.dtype.size());
            if self.is_direct() {
                return from.cast();
            }
            lanes.widen(from, self.dtype, count, room);
        }
        room
    }
}

impl<'a, N: Number> Sink<'a, N> {
    /// A dense tensor.
    ///
    /// # Errors
    /// It has no floats.
    pub fn new(op: &'static str, tensor: &TensorMut<'a>) -> Result<Self, KernelError> {
        debug_assert!(tensor.axes().is_dense());
        let dtype = tensor.dtype();
        if !dtype.is_float() {
            return Err(KernelError::DType { op, dtype });
        }
        Ok(Self { data: tensor.bytes(), dtype, kind: PhantomData })
    }

    /// Whether numbers are written where they lie.
    pub fn is_direct(&self) -> bool {
        self.dtype == N::DTYPE
    }

    /// Where to write `count` numbers from element `at` on: their place, or `room`, which
    /// [`Self::flush`] brings there.
    ///
    /// # Safety
    /// The tensor has these elements.
    #[inline(always)]
    pub unsafe fn target(&self, at: usize, room: *mut N) -> *mut N {
        if !self.is_direct() {
            return room;
        }
        // SAFETY: as the caller vouches.
        unsafe { self.data.cast::<N>().add(at) }
    }

    /// Brings what was written to `room` to its place.
    ///
    /// # Safety
    /// The tensor has these elements, nobody else writes them, and `room` holds them.
    #[inline(always)]
    pub unsafe fn flush<L: Lanes<N = N>>(&self, lanes: L, at: usize, count: usize, room: *const N) {
        if !self.is_direct() {
            // SAFETY: as the caller vouches.
            unsafe { lanes.narrow(room, count, self.data.add(at * self.dtype.size()), self.dtype) };
        }
    }
}

/// A few dense floats as numbers, such as a weight a channel.
pub(crate) struct Parameter<N> {
    _converted: Vec<N>,
    direct: *const N,
}

// SAFETY: it stands for a slice of plain numbers.
unsafe impl<N: Number> Sync for Parameter<N> {}

impl<N: Number> Parameter<N> {
    /// Reads a tensor, if there is one.
    ///
    /// # Errors
    /// It has no floats.
    pub fn read(op: &'static str, tensor: Option<&TensorRef<'_>>) -> Result<Option<Self>, KernelError> {
        struct Widen<'a, N>(&'a TensorRef<'a>, &'a mut Vec<N>);
        impl<N: Number> crate::lanes::LaneKernel<N> for Widen<'_, N> {
            type Output = ();
            #[inline(always)]
            fn run<L: Lanes<N = N>>(self, lanes: L) {
                let count = self.0.axes().count();
                // SAFETY: the tensor has as many elements, and the vector as much room.
                unsafe {
                    lanes.widen(self.0.bytes(), self.0.dtype(), count, self.1.as_mut_ptr());
                    self.1.set_len(count);
                }
            }
        }
        let Some(tensor) = tensor else { return Ok(None) };
        let source = Source::<N>::new(op, tensor)?;
        let mut converted = Vec::new();
        if !source.is_direct() {
            converted.reserve(tensor.axes().count());
            N::run(Widen(tensor, &mut converted));
        }
        let direct = if source.is_direct() { tensor.bytes().cast() } else { converted.as_ptr() };
        Ok(Some(Self { _converted: converted, direct }))
    }

    /// The address of the first.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const N {
        self.direct
    }
}

/// The address of the first of some numbers, if there are any.
pub(crate) fn address<N: Number>(parameter: &Option<Parameter<N>>) -> Option<*const N> {
    parameter.as_ref().map(Parameter::as_ptr)
}

/// Calls `f` with the addresses of `ROOMS` buffers of `each` numbers.
///
/// # Errors
/// There is no memory.
pub(crate) fn with_rooms<N: Number, const ROOMS: usize, R>(
    each: usize,
    f: impl FnOnce([*mut N; ROOMS]) -> R,
) -> Result<R, KernelError> {
    let bytes = (each * size_of::<N>()).next_multiple_of(64);
    let outcome = with_scratch(bytes * ROOMS, |base| {
        // SAFETY: the scratch has as many bytes.
        f(std::array::from_fn(|room| unsafe { base.add(room * bytes) }.cast()))
    });
    Ok(outcome?)
}
