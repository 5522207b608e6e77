//! Which instruction set is in use: the best one there is, or the one that a variable asks for.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Isa {
    /// AVX-512 F, BW, DQ and VL.
    Avx512 = 1,
    /// AVX2, FMA and F16C.
    Avx2 = 2,
    /// Advanced SIMD of 64-bit Arm.
    Neon = 3,
    /// What the compiler makes of plain loops, without a fused multiply-add.
    Portable = 4,
}

impl Isa {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Its name, as `NEURENIX_CPU_ISA` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Whether this processor has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// The best one that this processor has.
    pub fn best() -> Self {
        Self::ALL.into_iter().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    fn from_index(index: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&isa| isa as u8 == index)
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An instruction set was asked for that there is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// No instruction set has this name.
    Unknown(String),
    /// This processor has not got it.
    Missing(Isa),
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect();
        let names = names.join(", ");
        match self {
            Self::Unknown(name) => {
                write!(f, "NEURENIX_CPU_ISA is one of {names} on this processor, not {name:?}")
            }
            Self::Missing(isa) => {
                write!(f, "NEURENIX_CPU_ISA asks for {isa}, but this processor has {names}")
            }
        }
    }
}

impl std::error::Error for IsaError {}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        let isa = Self::ALL
            .into_iter()
            .find(|isa| isa.name() == name)
            .ok_or_else(|| IsaError::Unknown(name.to_owned()))?;
        if isa.is_available() { Ok(isa) } else { Err(IsaError::Missing(isa)) }
    }
}

static IN_USE: AtomicU8 = AtomicU8::new(0);

/// The instruction set in use: what [`set_isa`] chose, else what `NEURENIX_CPU_ISA` names, else
/// the best one. A variable that names none is passed over here; [`set_isa`] reports it.
#[inline]
pub fn isa() -> Isa {
    match Isa::from_index(IN_USE.load(Ordering::Relaxed)) {
        Some(isa) => isa,
        None => choose(),
    }
}

#[cold]
fn choose() -> Isa {
    let isa = requested().ok().flatten().unwrap_or_else(Isa::best);
    IN_USE.store(isa as u8, Ordering::Relaxed);
    isa
}

fn requested() -> Result<Option<Isa>, IsaError> {
    match std::env::var("NEURENIX_CPU_ISA") {
        Ok(name) if !name.is_empty() => name.parse().map(Some),
        _ => Ok(None),
    }
}

/// Sets the instruction set in use, from now on and for all threads; `None` reads
/// `NEURENIX_CPU_ISA` again.
///
/// # Errors
/// The processor has not got it, or the variable names none that it has.
pub fn set_isa(isa: Option<Isa>) -> Result<Isa, IsaError> {
    let isa = match isa {
        Some(isa) if isa.is_available() => isa,
        Some(isa) => return Err(IsaError::Missing(isa)),
        None => requested()?.unwrap_or_else(Isa::best),
    };
    IN_USE.store(isa as u8, Ordering::Relaxed);
    Ok(isa)
}

/// Whether the instruction set in use multiplies pairs of bfloat16 (AVX-512 BF16).
pub fn has_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa() == Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the instruction set in use multiplies quadruples of 8-bit integers (AVX-512 VNNI).
pub fn has_vnni() -> bool {
    #[cfg(target_arch = "x86_64")]
    return isa() == Isa::Avx512 && is_x86_feature_detected!("avx512vnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for isa in Isa::ALL {
            match isa.name().parse::<Isa>() {
                Ok(found) => assert_eq!(found, isa),
                Err(error) => assert_eq!(error, IsaError::Missing(isa)),
            }
        }
    }

    #[test]
    fn an_unknown_name_is_quoted_with_those_there_are() {
        let message = "sse9".parse::<Isa>().unwrap_err().to_string();
        assert!(message.contains("\"sse9\"") && message.contains("portable"), "{message}");
    }

    #[test]
    fn the_best_is_available() {
        assert!(Isa::best().is_available());
    }
}
