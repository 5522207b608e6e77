//! Chains: elementwise ops in one kernel, whose WGSL is written here.
//!
//! What one op computes and another reads stays in a register. It is rounded there to what its dtype
//! holds, and kept from what a compiler would make of both ops together, so that a chain has the bits
//! of its ops one by one.
//!
//! A chain is a call with two attributes. Its *values* are numbered: first the inputs, then `numbers`,
//! then what the `steps` compute.
//!
//! * `numbers`: pairs of a dtype and a number.
//! * `steps`: op, dtype of the result, numbers of the operands, and a word: gelu's `approximate`, else
//!   nothing.
//! * `results`: the values that are written, one an output.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use super::elementwise::{Chosen, conversion, function_of, gelu_of, names};
use super::movement::bits_of;
use super::{COMPUTED, Call, Launch, Operation};
use crate::accessors;
use crate::attributes::Value;
use crate::dtype::{DType, Kind};
use crate::error::{Error, Result};
use crate::shader::{Driver, Kernel, Part};
use crate::tensor::Tensor;

/// What operands are called: at most so many tensors are read, and so many written.
pub const INPUTS: [&str; 16] =
    ["x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15"];
/// See [`INPUTS`]. If any are of less than 32 bits an element, the first is.
pub const OUTPUTS: [&str; 8] = ["out", "out1", "out2", "out3", "out4", "out5", "out6", "out7"];

/// Ops that the name of a kernel lists.
const LISTED: usize = 4;

static KEPT: Part = Part { text: include_str!("../../wgsl/chain/kept.wgsl"), needs: &[] };

/// The names of the ops that may be part of a chain.
pub fn members() -> impl Iterator<Item = &'static str> {
    names().chain(["cast", "where", "gelu"])
}

/// A value of a chain: how the code calls it.
struct Known {
    dtype: DType,
    code: String,
}

/// The WGSL of a chain in the making.
struct Writer {
    values: Vec<Known>,
    body: String,
    parts: Vec<&'static Part>,
    ops: Vec<String>,
    scalars: Vec<String>,
}

impl Writer {
    fn of(inputs: impl Iterator<Item = DType>) -> Self {
        let body = "\nfn element(i: u32) -> Out {\n".to_owned();
        let scalars = vec!["nothing".to_owned()];
        let mut writer = Self { values: Vec::new(), body, parts: vec![&KEPT], ops: Vec::new(), scalars };
        for (dtype, name) in inputs.zip(INPUTS) {
            writer.name(dtype, &format!("{name}_load(i)"));
        }
        writer
    }

    /// Gives an expression the next number.
    fn name(&mut self, dtype: DType, expression: &str) {
        let code = format!("v{}", self.values.len());
        let _ = writeln!(self.body, "    let {code} = {expression};"); // strings take all that is written
        self.values.push(Known { dtype, code });
    }

    /// A number, which comes with the parameters: chains that differ in numbers alone are one kernel.
    fn number(&mut self, dtype: DType) {
        let field = format!("number_{}", self.scalars.len() - 1);
        let expression = match dtype.kind() {
            Kind::Float => format!("bitcast<f32>(params.{field})"),
            Kind::Int => format!("bitcast<i32>(params.{field})"),
            Kind::Long => format!("vec2<u32>(params.{field}, params.{field}_high)"),
        };
        self.scalars.push(field.clone());
        if dtype.kind() == Kind::Long {
            self.scalars.push(field + "_high");
        }
        self.name(dtype, &expression);
    }

    fn place(&self, number: &Value) -> Result<usize> {
        let found = match number {
            Value::Int(number) => usize::try_from(*number).ok().filter(|place| *place < self.values.len()),
            _ => None,
        };
        found.ok_or_else(|| Error::Value(format!("a chain reads {number:?}, which is none of its values")))
    }

    fn step(&mut self, step: &Value) -> Result<()> {
        let Value::List(fields) = step else { return Err(unclear(step)) };
        let [Value::Text(op), Value::DType(dtype), Value::List(numbers), word] = &fields[..] else {
            return Err(unclear(step));
        };
        let operands = numbers.iter().map(|number| self.place(number)).collect::<Result<Vec<_>>>()?;
        let operands: Vec<&Known> = operands.into_iter().map(|place| &self.values[place]).collect();
        let code: Vec<&str> = operands.iter().map(|known| &*known.code).collect();
        let (expression, parts) = match (&**op, &operands[..], word) {
            ("where", [..], _) if operands.len() == 3 => {
                (format!("select({}, {}, {} != 0i)", code[2], code[1], code[0]), &[][..])
            }
            ("cast", [x], _) => called(conversion(x.dtype.kind(), *dtype), &code),
            ("gelu", [_], Value::Text(approximate)) => called(gelu_of(approximate), &code),
            (_, [x], _) => called(function_of(op, 1, x.dtype.kind())?, &code),
            (_, [x, _], _) => called(function_of(op, 2, x.dtype.kind())?, &code),
            _ => return Err(unclear(step)),
        };
        self.parts.extend(parts.iter().copied());
        self.ops.push(op.clone());
        self.name(*dtype, &as_kept(*dtype, &expression));
        Ok(())
    }

    /// The kernel, once it is known which values are written.
    fn finish(mut self, results: &[usize]) -> &'static Kernel {
        for (result, name) in results.iter().zip(OUTPUTS).skip(1) {
            let Known { dtype, code } = &self.values[*result];
            let _ = if dtype.lanes() > 1 {
                writeln!(self.body, "    {name}_kept = {code};")
            } else {
                writeln!(self.body, "    {name}_put({name}_index(i), {code});")
            };
        }
        let _ = writeln!(self.body, "    return {};\n}}", self.values[results[0]].code);
        self.parts.extend(accessors::parts_for(self.values.iter().map(|value| value.dtype)));
        kernel_of(self)
    }
}

fn unclear(step: &Value) -> Error {
    Error::Value(format!("{step:?} is no step of a chain: op, dtype, operands, word"))
}

fn called((function, parts): Chosen, operands: &[&str]) -> (String, &'static [&'static Part]) {
    (format!("{function}({})", operands.join(", ")), parts)
}

/// What is left of a value in memory of its dtype.
fn as_kept(dtype: DType, value: &str) -> String {
    match dtype {
        DType::F32 => format!("kept({value})"),
        DType::F16 => format!("float16_value(float16_bits({value}))"),
        DType::Bf16 => format!("bitcast<f32>(bfloat16_bits({value}) << 16u)"),
        DType::I16 => format!("extractBits({value}, 0u, 16u)"),
        DType::I8 => format!("extractBits({value}, 0u, 8u)"),
        DType::U8 => format!("({value} & 0xffi)"),
        DType::Bool => format!("select(0i, 1i, {value} != 0i)"),
        DType::I32 | DType::I64 | DType::F64 => value.to_owned(),
    }
}

/// The kernel of a text. What is compiled from it stays for good, and so does it.
fn kernel_of(writer: Writer) -> &'static Kernel {
    static KERNELS: Mutex<Option<HashMap<String, &'static Kernel>>> = Mutex::new(None);
    let Writer { body, parts, ops, scalars, .. } = writer;
    let mut kernels = KERNELS.lock().unwrap_or_else(PoisonError::into_inner);
    let kernels = kernels.get_or_insert_default();
    if let Some(kernel) = kernels.get(&body) {
        return kernel;
    }
    let listed = ops[..ops.len().min(LISTED)].join(" ");
    let more = ops.len().saturating_sub(LISTED);
    let name = if more == 0 { format!("chain {listed}") } else { format!("chain {listed} and {more} more") };
    let scalars: Vec<&str> = scalars.into_iter().map(|name| &*name.leak()).collect();
    let kernel = Box::leak(Box::new(Kernel {
        name: name.leak(),
        text: body.clone().leak(),
        driver: Driver::Elements,
        scalars: scalars.leak(),
        parts: parts.leak(),
    }));
    kernels.insert(body, kernel);
    kernel
}

fn list<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a [Value]> {
    match call.attributes.get(name)? {
        Value::List(values) => Ok(values),
        other => Err(Error::Value(format!("the attribute {name:?} of a chain is {other:?}, and no list"))),
    }
}

fn chain(call: &Call<'_>) -> Result<()> {
    let inputs: Vec<_> = call.inputs.iter().flatten().collect();
    if inputs.len() > INPUTS.len() || call.outputs.len() > OUTPUTS.len() {
        return Err(Error::Limit(format!(
            "a chain reads at most {} tensors and writes {}, not {} and {}",
            INPUTS.len(),
            OUTPUTS.len(),
            inputs.len(),
            call.outputs.len()
        )));
    }
    let mut writer = Writer::of(inputs.iter().map(|input| input.dtype));
    let mut words = vec![0];
    for number in list(call, "numbers")? {
        let Value::List(pair) = number else { return Err(unclear(number)) };
        let [Value::DType(dtype), value] = &pair[..] else { return Err(unclear(number)) };
        let bits = bits_of(*dtype, value)?;
        writer.number(*dtype);
        words.push(bits as u32);
        if dtype.kind() == Kind::Long {
            words.push((bits >> 32) as u32);
        }
    }
    for step in list(call, "steps")? {
        writer.step(step)?;
    }
    let results = list(call, "results")?.iter().map(|number| writer.place(number));
    let results = results.collect::<Result<Vec<_>>>()?;
    check_outputs(call.outputs, results.iter().map(|&place| writer.values[place].dtype))?;
    let kernel = writer.finish(&results);
    let mut launch = Launch::new(kernel, call.out());
    for (out, name) in call.outputs.iter().zip(OUTPUTS).skip(1) {
        launch = launch.walked_output(name, out);
    }
    for (input, name) in inputs.into_iter().zip(INPUTS) {
        launch = launch.input(name, input);
    }
    words.into_iter().fold(launch, Launch::scalar).run(call.device)
}

/// Checks that outputs can be written together: as they lie, with the driver that packs them.
fn check_outputs(outputs: &[Tensor], dtypes: impl ExactSizeIterator<Item = DType>) -> Result<()> {
    let count = dtypes.len();
    let fits = |(out, dtype): (&Tensor, DType)| {
        let packed = dtype.lanes() > 1;
        let alike = out.offset % 4 == outputs[0].offset % 4 && outputs[0].dtype.lanes() > 1;
        out.dtype == dtype && out.is_dense() && (!packed || alike)
    };
    if count == outputs.len() && count > 0 && outputs.iter().zip(dtypes).all(fits) {
        return Ok(());
    }
    Err(Error::Value(format!(
        "a chain of {count} results writes as many dense tensors of their dtypes, those first that are packed \
         into words, and not {outputs:?}"
    )))
}

/// The ops of this module.
pub fn operations() -> Vec<Operation> {
    vec![Operation { op: "chain", run: chain, dtypes: COMPUTED, strided: true, in_place: false }]
}
