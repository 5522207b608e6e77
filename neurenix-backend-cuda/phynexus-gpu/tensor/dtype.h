// The dtypes, and the way from one that is known at run time to a type.
#pragma once

#include <stdexcept>
#include <string>
#include <type_traits>

#include "vendor/gpu.h"

namespace phynexus {

enum class DType : int {
  kFloat32,
  kFloat64,
  kFloat16,
  kBfloat16,
  kInt64,
  kInt32,
  kInt16,
  kInt8,
  kUint8,
  kBool
};
constexpr int kDTypes = 10;

// The names, as Python has them, in the order of the enumeration.
constexpr const char* kDTypeNames[kDTypes] = {"float32", "float64", "float16", "bfloat16", "int64",
                                              "int32",   "int16",   "int8",    "uint8",    "bool"};
constexpr int kDTypeBytes[kDTypes] = {4, 8, 2, 2, 8, 4, 2, 1, 1, 1};

inline const char* name_of(DType dtype) { return kDTypeNames[static_cast<int>(dtype)]; }
inline int size_of(DType dtype) { return kDTypeBytes[static_cast<int>(dtype)]; }

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> : std::integral_constant<DType, DType::kFloat32> {};
template <>
struct DTypeOf<double> : std::integral_constant<DType, DType::kFloat64> {};
template <>
struct DTypeOf<gpu_f16> : std::integral_constant<DType, DType::kFloat16> {};
template <>
struct DTypeOf<gpu_bf16> : std::integral_constant<DType, DType::kBfloat16> {};
template <>
struct DTypeOf<int64_t> : std::integral_constant<DType, DType::kInt64> {};
template <>
struct DTypeOf<int32_t> : std::integral_constant<DType, DType::kInt32> {};
template <>
struct DTypeOf<int16_t> : std::integral_constant<DType, DType::kInt16> {};
template <>
struct DTypeOf<int8_t> : std::integral_constant<DType, DType::kInt8> {};
template <>
struct DTypeOf<uint8_t> : std::integral_constant<DType, DType::kUint8> {};
template <>
struct DTypeOf<bool> : std::integral_constant<DType, DType::kBool> {};

template <class... T>
struct Types {};

// A set of dtypes, one bit each.
using DTypeSet = unsigned;

template <class... T>
constexpr DTypeSet set_of(Types<T...>) {
  return (0u | ... | (1u << static_cast<int>(DTypeOf<T>::value)));
}

using Floats = Types<float, double, gpu_f16, gpu_bf16>;
using Ints = Types<int64_t, int32_t, int16_t, int8_t, uint8_t>;
using IntsAndBool = Types<int64_t, int32_t, int16_t, int8_t, uint8_t, bool>;
using Numbers = Types<float, double, gpu_f16, gpu_bf16, int64_t, int32_t, int16_t, int8_t, uint8_t>;
using Every =
    Types<float, double, gpu_f16, gpu_bf16, int64_t, int32_t, int16_t, int8_t, uint8_t, bool>;
// What moves elements needs to know no more than how many bytes they have.
using Words = Types<uint8_t, uint16_t, uint32_t, uint64_t>;

template <class T>
struct Tag {
  using type = T;
};

// Calls `visitor(Tag<T>())` with the type of a dtype, one of those listed.
template <class... T, class Visitor>
void visit(Types<T...>, DType dtype, Visitor&& visitor) {
  bool found = (... || (DTypeOf<T>::value == dtype && (visitor(Tag<T>()), true)));
  if (!found) throw std::invalid_argument(std::string("no kernel for ") + name_of(dtype));
}

// Calls `visitor(Tag<T>())` with the word of a dtype's size.
template <class Visitor>
void visit_words(DType dtype, Visitor&& visitor) {
  switch (size_of(dtype)) {
    case 1:
      return visitor(Tag<uint8_t>());
    case 2:
      return visitor(Tag<uint16_t>());
    case 4:
      return visitor(Tag<uint32_t>());
    default:
      return visitor(Tag<uint64_t>());
  }
}

template <class T>
constexpr bool is_half = std::is_same_v<T, gpu_f16> || std::is_same_v<T, gpu_bf16>;
template <class T>
constexpr bool is_float = std::is_floating_point_v<T> || is_half<T>;

// What arithmetic on T is done in.
template <class T>
using Wide = std::conditional_t<is_half<T>, float, T>;

// A value in another type; floats to integers are cut off towards zero.
template <class To, class From>
GPU_HOST_DEVICE To convert(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, bool>) {
    return static_cast<Wide<From>>(value) != Wide<From>(0);
  } else if constexpr (is_half<To>) {
    // Through float; what has more digits than that is rounded once all the same.
    constexpr bool longer =
        std::is_same_v<From, double> || (std::is_integral_v<From> && sizeof(From) >= 4);
    if constexpr (longer) {
      return To(gpu_sticky(static_cast<double>(value)));
    } else {
      return To(static_cast<float>(value));
    }
  } else {
    return static_cast<To>(static_cast<Wide<From>>(value));
  }
}

}  // namespace phynexus
