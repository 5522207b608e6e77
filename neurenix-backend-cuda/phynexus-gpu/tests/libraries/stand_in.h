// What the stand-ins for the vendors' libraries share: they export the functions that the engine
// uses, check their arguments, do the work on the host in the emulated queue's turn, and write down
// what they were asked. They are written from the libraries' documentation, plainly, so that they
// disagree with the engine where that has mistaken rows for columns.
//
//   PHYNEXUS_STAND_IN_LOG    a file that each product and convolution adds a line to
//   PHYNEXUS_STAND_IN_FAILS  NAME=STATUS: this function answers with that status
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>

#include "emulator/stream.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace stand_in {

// The status that a function is to answer with, or 0.
inline int status_of(const char* function) {
  const char* fails = std::getenv("PHYNEXUS_STAND_IN_FAILS");
  if (fails == nullptr) return 0;
  const size_t length = std::strlen(function);
  const bool its = std::strncmp(fails, function, length) == 0 && fails[length] == '=';
  return its ? std::atoi(fails + length + 1) : 0;
}

inline void write_down(const char* format, ...) {
  const char* path = std::getenv("PHYNEXUS_STAND_IN_LOG");
  if (path == nullptr) return;
  std::FILE* log = std::fopen(path, "a");
  if (log == nullptr) std::abort();
  va_list values;
  va_start(values, format);
  std::vfprintf(log, format, values);
  va_end(values);
  std::fputc('\n', log);
  std::fclose(log);
}

inline void add(void* stream, std::function<void()> work) {
  auto* its = static_cast<phynexus::emulator::Stream*>(stream);
  its->add(
      its, [](void* kept) { (*static_cast<std::function<void()>*>(kept))(); },
      new std::function<void()>(std::move(work)),
      [](void* kept) { delete static_cast<std::function<void()>*>(kept); });
}

enum class Element { kFloat, kDouble, kHalf, kBfloat16 };

inline double half_value(uint16_t bits) {
  _Float16 value;
  std::memcpy(&value, &bits, sizeof(bits));
  return static_cast<double>(value);
}

inline double get(const void* data, Element element, int64_t i) {
  switch (element) {
    case Element::kFloat:
      return static_cast<const float*>(data)[i];
    case Element::kDouble:
      return static_cast<const double*>(data)[i];
    case Element::kHalf:
      return half_value(static_cast<const uint16_t*>(data)[i]);
    default: {
      const uint32_t bits = uint32_t{static_cast<const uint16_t*>(data)[i]} << 16;
      float value;
      std::memcpy(&value, &bits, sizeof(bits));
      return value;
    }
  }
}

inline void put(void* data, Element element, int64_t i, double value) {
  switch (element) {
    case Element::kFloat:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      return;
    case Element::kDouble:
      static_cast<double*>(data)[i] = value;
      return;
    case Element::kHalf: {
      const _Float16 rounded = static_cast<_Float16>(static_cast<float>(value));
      std::memcpy(static_cast<uint16_t*>(data) + i, &rounded, sizeof(rounded));
      return;
    }
    default: {
      const float rounded = static_cast<float>(value);
      uint32_t bits;
      std::memcpy(&bits, &rounded, sizeof(bits));
      if (rounded == rounded) bits += 0x7FFF + (bits >> 16 & 1);  // ties to even
      static_cast<uint16_t*>(data)[i] = static_cast<uint16_t>(bits >> 16);
    }
  }
}

// D = op(A) op(B) + bias, column-major, in each batch; bias has a number for each row of D.
struct Gemm {
  Element element;
  bool a_transposed;
  bool b_transposed;
  int64_t m, n, k;
  const void* a;
  int64_t a_leading, a_stride;
  const void* b;
  int64_t b_leading, b_stride;
  void* d;
  int64_t d_leading, d_stride;
  int64_t batches;
  const void* bias;

  void run() const {
    for (int64_t batch = 0; batch < batches; ++batch) {
      for (int64_t column = 0; column < n; ++column) {
        for (int64_t row = 0; row < m; ++row) {
          double sum = bias == nullptr ? 0 : get(bias, element, row);
          for (int64_t i = 0; i < k; ++i) {
            const int64_t in_a = a_transposed ? row * a_leading + i : i * a_leading + row;
            const int64_t in_b = b_transposed ? i * b_leading + column : column * b_leading + i;
            sum +=
                get(a, element, batch * a_stride + in_a) * get(b, element, batch * b_stride + in_b);
          }
          put(d, element, batch * d_stride + column * d_leading + row, sum);
        }
      }
    }
  }
};

}  // namespace stand_in
