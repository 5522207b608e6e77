// The instructions that multiply matrices, on what each lane holds.
#pragma once

#if defined(PHYNEXUS_HIP)
#if defined(__gfx90a__)
using gpu_four_shorts = __attribute__((ext_vector_type(4))) short;
using gpu_four_halves = __attribute__((ext_vector_type(4))) _Float16;
using gpu_four_floats = __attribute__((ext_vector_type(4))) float;

template <class To, class From>
GPU_DEVICE To gpu_four(const From (&values)[4]) {
  To packed;
  memcpy(&packed, values, sizeof(To));
  return packed;
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_bf16 (&left)[4],
                             const gpu_bf16 (&right)[4]) {
  const gpu_four_floats sum = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(
      gpu_four<gpu_four_shorts>(left), gpu_four<gpu_four_shorts>(right),
      gpu_four<gpu_four_floats>(sums), 0, 0, 0);
  memcpy(sums, &sum, sizeof(sums));
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_f16 (&left)[4],
                             const gpu_f16 (&right)[4]) {
  const gpu_four_floats sum = __builtin_amdgcn_mfma_f32_16x16x16f16(
      gpu_four<gpu_four_halves>(left), gpu_four<gpu_four_halves>(right),
      gpu_four<gpu_four_floats>(sums), 0, 0, 0);
  memcpy(sums, &sum, sizeof(sums));
}
#endif
#else
#define GPU_MMA(type)                                                                 \
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32." type "." type                 \
               ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
               : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])           \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]))

GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_bf16 (&left)[8],
                             const gpu_bf16 (&right)[4]) {
  unsigned a[4];
  unsigned b[2];
  memcpy(a, left, sizeof(a));
  memcpy(b, right, sizeof(b));
  GPU_MMA("bf16");
}
GPU_DEVICE void gpu_multiply(float (&sums)[4], const gpu_f16 (&left)[8],
                             const gpu_f16 (&right)[4]) {
  unsigned a[4];
  unsigned b[2];
  memcpy(a, left, sizeof(a));
  memcpy(b, right, sizeof(b));
  GPU_MMA("f16");
}
#undef GPU_MMA
#endif
