//! Tensors in memory of their own, laid out in some way, whose elements are read as f64.

use half::{bf16, f16};
use phynexus_kernels::{Axes, DType, TensorMut, TensorRef};

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) % end as u64) as usize
    }

    /// A shape of few axes, now and then an empty one.
    pub fn shape(&mut self) -> Vec<usize> {
        let rank = self.below(5);
        let longest = [2000, 300, 40, 12, 7][rank];
        (0..rank).map(|_| if self.below(40) == 0 { 0 } else { 1 + self.below(longest) }).collect()
    }

    /// A number that every dtype holds, and whose products with others int8 holds.
    pub fn number(&mut self, dtype: DType) -> f64 {
        match dtype {
            DType::Bool => self.below(2) as f64,
            DType::U8 => self.below(12) as f64,
            dtype if dtype.is_float() => match self.below(60) {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => -0.0,
                _ => self.below(200) as f64 / 8.0 - 12.0,
            },
            _ => self.below(23) as f64 - 11.0,
        }
    }
}

pub struct Memory {
    bytes: Vec<u64>,
    pub dtype: DType,
    pub axes: Axes,
    offset: usize,
}

/// What lies between elements: nobody may read it, nor write it.
const FILLER: u64 = 0x7ffb_7ffb_7ffb_7ffb;

impl Memory {
    /// Elements one after the other, at an odd offset.
    pub fn dense(dtype: DType, sizes: &[usize]) -> Self {
        Self::with_axes(dtype, Axes::dense(sizes).unwrap())
    }

    pub fn with_axes(dtype: DType, axes: Axes) -> Self {
        let reach: isize =
            axes.sizes().iter().zip(axes.strides()).map(|(&n, &s)| (n.max(1) as isize - 1) * s).sum();
        let offset = 3;
        let bytes = (reach as usize + 1 + 2 * offset) * dtype.size();
        Self { bytes: vec![FILLER; bytes.div_ceil(8) + 1], dtype, axes, offset }
    }

    /// Random numbers in some layout: permuted, spread, or repeated along axes.
    pub fn random(random: &mut Random, dtype: DType, sizes: &[usize], may_repeat: bool) -> Self {
        let rank = sizes.len();
        let mut order: Vec<usize> = (0..rank).collect();
        if random.below(3) == 0 {
            for axis in (1..rank).rev() {
                order.swap(axis, random.below(axis + 1));
            }
        }
        let mut step = if random.below(4) == 0 { 2 } else { 1 };
        let mut strides = vec![0; rank];
        for &axis in order.iter().rev() {
            if may_repeat && random.below(6) == 0 {
                continue;
            }
            strides[axis] = step;
            step *= sizes[axis].max(1) as isize + if random.below(6) == 0 { 1 } else { 0 };
        }
        let mut memory = Self::with_axes(dtype, Axes::new(sizes, &strides).unwrap());
        for place in memory.places() {
            memory.set(place, random.number(dtype));
        }
        memory
    }

    /// Where every element lies, in row-major order.
    pub fn places(&self) -> Vec<isize> {
        let mut places = vec![0];
        for (&size, &stride) in self.axes.sizes().iter().zip(self.axes.strides()) {
            places = places.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * stride)).collect();
        }
        places
    }

    fn pointer(&self) -> *mut u8 {
        self.bytes.as_ptr().cast::<u8>().wrapping_add(self.offset * self.dtype.size()).cast_mut()
    }

    pub fn get(&self, place: isize) -> f64 {
        let at = self.pointer();
        // SAFETY: an element of the tensor, aligned to its size.
        unsafe {
            match self.dtype {
                DType::F32 => f64::from(*at.cast::<f32>().offset(place)),
                DType::F64 => *at.cast::<f64>().offset(place),
                DType::F16 => (*at.cast::<f16>().offset(place)).to_f64(),
                DType::Bf16 => (*at.cast::<bf16>().offset(place)).to_f64(),
                DType::I8 => f64::from(*at.cast::<i8>().offset(place)),
                DType::I16 => f64::from(*at.cast::<i16>().offset(place)),
                DType::I32 => f64::from(*at.cast::<i32>().offset(place)),
                DType::I64 => *at.cast::<i64>().offset(place) as f64,
                DType::U8 | DType::Bool => f64::from(*at.offset(place)),
            }
        }
    }

    pub fn set(&mut self, place: isize, value: f64) {
        let at = self.bytes.as_mut_ptr().cast::<u8>().wrapping_add(self.offset * self.dtype.size());
        // SAFETY: an element of the tensor, aligned to its size.
        unsafe {
            match self.dtype {
                DType::F32 => *at.cast::<f32>().offset(place) = value as f32,
                DType::F64 => *at.cast::<f64>().offset(place) = value,
                DType::F16 => *at.cast::<f16>().offset(place) = f16::from_f64(value),
                DType::Bf16 => *at.cast::<bf16>().offset(place) = bf16::from_f64(value),
                DType::I8 => *at.cast::<i8>().offset(place) = value as i8,
                DType::I16 => *at.cast::<i16>().offset(place) = value as i16,
                DType::I32 => *at.cast::<i32>().offset(place) = value as i32,
                DType::I64 => *at.cast::<i64>().offset(place) = value as i64,
                // Negative ones wrap.
                DType::U8 => *at.offset(place) = value as i64 as u8,
                DType::Bool => *at.offset(place) = u8::from(value != 0.0),
            }
        }
    }

    /// The values in row-major order.
    pub fn values(&self) -> Vec<f64> {
        self.places().into_iter().map(|place| self.get(place)).collect()
    }

    /// The values repeated to larger sizes.
    pub fn broadcast(&self, sizes: &[usize]) -> Vec<f64> {
        let lead = sizes.len() - self.axes.rank();
        let own = self.axes.sizes().iter().zip(self.axes.strides());
        let strides: Vec<isize> = std::iter::repeat_n(0, lead)
            .chain(own.map(|(&size, &stride)| if size == 1 { 0 } else { stride }))
            .collect();
        let mut places = vec![0];
        for (&size, stride) in sizes.iter().zip(strides) {
            places = places.iter().flat_map(|&at| (0..size as isize).map(move |i| at + i * stride)).collect();
        }
        places.into_iter().map(|place| self.get(place)).collect()
    }

    /// Whether everything around a dense tensor is as it was.
    pub fn is_clean(&self) -> bool {
        let width = self.dtype.size();
        let count = self.axes.count();
        let filler = FILLER.to_ne_bytes();
        // SAFETY: the bytes of the vector.
        let bytes =
            unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast::<u8>(), self.bytes.len() * 8) };
        let is_filler = |(at, &byte): (usize, &u8)| byte == filler[at % 8];
        let (before, after) = (self.offset * width, (self.offset + count) * width);
        bytes.iter().enumerate().filter(|(at, _)| *at < before || *at >= after).all(is_filler)
    }

    pub fn input(&self) -> Option<TensorRef<'_>> {
        // SAFETY: the memory has room for what the axes reach.
        Some(unsafe { TensorRef::new(self.pointer(), self.dtype, self.axes) })
    }

    pub fn output(&mut self) -> TensorMut<'_> {
        let at = self.bytes.as_mut_ptr().cast::<u8>().wrapping_add(self.offset * self.dtype.size());
        // SAFETY: the memory has room for what the axes reach, and is borrowed.
        unsafe { TensorMut::new(at, self.dtype, self.axes) }
    }
}

/// Whether two lists of values are the same; NaN is NaN.
pub fn same(found: &[f64], wanted: &[f64]) -> bool {
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

/// The values as a dtype holds them.
pub fn rounded(dtype: DType, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.into_iter().collect();
    let mut memory = Memory::dense(dtype, &[values.len()]);
    for (place, &value) in values.iter().enumerate() {
        memory.set(place as isize, value);
    }
    memory.values()
}
