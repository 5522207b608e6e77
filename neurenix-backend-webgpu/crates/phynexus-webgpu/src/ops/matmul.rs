//! Matrix products.

use super::elementwise::{FLOAT, LONG, convert};
use super::movement::filled;
use super::{COMPUTED, Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel};
use crate::tensor::Tensor;

/// Rows and columns that a workgroup computes.
const TILE: usize = 64;
/// Products that are started at once; a workgroup goes on to others.
const MOST_AT_ONCE: usize = 1 << 15;

static TILES: Kernel = Kernel {
    name: "matmul",
    text: include_str!("../../wgsl/matmul/tiles.wgsl"),
    driver: Driver::Own,
    scalars: &["batches", "rows", "columns", "depth", "x_row", "x_column", "y_row", "y_column"],
    parts: &[&FLOAT, &LONG],
};

fn matmul(call: &Call<'_>) -> Result<()> {
    let (out, x, y) = (call.out(), call.input(0)?, call.input(1)?);
    let packed = out.dtype.lanes() > 1;
    let target = if packed { call.scratch(out.dtype.kind().dtype(), &out.shape)? } else { out.clone() };
    product(call, &target, x, y)?;
    if packed { convert(call, &target) } else { Ok(()) }
}

/// Records the products of matrices, the last two axes of `x` and `y`; `out` is dense, of 32 or 64
/// bits, and of the kind of `x` and `y`.
///
/// # Errors
/// They are no matrices, or a limit is exceeded.
pub fn product(call: &Call<'_>, out: &Tensor, x: &Tensor, y: &Tensor) -> Result<()> {
    let axes = out.shape.len();
    if axes < 2 || x.shape.len() < 2 || y.shape.len() < 2 {
        return Err(Error::Value(format!("no matrices: the shapes are {:?} and {:?}", x.shape, y.shape)));
    }
    let (rows, columns, depth) = (out.shape[axes - 2], out.shape[axes - 1], x.shape[x.shape.len() - 1]);
    if depth == 0 {
        return filled(call.device, out, &Value::Int(0));
    }
    let batch = &out.shape[..axes - 2];
    let batches: usize = batch.iter().product();
    let over = |matrix: &Tensor| {
        let last = matrix.shape.len() - 2;
        let (row, column) = (matrix.strides[last], matrix.strides[last + 1]);
        let mut leading = matrix.clone();
        leading.shape.truncate(last);
        leading.strides.truncate(last);
        (leading.broadcast(batch).strides, row, column)
    };
    let ((x_batch, x_row, x_column), (y_batch, y_row, y_column)) = (over(x), over(y));
    let function = match x.dtype.kind() {
        Kind::Float => "multiply_add_float",
        Kind::Int => "multiply_add_int",
        Kind::Long => "multiply_add_long",
    };
    let sizes = [batches, rows, columns, depth, x_row, x_column, y_row, y_column];
    let tiles = |size: usize| size.div_ceil(TILE) as u32;
    let launch = Launch::new(&TILES, out)
        .free("x", x)
        .free("y", y)
        .place("x_batch", batch, &x_batch)
        .place("y_batch", batch, &y_batch)
        .function(function, &[])
        .groups([tiles(columns), tiles(rows), batches.min(MOST_AT_ONCE) as u32]);
    sizes.into_iter().fold(launch, Launch::size).run(call.device)
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let numbers: &[DType] = COMPUTED.split_at(COMPUTED.len() - 1).0;
    vec![Operation { op: "matmul", run: matmul, dtypes: numbers, strided: true, in_place: false }]
}
