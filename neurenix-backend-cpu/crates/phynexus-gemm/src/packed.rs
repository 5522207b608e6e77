//! Right operands that are packed once and multiplied often.

use std::ops::Range;

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch, dispatch_on, isa};

use crate::matrix::MatRef;
use crate::pack::PackB;
use phynexus_runtime::{parallel_for, threads};

/// How operands are cut into panels of columns: full ones, and at the right edge one that is as
/// many vectors wide as its columns take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanelLayout {
    /// Columns in all.
    pub cols: usize,
    /// Columns of a full panel.
    pub width: usize,
}

impl PanelLayout {
    pub fn new<S: Simd>(cols: usize) -> Self {
        Self { cols, width: S::COLS * LANES }
    }

    /// Panels in all.
    pub fn count(self) -> usize {
        self.cols.div_ceil(self.width)
    }

    /// Panels that are full.
    pub fn full(self) -> usize {
        self.cols / self.width
    }

    /// Columns of the panel at the right edge; 0 if there is none.
    pub fn edge_cols(self) -> usize {
        self.cols % self.width
    }

    /// Columns of that panel when packed.
    pub fn edge_width(self) -> usize {
        self.edge_cols().next_multiple_of(LANES)
    }

    /// Floats that `depth` rows take when packed.
    pub fn floats(self, depth: usize) -> usize {
        (self.full() * self.width + self.edge_width()) * depth
    }

    /// Packs panels of `b` to their places behind `to`.
    ///
    /// # Safety
    /// `to` is valid for writes of [`Self::floats`] floats.
    pub unsafe fn pack<S: Simd>(self, simd: S, b: MatRef<'_>, panels: Range<usize>, to: *mut f32) {
        let (start, depth) = (panels.start * self.width, b.rows());
        let cols = (panels.end * self.width).min(self.cols) - start;
        // SAFETY: a part of `b`'s columns.
        let part = unsafe { MatRef::from_raw(b.at(0, start), depth, cols, b.row_stride(), b.col_stride()) };
        simd.vectorize(PackB { b: part, to: to.wrapping_add(start * depth) });
    }

    /// Packs all panels of `b`, on several threads where that pays.
    ///
    /// # Safety
    /// As [`Self::pack`].
    pub unsafe fn pack_all<S: Simd>(self, simd: S, workers: usize, b: MatRef<'_>, to: Address) {
        /// Panels that are packed together, so that rows are read in longer runs.
        const TOGETHER: usize = 8;
        /// Floats that are worth a second thread.
        const PARALLEL_FLOATS: usize = 1 << 17;
        let count = self.count();
        let pack = |task: usize| {
            let panels = task * TOGETHER..count.min((task + 1) * TOGETHER);
            // SAFETY: as the caller vouches; each task has its own places.
            unsafe { self.pack(simd, b, panels, to.get()) };
        };
        let tasks = count.div_ceil(TOGETHER);
        if workers == 1 || b.rows() * self.cols < PARALLEL_FLOATS {
            (0..tasks).for_each(pack);
        } else {
            parallel_for(tasks, pack);
        }
    }
}

/// A right operand `B[k][n]`, packed: for weights that many products share.
///
/// It keeps to the instruction set that was in use when it was packed.
#[derive(Debug)]
pub struct PackedB {
    /// Rows of 16 floats, for the alignment.
    blocks: Vec<Block>,
    depth: usize,
    cols: usize,
    isa: Isa,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Block([f32; LANES]);

struct Pack<'a> {
    b: MatRef<'a>,
}

impl Kernel for Pack<'_> {
    type Output = Vec<Block>;

    fn run<S: Simd>(self, simd: S) -> Vec<Block> {
        let layout = PanelLayout::new::<S>(self.b.cols());
        let mut blocks = vec![Block([0.0; LANES]); layout.floats(self.b.rows()) / LANES];
        let to = Address(blocks.as_mut_ptr().cast());
        // SAFETY: the blocks hold as many floats.
        unsafe { layout.pack_all(simd, threads(), self.b, to) };
        blocks
    }
}

/// An address that several threads write behind, each at places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Address<T = f32>(pub *mut T);

// SAFETY: those who write through it share out the places.
unsafe impl<T: Send> Send for Address<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Address<T> {}

impl<T> Address<T> {
    pub fn get(self) -> *mut T {
        self.0
    }
}

impl PackedB {
    /// Packs `b`, which has `k` rows and `n` columns and any strides (`b.t()` for weights `[n][k]`).
    pub fn new(b: MatRef<'_>) -> Self {
        Self { blocks: dispatch(Pack { b }), depth: b.rows(), cols: b.cols(), isa: isa() }
    }

    /// Packs `b` for an instruction set.
    ///
    /// # Panics
    /// If this processor has not got it.
    pub fn for_isa(isa: Isa, b: MatRef<'_>) -> Self {
        Self { blocks: dispatch_on(isa, Pack { b }), depth: b.rows(), cols: b.cols(), isa }
    }

    /// Its rows: `k` of the product.
    pub fn rows(&self) -> usize {
        self.depth
    }

    /// Its columns: `n` of the product.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// The instruction set that products with it run on.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.blocks.len() * size_of::<Block>()
    }

    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.blocks.as_ptr().cast()
    }
}
