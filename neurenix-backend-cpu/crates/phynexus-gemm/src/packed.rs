//! Right operands that are packed once and multiplied often.

use phynexus_simd::{Isa, Kernel, LANES, Simd, dispatch, dispatch_on, isa};

use crate::matrix::MatRef;
use crate::pack::PackB;
use phynexus_runtime::parallel_for;

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

    /// Packs panel `index` of `b` to its place behind `to`.
    ///
    /// # Safety
    /// `to` is valid for writes of [`Self::floats`] floats.
    pub unsafe fn pack<S: Simd>(self, simd: S, b: MatRef<'_>, index: usize, to: *mut f32) {
        let (start, depth) = (index * self.width, b.rows());
        let cols = self.width.min(self.cols - start);
        // SAFETY: a part of `b`'s columns.
        let part = unsafe { MatRef::from_raw(b.at(0, start), depth, cols, b.row_stride(), b.col_stride()) };
        let width = cols.next_multiple_of(LANES);
        simd.vectorize(PackB { b: part, width, to: to.wrapping_add(start * depth) });
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
        parallel_for(layout.count(), |index| {
            // SAFETY: the blocks hold as many floats, and each task writes a panel of its own.
            unsafe { layout.pack(simd, self.b, index, to.get()) };
        });
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
