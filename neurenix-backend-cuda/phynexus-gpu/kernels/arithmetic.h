// What the elementwise ops do with one element: NumPy's rules for NaN, rounding and integers.
#pragma once

#include <cmath>
#include <limits>

#include "tensor/dtype.h"

namespace phynexus::arithmetic {

template <class T>
constexpr bool is_integer = std::is_integral_v<T> && !std::is_same_v<T, bool>;

// Integers wrap around, which is defined for those without a sign only.
template <class T, class Function>
GPU_DEVICE T wrapping(T x, T y, Function function) {
  if constexpr (is_integer<T>) {
    using U = std::make_unsigned_t<decltype(T() + T())>;
    return static_cast<T>(function(static_cast<U>(x), static_cast<U>(y)));
  } else {
    return static_cast<T>(function(x, y));
  }
}

struct Plus {
  template <class T>
  GPU_DEVICE auto operator()(T x, T y) const {
    return x + y;
  }
};
struct Minus {
  template <class T>
  GPU_DEVICE auto operator()(T x, T y) const {
    return x - y;
  }
};
struct Times {
  template <class T>
  GPU_DEVICE auto operator()(T x, T y) const {
    return x * y;
  }
};

// One argument ----------------------------------------------------------------------------------

struct Neg {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if constexpr (is_integer<T>) return wrapping(T(0), x, Minus());
    return -x;
  }
};
struct Abs {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if constexpr (is_float<T>) return std::fabs(x);
    if constexpr (is_integer<T> && std::is_signed_v<T>) return x < 0 ? Neg()(x) : x;
    return x;
  }
};
struct Sign {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if (x != x) return x;
    return static_cast<T>((x > T(0)) - (x < T(0)));
  }
};

// These three leave integers as they are.
struct Floor {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if constexpr (is_float<T>) return std::floor(x);
    return x;
  }
};
struct Ceil {
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if constexpr (is_float<T>) return std::ceil(x);
    return x;
  }
};
struct Round {  // ties to even
  template <class T>
  GPU_DEVICE T operator()(T x) const {
    if constexpr (is_float<T>) return std::rint(x);
    return x;
  }
};

struct LogicalNot {
  template <class T>
  GPU_DEVICE bool operator()(T x) const {
    return x == T(0);
  }
};

#define PHYNEXUS_UNARY(Name, expression) \
  struct Name {                          \
    template <class T>                   \
    GPU_DEVICE T operator()(T x) const { \
      return expression;                 \
    }                                    \
  };
PHYNEXUS_UNARY(Exp, std::exp(x))
PHYNEXUS_UNARY(Log, std::log(x))
PHYNEXUS_UNARY(Sqrt, std::sqrt(x))
PHYNEXUS_UNARY(Sin, std::sin(x))
PHYNEXUS_UNARY(Cos, std::cos(x))
PHYNEXUS_UNARY(Tanh, std::tanh(x))
PHYNEXUS_UNARY(Erf, std::erf(x))
#undef PHYNEXUS_UNARY

// Two arguments ---------------------------------------------------------------------------------

struct Add {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return wrapping(x, y, Plus());
  }
};
struct Sub {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return wrapping(x, y, Minus());
  }
};
struct Mul {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return wrapping(x, y, Times());
  }
};
struct Div {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return x / y;
  }
};

// The remainder has the sign of the divisor; a division by the integer 0 gives 0.
struct Mod {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    if constexpr (is_float<T>) {
      T rest = std::fmod(x, y);
      if (rest == 0) return std::copysign(T(0), y);
      return (rest < 0) != (y < 0) ? rest + y : rest;
    } else {
      if (y == 0 || y == static_cast<T>(-1)) {  // -1: the quotient may not fit
        return std::is_signed_v<T> || y == 0 ? T(0) : static_cast<T>(x % y);
      }
      T rest = static_cast<T>(x % y);
      return static_cast<T>(rest != 0 && (rest < 0) != (y < 0) ? rest + y : rest);
    }
  }
};

struct FloorDiv {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    if constexpr (is_float<T>) {
      if (y == 0) return x / y;
      // Of the exact multiple of y, so that rounding cannot lift the quotient over an integer.
      const T rest = Mod()(x, y);
      if (rest != rest) return rest;
      const T quotient = (x - rest) / y;
      if (quotient == 0) return std::copysign(T(0), x / y);
      const T down = std::floor(quotient);
      return quotient - down > T(0.5) ? down + 1 : down;
    } else {
      if (y == 0) return T(0);
      if (std::is_signed_v<T> && y == static_cast<T>(-1)) return Neg()(x);
      T quotient = static_cast<T>(x / y);
      const bool inexact = static_cast<T>(x % y) != 0;
      return static_cast<T>(inexact && (x < 0) != (y < 0) ? quotient - 1 : quotient);
    }
  }
};

struct Pow {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    if constexpr (is_float<T>) {
      return std::pow(x, y);
    } else {
      if (y < 0) return static_cast<T>(x == 1 ? 1 : x == static_cast<T>(-1) ? (y & 1 ? -1 : 1) : 0);
      T result = 1;
      for (T power = x; y > 0; y = static_cast<T>(y >> 1)) {
        if (y & 1) result = Mul()(result, power);
        power = Mul()(power, power);
      }
      return result;
    }
  }
};

struct Maximum {  // NaN wins
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return x > y || x != x ? x : y;
  }
};
struct Minimum {
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    return x < y || x != x ? x : y;
  }
};

#define PHYNEXUS_BINARY(Name, Result, symbol)      \
  struct Name {                                    \
    template <class T>                             \
    GPU_DEVICE Result operator()(T x, T y) const { \
      return static_cast<Result>(x symbol y);      \
    }                                              \
  };
PHYNEXUS_BINARY(Eq, bool, ==)
PHYNEXUS_BINARY(Ne, bool, !=)
PHYNEXUS_BINARY(Lt, bool, <)
PHYNEXUS_BINARY(Le, bool, <=)
PHYNEXUS_BINARY(Gt, bool, >)
PHYNEXUS_BINARY(Ge, bool, >=)
PHYNEXUS_BINARY(And, T, &)
PHYNEXUS_BINARY(Or, T, |)
PHYNEXUS_BINARY(Xor, T, ^)
#undef PHYNEXUS_BINARY

struct ShiftRight {  // by as many bits as there are, or more: only the sign is left
  template <class T>
  GPU_DEVICE T operator()(T x, T y) const {
    constexpr int kBits = 8 * sizeof(T);
    if (y < 0 || y >= kBits) return x < 0 ? static_cast<T>(-1) : T(0);
    return static_cast<T>(x >> y);
  }
};

}  // namespace phynexus::arithmetic
