//! Bools in memory.

/// A bool in memory: any byte but 0 is true, and what is written is 0 or 1.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Truth(u8);

impl Truth {
    /// Whether it is true.
    #[inline(always)]
    pub fn holds(self) -> bool {
        self.0 != 0
    }
}

impl From<bool> for Truth {
    #[inline(always)]
    fn from(holds: bool) -> Self {
        Self(u8::from(holds))
    }
}

impl From<Truth> for u8 {
    #[inline(always)]
    fn from(truth: Truth) -> Self {
        u8::from(truth.holds())
    }
}

impl From<Truth> for i64 {
    #[inline(always)]
    fn from(truth: Truth) -> Self {
        i64::from(truth.holds())
    }
}

impl PartialEq for Truth {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.holds() == other.holds()
    }
}

impl PartialOrd for Truth {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.holds().partial_cmp(&other.holds())
    }
}
