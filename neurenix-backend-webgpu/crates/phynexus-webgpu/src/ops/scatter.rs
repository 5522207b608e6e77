//! Writing and adding at places that an index names along an axis.
//!
//! WGSL has no atomic floats, and what invocations do in any order must not show in a result. With
//! few indices along the axis, every element of the output looks through them. With many, every value
//! goes to its element: of values that are written, the last is noted by a maximum of their numbers;
//! floats that are added are cut into integers of a common scale, whose sum is the same in any order
//! (Demmel and Nguyen 2013, "Fast reproducible floating-point summation").

use super::elementwise::{EXP, FLOAT, INT, LONG};
use super::indexing::{INDEX, place_of, rest};
use super::movement::{copied, filled};
use super::{COMPUTED, Call, Launch, Operation};
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::Result;
use crate::faults;
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::{Tensor, dense_strides};

/// Indices along the axis that every element of the output may look through.
const FEW: usize = 32;
/// Values that may meet in one element before the integers that they are cut into overflow.
const MOST: usize = 1 << 17;

static SUMS: Part =
    Part { text: include_str!("../../wgsl/indexing/sums.wgsl"), needs: &[&FLOAT, &EXP, &INT, &LONG] };
static LAST: Part = Part { text: include_str!("../../wgsl/indexing/last.wgsl"), needs: &[] };
static FOR_LOOKING: &[&Part] = &[&INDEX, &FLOAT, &INT, &LONG];
static FOR_SUMS: &[&Part] = &[&INDEX, &SUMS];
static FOR_LAST: &[&Part] = &[&INDEX, &LAST];
static FOR_FINISH: &[&Part] = &[&EXP];

macro_rules! kernel {
    ($name:ident, $file:literal, $driver:ident, $scalars:expr, $parts:expr) => {
        static $name: Kernel = Kernel {
            name: $file,
            text: include_str!(concat!("../../wgsl/indexing/", $file, ".wgsl")),
            driver: Driver::$driver,
            scalars: $scalars,
            parts: $parts,
        };
    };
}

const ALONG: &[&str] = &["op", "size", "inner", "count_along", "index_step", "value_step"];
kernel!(SCATTER, "scatter", Elements, ALONG, &[]);
kernel!(SCATTER_ADD, "scatter_add", Elements, ALONG, &[]);
kernel!(ENTRIES, "entries", Own, &["op", "entries", "size", "inner", "index_inner", "along"], &[]);
kernel!(PICK, "pick", Elements, &["value_step"], &[]);
kernel!(FINISH, "finish", Elements, &[], &[]);
kernel!(FINISH_LONG, "finish_long", Elements, &[], &[&LONG]);

/// A scatter: what is written where.
struct Scatter<'a> {
    call: &'a Call<'a>,
    out: Tensor,
    x: Tensor,
    index: Tensor,
    value: Tensor,
    axis: usize,
}

fn scatter(call: &Call<'_>) -> Result<()> {
    let made =
        Scatter::of(call, &call.out().as_bits(), &call.input(0)?.as_bits(), &call.input(2)?.as_bits())?;
    let Some(made) = made else { return Ok(()) };
    if made.index.shape[made.axis] > FEW { made.note_last() } else { made.look(&SCATTER, None) }
}

fn scatter_add(call: &Call<'_>) -> Result<()> {
    let Some(made) = Scatter::of(call, call.out(), call.input(0)?, call.input(2)?)? else { return Ok(()) };
    if made.index.shape[made.axis] > FEW {
        return made.add_up();
    }
    let addition = match made.x.dtype.kind() {
        Kind::Float => "add_float",
        Kind::Int => "add_int",
        Kind::Long => "add_long",
    };
    made.look(&SCATTER_ADD, Some(addition))
}

impl<'a> Scatter<'a> {
    /// The part of an output that an index reaches; the rest is copied. Nothing where it reaches none.
    fn of(call: &'a Call<'a>, out: &Tensor, x: &Tensor, value: &Tensor) -> Result<Option<Self>> {
        let (index, axis) = (call.input(1)?, call.attributes.size("axis")?);
        let mut made =
            Self { call, out: out.clone(), x: x.clone(), index: index.clone(), value: value.clone(), axis };
        for other in (0..x.shape.len()).filter(|other| *other != axis) {
            made.out = made.out.narrow(other, 0, index.shape[other]);
            made.x = made.x.narrow(other, 0, index.shape[other]);
        }
        let reached = index.count() != 0;
        if made.out.shape != out.shape || !reached {
            copied(call, out, x)?;
        }
        Ok(reached.then_some(made))
    }

    /// Elements after the axis in a dense tensor of a shape.
    fn inner(&self, shape: &[usize]) -> usize {
        shape[self.axis + 1..].iter().product()
    }

    /// Lets every element look through the indices.
    fn look(&self, kernel: &'static Kernel, addition: Option<&'static str>) -> Result<()> {
        let Self { call, out, x, index, value, axis } = self;
        let mut launch = Launch::new(kernel, out)
            .output("fault", &faults::words(call.device)?)
            .input("x", x)
            .free("index", index)
            .free("value", value)
            .place("index_rest", &out.shape, &rest(&index.strides, *axis))
            .place("value_rest", &out.shape, &rest(&value.strides, *axis))
            .function(place_of(index)?, FOR_LOOKING);
        if let Some(addition) = addition {
            launch = launch.named("ADDITION", addition);
        }
        launch
            .scalar(faults::number_of(call.op))
            .size(x.shape[*axis])
            .size(self.inner(&out.shape))
            .size(index.shape[*axis])
            .size(index.strides[*axis])
            .size(value.strides[*axis])
            .run(call.device)
    }

    /// Lets every value do something to the words of its element.
    fn each_value(
        &self,
        words: &Tensor,
        action: &'static str,
        parts: &'static [&'static Part],
    ) -> Result<()> {
        let Self { call, out, index, value, axis, .. } = self;
        let entries = index.count();
        Launch::atomic(&ENTRIES, words)
            .output("fault", &faults::words(call.device)?)
            .free("index", index)
            .free("value", value)
            .place("index", &index.shape, &index.strides)
            .place("value", &index.shape, &value.strides)
            .place("element", &index.shape, &rest(&dense_strides(&out.shape), *axis))
            .function(place_of(index)?, parts)
            .named("ACTION", action)
            .scalar(faults::number_of(call.op))
            .size(entries)
            .size(out.shape[*axis])
            .size(self.inner(&out.shape))
            .size(self.inner(&index.shape))
            .size(index.shape[*axis])
            .flat_groups(call.device, entries.div_ceil(256))
            .run(call.device)
    }

    /// Words for every element of the output, all 0.
    fn words(&self, each: usize) -> Result<Tensor> {
        let words = self.call.scratch(DType::I32, &[self.out.count() * each])?;
        filled(self.call.device, &words, &Value::Int(0))?;
        Ok(words)
    }

    fn note_last(&self) -> Result<()> {
        let last = self.words(1)?;
        self.each_value(&last, "note_last", FOR_LAST)?;
        Launch::new(&PICK, &self.out)
            .input("x", &self.x)
            .free("last", &last)
            .free("value", &self.value)
            .place("value_rest", &self.out.shape, &rest(&self.value.strides, self.axis))
            .size(self.value.strides[self.axis])
            .run(self.call.device)
    }

    fn add_up(mut self) -> Result<()> {
        let (index, value) = (self.index.clone(), self.value.clone());
        let along = index.shape[self.axis];
        for start in (0..along).step_by(MOST) {
            let size = MOST.min(along - start);
            self.index = index.narrow(self.axis, start, size);
            self.value = value.narrow(self.axis, start, size);
            self.add_part()?;
            if start + size < along {
                self.x = self.call.scratch(self.out.dtype, &self.out.shape)?;
                copied(self.call, &self.x, &self.out)?;
            }
        }
        Ok(())
    }

    fn add_part(&self) -> Result<()> {
        let Self { call, out, x, .. } = self;
        let (sums, finish) = match x.dtype.kind() {
            Kind::Float => {
                let sums = self.words(4)?;
                self.each_value(&sums, "note_size", FOR_SUMS)?;
                self.each_value(&sums, "add_float_sum", FOR_SUMS)?;
                (sums, Launch::new(&FINISH, out).function("with_float_sum", FOR_FINISH))
            }
            Kind::Int => {
                let sums = self.words(1)?;
                self.each_value(&sums, "add_int_sum", FOR_SUMS)?;
                (sums, Launch::new(&FINISH, out).function("with_int_sum", FOR_FINISH))
            }
            Kind::Long => {
                let words = self.words(2)?;
                self.each_value(&words, "add_long_sum", FOR_SUMS)?;
                let sums = Tensor::new(words.block, DType::I64, vec![out.count()], None, 0)?;
                (sums, Launch::new(&FINISH_LONG, out))
            }
        };
        finish.input("x", x).free("sums", &sums).run(call.device)
    }
}

/// Records that `out` (rows, width) becomes, in every row, the sum of those of `value` (count, width) whose
/// index (count) names it.
pub fn add_rows(call: &Call<'_>, out: &Tensor, value: &Tensor, index: &Tensor) -> Result<()> {
    let x = call.scratch(out.dtype, &out.shape)?;
    filled(call.device, &x, &Value::Int(0))?;
    let index = Tensor { shape: value.shape.clone(), strides: vec![1, 0], ..index.clone() };
    Scatter { call, out: out.clone(), x, index, value: value.clone(), axis: 0 }.add_up()
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    let row = |op, run, dtypes| Operation { op, run, dtypes, strided: true, in_place: false };
    vec![row("scatter", scatter, &DType::ALL), row("scatter_add", scatter_add, COMPUTED)]
}
