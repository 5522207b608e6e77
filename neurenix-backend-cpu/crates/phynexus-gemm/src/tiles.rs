//! A part of a product, done by one thread: which blocks, in which order, from which operands.

use std::mem::MaybeUninit;
use std::ops::Range;

use phynexus_simd::{Kernel, LANES, Simd};

use crate::epilogue::{Epilogue, Tile, finish, load};
use crate::matrix::{MatRef, Target};
use crate::micro::{BColumns, Form, TileArgs, tile_fn, widest};
use crate::pack::PackA;
use crate::pack::with_floats;
use crate::packed::PanelLayout;

/// Depth of a block of packed panels: as good as never do sums go on from memory.
const PACKED_DEPTH: usize = 2048;

/// Depth of a block otherwise: what is packed as it is needed stays in the second-level cache.
const DEPTH: usize = 512;

/// The most floats that the sums of a block have on any instruction set.
const BLOCK_FLOATS: usize = 14 * 4 * LANES;

/// The right operand: panels that were packed one behind the other, or a matrix.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Panels of all of `k`, packed.
    Packed(*const f32),
    /// A matrix with adjacent columns that is read where it lies, but for the panel at the edge.
    InPlace(MatRef<'a>),
    /// A matrix of which each part packs what it needs, when it needs it.
    AsNeeded(MatRef<'a>),
}

// SAFETY: what it points to is only read.
unsafe impl Send for Right<'_> {}
// SAFETY: as above.
unsafe impl Sync for Right<'_> {}

/// Panels that are packed together as they are needed, so that rows are read in longer runs.
const PANELS_AS_NEEDED: usize = 4;

/// A product `c = a * b`, `b` cut into panels.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    pub a: MatRef<'a>,
    pub b: Right<'a>,
    pub layout: PanelLayout,
    pub c: Target,
    pub epilogue: &'a Epilogue<'a>,
    /// Sums go on from `c`, whatever the epilogue says: there are products before this one.
    pub continues: bool,
    /// Sums are not finished: there are products after this one.
    pub is_partial: bool,
}

/// Where a part keeps its copies: rows of `A` if it makes any, and of `B`.
#[derive(Clone, Copy)]
struct Copies {
    a: Option<*mut f32>,
    b: *mut f32,
}

/// How the inner loop reads some rows of `A`.
#[derive(Clone, Copy)]
struct Rows {
    ptr: *const f32,
    row: isize,
    step: isize,
    form: Form,
}

/// Cuts `rows` into blocks of nearly one size, the largest that the registers hold.
pub(crate) fn blocks(rows: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let many = rows.len();
    let count = many.div_ceil(most);
    (0..count).map(move |i| rows.start + i * many / count..rows.start + (i + 1) * many / count)
}

impl Product<'_> {
    /// Computes rows `rows` of panels `panels`.
    ///
    /// # Safety
    /// Operands are valid for reads and `c` for writes, of which no other thread has this part.
    pub unsafe fn part<S: Simd>(&self, simd: S, rows: Range<usize>, panels: Range<usize>) {
        if rows.is_empty() || panels.is_empty() {
            return;
        }
        let depth = self.a.cols();
        let most = if let Right::Packed(_) = self.b { PACKED_DEPTH } else { DEPTH };
        let a_floats = match self.packs_a::<S>(&rows, &panels) {
            true => rows.len() * depth.min(most).next_multiple_of(LANES),
            false => 0,
        };
        let b_floats = match self.b {
            Right::Packed(_) => 0,
            Right::InPlace(_) => self.layout.edge_width() * depth.min(most),
            Right::AsNeeded(_) => PANELS_AS_NEEDED.min(panels.len()) * self.layout.width * depth.min(most),
        };
        with_floats(a_floats + b_floats, |scratch| {
            let copies = Copies { a: (a_floats > 0).then_some(scratch), b: scratch.wrapping_add(a_floats) };
            let mut k = 0;
            loop {
                let deep = most.min(depth - k);
                // SAFETY: as the caller vouches; the scratch holds the copies.
                unsafe { self.layer(simd, &rows, &panels, k..k + deep, copies) };
                k += deep;
                if k >= depth {
                    break;
                }
            }
        });
    }

    /// Whether rows of `A` are worth a copy: always if their elements are not adjacent either way,
    /// and where rows are a page apart, since then more of them than a first-level cache has ways
    /// compete for the same places.
    fn packs_a<S: Simd>(&self, rows: &Range<usize>, panels: &Range<usize>) -> bool {
        if self.a.col_stride() != 1 && self.a.row_stride() != 1 {
            return true;
        }
        const WAYS: usize = 8;
        let row_bytes = self.a.row_stride().unsigned_abs() * size_of::<f32>();
        let collides = self.a.col_stride() == 1 && row_bytes.is_multiple_of(4096) && rows.len() > WAYS;
        collides || rows.len() > S::ROWS && panels.len() >= 8
    }

    /// Products `k` of a part.
    unsafe fn layer<S: Simd>(
        &self,
        simd: S,
        rows: &Range<usize>,
        panels: &Range<usize>,
        k: Range<usize>,
        copies: Copies,
    ) {
        if let Some(to) = copies.a {
            // SAFETY: as the caller vouches.
            unsafe { self.pack_rows(simd, rows, &k, to) };
        }
        let widest = blocks(rows.clone(), S::ROWS).map(|block| widest::<S>(block.len())).min();
        let group = widest.unwrap_or(S::COLS) / S::COLS;
        let mut panel = panels.start;
        while panel < panels.end {
            let full = self.layout.full().min(panels.end).saturating_sub(panel);
            let many = if full >= group { group } else { 1 };
            // SAFETY: as the caller vouches.
            let b = unsafe { self.columns(simd, panels, panel, &k, copies.b) };
            let mut packed = copies.a;
            for block in blocks(rows.clone(), S::ROWS) {
                let a = match &mut packed {
                    Some(ptr) => {
                        let high = block.len() as isize;
                        let a = Rows { ptr: *ptr, row: 16, step: high * 16, form: Form::Packed };
                        *ptr = ptr.wrapping_add(block.len() * k.len().next_multiple_of(LANES));
                        a
                    }
                    None => self.rows_in_place(&block, &k),
                };
                // SAFETY: as the caller vouches.
                unsafe { self.block(simd, a, b, &block, panel..panel + many, &k) };
            }
            panel += many;
        }
    }

    /// Packs rows of `A` block by block, some `k` of all blocks at a time: the pages and the lines
    /// that blocks share are then still at hand.
    unsafe fn pack_rows<S: Simd>(&self, simd: S, rows: &Range<usize>, k: &Range<usize>, to: *mut f32) {
        const TOGETHER: usize = 4 * LANES;
        for from in k.clone().step_by(TOGETHER) {
            let some = from..k.end.min(from + TOGETHER);
            let mut first = to;
            for block in blocks(rows.clone(), S::ROWS) {
                // SAFETY: rows of `a`; the scratch holds them.
                let a = unsafe { self.some_of_a(&block, &some) };
                simd.vectorize(PackA { a, to: first.wrapping_add((from - k.start) * block.len()) });
                first = first.wrapping_add(block.len() * k.len().next_multiple_of(LANES));
            }
        }
    }

    /// Rows `k` of the panel, which are packed first if need be: some panels at a time, counted
    /// from the first of the part.
    unsafe fn columns<S: Simd>(
        &self,
        simd: S,
        panels: &Range<usize>,
        panel: usize,
        k: &Range<usize>,
        copy: *mut f32,
    ) -> BColumns {
        let layout = self.layout;
        let packed = |first: *const f32, index: usize, depth: usize, from: usize| {
            let step = if index < layout.full() { layout.width } else { layout.edge_width() };
            let ptr = first.wrapping_add(index * layout.width * depth + from * step);
            BColumns { ptr, step: step as isize, panel: (layout.width * depth) as isize }
        };
        let (b, some) = match self.b {
            Right::Packed(first) => return packed(first, panel, self.a.cols(), k.start),
            Right::InPlace(b) if panel < layout.full() => {
                let ptr = b.at(k.start, panel * layout.width);
                return BColumns { ptr, step: b.row_stride(), panel: layout.width as isize };
            }
            Right::InPlace(b) => (b, panel..panel + 1),
            Right::AsNeeded(b) => {
                let first = panel - (panel - panels.start) % PANELS_AS_NEEDED;
                (b, first..panels.end.min(first + PANELS_AS_NEEDED))
            }
        };
        let first = copy.wrapping_sub(some.start * layout.width * k.len());
        if panel == some.start {
            // SAFETY: rows of `b`; the scratch holds them.
            unsafe {
                let ptr = b.at(k.start, 0);
                let b = MatRef::from_raw(ptr, k.len(), b.cols(), b.row_stride(), b.col_stride());
                layout.pack(simd, b, some, first);
            }
        }
        packed(first, panel, k.len(), 0)
    }

    unsafe fn some_of_a(&self, rows: &Range<usize>, k: &Range<usize>) -> MatRef<'_> {
        let a = self.a;
        let ptr = a.at(rows.start, k.start);
        // SAFETY: a part of `a`.
        unsafe { MatRef::from_raw(ptr, rows.len(), k.len(), a.row_stride(), a.col_stride()) }
    }

    fn rows_in_place(&self, rows: &Range<usize>, k: &Range<usize>) -> Rows {
        let ptr = self.a.at(rows.start, k.start);
        if self.a.col_stride() == 1 {
            Rows { ptr, row: self.a.row_stride(), step: 16, form: Form::Blocks }
        } else {
            Rows { ptr, row: 1, step: self.a.col_stride(), form: Form::Steps }
        }
    }

    /// One block: straight to `c` if its vectors are whole there, else by way of the stack.
    unsafe fn block<S: Simd>(
        &self,
        simd: S,
        a: Rows,
        b: BColumns,
        rows: &Range<usize>,
        panels: Range<usize>,
        k: &Range<usize>,
    ) {
        let layout = self.layout;
        let col = panels.start * layout.width;
        let cols = (panels.end * layout.width).min(layout.cols) - col;
        let vectors = cols.div_ceil(LANES);
        let continues = self.continues || self.epilogue.accumulate || k.start > 0;
        let is_last = !self.is_partial && k.end == self.a.cols();
        let is_straight = self.c.col_stride == 1 && cols == vectors * LANES;

        let mut sums = [const { MaybeUninit::<f32>::uninit() }; BLOCK_FLOATS];
        let (to, to_row) = if is_straight {
            (self.c.at(rows.start, col), self.c.row_stride)
        } else {
            (sums.as_mut_ptr().cast(), (vectors * LANES) as isize)
        };
        let tile = Tile { sums: to, sums_row: to_row, row: rows.start, col, rows: rows.len(), cols };
        let run = tile_fn::<S>(rows.len(), vectors, a.form);
        // SAFETY: as the caller vouches.
        unsafe {
            if continues && !is_straight {
                simd.vectorize(Gather { tile, to, c: self.c });
            }
            let args = TileArgs {
                k: k.len(),
                a: a.ptr,
                a_row: a.row,
                a_step: a.step,
                b,
                c: to,
                c_row: to_row,
                continues,
            };
            run(simd, &args);
            let applies = is_last && !self.epilogue.is_identity();
            if applies || !is_straight {
                simd.vectorize(Finish { tile, c: self.c, epilogue: self.epilogue, applies });
            }
        }
    }
}

/// Reads a tile of `c` to where its sums go on.
struct Gather {
    tile: Tile,
    to: *mut f32,
    c: Target,
}

impl Kernel for Gather {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tile, to, c } = self;
        for i in 0..tile.rows {
            for j in (0..tile.cols).step_by(LANES) {
                let many = LANES.min(tile.cols - j);
                // SAFETY: elements of the tile; the sums have whole vectors.
                unsafe {
                    let x = load(simd, c.at(tile.row + i, tile.col + j), c.col_stride, many);
                    simd.store(to.offset(i as isize * tile.sums_row).add(j), x);
                }
            }
        }
    }
}

struct Finish<'a> {
    tile: Tile,
    c: Target,
    epilogue: &'a Epilogue<'a>,
    applies: bool,
}

impl Kernel for Finish<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // SAFETY: whoever finishes a tile vouches for it.
        unsafe { finish(simd, self.tile, self.c, self.epilogue, self.applies) };
    }
}
