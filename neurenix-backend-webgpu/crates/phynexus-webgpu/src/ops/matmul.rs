//! Matrix products, and linear layers.
//!
//! The sum of an element is one chain of multiply-adds over the steps in order, in every kernel: which
//! one computes it, and whatever else is computed beside it, does not show in its bits.

use super::elementwise::{FLOAT, LONG, convert};
use super::movement::filled;
use super::{COMPUTED, Call, FLOATS, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// Rows and columns that a workgroup computes.
pub const TILE: usize = 64;
/// Products of integers that are started at once; a workgroup goes on to others.
const MOST_AT_ONCE: usize = 1 << 15;
/// Up to so many rows, or columns, are multiplied without tiles.
const NARROW: usize = 4;

/// The tiles that products of floats, and convolutions, are computed in.
pub static TILES: Part = Part { text: include_str!("../../wgsl/product/tiles.wgsl"), needs: &[] };
static PLAIN: Part = Part { text: include_str!("../../wgsl/matmul/plain.wgsl"), needs: &[] };
static WITH_BIAS: Part = Part { text: include_str!("../../wgsl/matmul/with_bias.wgsl"), needs: &[] };
static FOR_PLAIN: &[&Part] = &[&PLAIN];
static FOR_BIAS: &[&Part] = &[&WITH_BIAS];

const SIZES: &[&str] = &["turns", "rows", "columns", "depth", "x_row", "x_column", "y_row", "y_column"];

static FLOATS_IN_TILES: Kernel = Kernel {
    name: "matmul/float",
    text: include_str!("../../wgsl/matmul/float.wgsl"),
    driver: Driver::Own,
    scalars: SIZES,
    parts: &[&TILES],
};
static NARROW_FLOATS: Kernel = Kernel {
    name: "matmul/narrow",
    text: include_str!("../../wgsl/matmul/narrow.wgsl"),
    driver: Driver::Elements,
    scalars: SIZES,
    parts: &[],
};
static WHOLE: Kernel = Kernel {
    name: "matmul",
    text: include_str!("../../wgsl/matmul/whole.wgsl"),
    driver: Driver::Own,
    scalars: SIZES,
    parts: &[&FLOAT, &LONG],
};

/// The sizes of a product of matrices, and how its operands lie in memory.
struct Product {
    batch: Vec<usize>,
    rows: usize,
    columns: usize,
    depth: usize,
    x: Matrices,
    y: Matrices,
}

/// Strides of an operand: over the batch, and of the last two axes.
struct Matrices {
    batch: Vec<usize>,
    row: usize,
    column: usize,
}

impl Matrices {
    fn of(matrix: &Tensor, batch: &[usize]) -> Self {
        let last = matrix.shape.len() - 2;
        let (row, column) = (matrix.strides[last], matrix.strides[last + 1]);
        let mut leading = matrix.clone();
        leading.shape.truncate(last);
        leading.strides.truncate(last);
        Self { batch: leading.broadcast(batch).strides, row, column }
    }
}

impl Product {
    fn of(out: &Tensor, x: &Tensor, y: &Tensor) -> Result<Self> {
        let axes = out.shape.len();
        if axes < 2 || x.shape.len() < 2 || y.shape.len() < 2 {
            return Err(Error::Value(format!("no matrices: the shapes are {:?} and {:?}", x.shape, y.shape)));
        }
        let batch = out.shape[..axes - 2].to_vec();
        Ok(Self {
            rows: out.shape[axes - 2],
            columns: out.shape[axes - 1],
            depth: x.shape[x.shape.len() - 1],
            x: Matrices::of(x, &batch),
            y: Matrices::of(y, &batch),
            batch,
        })
    }

    fn batches(&self) -> usize {
        self.batch.iter().product()
    }

    fn is_narrow(&self) -> bool {
        self.rows <= NARROW || self.columns <= NARROW
    }

    /// The operands and sizes of a launch of any of the kernels.
    fn fill(&self, launch: Launch, x: &Tensor, y: &Tensor) -> Launch {
        let launch = launch.free("x", x).free("y", y).place("x_batch", &self.batch, &self.x.batch).place(
            "y_batch",
            &self.batch,
            &self.y.batch,
        );
        let sizes = [self.batches(), self.rows, self.columns, self.depth];
        let strides = [self.x.row, self.x.column, self.y.row, self.y.column];
        sizes.into_iter().chain(strides).fold(launch, Launch::size)
    }
}

fn matmul(call: &Call<'_>) -> Result<()> {
    let (out, x, y) = (call.out(), call.input(0)?, call.input(1)?);
    if x.dtype.kind() == Kind::Float {
        return float_product(call, out, x, y, None);
    }
    let packed = out.dtype.lanes() > 1;
    let target = if packed { call.scratch(out.dtype.kind().dtype(), &out.shape)? } else { out.clone() };
    whole_product(call, &target, x, y)?;
    if packed { convert(call, &target) } else { Ok(()) }
}

fn linear(call: &Call<'_>) -> Result<()> {
    let (out, x, weight) = (call.out(), call.input(0)?, call.input(1)?);
    let bias = call.inputs.get(2).and_then(Option::as_ref);
    if out.count() == 0 {
        return Ok(());
    }
    let (features, depth) = (weight.shape[0], weight.shape[1]);
    let rows = out.count() / features;
    float_product(
        call,
        &out.reshaped(&[rows, features]),
        &x.reshaped(&[rows, depth]),
        &weight.permuted(&[1, 0]),
        bias,
    )
}

/// A launch whose tiles hold what is multiplied: float16 where all of it is and shaders have it, which
/// halves the memory that a workgroup takes and the bits that travel; else float32. Sums are float32.
#[must_use]
pub fn with_tiles(launch: Launch, call: &Call<'_>, factors: [&Tensor; 2]) -> Launch {
    if call.device.uses_half() && factors.iter().all(|factor| factor.dtype == DType::F16) {
        return launch.with_half().named("TILE_VALUE", "vec4<f16>");
    }
    launch.named("TILE_VALUE", "vec4<f32>")
}

/// Records products of matrices of floats, the last two axes of `x` and `y`, with a bias that is added
/// to every row; `out` is dense.
///
/// # Errors
/// They are no matrices, or a limit is exceeded.
pub fn float_product(
    call: &Call<'_>,
    out: &Tensor,
    x: &Tensor,
    y: &Tensor,
    bias: Option<&Tensor>,
) -> Result<()> {
    let product = Product::of(out, x, y)?;
    let finish = |launch: Launch| match bias {
        Some(bias) => launch.free("bias", bias).function("with_bias", FOR_BIAS),
        None => launch.function("plain", FOR_PLAIN),
    };
    if product.is_narrow() {
        return finish(product.fill(Launch::new(&NARROW_FLOATS, out), x, y)).run(call.device);
    }
    let packed = out.dtype.lanes() > 1;
    let target = if packed { call.scratch(DType::F32, &out.shape)? } else { out.clone() };
    let tiles = product.rows.div_ceil(TILE) * product.columns.div_ceil(TILE) * product.batches();
    with_tiles(finish(product.fill(Launch::new(&FLOATS_IN_TILES, &target), x, y)), call, [x, y])
        .constant("LEFT_ALONG", u32::from(product.x.column <= product.x.row))
        .constant("RIGHT_ALONG", u32::from(product.y.row < product.y.column))
        .flat_groups(call.device, tiles)
        .run(call.device)?;
    if packed { convert(&Call { outputs: std::slice::from_ref(out), ..*call }, &target) } else { Ok(()) }
}

/// Records products of matrices of integers; `out` is dense, and of 32 or 64 bits.
fn whole_product(call: &Call<'_>, out: &Tensor, x: &Tensor, y: &Tensor) -> Result<()> {
    let product = Product::of(out, x, y)?;
    if product.depth == 0 {
        return filled(call.device, out, &Value::Int(0));
    }
    let long = x.dtype.kind() == Kind::Long;
    let function = if long { "multiply_add_long" } else { "multiply_add_int" };
    let tiles = |size: usize| size.div_ceil(TILE) as u32;
    product
        .fill(Launch::new(&WHOLE, out), x, y)
        .function(function, &[])
        .groups([tiles(product.columns), tiles(product.rows), product.batches().min(MOST_AT_ONCE) as u32])
        .run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let numbers: &[DType] = COMPUTED.split_at(COMPUTED.len() - 1).0;
    vec![
        Operation { op: "matmul", run: matmul, dtypes: numbers, strided: true, in_place: false },
        Operation { op: "linear", run: linear, dtypes: FLOATS, strided: false, in_place: false },
    ]
}
