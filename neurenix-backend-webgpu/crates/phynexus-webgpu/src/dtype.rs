//! Element types: how they lie in memory, and what WGSL computes them in.

/// An element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision, two to a word.
    F16,
    /// The upper half of a single, two to a word.
    Bf16,
    /// 32 bits with a sign.
    I32,
    /// 16 bits with a sign, two to a word.
    I16,
    /// 8 bits with a sign, four to a word.
    I8,
    /// 8 bits without a sign, four to a word.
    U8,
    /// 64 bits with a sign: two words, the lower first.
    I64,
    /// 0 or 1, four to a word.
    Bool,
    /// IEEE double precision, which WGSL has not: it is only moved.
    F64,
}

/// What the values of a dtype are in a shader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `f32`
    Float,
    /// `i32`: 8 and 16 bits wrap where they are stored; a bool is 1 where it is not 0.
    Int,
    /// `vec2<u32>`: the lower and the upper word.
    Long,
}

impl Kind {
    /// The WGSL type.
    pub fn wgsl(self) -> &'static str {
        match self {
            Self::Float => "f32",
            Self::Int => "i32",
            Self::Long => "vec2<u32>",
        }
    }

    /// The dtype of 32 or 64 bits that holds such values as they are.
    pub fn dtype(self) -> DType {
        match self {
            Self::Float => DType::F32,
            Self::Int => DType::I32,
            Self::Long => DType::I64,
        }
    }
}

impl DType {
    /// Every dtype.
    pub const ALL: [Self; 10] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::I64,
        Self::Bool,
        Self::F64,
    ];

    /// What Neurenix calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::I64 => "int64",
            Self::Bool => "bool",
            Self::F64 => "float64",
        }
    }

    /// Size of an element in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    /// Elements in a word of 32 bits; 1 where an element is two words.
    pub fn lanes(self) -> usize {
        (4 / self.bytes()).max(1)
    }

    /// What its values are in a shader.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => Kind::Float,
            Self::I32 | Self::I16 | Self::I8 | Self::U8 | Self::Bool => Kind::Int,
            Self::I64 | Self::F64 => Kind::Long,
        }
    }

    /// The dtype of integers of its size: ops that only move elements see them as such, so that
    /// no bit changes and few shaders serve all dtypes.
    pub fn bits(self) -> Self {
        match self.bytes() {
            1 => Self::U8,
            2 => Self::I16,
            4 => Self::I32,
            _ => Self::I64,
        }
    }
}
