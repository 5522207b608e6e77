//! Running an elementwise op: its code works on rows of dense or repeated elements, and this finds
//! the rows, makes them where memory has none, and shares them out over threads.

use phynexus_runtime::parallel_for;
use phynexus_runtime::scratch::with_scratch;
use phynexus_simd::LANES;

use crate::loops::{Block, Loops, Place};
use crate::strided::{Grid, copy_block};
use crate::widen::{narrow, widen};
use crate::{DType, KernelError};

/// Computes `count` elements: `(out, inputs, repeated, count, parameter)`. An input that is
/// repeated has one element for all. The output may be the memory of an input.
pub type RowCode = unsafe fn(*mut u8, [*const u8; 3], [bool; 3], usize, f64);

/// The code of an op for a dtype.
#[derive(Clone, Copy)]
pub struct Row {
    /// The code.
    pub code: RowCode,
    /// A number that it is given.
    pub parameter: f64,
    /// What is widened to f32 for it.
    pub widens: Widens,
    /// How long an element takes, in units of one addition.
    pub cost: usize,
}

/// What is widened to f32 before the code, and narrowed after it.
#[derive(Clone, Copy)]
pub struct Widens {
    /// The 16-bit float that all inputs are.
    pub inputs: Option<DType>,
    /// The 16-bit float that the output is.
    pub output: Option<DType>,
    /// Bytes an element of an input takes.
    pub input_width: usize,
    /// Bytes an element of the output takes.
    pub output_width: usize,
}

impl Widens {
    /// Everything stays as it is.
    pub const NOTHING: Self = Self { inputs: None, output: None, input_width: 0, output_width: 0 };

    /// For inputs of a dtype and an output of a dtype.
    pub fn of(input: DType, output: DType) -> Self {
        let half = |dtype: DType| matches!(dtype, DType::F16 | DType::Bf16).then_some(dtype);
        Self {
            inputs: half(input),
            output: half(output),
            input_width: input.size(),
            output_width: output.size(),
        }
    }
}

/// Elements of a simple op that are worth a second thread: about 10 µs.
const PARALLEL: usize = 1 << 16;
/// Elements of a simple op that a thread takes at once.
const TASK: usize = 1 << 14;
/// Elements that a block has at most when some of it is copied first.
const COPIED: usize = 1 << 11;
/// The longest element.
const WIDEST: usize = 8;
/// Rows shorter than this are copied together, where the output allows it.
const SHORT: usize = 64;

/// Runs an op on its output (the first place) and its inputs, which broadcast to it.
///
/// # Errors
/// There is no memory for scratch.
///
/// # Safety
/// The code fits the places' dtypes, of which all elements are valid, those of the output for
/// writes by nobody else; an input either does not overlap it or has the same layout.
pub unsafe fn run<const N: usize>(places: [Place<'_>; N], row: Row) -> Result<(), KernelError> {
    let mut loops = Loops::new(places);
    if loops.count() == 0 {
        return Ok(());
    }
    let lies_well = |tensor: usize| {
        let stride = loops.stride(0, tensor);
        stride == loops.width(tensor) as isize || (stride == 0 && tensor > 0)
    };
    let are_well: [bool; N] = std::array::from_fn(lies_well);
    if loops.rank() == 1 && are_well.iter().all(|&well| well) {
        // SAFETY: as the caller vouches.
        unsafe { run_flat(&loops, row) };
        return Ok(());
    }
    let out_width = loops.width(0) as isize;
    let is_short = loops.size(0) < SHORT && loops.rank() > 1;
    let is_flat = is_short && are_well[0] && loops.stride(1, 0) == out_width * loops.size(0) as isize;
    let is_copied: [bool; N] = std::array::from_fn(|tensor| {
        let joins = loops.stride(1, tensor) == loops.stride(0, tensor) * loops.size(0) as isize;
        !are_well[tensor] || (is_flat && !joins)
    });
    let copies = is_copied.iter().any(|&copied| copied);
    if copies
        && !is_flat
        && let Some(tensor) = are_well.iter().position(|&well| !well)
    {
        loops.bring_next(tensor);
    }
    let most = if copies { COPIED } else { TASK };
    let cols = loops.size(0).min(if copies && !is_flat { 128 } else { most });
    let rows = loops.size(1).min((most / cols.max(1)).max(1));
    let nest = Nest { loops, rows, cols, is_flat, is_copied, row };
    let blocks = nest.loops.blocks(rows, cols);
    let bytes = if copies { N * COPIED * WIDEST } else { 0 };
    let elements = nest.loops.count();
    if elements * row.cost < PARALLEL {
        // SAFETY: as the caller vouches.
        return with_scratch(bytes, |scratch| unsafe { nest.run(0..blocks, scratch) }).map_err(Into::into);
    }
    let group = (TASK / (rows * cols * row.cost)).max(1);
    let failed = std::sync::Mutex::new(None);
    parallel_for(blocks.div_ceil(group), |task| {
        let part = task * group..blocks.min((task + 1) * group);
        // SAFETY: as the caller vouches; no two tasks share a block.
        if let Err(error) = with_scratch(bytes, |scratch| unsafe { nest.run(part, scratch) }) {
            *failed.lock().unwrap() = Some(error);
        }
    });
    failed.into_inner().unwrap().map_or(Ok(()), |error| Err(error.into()))
}

unsafe fn run_flat<const N: usize>(loops: &Loops<N>, row: Row) {
    let count = loops.size(0);
    let repeated = std::array::from_fn(|input| input + 1 < N && loops.stride(0, input + 1) == 0);
    let part = |start: usize, count: usize| {
        let block = loops.block(start, 1, 1);
        // SAFETY: as the caller vouches.
        unsafe { row.call(block.data[0], inputs_of(block.data), repeated, count) };
    };
    if count * row.cost < PARALLEL {
        part(0, count);
        return;
    }
    let each = (TASK / row.cost).max(LANES) / LANES * LANES;
    parallel_for(count.div_ceil(each), |task| part(task * each, each.min(count - task * each)));
}

fn inputs_of<const N: usize>(data: [*mut u8; N]) -> [*const u8; 3] {
    std::array::from_fn(|input| data.get(input + 1).map_or(std::ptr::null(), |data| data.cast_const()))
}

/// How the blocks of an op are worked through.
struct Nest<const N: usize> {
    loops: Loops<N>,
    rows: usize,
    cols: usize,
    /// A block is one row of the output.
    is_flat: bool,
    /// Blocks of these tensors are dense only in scratch.
    is_copied: [bool; N],
    row: Row,
}

impl<const N: usize> Nest<N> {
    unsafe fn run(&self, blocks: std::ops::Range<usize>, scratch: *mut u8) {
        // What the scratch holds: a bias is the same for many blocks.
        let mut held = [(std::ptr::null_mut(), 0, 0); N];
        for index in blocks {
            let block = self.loops.block(index, self.rows, self.cols);
            // SAFETY: as the caller vouches.
            unsafe { self.run_block(block, scratch, &mut held) };
        }
    }

    unsafe fn run_block(&self, block: Block<N>, scratch: *mut u8, held: &mut [(*mut u8, usize, usize); N]) {
        let Block { rows, cols, data } = block;
        let loops = &self.loops;
        let mut grids: [Grid; N] = std::array::from_fn(|tensor| Grid {
            data: data[tensor],
            row: loops.stride(1, tensor),
            col: loops.stride(0, tensor),
        });
        for tensor in 0..N {
            if !self.is_copied[tensor] {
                continue;
            }
            let width = loops.width(tensor);
            let dense = Grid {
                data: scratch.wrapping_add(tensor * COPIED * WIDEST),
                row: (cols * width) as isize,
                col: width as isize,
            };
            let holds = (data[tensor], rows, cols);
            if tensor > 0 && held[tensor] != holds {
                // SAFETY: a block of the input, and scratch for as many elements.
                unsafe { copy_block(width, dense, grids[tensor], rows, cols) };
                held[tensor] = holds;
            }
            grids[tensor] = dense;
        }
        let repeated = std::array::from_fn(|input| input + 1 < N && grids[input + 1].col == 0);
        let (calls, length) = if self.is_flat { (1, rows * cols) } else { (rows, cols) };
        for call in 0..calls as isize {
            let at = grids.map(|grid| grid.data.wrapping_offset(call * grid.row));
            // SAFETY: rows of dense or repeated elements.
            unsafe { self.row.call(at[0], inputs_of(at), repeated, length) };
        }
        if self.is_copied[0] {
            let out = Grid { data: data[0], row: loops.stride(1, 0), col: loops.stride(0, 0) };
            // SAFETY: the block of the output, and what was computed for it.
            unsafe { copy_block(loops.width(0), out, grids[0], rows, cols) };
        }
    }
}

/// Elements that are made f32 at a time.
const WIDENED: usize = 256;

impl Row {
    /// Computes a row.
    ///
    /// # Safety
    /// As the code demands.
    #[inline]
    unsafe fn call(&self, out: *mut u8, inputs: [*const u8; 3], repeated: [bool; 3], count: usize) {
        if self.widens.inputs.is_none() && self.widens.output.is_none() {
            // SAFETY: as the caller vouches.
            unsafe { (self.code)(out, inputs, repeated, count, self.parameter) };
            return;
        }
        for start in (0..count).step_by(WIDENED) {
            // SAFETY: a part of the row.
            unsafe { self.call_widened(out, inputs, repeated, start, WIDENED.min(count - start)) };
        }
    }

    unsafe fn call_widened(
        &self,
        out: *mut u8,
        inputs: [*const u8; 3],
        repeated: [bool; 3],
        start: usize,
        count: usize,
    ) {
        let Widens { input_width, output_width, .. } = self.widens;
        let mut wide = [[0.0f32; WIDENED]; 3];
        let mut at = inputs;
        for input in (0..3).filter(|&input| !inputs[input].is_null()) {
            if !repeated[input] {
                at[input] = inputs[input].wrapping_add(start * input_width);
            }
            if let Some(dtype) = self.widens.inputs {
                let needed = if repeated[input] { 1 } else { count };
                // SAFETY: a part of the row, or the one element.
                unsafe { widen(dtype, at[input].cast(), wide[input].as_mut_ptr(), needed) };
                at[input] = wide[input].as_ptr().cast();
            }
        }
        let out = out.wrapping_add(start * output_width);
        // SAFETY: a part of the row, and as much of the array.
        unsafe {
            if let Some(dtype) = self.widens.output {
                let mut result = [0.0f32; WIDENED];
                (self.code)(result.as_mut_ptr().cast(), at, repeated, count, self.parameter);
                narrow(dtype, result.as_ptr(), out.cast(), count);
            } else {
                (self.code)(out, at, repeated, count, self.parameter);
            }
        }
    }
}
