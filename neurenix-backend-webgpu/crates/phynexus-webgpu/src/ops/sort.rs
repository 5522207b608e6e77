//! Sorting along an axis, stable, and the first elements of that order.
//!
//! Numbers of elements are sorted, by their values and then by themselves: in workgroup memory as far as
//! it reaches, and by steps over all of a row where rows are longer.

use super::reduce::BETTER;
use super::team::Rows;
use super::{COMPUTED, Call, Launch, Operation};
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Places that a workgroup sorts: their values and numbers take 12 KiB of its 16 at most.
const BLOCK: usize = 1024;
/// Invocations of a workgroup.
const GROUP: usize = 128;

static FOR_ORDER: &[&Part] = &[&BETTER];

macro_rules! kernel {
    ($name:ident, $file:literal, $scalars:expr) => {
        static $name: Kernel = Kernel {
            name: concat!("sort/", $file),
            text: concat!(
                include_str!("../../wgsl/sort/order.wgsl"),
                include_str!(concat!("../../wgsl/sort/", $file, ".wgsl"))
            ),
            driver: Driver::Own,
            scalars: $scalars,
            parts: &[],
        };
    };
}

kernel!(SORT_BLOCK, "block", &["width", "inner", "size", "blocks", "first_run", "last_run"]);
kernel!(SORT_STEP, "step", &["width", "inner", "size", "pairs", "step", "run"]);
static PICK: Kernel = Kernel {
    name: "sort/pick",
    text: include_str!("../../wgsl/sort/pick.wgsl"),
    driver: Driver::Elements,
    scalars: &["inner", "kept", "size", "width"],
    parts: &[],
};

fn sort(call: &Call<'_>) -> Result<()> {
    sorted(call, call.attributes.bool("descending")?)
}

fn topk(call: &Call<'_>) -> Result<()> {
    sorted(call, call.attributes.bool("largest")?)
}

fn sorted(call: &Call<'_>, descending: bool) -> Result<()> {
    let [values, indices] = call.outputs else { unreachable!("the op has two outputs") };
    let x = call.input(0)?;
    if values.count() == 0 {
        return Ok(());
    }
    let axis = call.attributes.size("axis")?;
    let rows = Rows::along(&x.shape, axis);
    let size = rows.width.next_power_of_two().max(2);
    if rows.count * size > u32::MAX as usize {
        return Err(Error::Limit(format!(
            "sorting {} rows of {} elements takes {size} places for each, more than 32 bits count",
            rows.count, rows.width
        )));
    }
    let order = call.scratch(DType::I32, &[rows.count, size])?;
    let sorting = Sorting { call, x, order: &order, rows, size, descending };
    let block = size.min(BLOCK);
    sorting.in_blocks(block, 2, block)?;
    let mut run = 2 * block;
    while run <= size {
        let mut step = run / 2;
        while step >= block {
            sorting.step(step, run)?;
            step /= 2;
        }
        sorting.in_blocks(block, run, run)?;
        run *= 2;
    }
    Launch::new(&PICK, &values.as_bits())
        .output("indices", indices)
        .free("order", &order)
        .free("x", &x.as_bits())
        .size(rows.inner)
        .size(values.shape[axis])
        .size(size)
        .size(rows.width)
        .run(call.device)
}

struct Sorting<'a> {
    call: &'a Call<'a>,
    x: &'a Tensor,
    /// Of each row, the numbers of its elements, and numbers beyond up to `size`.
    order: &'a Tensor,
    rows: Rows,
    size: usize,
    descending: bool,
}

impl Sorting<'_> {
    fn launch(&self, kernel: &'static Kernel) -> Launch {
        let larger = match self.x.dtype.kind() {
            Kind::Float => "larger_float",
            Kind::Int => "larger_int",
            Kind::Long => "larger_long",
        };
        Launch::new(kernel, self.order)
            .free("x", self.x)
            .function(larger, FOR_ORDER)
            .constant("DESCENDING", self.descending.into())
            .size(self.rows.width)
            .size(self.rows.inner)
            .size(self.size)
    }

    fn in_blocks(&self, block: usize, first_run: usize, last_run: usize) -> Result<()> {
        let blocks = self.rows.count * (self.size / block);
        self.launch(&SORT_BLOCK)
            .constant("BLOCK", block as u32)
            .constant("GROUP", GROUP.min(block / 2) as u32)
            .size(blocks)
            .size(first_run)
            .size(last_run)
            .flat_groups(self.call.device, blocks)
            .run(self.call.device)
    }

    fn step(&self, step: usize, run: usize) -> Result<()> {
        let pairs = self.rows.count * (self.size / 2);
        self.launch(&SORT_STEP)
            .constant("GROUP", GROUP as u32)
            .size(pairs)
            .size(step)
            .size(run)
            .flat_groups(self.call.device, pairs.div_ceil(GROUP))
            .run(self.call.device)
    }
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run| Operation { op, run, dtypes: COMPUTED, strided: false, in_place: false };
    vec![row("sort", sort), row("topk", topk)]
}
