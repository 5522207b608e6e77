//! Chains of elementwise ops as one pass over memory.
//!
//! A [`Chain`] is a small program whose registers are tiles that stay in the first-level cache. An
//! operand is a whole tensor, a number, or a value a channel; all tensors have one layout, so that
//! an element has the same place in each.

mod fields;
mod tile;

pub use fields::{Fields, MAX_OPERANDS, Planes, clear_lanes, each};

/// What one value is computed from another by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `|x|`
    Abs,
    /// `max(x, 0)`; NaN stays NaN.
    Relu,
    /// The square root.
    Sqrt,
    /// The next integer below.
    Floor,
    /// The nearest integer, halves to even.
    Round,
    /// `e^x`
    Exp,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// `x / (1 + e^-x)`
    Silu,
    /// `x` times the standard normal distribution function of `x`.
    Gelu {
        /// By the usual approximation with tanh.
        by_tanh: bool,
    },
}

impl Unary {
    /// How long an element takes, in additions.
    fn cost(self) -> usize {
        match self {
            Self::Exp | Self::Tanh | Self::Erf | Self::Sigmoid | Self::Silu => 4,
            Self::Gelu { .. } => 8,
            _ => 1,
        }
    }
}

/// What one value is computed from two by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `x + y`
    Add,
    /// `x - y`
    Sub,
    /// `x * y`
    Mul,
    /// `x / y`
    Div,
    /// The larger; NaN where either is.
    Max,
    /// The smaller; NaN where either is.
    Min,
    /// 1 where `x < y`, else 0
    Lt,
    /// 1 where `x <= y`, else 0
    Le,
    /// 1 where `x > y`, else 0
    Gt,
    /// 1 where `x >= y`, else 0
    Ge,
    /// 1 where `x == y`, else 0
    Eq,
    /// 1 where `x != y`, else 0
    Ne,
}

/// Where an instruction reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A tile that an instruction before has filled.
    Register(usize),
    /// An operand.
    Operand(usize),
}

/// Where an instruction writes.
pub type Target = Source;

/// One step of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `out = f(x)`
    Unary(Unary, Source, Target),
    /// `out = f(x, y)`
    Binary(Binary, Source, Source, Target),
    /// `out = c != 0 ? x : y`
    Select([Source; 3], Target),
    /// `out = (x - mean) * scale + shift`, of `[x, mean, scale, shift]`
    Normalize([Source; 4], Target),
    /// A truth value, a byte each in memory, as 0 or 1.
    ReadMask(usize, Target),
    /// And back.
    WriteMask(Source, usize),
}

/// What an operand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperandKind {
    /// A float an element.
    Tensor,
    /// A byte an element: a truth value.
    Mask,
    /// One float.
    Scalar,
    /// A float a channel, in blocks of 16 channels.
    Channel,
}

/// A chain of elementwise ops; see the module's description.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The steps.
    pub instructions: Vec<Instruction>,
    /// The kinds of the operands.
    pub operands: Vec<OperandKind>,
    /// How many registers there are.
    pub registers: usize,
}

impl Chain {
    /// Adds an operand, and returns its number.
    pub fn operand(&mut self, kind: OperandKind) -> usize {
        self.operands.push(kind);
        self.operands.len() - 1
    }

    /// Adds a register, and returns it.
    pub fn register(&mut self) -> Target {
        self.registers += 1;
        Source::Register(self.registers - 1)
    }

    /// Reuses registers whose values are not read any more.
    pub fn pack_registers(&mut self) {
        let mut last = vec![0; self.registers];
        for (place, instruction) in self.instructions.iter().enumerate() {
            instruction.each_read(|register| last[register] = place);
        }
        let (mut free, mut renamed, mut used) = (Vec::new(), vec![None; self.registers], 0);
        for (place, instruction) in self.instructions.iter_mut().enumerate() {
            let mut dying = Vec::new();
            instruction.each_read(|register| {
                if last[register] == place && !dying.contains(&register) {
                    dying.push(register);
                }
            });
            instruction.rename_reads(|register| renamed[register].expect("it was written before"));
            free.extend(dying.iter().map(|&register: &usize| renamed[register].expect("as above")));
            instruction.rename_write(|register| {
                let name = free.pop().unwrap_or_else(|| {
                    used += 1;
                    used - 1
                });
                renamed[register] = Some(name);
                name
            });
        }
        self.registers = used;
    }

    /// The place of the last instruction that reads an operand.
    pub fn last_read(&self, operand: Source) -> usize {
        let reads = |instruction: &Instruction| instruction.clone().sources().contains(&&mut operand.clone());
        self.instructions.iter().rposition(reads).unwrap_or(0)
    }

    /// The place of the first instruction that writes an operand.
    pub fn first_write(&self, operand: Source) -> usize {
        let writes = |instruction: &Instruction| instruction.target() == Some(operand);
        self.instructions.iter().position(writes).unwrap_or(0)
    }

    /// Elements of simple arithmetic that one element of the result takes, with its reads and writes.
    pub fn work(&self) -> usize {
        1 + self.instructions.iter().map(Instruction::cost).sum::<usize>()
    }
}

impl Instruction {
    fn cost(&self) -> usize {
        if let Self::Unary(op, ..) = self { op.cost() } else { 1 }
    }

    fn sources(&mut self) -> Vec<&mut Source> {
        match self {
            Self::Unary(_, x, _) | Self::WriteMask(x, _) => vec![x],
            Self::Binary(_, x, y, _) => vec![x, y],
            Self::Select(sources, _) => sources.iter_mut().collect(),
            Self::Normalize(sources, _) => sources.iter_mut().collect(),
            Self::ReadMask(..) => Vec::new(),
        }
    }

    fn each_read(&self, mut f: impl FnMut(usize)) {
        for source in self.clone().sources() {
            if let Source::Register(register) = source {
                f(*register);
            }
        }
    }

    fn rename_reads(&mut self, mut f: impl FnMut(usize) -> usize) {
        for source in self.sources() {
            if let Source::Register(register) = source {
                *register = f(*register);
            }
        }
    }

    fn rename_write(&mut self, f: impl FnOnce(usize) -> usize) {
        if let Some(Source::Register(register)) = self.target_mut() {
            *register = f(*register);
        }
    }

    fn target_mut(&mut self) -> Option<&mut Target> {
        match self {
            Self::Unary(_, _, out)
            | Self::Binary(_, _, _, out)
            | Self::Select(_, out)
            | Self::Normalize(_, out)
            | Self::ReadMask(_, out) => Some(out),
            Self::WriteMask(..) => None,
        }
    }

    /// Where it writes floats.
    pub fn target(&self) -> Option<Target> {
        self.clone().target_mut().copied()
    }

    /// Reads and writes one place instead of another.
    pub fn redirect(&mut self, from: Source, to: Source) {
        for source in self.sources().into_iter().filter(|source| **source == from) {
            *source = to;
        }
        if let Some(target) = self.target_mut().filter(|target| **target == from) {
            *target = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_reused_when_their_values_are_dead() {
        let (r, o) = (Source::Register, Source::Operand);
        let mut chain = Chain { registers: 4, operands: vec![OperandKind::Tensor; 2], ..Chain::default() };
        chain.instructions = vec![
            Instruction::Unary(Unary::Neg, o(0), r(0)),
            Instruction::Unary(Unary::Abs, r(0), r(1)),
            Instruction::Unary(Unary::Sqrt, r(1), r(2)),
            Instruction::Binary(Binary::Add, r(2), r(1), r(3)),
            Instruction::Unary(Unary::Relu, r(3), o(1)),
        ];
        chain.pack_registers();
        assert_eq!(chain.registers, 2);
        assert_eq!(chain.instructions[1], Instruction::Unary(Unary::Abs, r(0), r(0)));
        assert_eq!(chain.instructions[2], Instruction::Unary(Unary::Sqrt, r(0), r(1)));
        assert_eq!(chain.instructions[4], Instruction::Unary(Unary::Relu, r(0), o(1)));
    }
}
