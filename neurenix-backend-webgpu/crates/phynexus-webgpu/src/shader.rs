//! Shaders: a kernel's file, with what it needs composed in front of it.
//!
//! A kernel's WGSL names its operands (`x`, `value`, `out`) and knows nothing of dtypes, strides
//! and bindings. The composer adds, for every operand `x`,
//!
//! * `alias X`: the type its values have in the shader,
//! * `x_at(place) -> X`: the element at a place in its buffer,
//! * `x_load(i) -> X`: the `i`-th element, unless the kernel finds places itself,
//! * `params.x_offset`: where its first element lies;
//!
//! for every [`Place`] `p` a function `p_place(i) -> u32`; the scalars as fields of `params`; and
//! the constants. A kernel that has a function `element(i: u32) -> Out` gets a driver, which calls
//! it for every element and packs what it returns; any other brings its own `main`, and writes by
//! `out_put(place, value)`, which outputs of 32 and 64 bits have.

use std::fmt::Write as _;
use std::hash::{Hash, Hasher};

use crate::accessors;
use crate::dtype::DType;
use crate::layout::Access;

/// A piece of WGSL that several kernels need.
#[derive(Debug)]
pub struct Part {
    /// Its text.
    pub text: &'static str,
    /// What has to stand before it.
    pub needs: &'static [&'static Part],
}

/// Who calls the code of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// A driver calls `element(i) -> Out` for every element of the output.
    Elements,
    /// It has a `main` of its own.
    Own,
}

/// A kernel: a WGSL file and what it expects around it.
#[derive(Debug)]
pub struct Kernel {
    /// Its name, in messages and exports.
    pub name: &'static str,
    /// Its file. Words such as `FUNCTION` stand for functions that the op chooses.
    pub text: &'static str,
    /// Who calls it.
    pub driver: Driver,
    /// Fields of `params` that the op fills in.
    pub scalars: &'static [&'static str],
    /// What it needs.
    pub parts: &'static [&'static Part],
}

/// A tensor, as a shader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Operand {
    /// Its name in the kernel's file.
    pub name: &'static str,
    /// Its element type.
    pub dtype: DType,
    /// How its places are found.
    pub access: Access,
    /// The number of its buffer: operands in one buffer share it.
    pub binding: u8,
}

/// All that the text of a shader depends on.
#[derive(Clone, Debug)]
pub struct Shader {
    /// The kernel.
    pub kernel: &'static Kernel,
    /// Words of its file, and the functions that they stand for.
    pub functions: Vec<(&'static str, &'static str)>,
    /// What those functions need.
    pub parts: &'static [&'static Part],
    /// What the way it is launched needs.
    pub way: Option<&'static Part>,
    /// Its tensors, outputs first.
    pub operands: Vec<Operand>,
    /// How many of them are outputs.
    pub outputs: usize,
    /// Further walks: the name and the number of axes of each.
    pub places: Vec<(&'static str, u8)>,
    /// Numbers known when it is compiled.
    pub constants: Vec<(&'static str, u32)>,
    /// Whether it computes with float16, which takes a feature of the adapter.
    pub half: bool,
    /// Invocations in a workgroup, for kernels with a driver.
    pub workgroup: u32,
}

impl PartialEq for Shader {
    fn eq(&self, other: &Self) -> bool {
        // Kernels are statics, or are kept for good: there is one of each.
        std::ptr::eq(self.kernel, other.kernel)
            && self.functions == other.functions
            && self.operands == other.operands
            && self.outputs == other.outputs
            && self.places == other.places
            && self.constants == other.constants
            && self.half == other.half
            && self.way.map(std::ptr::from_ref) == other.way.map(std::ptr::from_ref)
            && self.workgroup == other.workgroup
    }
}

impl Eq for Shader {}

impl Hash for Shader {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::ptr::hash(self.kernel, state);
        self.functions.hash(state);
        self.operands.hash(state);
        self.places.hash(state);
        self.constants.hash(state);
    }
}

impl Shader {
    /// What it is called in messages: the kernel and its functions.
    pub fn label(&self) -> String {
        self.functions.iter().fold(self.kernel.name.to_owned(), |label, (_, name)| label + " " + name)
    }

    /// Of each binding, whether it is written.
    pub fn bindings(&self) -> Vec<bool> {
        let count = self.operands.iter().map(|operand| operand.binding + 1).max().unwrap_or(0);
        let mut written = vec![false; count.into()];
        for output in &self.operands[..self.outputs] {
            written[usize::from(output.binding)] = true;
        }
        written
    }

    /// Whether several invocations may write one word of an operand: of one that is declared so, and of
    /// a packed output with strides.
    fn is_atomic(&self, number: usize) -> bool {
        let operand = &self.operands[number];
        operand.access == Access::Atomic
            || number == 0
                && self.kernel.driver == Driver::Elements
                && operand.dtype.lanes() > 1
                && matches!(operand.access, Access::Strided(_))
    }

    /// Elements that an invocation of the driver computes.
    pub fn lanes(&self) -> usize {
        accessors::lanes(&self.operands[..self.outputs])
    }

    /// The fields of `params`, in order, each a word.
    pub fn fields(&self) -> Vec<String> {
        let mut fields = Vec::new();
        if self.kernel.driver == Driver::Elements {
            fields.push("count".to_owned());
            fields.push("first".to_owned());
        }
        for operand in &self.operands {
            fields.push(format!("{}_offset", operand.name));
        }
        for (name, rank) in self.walks() {
            for axis in 0..rank {
                fields.push(format!("{name}_size_{axis}"));
            }
            for axis in 0..rank {
                fields.push(format!("{name}_stride_{axis}"));
            }
        }
        fields.extend(self.kernel.scalars.iter().map(|&name| name.to_owned()));
        fields
    }

    /// Everything that is walked by sizes and strides: strided operands, then places.
    fn walks(&self) -> impl Iterator<Item = (&'static str, u8)> {
        let operands = self.operands.iter().filter_map(|operand| match operand.access {
            Access::Strided(rank) => Some((operand.name, rank)),
            _ => None,
        });
        operands.chain(self.places.iter().copied())
    }

    /// The whole text.
    pub fn compose(&self) -> String {
        let mut text = String::with_capacity(8 << 10);
        self.compose_into(&mut text).expect("strings take all that is written to them");
        text
    }

    fn compose_into(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "// {}", self.label())?;
        if self.half {
            text.push_str("enable f16;\n");
        }
        writeln!(text, "const WORKGROUP: u32 = {}u;", self.workgroup)?;
        for (name, value) in &self.constants {
            writeln!(text, "const {name}: u32 = {value}u;")?;
        }
        text.push_str("struct Params {\n");
        for field in self.fields() {
            writeln!(text, "    {field}: u32,")?;
        }
        text.push_str("}\n@group(0) @binding(0) var<uniform> params: Params;\n");
        for (number, written) in self.bindings().into_iter().enumerate() {
            let mode = if written { "read_write" } else { "read" };
            let atomic = (0..self.outputs)
                .any(|output| usize::from(self.operands[output].binding) == number && self.is_atomic(output));
            let word = if atomic { "atomic<u32>" } else { "u32" };
            writeln!(
                text,
                "@group(0) @binding({}) var<storage, {mode}> buffer_{number}: array<{word}>;",
                number + 1
            )?;
        }
        for (name, rank) in self.walks() {
            accessors::write_place(text, name, rank)?;
        }
        let mut met: Vec<*const Part> = Vec::new();
        if self.half {
            add_part(text, &accessors::NATIVE_HALF, &mut met);
        }
        let parts = accessors::parts_for(self.operands.iter().map(|operand| operand.dtype));
        for part in
            parts.into_iter().chain(self.kernel.parts.iter().chain(self.parts).copied()).chain(self.way)
        {
            add_part(text, part, &mut met);
        }
        for (number, operand) in self.operands.iter().enumerate() {
            let written = number < self.outputs;
            accessors::write_operand(text, operand, written, written && self.is_atomic(number), self.half)?;
        }
        let mut body = self.kernel.text.to_owned();
        for (word, function) in &self.functions {
            body = body.replace(word, function);
        }
        text.push_str(&body);
        if self.kernel.driver == Driver::Elements {
            accessors::write_driver(text, &self.operands[..self.outputs])?;
        }
        Ok(())
    }
}

fn add_part(text: &mut String, part: &'static Part, met: &mut Vec<*const Part>) {
    if met.contains(&std::ptr::from_ref(part)) {
        return;
    }
    met.push(part);
    for needed in part.needs {
        add_part(text, needed, met);
    }
    text.push_str(part.text);
}
