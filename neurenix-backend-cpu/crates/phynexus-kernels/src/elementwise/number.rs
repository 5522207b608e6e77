//! The arithmetic of integers and of floats, one element at a time, as NumPy defines it.

/// What integers do; wrapping where it overflows.
pub trait Integer: Copy + PartialOrd + Send + Sync + 'static {
    /// Sum
    fn add(self, other: Self) -> Self;
    /// Difference
    fn sub(self, other: Self) -> Self;
    /// Product
    fn mul(self, other: Self) -> Self;
    /// Quotient rounded down; 0 of a division by 0.
    fn floor_div(self, other: Self) -> Self;
    /// What is left, with the sign of the divisor; 0 of a division by 0.
    fn modulo(self, other: Self) -> Self;
    /// Power; 0 of negative exponents, which are an error elsewhere.
    fn pow(self, exponent: Self) -> Self;
    /// Bitwise and
    fn and(self, other: Self) -> Self;
    /// Bitwise or
    fn or(self, other: Self) -> Self;
    /// Bitwise exclusive or
    fn xor(self, other: Self) -> Self;
    /// Shifted right, the sign filling up; shifts as wide as the number or negative leave the sign.
    fn shift_right(self, distance: Self) -> Self;
    /// Negative
    fn neg(self) -> Self;
    /// Size
    fn abs(self) -> Self;
    /// -1, 0 or 1
    fn sign(self) -> Self;
    /// Whether it is negative
    fn is_negative(self) -> bool;
    /// Zero
    fn zero() -> Self;
}

macro_rules! integers {
    ($($type:ident, $is_signed:literal;)*) => {$(
        impl Integer for $type {
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                if other == 0 {
                    return 0;
                }
                let (quotient, rest) = (self.wrapping_div(other), self.wrapping_rem(other));
                let is_below = rest != 0 && $is_signed && (rest < 0) != (other < 0);
                quotient.wrapping_sub(Self::from(is_below))
            }
            #[inline(always)]
            fn modulo(self, other: Self) -> Self {
                if other == 0 {
                    return 0;
                }
                let rest = self.wrapping_rem(other);
                if rest != 0 && $is_signed && (rest < 0) != (other < 0) { rest.wrapping_add(other) } else { rest }
            }
            #[inline(always)]
            fn pow(self, exponent: Self) -> Self {
                if exponent < 0 {
                    return 0;
                }
                let (mut power, mut base, mut left) = (1 as Self, self, exponent);
                while left > 0 {
                    if left & 1 == 1 {
                        power = power.wrapping_mul(base);
                    }
                    base = base.wrapping_mul(base);
                    left >>= 1;
                }
                power
            }
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                self & other
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                self | other
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                self ^ other
            }
            #[inline(always)]
            fn shift_right(self, distance: Self) -> Self {
                let is_within = distance >= 0 && (distance as u64) < u64::from($type::BITS);
                let by = if is_within { distance as u32 } else { $type::BITS - 1 };
                let shifted = self >> by;
                if is_within || $is_signed { shifted } else { 0 }
            }
            #[inline(always)]
            fn neg(self) -> Self {
                self.wrapping_neg()
            }
            #[inline(always)]
            fn abs(self) -> Self {
                if self < 0 { self.wrapping_neg() } else { self }
            }
            #[inline(always)]
            fn sign(self) -> Self {
                Self::from(self > 0).wrapping_sub(Self::from(self < 0))
            }
            #[inline(always)]
            fn is_negative(self) -> bool {
                self < 0
            }
            #[inline(always)]
            fn zero() -> Self {
                0
            }
        }
    )*};
}

#[allow(unused_comparisons)]
mod of_std {
    use super::Integer;

    integers! {
        i8, true;
        i16, true;
        i32, true;
        i64, true;
        u8, false;
    }
}

macro_rules! floats {
    ($($name:ident, $rest:ident: $type:ident;)*) => {$(
        /// The quotient rounded down, exactly; the plain quotient of a division by 0.
        #[inline(always)]
        pub fn $name(x: $type, y: $type) -> $type {
            if y == 0.0 {
                return x / y;
            }
            let rest = x % y;
            let mut quotient = (x - rest) / y;
            if rest != 0.0 && (y < 0.0) != (rest < 0.0) {
                quotient -= 1.0;
            }
            if quotient == 0.0 {
                return (0.0 as $type).copysign(x / y);
            }
            let floor = quotient.floor();
            if quotient - floor > 0.5 { floor + 1.0 } else { floor }
        }

        /// What is left after that quotient; it has the sign of the divisor.
        #[inline(always)]
        pub fn $rest(x: $type, y: $type) -> $type {
            let rest = x % y;
            if rest == 0.0 {
                (0.0 as $type).copysign(y)
            } else if (y < 0.0) != (rest < 0.0) {
                rest + y
            } else {
                rest
            }
        }
    )*};
}

floats! {
    floor_div_f32, modulo_f32: f32;
    floor_div_f64, modulo_f64: f64;
}
