// The 16-bit floats: storage of two bytes, which computes as float.
#pragma once

#include <cstdint>
#include <cstring>

template <class To, class From>
GPU_HOST_DEVICE To gpu_bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "both have to be of one size");
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

// A float that lies on the same side of every 16-bit number and of every half-way point as the
// double does: rounding to odd, after which rounding again to fewer bits is rounding once.
GPU_HOST_DEVICE float gpu_sticky(double value) {
  float nearest = static_cast<float>(value);
  double back = nearest;
  if (back == value || value != value || back - back != 0) return nearest;
  uint32_t bits = gpu_bits<uint32_t>(nearest);
  if ((back < 0 ? -back : back) > (value < 0 ? -value : value)) --bits;  // towards zero
  return gpu_bits<float>(bits | 1u);
}

struct gpu_bf16 {
  uint16_t bits;

  gpu_bf16() = default;
  GPU_HOST_DEVICE gpu_bf16(float value) {
    uint32_t wide = gpu_bits<uint32_t>(value);
    bool is_nan = (wide & 0x7FFFFFFFu) > 0x7F800000u;
    // To the nearest, ties to even. A NaN keeps its sign and becomes quiet.
    uint32_t rounded = wide + 0x7FFFu + (wide >> 16 & 1u);
    bits = static_cast<uint16_t>(is_nan ? (wide >> 16 | 0x40u) : rounded >> 16);
  }
  GPU_HOST_DEVICE operator float() const {
    return gpu_bits<float>(static_cast<uint32_t>(bits) << 16);
  }
};

#if defined(PHYNEXUS_EMULATED)
GPU_HOST_DEVICE uint16_t gpu_half_bits(float value) {
  uint32_t wide = gpu_bits<uint32_t>(value);
  uint32_t sign = wide >> 16 & 0x8000u;
  wide &= 0x7FFFFFFFu;
  if (wide > 0x7F800000u) return static_cast<uint16_t>(sign | 0x7E00u);   // NaN
  if (wide >= 0x47800000u) return static_cast<uint16_t>(sign | 0x7C00u);  // 65536 and above
  if (wide < 0x38800000u) {  // subnormal: adding 2^-1 leaves the rounded digits at the low end
    float shifted = gpu_bits<float>(wide) + 0.5f;
    return static_cast<uint16_t>(sign | (gpu_bits<uint32_t>(shifted) - 0x3F000000u));
  }
  wide += 0xFFFu + (wide >> 13 & 1u);
  return static_cast<uint16_t>(sign | (wide - 0x38000000u) >> 13);
}

GPU_HOST_DEVICE float gpu_half_value(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = bits >> 10 & 0x1Fu;
  uint32_t fraction = bits & 0x3FFu;
  if (exponent == 0) {
    float value = static_cast<float>(fraction) * 5.9604644775390625e-8f;  // 2^-24
    return gpu_bits<float>(gpu_bits<uint32_t>(value) | sign);
  }
  uint32_t wide = exponent == 31 ? 0x7F800000u : (exponent + 112) << 23;
  return gpu_bits<float>(sign | wide | fraction << 13);
}
#endif

struct gpu_f16 {
  uint16_t bits;

  gpu_f16() = default;
  GPU_HOST_DEVICE gpu_f16(float value) { bits = gpu_half_bits(value); }
  GPU_HOST_DEVICE operator float() const { return gpu_half_value(bits); }
};
