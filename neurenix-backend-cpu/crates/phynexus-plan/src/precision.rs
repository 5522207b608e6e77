//! Precisions of plans, and the forms in which narrow ones keep activations.

use phynexus_conv::int8::Quantization;

use crate::program::{Program, Uses, ValueId};

/// In what numbers a plan computes; what it takes and gives is as the program says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As the program says.
    #[default]
    Float32,
    /// Convolutions, linear layers and the activations between them are bfloat16; sums are f32.
    Bfloat16,
    /// They are 8-bit integers: activations by their ranges, weights by each output channel's
    /// largest; sums are exact. Linear layers whose result the program gives multiply bfloat16; the first
    /// convolution of few channels multiplies f32 where the processor has no instruction for integers.
    Int8,
}

impl Precision {
    /// The precision of a name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Float32, Self::Bfloat16, Self::Int8].into_iter().find(|precision| precision.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Bfloat16 => "bfloat16",
            Self::Int8 => "int8",
        }
    }
}

/// In what form an activation lies in narrow blocks of channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// bfloat16.
    Bfloat16,
    /// u8.
    Int8(Quantization),
}

impl Format {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::Bfloat16 => 2,
            Self::Int8(_) => 1,
        }
    }

    /// What labels call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bfloat16 => "bfloat16",
            Self::Int8(_) => "int8",
        }
    }
}

/// How 8-bit integers stand for a value of the program, or None where its range is not known.
pub fn quantization(program: &Program, uses: &Uses, value: ValueId) -> Option<Quantization> {
    // A range so small that its inverse is infinite is as good as none.
    let largest = program.ranges.get(&value)?.max(1e-30);
    Some(if is_nonnegative(program, uses, value) {
        Quantization { scale: largest / 255.0, zero_point: 0 }
    } else {
        Quantization { scale: largest / 127.0, zero_point: 128 }
    })
}

/// Whether a value has no negative elements, because of what computes it.
fn is_nonnegative(program: &Program, uses: &Uses, value: ValueId) -> bool {
    let mut value = value;
    loop {
        let Some(producer) = uses.producer[value].or_else(|| producer_of_viewed(program, uses, value)) else {
            return false;
        };
        let node = &program.nodes[producer];
        match node.op.as_str() {
            "relu" | "abs" | "sigmoid" | "softmax" => return true,
            "max_pool2d" | "avg_pool2d" | "adaptive_avg_pool2d" => match node.inputs.first() {
                Some(&Some(source)) => value = source,
                _ => return false,
            },
            _ => return false,
        }
    }
}

/// The one node that writes the storage that a view lies over.
fn producer_of_viewed(program: &Program, uses: &Uses, view: ValueId) -> Option<usize> {
    let storage = program.values[view].storage;
    let over = (0..program.values.len()).filter(|&value| program.values[value].storage == storage);
    let mut producers = over.filter_map(|value| uses.producer[value]);
    let first = producers.next()?;
    producers.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use phynexus_kernels::{Axes, DType};

    use super::*;
    use crate::{Attributes, Node, Origin, Storage, Value};

    /// `x`, `relu(x)`, a pool of that, a view of the pool, and `neg` of the pool.
    fn program() -> Program {
        let mut program = Program::default();
        let axes = Axes::dense(&[4]).unwrap();
        for storage in [0, 1, 2, 2, 3] {
            let name = format!("v{}", program.values.len());
            program.values.push(Value { dtype: DType::F32, axes, offset: 0, storage, name });
        }
        for _ in 0..4 {
            program.storages.push(Storage { origin: Origin::Run, bytes: 16, constant: false });
        }
        for (op, input, output) in [("relu", 0, 1), ("max_pool2d", 1, 2), ("neg", 3, 4)] {
            program.nodes.push(Node {
                op: op.to_owned(),
                attributes: Attributes::default(),
                inputs: vec![Some(input)],
                outputs: vec![output],
                writes: Vec::new(),
                strided: true,
            });
        }
        program
    }

    #[test]
    fn what_cannot_be_negative_has_all_integers_above_zero() {
        let mut program = program();
        program.ranges = (0..5).map(|value| (value, 2.0)).collect();
        let uses = Uses::of(&program);
        let zero_points: Vec<u8> =
            (0..5).map(|value| quantization(&program, &uses, value).unwrap().zero_point).collect();
        assert_eq!(zero_points, [128, 0, 0, 0, 128]);
        assert_eq!(quantization(&program, &uses, 1).unwrap().scale, 2.0 / 255.0);
        assert_eq!(quantization(&program, &uses, 4).unwrap().scale, 2.0 / 127.0);
    }

    #[test]
    fn no_range_is_no_quantization_and_zero_is_one() {
        let mut program = program();
        program.ranges.insert(1, 0.0);
        let uses = Uses::of(&program);
        assert_eq!(quantization(&program, &uses, 0), None);
        let scale = quantization(&program, &uses, 1).unwrap().scale;
        assert!(scale > 0.0 && (1.0 / scale).is_finite());
    }

    #[test]
    fn names_are_read_back() {
        for precision in [Precision::Float32, Precision::Bfloat16, Precision::Int8] {
            assert_eq!(Precision::named(precision.name()), Some(precision));
        }
        assert_eq!(Precision::named("float16"), None);
    }
}
