//! What happens to finished sums while they are still in the cache.

use phynexus_simd::{LANES, Simd};

use crate::matrix::{MatRef, Target};

/// What is applied to the sums of a product, in the order of the fields.
///
/// `c = activation(sums + col_bias + row_bias + residual)`, where the sums start from `c`'s own
/// values if `accumulate` is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Sums start from what `c` holds, not from zero: the product is added to it.
    pub accumulate: bool,
    /// Added to every row: an element a column of `c`.
    pub col_bias: Option<&'a [f32]>,
    /// Added to every column: an element a row of `c`.
    pub row_bias: Option<&'a [f32]>,
    /// Added element by element: a matrix of `c`'s shape, which must not overlap it.
    pub residual: Option<MatRef<'a>>,
    /// Applied at the end.
    pub activation: Activation,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// The value itself.
    #[default]
    None,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// `min(max(x, low), high)`; NaN stays NaN.
    Clamp {
        /// The least result.
        low: f32,
        /// The largest result.
        high: f32,
    },
}

impl<'a> Epilogue<'a> {
    /// Nothing but the product.
    pub const NONE: Epilogue<'static> = Epilogue {
        accumulate: false,
        col_bias: None,
        row_bias: None,
        residual: None,
        activation: Activation::None,
    };

    /// The product added to what `c` holds.
    pub const ACCUMULATE: Epilogue<'static> = Epilogue { accumulate: true, ..Epilogue::NONE };

    /// For the product `c' = b' a'` of transposes.
    pub(crate) fn t(self) -> Self {
        Self {
            col_bias: self.row_bias,
            row_bias: self.col_bias,
            residual: self.residual.map(MatRef::t),
            ..self
        }
    }

    /// For `cols` columns from `col` on.
    pub(crate) fn columns(self, col: usize, cols: usize) -> Self {
        let part = |residual: MatRef<'a>| {
            // SAFETY: a part of the residual's columns.
            unsafe {
                MatRef::from_raw(
                    residual.at(0, col),
                    residual.rows(),
                    cols,
                    residual.row_stride(),
                    residual.col_stride(),
                )
            }
        };
        Self {
            col_bias: self.col_bias.map(|bias| &bias[col..col + cols]),
            residual: self.residual.map(part),
            ..self
        }
    }

    /// Whether finished sums are the result.
    pub(crate) fn is_identity(&self) -> bool {
        self.col_bias.is_none()
            && self.row_bias.is_none()
            && self.residual.is_none()
            && self.activation == Activation::None
    }

    pub(crate) fn check(&self, rows: usize, cols: usize) {
        if let Some(bias) = self.col_bias {
            assert_eq!(bias.len(), cols, "a bias for {cols} columns has {} elements", bias.len());
        }
        if let Some(bias) = self.row_bias {
            assert_eq!(bias.len(), rows, "a bias for {rows} rows has {} elements", bias.len());
        }
        if let Some(residual) = self.residual {
            let shape = (residual.rows(), residual.cols());
            assert_eq!(shape, (rows, cols), "the residual of a {rows}x{cols} product is {shape:?}");
        }
    }
}

impl Activation {
    /// Applies it to 16 values.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, x: S::F32) -> S::F32 {
        match self {
            Self::None => x,
            Self::Relu => simd.max(simd.zero(), x),
            Self::Clamp { low, high } => simd.min(simd.splat(high), simd.max(simd.splat(low), x)),
        }
    }
}

/// Sums at rows `row ..` and columns `col ..` of the product, `rows` times `cols` of them, lying
/// in rows `sums_row` apart.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub sums: *const f32,
    pub sums_row: isize,
    pub row: usize,
    pub col: usize,
    pub rows: usize,
    pub cols: usize,
}

/// Applies an epilogue to a tile of sums and writes it to its place in `c` (which may be where the
/// sums are). `apply` is false where further sums follow.
///
/// # Safety
/// The sums are valid for reads and the tile's elements of `c` for writes.
#[inline(always)]
pub(crate) unsafe fn finish<S: Simd>(simd: S, tile: Tile, c: Target, epilogue: &Epilogue<'_>, apply: bool) {
    if c.row_stride == 1 && c.col_stride != 1 && tile.rows <= LANES {
        // SAFETY: as the caller vouches.
        unsafe { finish_transposed(simd, tile, c, epilogue, apply) };
        return;
    }
    for i in 0..tile.rows {
        let mut j = 0;
        while j < tile.cols {
            let many = LANES.min(tile.cols - j);
            // SAFETY: within the tile.
            unsafe {
                let from = tile.sums.offset(i as isize * tile.sums_row).add(j);
                let mut x = load(simd, from, 1, many);
                if apply {
                    x = transform(simd, x, tile.row + i, tile.col + j, many, epilogue);
                }
                store(simd, c.at(tile.row + i, tile.col + j), c.col_stride, many, x);
            }
            j += LANES;
        }
    }
}

/// [`finish`] for at most 16 rows that are adjacent in `c`.
#[inline(always)]
unsafe fn finish_transposed<S: Simd>(simd: S, tile: Tile, c: Target, epilogue: &Epilogue<'_>, apply: bool) {
    for j in (0..tile.cols).step_by(LANES) {
        let many = LANES.min(tile.cols - j);
        let mut block = [simd.zero(); LANES];
        // SAFETY: within the tile.
        unsafe {
            for (i, vector) in block.iter_mut().enumerate().take(tile.rows) {
                *vector = load(simd, tile.sums.offset(i as isize * tile.sums_row).add(j), 1, many);
                if apply {
                    *vector = transform(simd, *vector, tile.row + i, tile.col + j, many, epilogue);
                }
            }
            simd.transpose(&mut block);
            for (column, &vector) in block.iter().enumerate().take(many) {
                simd.store_first(c.at(tile.row, tile.col + j + column), tile.rows, vector);
            }
        }
    }
}

/// Applies an epilogue to `many <= 16` sums of a row.
///
/// # Safety
/// The elements belong to the product that the epilogue was checked for.
#[inline(always)]
pub(crate) unsafe fn transform<S: Simd>(
    simd: S,
    mut x: S::F32,
    row: usize,
    col: usize,
    many: usize,
    epilogue: &Epilogue<'_>,
) -> S::F32 {
    // SAFETY: the biases and the residual have an element for each of the product's.
    unsafe {
        if let Some(bias) = epilogue.col_bias {
            x = simd.add(x, load(simd, bias.as_ptr().add(col), 1, many));
        }
        if let Some(bias) = epilogue.row_bias {
            x = simd.add(x, simd.splat(*bias.get_unchecked(row)));
        }
        if let Some(residual) = epilogue.residual {
            x = simd.add(x, load(simd, residual.at(row, col), residual.col_stride(), many));
        }
    }
    epilogue.activation.apply(simd, x)
}

/// Reads `many <= 16` floats `stride` apart; the other lanes are zero.
///
/// # Safety
/// They are valid for reads.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd>(simd: S, from: *const f32, stride: isize, many: usize) -> S::F32 {
    // SAFETY: as the caller vouches.
    unsafe {
        if stride != 1 {
            let mut lanes = [0.0; LANES];
            for (lane, value) in lanes.iter_mut().enumerate().take(many) {
                *value = *from.offset(lane as isize * stride);
            }
            simd.load(lanes.as_ptr())
        } else if many == LANES {
            simd.load(from)
        } else {
            simd.load_first(from, many)
        }
    }
}

/// Writes `many <= 16` lanes `stride` floats apart.
///
/// # Safety
/// They are valid for writes.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd>(simd: S, to: *mut f32, stride: isize, many: usize, x: S::F32) {
    // SAFETY: as the caller vouches.
    unsafe {
        if stride != 1 {
            for (lane, value) in simd.to_array(x).into_iter().enumerate().take(many) {
                *to.offset(lane as isize * stride) = value;
            }
        } else if many == LANES {
            simd.store(to, x);
        } else {
            simd.store_first(to, many, x);
        }
    }
}
