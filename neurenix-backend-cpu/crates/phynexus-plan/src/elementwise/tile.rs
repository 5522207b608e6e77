//! One tile of a chain: every instruction over some elements that stay in the cache.

use phynexus_kernels::gelu::gelu;
use phynexus_simd::{Kernel, LANES, Simd, math};

use super::{Binary, Chain, Instruction, OperandKind, Source, Unary};

/// Elements of a tile: a register takes 4 KiB.
pub const TILE: usize = 1024;

/// A chain over consecutive elements.
pub struct Stretch<'a> {
    /// The chain.
    pub chain: &'a Chain,
    /// The address of the first element of each operand; of 16 copies of a scalar; of 16 values of
    /// a channel operand.
    pub operands: &'a [*mut u8],
    /// How many elements.
    pub count: usize,
    /// `TILE` floats for each register.
    pub registers: *mut f32,
}

impl Kernel for Stretch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut start = 0;
        while start < self.count {
            let count = TILE.min(self.count - start);
            for &instruction in &self.chain.instructions {
                // SAFETY: whoever made the stretch vouches for its addresses.
                unsafe { self.step(simd, instruction, start, count) };
            }
            start += count;
        }
    }
}

/// Floats to read or write: their address, and 1, or 0 where the same 16 are read again and again.
#[derive(Clone, Copy)]
struct Run {
    at: *mut f32,
    step: usize,
}

/// Computes a function of a vector after the other; at the end, of as many lanes as are left.
///
/// A closure of so much code, as [`map`] takes, is not inlined: each of its operations would become
/// a call, since outside of a kernel the compiler may not use the instruction set.
macro_rules! functions {
    ($simd:ident, $x:ident, $out:ident, $count:ident, $v:ident => $value:expr) => {{
        let mut start = 0;
        while start + LANES <= $count {
            let $v = $simd.load($x.at.add(start * $x.step));
            $simd.store($out.at.add(start), $value);
            start += LANES;
        }
        let rest = $count - start;
        if rest > 0 {
            let $v = $x.load_first($simd, start, rest);
            $simd.store_first($out.at.add(start), rest, $value);
        }
    }};
}

impl Run {
    /// The last vector of which `many` lanes are left, from element `start` on.
    ///
    /// # Safety
    /// As many floats are there, or 16 of step 0.
    #[inline(always)]
    unsafe fn load_first<S: Simd>(self, simd: S, start: usize, many: usize) -> S::F32 {
        // SAFETY: as the caller vouches.
        unsafe {
            match self.step {
                0 => simd.load(self.at),
                _ => simd.load_first(self.at.add(start), many),
            }
        }
    }
}

impl Stretch<'_> {
    #[inline(always)]
    fn floats(&self, source: Source, start: usize) -> Run {
        match source {
            Source::Register(number) => Run { at: self.registers.wrapping_add(number * TILE), step: 1 },
            Source::Operand(number) => {
                let at = self.operands[number].cast::<f32>();
                match self.chain.operands[number] {
                    OperandKind::Scalar | OperandKind::Channel => Run { at, step: 0 },
                    _ => Run { at: at.wrapping_add(start), step: 1 },
                }
            }
        }
    }

    /// # Safety
    /// The operands and registers are valid for the elements.
    #[inline(always)]
    unsafe fn step<S: Simd>(&self, simd: S, instruction: Instruction, start: usize, count: usize) {
        // SAFETY: as the caller vouches.
        unsafe {
            match instruction {
                Instruction::Unary(op, x, out) => {
                    let (x, out) = (self.floats(x, start), self.floats(out, start));
                    match op {
                        Unary::Neg => map(simd, [x], out, count, |[x]| simd.neg(x)),
                        Unary::Abs => map(simd, [x], out, count, |[x]| simd.abs(x)),
                        Unary::Relu => map(simd, [x], out, count, |[x]| simd.max(simd.zero(), x)),
                        Unary::Sqrt => map(simd, [x], out, count, |[x]| simd.sqrt(x)),
                        Unary::Floor => map(simd, [x], out, count, |[x]| simd.floor(x)),
                        Unary::Round => map(simd, [x], out, count, |[x]| simd.round(x)),
                        Unary::Exp => functions!(simd, x, out, count, v => math::exp(simd, v)),
                        Unary::Tanh => functions!(simd, x, out, count, v => math::tanh(simd, v)),
                        Unary::Erf => functions!(simd, x, out, count, v => math::erf(simd, v)),
                        Unary::Sigmoid => functions!(simd, x, out, count, v => math::sigmoid(simd, v)),
                        Unary::Silu => {
                            functions!(simd, x, out, count, v => simd.mul(v, math::sigmoid(simd, v)));
                        }
                        Unary::Gelu { by_tanh: false } => {
                            functions!(simd, x, out, count, v => gelu(simd, v, false));
                        }
                        Unary::Gelu { by_tanh: true } => {
                            functions!(simd, x, out, count, v => gelu(simd, v, true));
                        }
                    }
                }
                Instruction::Binary(op, x, y, out) => {
                    let (from, out) =
                        ([self.floats(x, start), self.floats(y, start)], self.floats(out, start));
                    let truth = |mask| simd.select(mask, simd.splat(1.0), simd.zero());
                    match op {
                        Binary::Add => map(simd, from, out, count, |[x, y]| simd.add(x, y)),
                        Binary::Sub => map(simd, from, out, count, |[x, y]| simd.sub(x, y)),
                        Binary::Mul => map(simd, from, out, count, |[x, y]| simd.mul(x, y)),
                        Binary::Div => map(simd, from, out, count, |[x, y]| simd.div(x, y)),
                        Binary::Max => map(simd, from, out, count, |[x, y]| {
                            simd.select(simd.ne(x, x), x, simd.max(x, y))
                        }),
                        Binary::Min => map(simd, from, out, count, |[x, y]| {
                            simd.select(simd.ne(x, x), x, simd.min(x, y))
                        }),
                        Binary::Lt => map(simd, from, out, count, |[x, y]| truth(simd.lt(x, y))),
                        Binary::Le => map(simd, from, out, count, |[x, y]| truth(simd.le(x, y))),
                        Binary::Gt => map(simd, from, out, count, |[x, y]| truth(simd.lt(y, x))),
                        Binary::Ge => map(simd, from, out, count, |[x, y]| truth(simd.le(y, x))),
                        Binary::Eq => map(simd, from, out, count, |[x, y]| truth(simd.eq(x, y))),
                        Binary::Ne => map(simd, from, out, count, |[x, y]| truth(simd.ne(x, y))),
                    }
                }
                Instruction::Select(from, out) => {
                    let (from, out) = (from.map(|each| self.floats(each, start)), self.floats(out, start));
                    map(simd, from, out, count, |[c, x, y]| simd.select(simd.ne(c, simd.zero()), x, y));
                }
                Instruction::Normalize(from, out) => {
                    let (from, out) = (from.map(|each| self.floats(each, start)), self.floats(out, start));
                    map(simd, from, out, count, |[x, mean, scale, shift]| {
                        simd.fma(simd.sub(x, mean), scale, shift)
                    });
                }
                Instruction::ReadMask(from, out) => {
                    let (from, out) = (self.operands[from].add(start), self.floats(out, start).at);
                    for index in 0..count {
                        *out.add(index) = f32::from(u8::from(*from.add(index) != 0));
                    }
                }
                Instruction::WriteMask(from, out) => {
                    let (from, out) = (self.floats(from, start), self.operands[out].add(start));
                    for index in 0..count {
                        *out.add(index) = u8::from(*from.at.add(index * from.step) != 0.0);
                    }
                }
            }
        }
    }
}

/// Computes a vector after the other; at the end, as many lanes as are left.
///
/// # Safety
/// `from` and `out` are valid for `count` floats each, those of step 0 for 16.
#[inline(always)]
unsafe fn map<S: Simd, const N: usize>(
    simd: S,
    from: [Run; N],
    out: Run,
    count: usize,
    f: impl Fn([S::F32; N]) -> S::F32,
) {
    let whole = count - count % LANES;
    // SAFETY: as the caller vouches.
    unsafe {
        let mut start = 0;
        while start < whole {
            let x = from.map(|run| simd.load(run.at.add(start * run.step)));
            simd.store(out.at.add(start), f(x));
            start += LANES;
        }
        let rest = count - whole;
        if rest > 0 {
            let x = from.map(|run| run.load_first(simd, whole, rest));
            simd.store_first(out.at.add(whole), rest, f(x));
        }
    }
}
