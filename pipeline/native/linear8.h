// Linear8: rows times a matrix of 8-bit integers, with what surrounds it: layer norm, activation, residual.
//
// A row is quantized by its own peak and sums of integers are exact, so a row's result depends on no other row, on no
// tile's shape and on no thread.
#pragma once

#if defined(__x86_64__)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "args.h"
#include "product.h"
#include "simd.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::linear8 {

using product::ceil_div;
using product::column_sums;
using product::kGroup;
using product::kPanel;

constexpr int64_t kFewRows = 64;  // up to here threads share the columns, above it the rows
constexpr int64_t kZero = 128;    // level of 0 in rows with negative values: products take unsigned times signed
constexpr int64_t kSharedWork =
    1 << 18;  // bytes of weights, and products / 16, below which waking a thread takes longer

inline int64_t num_panels(const Linear8Args& args) { return ceil_div(args.num_out, kPanel); }

inline int64_t num_steps(const Linear8Args& args) { return ceil_div(args.num_in * args.taps, product::kStep); }

// A block of quantized rows; a level is (x / scale) + zero, one byte.
struct Rows {
  std::vector<uint8_t> levels;  // [rows, pitch]
  std::vector<float> scale;     // [rows]
  std::vector<float> values;    // of one row in front of the quantization
  int64_t pitch = 0;

  void resize(int64_t rows, const Linear8Args& args) {
    pitch = ceil_div(args.num_in * args.taps, 64) * 64;
    if (static_cast<int64_t>(levels.size()) < rows * pitch) levels.resize(static_cast<size_t>(rows * pitch));
    if (static_cast<int64_t>(scale.size()) < rows) scale.resize(static_cast<size_t>(rows));
    if (static_cast<int64_t>(values.size()) < args.num_in) values.resize(static_cast<size_t>(args.num_in));
  }
};

inline float sum_of(const float* x, int64_t count) {
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += simd::kLanes)
    sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(simd::lanes(count - i), x + i));
  return _mm512_reduce_add_ps(sum);
}

// Layer norm of one row (arXiv 1607.06450), in two passes over the centred values.
inline void normalize(const Linear8Args& args, const float* x, float* y) {
  const int64_t count = args.num_in;
  const __m512 mean = _mm512_set1_ps(sum_of(x, count) / static_cast<float>(count));
  __m512 squares = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const __mmask16 mask = simd::lanes(count - i);
    const __m512 centred = _mm512_maskz_sub_ps(mask, _mm512_maskz_loadu_ps(mask, x + i), mean);
    squares = _mm512_fmadd_ps(centred, centred, squares);
    _mm512_mask_storeu_ps(y + i, mask, centred);
  }
  const float variance = _mm512_reduce_add_ps(squares) / static_cast<float>(count);
  const __m512 rate = _mm512_set1_ps(1.0f / std::sqrt(variance + args.epsilon));
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const __mmask16 mask = simd::lanes(count - i);
    const __m512 gamma = _mm512_mul_ps(rate, _mm512_maskz_loadu_ps(mask, args.gamma + i));
    const __m512 beta = _mm512_maskz_loadu_ps(mask, args.beta + i);
    _mm512_mask_storeu_ps(y + i, mask, _mm512_fmadd_ps(_mm512_maskz_loadu_ps(mask, y + i), gamma, beta));
  }
}

// Largest value, or absolute value where negative ones count.
inline float peak_of(const float* x, int64_t count, bool is_rectified) {
  __m512 peak = _mm512_setzero_ps();
  for (int64_t i = 0; i < count; i += simd::kLanes) {
    const __m512 values = _mm512_maskz_loadu_ps(simd::lanes(count - i), x + i);
    peak = _mm512_max_ps(peak, is_rectified ? values : _mm512_abs_ps(values));
  }
  return _mm512_reduce_max_ps(peak);
}

// Levels of sixteen values with `rate` of them a unit, not yet around the zero point.
inline __m512i levels_of(const float* x, __mmask16 mask, __m512 rate) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x), rate));
}

// Sixty-four levels as bytes, in order. Values without a sign are clipped at 0.
inline __m512i packed_levels(const float* x, __m512 rate, bool is_rectified) {
  __m512i level[4];
  for (int i = 0; i < 4; ++i) level[i] = levels_of(x + i * simd::kLanes, 0xffff, rate);
  const __m512i first = _mm512_packs_epi32(level[0], level[1]), second = _mm512_packs_epi32(level[2], level[3]);
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  if (is_rectified) return _mm512_permutexvar_epi32(in_order, _mm512_packus_epi16(first, second));
  const __m512i around_zero = _mm512_xor_si512(_mm512_packs_epi16(first, second), _mm512_set1_epi8(-128));
  return _mm512_permutexvar_epi32(in_order, around_zero);
}

// Levels of x with `rate` of them a unit.
inline void quantize(const float* x, int64_t count, float rate, bool is_rectified, uint8_t* levels) {
  const __m512 rates = _mm512_set1_ps(rate);
  int64_t i = 0;
  for (; i + 64 <= count; i += 64) _mm512_storeu_si512(levels + i, packed_levels(x + i, rates, is_rectified));
  const __m512i zero = _mm512_set1_epi32(is_rectified ? 0 : static_cast<int>(kZero));
  for (; i < count; i += simd::kLanes) {
    const __mmask16 mask = simd::lanes(count - i);
    const __m512i level = _mm512_add_epi32(levels_of(x + i, mask, rates), zero);
    _mm_mask_storeu_epi8(levels + i, mask, _mm512_cvtusepi32_epi8(_mm512_max_epi32(level, _mm512_setzero_si512())));
  }
}

// Quantizes output row `row` of `args` into row `index` of the block.
inline void quantize_row(const Linear8Args& args, int64_t row, int64_t index, Rows& rows) {
  const float* sources[3] = {};
  if (args.taps == 1) {
    sources[0] = args.x + row * args.stride * args.num_in;
    if (args.gamma != nullptr) normalize(args, sources[0], rows.values.data());
    if (args.gamma != nullptr) sources[0] = rows.values.data();
  } else {
    const int64_t first = row / args.num_out_frames * args.frames;
    const int64_t centre = row % args.num_out_frames * args.stride;
    for (int64_t tap = 0; tap < args.taps; ++tap) {
      const int64_t frame = centre + tap - args.taps / 2;
      if (frame >= 0 && frame < args.frames) sources[tap] = args.x + (first + frame) * args.num_in;
    }
  }
  float peak = 0.0f;
  for (int64_t tap = 0; tap < args.taps; ++tap) {
    if (sources[tap] != nullptr) peak = std::max(peak, peak_of(sources[tap], args.num_in, args.is_rectified));
  }
  const float num_levels = args.is_rectified ? 255.0f : 127.0f;
  const float rate = peak > 1e-30f ? num_levels / peak : 0.0f;
  uint8_t* levels = rows.levels.data() + index * rows.pitch;
  for (int64_t tap = 0; tap < args.taps; ++tap, levels += args.num_in) {
    if (sources[tap] != nullptr) {
      quantize(sources[tap], args.num_in, rate, args.is_rectified, levels);
    } else {
      std::memset(levels, args.is_rectified ? 0 : static_cast<int>(kZero), static_cast<size_t>(args.num_in));
    }
  }
  rows.scale[static_cast<size_t>(index)] = peak / num_levels;
}

inline __m512 activate(Activation activation, __m512 x) {
  switch (activation) {
    case Activation::kRelu:
      return _mm512_max_ps(x, _mm512_setzero_ps());
    case Activation::kGelu:
      return simd::gelu(x);
    case Activation::kSilu:
      return simd::silu(x);
    default:
      return x;
  }
}

// What becomes of the sums of `row` and the sixteen outputs of `panel`.
inline void finish(const Linear8Args& args, int64_t row, float row_scale, int64_t panel, __m512i sums) {
  const int64_t first = panel * kPanel;
  const __mmask16 mask = simd::lanes(args.num_out - first);
  if (!args.is_rectified)
    sums = _mm512_sub_epi32(sums, _mm512_slli_epi32(_mm512_loadu_si512(args.column_sums + first), 7));
  __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_maskz_loadu_ps(mask, args.scale + first));
  y = _mm512_mul_ps(y, _mm512_set1_ps(row_scale));
  if (args.bias != nullptr) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, args.bias + first));
  y = activate(args.activation, y);
  const int64_t place = row * args.num_out + first;
  if (args.residual != nullptr) y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(mask, args.residual + place));
  mask == 0xffff ? _mm512_storeu_ps(args.y + place, y) : _mm512_mask_storeu_ps(args.y + place, mask, y);
}

// Quantized rows [first_row, first_row + count) times the panels of one group.
inline void group_product(const Linear8Args& args, int64_t first_row, int64_t count, const Rows& rows, int64_t group) {
  const product::Operands operands{rows.levels.data(), rows.pitch, args.weight, num_steps(args)};
  const int64_t first = group * kGroup, last = std::min(first + kGroup, num_panels(args));
  product::rows_times_group(operands, count, first, last, [&](int64_t row, int64_t panel, __m512i sums) {
    finish(args, first_row + row, rows.scale[static_cast<size_t>(row)], panel, sums);
  });
}

inline Rows& scratch() {
  static thread_local Rows rows;
  return rows;
}

inline void quantize_rows(const Linear8Args& args, int64_t first_row, int64_t count, Rows& rows) {
  rows.resize(count, args);
  for (int64_t index = 0; index < count; ++index) quantize_row(args, first_row + index, index, rows);
}

inline void run_few_rows(const Linear8Args& args, const Pool& pool) {
  const int64_t count = args.num_rows(), groups = ceil_div(num_panels(args), kGroup);
  const int64_t size = args.num_in * args.taps * args.num_out;
  Rows& rows = scratch();
  quantize_rows(args, 0, count, rows);
  if (std::max(size, size * count / 16) < kSharedWork) {
    for (int64_t group = 0; group < groups; ++group) group_product(args, 0, count, rows, group);
    return;
  }
  pool.parallel_for(groups, [&](int64_t group) { group_product(args, 0, count, rows, group); });
}

inline void run_many_rows(const Linear8Args& args, const Pool& pool) {
  const int64_t count = args.num_rows(), groups = ceil_div(num_panels(args), kGroup);
  pool.parallel_for(ceil_div(count, product::kBlockRows), [&](int64_t block) {
    const int64_t first = block * product::kBlockRows, now = std::min(product::kBlockRows, count - first);
    Rows& rows = scratch();
    quantize_rows(args, first, now, rows);
    for (int64_t group = 0; group < groups; ++group) group_product(args, first, now, rows, group);
  });
}

inline void run(const Linear8Args& args, const Pool& pool) {
  args.num_rows() <= kFewRows ? run_few_rows(args, pool) : run_many_rows(args, pool);
}

}  // namespace cosyvoice::linear8

#pragma GCC pop_options

#endif  // defined(__x86_64__)
