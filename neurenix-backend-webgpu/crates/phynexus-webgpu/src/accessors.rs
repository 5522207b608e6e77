//! How values of each dtype are read from and written to words of memory, in WGSL.

use std::fmt::{Result, Write};

use crate::dtype::DType;
use crate::layout::Access;
use crate::shader::{Operand, Part};

static HALF: Part = Part { text: include_str!("../wgsl/dtype/float16.wgsl"), needs: &[] };
/// What reading float16 needs where shaders compute with it.
pub static NATIVE_HALF: Part = Part { text: include_str!("../wgsl/dtype/half.wgsl"), needs: &[] };
static BFLOAT: Part = Part { text: include_str!("../wgsl/dtype/bfloat16.wgsl"), needs: &[] };

/// What the conversions of dtypes need.
pub fn parts_for(dtypes: impl Iterator<Item = DType>) -> Vec<&'static Part> {
    dtypes
        .filter_map(|dtype| match dtype {
            DType::F16 => Some(&HALF),
            DType::Bf16 => Some(&BFLOAT),
            _ => None,
        })
        .collect()
}

/// Writes `NAME_place(i)`: the sum of strides times coordinates of the `i`-th element.
pub fn write_place(text: &mut String, name: &str, rank: u8) -> Result {
    writeln!(text, "fn {name}_place(i: u32) -> u32 {{")?;
    if rank == 0 {
        return writeln!(text, "    return 0u;\n}}");
    }
    if rank > 1 {
        writeln!(text, "    var rest = i;\n    var place = 0u;")?;
        for axis in (1..rank).rev() {
            writeln!(text, "    let outer_{axis} = rest / params.{name}_size_{axis};")?;
            writeln!(
                text,
                "    place += (rest - outer_{axis} * params.{name}_size_{axis}) * params.{name}_stride_{axis};"
            )?;
            writeln!(text, "    rest = outer_{axis};")?;
        }
        return writeln!(text, "    return place + rest * params.{name}_stride_0;\n}}");
    }
    writeln!(text, "    return i * params.{name}_stride_0;\n}}")
}

/// Writes the type of an operand and the functions that read it, or write it.
pub fn write_operand(
    text: &mut String,
    operand: &Operand,
    written: bool,
    atomic: bool,
    half: bool,
) -> Result {
    let Operand { name, dtype, access, binding } = *operand;
    let buffer = format!("buffer_{binding}");
    let mut letters = name.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    let alias: String = first.chain(letters).collect();
    let wgsl = dtype.kind().wgsl();
    writeln!(text, "alias {alias} = {wgsl};")?;
    if access == Access::Atomic {
        writeln!(text, "fn {name}_at(place: u32) -> u32 {{ return atomicLoad(&{buffer}[place]); }}")?;
        writeln!(text, "fn {name}_max(place: u32, value: u32) {{ atomicMax(&{buffer}[place], value); }}")?;
        writeln!(
            text,
            "fn {name}_exchange(place: u32, value: u32) -> u32 {{ return atomicExchange(&{buffer}[place], value); }}"
        )?;
        return writeln!(
            text,
            "fn {name}_add(place: u32, value: u32) -> u32 {{ return atomicAdd(&{buffer}[place], value); }}"
        );
    }
    if written {
        if is_kept(operand) {
            writeln!(text, "var<private> {name}_kept: {alias};")?;
        }
        writeln!(text, "const {}_LANES: u32 = {}u;", name.to_uppercase(), dtype.lanes())?;
        writeln!(
            text,
            "fn {name}_bits(value: {wgsl}) -> {} {{ return {}; }}",
            bits_type(dtype),
            encoded(dtype)
        )?;
        match (dtype.bytes(), atomic) {
            (4, _) => writeln!(
                text,
                "fn {name}_put(place: u32, value: {wgsl}) {{ {buffer}[place] = {name}_bits(value); }}"
            )?,
            (8, _) => writeln!(
                text,
                "fn {name}_put(place: u32, value: {wgsl}) {{\n    {buffer}[2u * place] = value.x;\n    \
                 {buffer}[2u * place + 1u] = value.y;\n}}"
            )?,
            (_, true) => writeln!(
                text,
                "fn {name}_merge(word: u32, mask: u32, bits: u32) {{\n    atomicAnd(&{buffer}[word], ~mask);\n    \
                 atomicOr(&{buffer}[word], bits);\n}}"
            )?,
            (_, false) => writeln!(
                text,
                "fn {name}_merge(word: u32, mask: u32, bits: u32) {{\n    \
                 {buffer}[word] = ({buffer}[word] & ~mask) | bits;\n}}\n\
                 fn {name}_set(word: u32, bits: u32) {{ {buffer}[word] = bits; }}"
            )?,
        }
    }
    if !atomic || !written {
        let value = if half && dtype == DType::F16 { decoded_half(&buffer) } else { decoded(dtype, &buffer) };
        writeln!(text, "fn {name}_at(place: u32) -> {wgsl} {{ return {value}; }}")?;
    }
    let place = match access {
        Access::Dense => format!("params.{name}_offset + i"),
        Access::Scalar => format!("params.{name}_offset"),
        Access::Strided(_) => format!("params.{name}_offset + {name}_place(i)"),
        Access::Free | Access::Atomic => return Ok(()),
    };
    if written {
        return writeln!(text, "fn {name}_index(i: u32) -> u32 {{ return {place}; }}");
    }
    writeln!(text, "fn {name}_load(i: u32) -> {wgsl} {{ return {name}_at({place}); }}")
}

/// How many elements an invocation of the driver computes: those of a word of the output, or of two
/// words where several outputs are packed; one, where neighbours in a word may be far apart.
pub fn lanes(outputs: &[Operand]) -> usize {
    match outputs[0].access {
        Access::Strided(_) => 1,
        _ if is_several(outputs) => 4,
        _ => outputs[0].dtype.lanes(),
    }
}

/// Writes the code that calls `element` for each element of the outputs.
pub fn write_driver(text: &mut String, outputs: &[Operand]) -> Result {
    if is_several(outputs) {
        return write_several(text, outputs);
    }
    text.push_str(match (outputs[0].dtype.lanes(), outputs[0].access) {
        (1, _) => include_str!("../wgsl/driver/elements.wgsl"),
        (_, Access::Strided(_)) => include_str!("../wgsl/driver/packed_strided.wgsl"),
        _ => include_str!("../wgsl/driver/packed.wgsl"),
    });
    Ok(())
}

/// Whether an output besides the first is packed, and written by the driver.
fn is_several(outputs: &[Operand]) -> bool {
    outputs[1..].iter().any(is_kept)
}

/// Whether a kernel keeps the values of an output in a variable, from where the driver packs them.
fn is_kept(output: &Operand) -> bool {
    output.dtype.lanes() > 1 && output.access == Access::Dense
}

/// `gather(lane)` puts the values of an element into words, `flush(first)` writes the words.
fn write_several(text: &mut String, outputs: &[Operand]) -> Result {
    let (mut gather, mut flush) = (String::new(), String::new());
    for output in outputs.iter().filter(|output| is_kept(output)) {
        let (name, lanes) = (output.name, output.dtype.lanes());
        let (width, words) = (32 / lanes, 4 / lanes);
        writeln!(text, "var<private> {name}_words: array<u32, {words}>;")?;
        writeln!(text, "var<private> {name}_masks: array<u32, {words}>;")?;
        writeln!(
            gather,
            "    let {name}_shift = (lane % {lanes}u) * {width}u;\n    {name}_words[lane / {lanes}u] |= \
             {name}_bits({name}_kept) << {name}_shift;\n    {name}_masks[lane / {lanes}u] |= {}u << \
             {name}_shift;",
            u32::MAX >> (32 - width)
        )?;
        for word in 0..words {
            writeln!(
                flush,
                "    if ({name}_masks[{word}] != 0u) {{\n        {name}_merge((params.{name}_offset + first) / \
                 {lanes}u + {word}u, {name}_masks[{word}], {name}_words[{word}]);\n    }}"
            )?;
        }
    }
    writeln!(text, "fn gather(lane: u32) {{\n{gather}}}\nfn flush(first: u32) {{\n{flush}}}")?;
    text.push_str(include_str!("../wgsl/driver/several.wgsl"));
    Ok(())
}

fn bits_type(dtype: DType) -> &'static str {
    if dtype.bytes() == 8 { "vec2<u32>" } else { "u32" }
}

/// The bits of `value`; above those of the dtype, zeros.
fn encoded(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::I32 => "bitcast<u32>(value)",
        DType::F16 => "float16_bits(value)",
        DType::Bf16 => "bfloat16_bits(value)",
        DType::I16 => "bitcast<u32>(value) & 0xffffu",
        DType::I8 | DType::U8 => "bitcast<u32>(value) & 0xffu",
        DType::Bool => "select(0u, 1u, value != 0i)",
        DType::I64 | DType::F64 => "value",
    }
}

/// The float16 at `place` of a buffer, by the adapter's own; of what is subnormal it may make 0.
fn decoded_half(buffer: &str) -> String {
    format!("unpack_half({buffer}[place >> 1u], place & 1u)")
}

/// The value at `place` of a buffer.
fn decoded(dtype: DType, buffer: &str) -> String {
    let half = format!("{buffer}[place >> 1u] >> ((place & 1u) * 16u)");
    let byte = format!("{buffer}[place >> 2u] >> ((place & 3u) * 8u)");
    match dtype {
        DType::F32 => format!("bitcast<f32>({buffer}[place])"),
        DType::I32 => format!("bitcast<i32>({buffer}[place])"),
        DType::F16 => format!("float16_value(({half}) & 0xffffu)"),
        DType::Bf16 => format!("bitcast<f32>(({half}) << 16u)"),
        DType::I16 => format!("extractBits(bitcast<i32>({half}), 0u, 16u)"),
        DType::I8 => format!("extractBits(bitcast<i32>({byte}), 0u, 8u)"),
        DType::U8 | DType::Bool => format!("bitcast<i32>(({byte}) & 0xffu)"),
        DType::I64 | DType::F64 => format!("vec2<u32>({buffer}[2u * place], {buffer}[2u * place + 1u])"),
    }
}
