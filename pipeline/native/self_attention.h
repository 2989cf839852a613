// SelfAttention: every frame sees every frame (flow estimator).
//
// Queries, keys, weights and values are rounded to integers for `vpdpwssd`, which multiplies twice as many of them as
// there are floats in a vector (as many as of bfloat16, which is far less accurate). Steps are chosen by norms so that
// no sum can leave 32 bits: |a . b| <= |a| |b|.
#pragma once

#if defined(__x86_64__)

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "args.h"
#include "attention_common.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::attention {

constexpr int64_t kRows = 6;    // queries at a time
constexpr int64_t kPanels = 4;  // of 16 keys at a time
constexpr int64_t kKeys = kPanels * kLanes;
constexpr int64_t kTaskRows = 16 * kRows;
constexpr float kMaxLevel = 32767.0f;
constexpr float kQueryNorm = 46300.0f;     // of a query's and of a key's levels: sqrt(2^31) less what rounding may add
constexpr float kWeightLevels = 16383.0f;  // of the largest weight: 2^17 is the norm of a block's
constexpr float kValueNorm = 16300.0f;  // of a channel's levels over a block of kKeys keys: 2^31 / 2^17, less rounding

// A head's keys and values of a sequence as integers.
struct Packed {
  int16_t* keys;      // [panels, pairs of channels, 16 keys, 2]
  float* key_step;    // [panels, 16]
  int16_t* values;    // [pairs of keys, dim rounded up to 16, 2]
  float* value_step;  // [dim rounded up to 16]
};

// The sizes of a call's buffers, for each (sequence, head).
struct SelfShape {
  explicit SelfShape(const SelfArgs& args)
      : padded_keys(round_up(args.frames, kKeys)),
        padded_dim(round_up(args.dim, kLanes)),
        row_stride(3 * args.num_heads * args.dim) {}
  int64_t packed_floats() const { return padded_keys * padded_dim + padded_keys + padded_dim; }
  Packed packed(float* buffer, int64_t index) const {
    float* at = buffer + index * packed_floats();
    return {reinterpret_cast<int16_t*>(at + padded_keys + padded_dim), at,
            reinterpret_cast<int16_t*>(at + padded_keys + padded_dim + padded_keys * padded_dim / 2), at + padded_keys};
  }
  int64_t padded_keys;
  int64_t padded_dim;
  int64_t row_stride;  // floats from a frame of qkv to the next
};

// The transposed 16 x 16 matrix of 32 bit elements.
inline void transpose(__m512i rows[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    rows[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    rows[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    rows[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    rows[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(rows[i], rows[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(rows[i + 8], rows[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    rows[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    rows[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    rows[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    rows[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// A query or key as levels, zeros behind; the step between levels.
inline float quantize_row(const float* x, int64_t dim, int64_t padded_dim, int16_t* levels) {
  __m512 squares = _mm512_setzero_ps(), peaks = _mm512_setzero_ps();
  for (int64_t d = 0; d < dim; d += kLanes) {
    const __m512 value = _mm512_maskz_loadu_ps(simd::lanes(dim - d), x + d);
    squares = _mm512_fmadd_ps(value, value, squares);
    peaks = _mm512_max_ps(peaks, _mm512_abs_ps(value));
  }
  const float norm = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(_mm512_reduce_add_ps(squares))));
  const float step = std::max(norm / kQueryNorm, _mm512_reduce_max_ps(peaks) / kMaxLevel);
  const __m512 levels_per_unit = _mm512_set1_ps(step > 0.0f ? 1.0f / step : 0.0f);
  for (int64_t d = 0; d < padded_dim; d += kLanes) {
    const __m512 value = _mm512_maskz_loadu_ps(lanes_below(dim, d), x + d);
    const __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(value, levels_per_unit));
    _mm256_store_si256(reinterpret_cast<__m256i*>(levels + d), _mm512_cvtsepi32_epi16(level));
  }
  return step;
}

inline void pack_keys(const SelfArgs& args, const SelfShape& shape, const float* keys, const Packed& packed) {
  thread_local Scratch scratch;
  int16_t* levels = scratch.get<int16_t>(kLanes * shape.padded_dim);
  const int64_t pairs = shape.padded_dim / 2;
  for (int64_t first = 0; first < args.frames; first += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t key = std::min(first + i, args.frames - 1);
      packed.key_step[first + i] =
          quantize_row(keys + key * shape.row_stride, args.dim, shape.padded_dim, levels + i * shape.padded_dim);
    }
    int16_t* panel = packed.keys + first * shape.padded_dim;
    for (int64_t pair = 0; pair < pairs; pair += kLanes) {
      const __mmask16 mask = simd::lanes(pairs - pair);
      __m512i rows[16];
      for (int i = 0; i < 16; ++i) rows[i] = _mm512_maskz_loadu_epi32(mask, levels + i * shape.padded_dim + 2 * pair);
      transpose(rows);
      const int64_t count = std::min<int64_t>(16, pairs - pair);
      for (int64_t i = 0; i < count; ++i) _mm512_store_si512(panel + (pair + i) * 2 * kLanes, rows[i]);
    }
  }
}

// The steps of sixteen channels' levels.
inline __m512 value_steps(const SelfArgs& args, const SelfShape& shape, const float* values, __mmask16 mask) {
  __m512 squares = _mm512_setzero_ps(), peaks = _mm512_setzero_ps();
  for (int64_t first = 0; first < args.frames; first += kKeys) {
    __m512 sum = _mm512_setzero_ps();
    for (int64_t key = first; key < std::min(first + kKeys, args.frames); ++key) {
      const __m512 value = _mm512_maskz_loadu_ps(mask, values + key * shape.row_stride);
      sum = _mm512_fmadd_ps(value, value, sum);
      peaks = _mm512_max_ps(peaks, _mm512_abs_ps(value));
    }
    squares = _mm512_max_ps(squares, sum);
  }
  const __m512 by_norm = _mm512_mul_ps(_mm512_sqrt_ps(squares), _mm512_set1_ps(1.0f / kValueNorm));
  return _mm512_max_ps(by_norm, _mm512_mul_ps(peaks, _mm512_set1_ps(1.0f / kMaxLevel)));
}

inline void pack_values(const SelfArgs& args, const SelfShape& shape, const float* values, const Packed& packed) {
  const int64_t num_pairs = round_up(args.frames, kKeys) / 2;
  for (int64_t d = 0; d < shape.padded_dim; d += kLanes) {
    const __mmask16 mask = lanes_below(args.dim, d);
    const __m512 step = value_steps(args, shape, values + d, mask);
    _mm512_storeu_ps(packed.value_step + d, step);
    const __mmask16 is_used = _mm512_cmp_ps_mask(step, _mm512_setzero_ps(), _CMP_GT_OQ);
    const __m512 levels_per_unit = _mm512_maskz_div_ps(is_used, _mm512_set1_ps(1.0f), step);
    for (int64_t pair = 0; pair < num_pairs; ++pair) {
      const float* even = values + 2 * pair * shape.row_stride + d;
      const __mmask16 has_even = 2 * pair < args.frames ? mask : static_cast<__mmask16>(0);
      const __mmask16 has_odd = 2 * pair + 1 < args.frames ? mask : static_cast<__mmask16>(0);
      const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(has_even, even), levels_per_unit));
      const __m512i b =
          _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(has_odd, even + shape.row_stride), levels_per_unit));
      const __m512i both = _mm512_mask_blend_epi16(0xaaaaaaaau, a, _mm512_slli_epi32(b, 16));
      _mm512_storeu_si512(packed.values + 2 * (pair * shape.padded_dim + d), both);
    }
  }
}

COSYVOICE_INLINE __m512i broadcast_pair(const int16_t* levels) {
  int32_t pair;
  std::memcpy(&pair, levels, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

// Rows of levels times vectors of sixteen columns' pairs of levels: sums[row, column] over all pairs.
struct Pairs {
  const int16_t* rows;     // [kRows, 2 num_pairs], row_stride apart
  const int16_t* columns;  // [num_pairs, vectors, 16, 2] with the strides below
  int32_t* sums;           // [kRows, 16 vectors], sum_stride apart
  int64_t num_pairs;
  int64_t row_stride;
  int64_t pair_stride;
  int64_t vector_stride;
  int64_t sum_stride;
};

template <int kVectors>
void multiply(const Pairs& x) {
  __m512i sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_setzero_si512();
  }
  const int16_t* columns = x.columns;
  for (int64_t pair = 0; pair < x.num_pairs; ++pair, columns += x.pair_stride) {
    __m512i column[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) column[v] = _mm512_load_si512(columns + v * x.vector_stride);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int32_t two;
      std::memcpy(&two, x.rows + r * x.row_stride + 2 * pair, sizeof two);
      const __m512i row = _mm512_set1_epi32(two);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_dpwssd_epi32(sum[r][v], column[v], row);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) _mm512_store_si512(x.sums + r * x.sum_stride + v * kLanes, sum[r][v]);
  }
}

inline void multiply(const Pairs& x, int64_t vectors) {
  switch (vectors) {
    case 1:
      return multiply<1>(x);
    case 2:
      return multiply<2>(x);
    case 3:
      return multiply<3>(x);
    default:
      return multiply<4>(x);
  }
}

// What is computed for kRows queries.
struct Rows {
  int16_t* queries;    // [kRows, padded_dim]
  float step[kRows];   // of the queries' levels, times scale log2(e)
  float* logits;       // [kRows, padded_keys]
  int16_t* weights;    // [kRows, kKeys]
  int32_t* sums;       // [kRows, kKeys]: products of weights and values
  float* gathered;     // [kRows, padded_dim]
  float total[kRows];  // of the weights
};

inline Rows make_rows(const SelfShape& shape) {
  thread_local Scratch scratch;
  Rows rows;
  rows.logits = scratch.get<float>(kRows * (shape.padded_keys + 2 * shape.padded_dim + 2 * kKeys));
  rows.gathered = rows.logits + kRows * shape.padded_keys;
  rows.sums = reinterpret_cast<int32_t*>(rows.gathered + kRows * shape.padded_dim);
  rows.weights = reinterpret_cast<int16_t*>(rows.sums + kRows * kKeys);
  rows.queries = rows.weights + kRows * kKeys;
  return rows;
}

// logits[row, key] as integers, for all keys.
inline void multiply_keys(const SelfShape& shape, const Packed& packed, const Rows& rows, int64_t num_keys) {
  for (int64_t key = 0; key < num_keys; key += kKeys) {
    const int64_t panels = std::min(kPanels, (num_keys - key + kLanes - 1) / kLanes);
    multiply({rows.queries, packed.keys + key * shape.padded_dim, reinterpret_cast<int32_t*>(rows.logits) + key,
              shape.padded_dim / 2, shape.padded_dim, 2 * kLanes, kLanes * shape.padded_dim, shape.padded_keys},
             panels);
  }
}

// A row's logits in units of log2, minus infinity behind the last key; the largest one.
inline float scale_logits(const Packed& packed, float query_step, int64_t num_keys, float* logits) {
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  const __m512 step = _mm512_set1_ps(query_step);
  __m512 largest = lowest;
  for (int64_t key = 0; key < num_keys; key += kLanes) {
    const __m512 levels = _mm512_cvtepi32_ps(_mm512_load_si512(logits + key));
    const __m512 steps = _mm512_mul_ps(step, _mm512_load_ps(packed.key_step + key));
    const __m512 logit = _mm512_mask_mul_ps(lowest, simd::lanes(num_keys - key), levels, steps);
    _mm512_store_ps(logits + key, logit);
    largest = _mm512_max_ps(largest, logit);
  }
  return _mm512_reduce_max_ps(largest);
}

// A row's logits to weights, of which the largest is kWeightLevels; their sum.
inline float self_weights(float largest, int64_t num_keys, float* logits) {
  constexpr float kLog2Levels = 13.99991f;  // log2(kWeightLevels), rounded down
  const __m512 shift = _mm512_set1_ps(largest - kLog2Levels);
  __m512 total = _mm512_setzero_ps();
  for (int64_t key = 0; key < num_keys; key += kLanes) {
    const __m512 weights = exp2(_mm512_sub_ps(_mm512_load_ps(logits + key), shift));
    total = _mm512_add_ps(total, weights);
    _mm512_store_ps(logits + key, weights);
  }
  return _mm512_reduce_add_ps(total);
}

// Rounds the weights of a row's keys from `key` on to levels.
inline void quantize_weights(const Rows& rows, const SelfShape& shape, int64_t row, int64_t key, int64_t count) {
  const float* weights = rows.logits + row * shape.padded_keys + key;
  int16_t* levels = rows.weights + row * kKeys;
  for (int64_t k = 0; k < count; k += kLanes) {
    const __m512i level = _mm512_cvtps_epi32(_mm512_load_ps(weights + k));
    _mm256_store_si256(reinterpret_cast<__m256i*>(levels + k), _mm512_cvtepi32_epi16(level));
  }
}

// gathered[row, channel] += weights . values of up to kKeys keys from `key` on.
inline void multiply_values(const SelfShape& shape, const Packed& packed, const Rows& rows, int64_t key,
                            int64_t count) {
  for (int64_t d = 0; d < shape.padded_dim; d += 4 * kLanes) {
    const int64_t vectors = std::min<int64_t>(4, (shape.padded_dim - d) / kLanes);
    multiply({rows.weights, packed.values + key * shape.padded_dim + 2 * d, rows.sums, (count + 1) / 2, kKeys,
              2 * shape.padded_dim, 2 * kLanes, kKeys},
             vectors);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t v = 0; v < vectors; ++v) {
        float* gathered = rows.gathered + r * shape.padded_dim + d + v * kLanes;
        const __m512 sum = _mm512_cvtepi32_ps(_mm512_load_si512(rows.sums + r * kKeys + v * kLanes));
        _mm512_store_ps(gathered, _mm512_add_ps(_mm512_load_ps(gathered), sum));
      }
    }
  }
}

inline void store_row(const SelfArgs& args, const Packed& packed, const float* gathered, float total, float* y) {
  const __m512 reciprocal = _mm512_set1_ps(1.0f / total);
  for (int64_t d = 0; d < args.dim; d += kLanes) {
    const __m512 factor = _mm512_mul_ps(reciprocal, _mm512_load_ps(packed.value_step + d));
    _mm512_mask_storeu_ps(y + d, simd::lanes(args.dim - d), _mm512_mul_ps(_mm512_load_ps(gathered + d), factor));
  }
}

// kRows queries from `first` on, less where the frames end.
inline void self_rows(const SelfArgs& args, const SelfShape& shape, const Packed& packed, const float* queries,
                      int64_t first, Rows& rows, float* y) {
  for (int64_t r = 0; r < kRows; ++r) {
    const float* query = queries + std::min(first + r, args.frames - 1) * shape.row_stride;
    rows.step[r] =
        quantize_row(query, args.dim, shape.padded_dim, rows.queries + r * shape.padded_dim) * args.scale * kLog2E;
  }
  multiply_keys(shape, packed, rows, args.frames);
  for (int64_t r = 0; r < kRows; ++r) {
    float* logits = rows.logits + r * shape.padded_keys;
    rows.total[r] = self_weights(scale_logits(packed, rows.step[r], args.frames, logits), args.frames, logits);
  }
  std::fill_n(rows.gathered, kRows * shape.padded_dim, 0.0f);
  for (int64_t key = 0; key < args.frames; key += kKeys) {
    const int64_t count = std::min(kKeys, args.frames - key);
    for (int64_t r = 0; r < kRows; ++r) quantize_weights(rows, shape, r, key, count);
    multiply_values(shape, packed, rows, key, count);
  }
  for (int64_t r = 0; r < std::min(kRows, args.frames - first); ++r) {
    store_row(args, packed, rows.gathered + r * shape.padded_dim, rows.total[r],
              y + (first + r) * args.num_heads * args.dim);
  }
}

// Every frame attends to all frames; see SelfArgs. The error of y was 1e-4 to 4e-4 of its root mean square.
inline void self(const SelfArgs& args, const Pool& pool) {
  if (args.frames <= 0) return;
  thread_local Scratch scratch;
  const SelfShape shape(args);
  const int64_t num_heads = args.batch * args.num_heads;
  float* buffer = scratch.get<float>(num_heads * shape.packed_floats());
  const auto head_at = [&](int64_t index) {
    return args.qkv + index / args.num_heads * args.frames * shape.row_stride + index % args.num_heads * args.dim;
  };
  pool.parallel_for(num_heads, [&](int64_t index) {
    const Packed packed = shape.packed(buffer, index);
    pack_keys(args, shape, head_at(index) + args.num_heads * args.dim, packed);
    pack_values(args, shape, head_at(index) + 2 * args.num_heads * args.dim, packed);
  });
  const int64_t tasks_per_head = (args.frames + kTaskRows - 1) / kTaskRows;
  pool.parallel_for(num_heads * tasks_per_head, [&](int64_t task) {
    const int64_t index = task / tasks_per_head;
    const int64_t begin = task % tasks_per_head * kTaskRows;
    const Packed packed = shape.packed(buffer, index);
    Rows rows = make_rows(shape);
    float* y =
        args.y + index / args.num_heads * args.frames * args.num_heads * args.dim + index % args.num_heads * args.dim;
    for (int64_t first = begin; first < std::min(begin + kTaskRows, args.frames); first += kRows) {
      self_rows(args, shape, packed, head_at(index), first, rows, y);
    }
  });
}

}  // namespace cosyvoice::attention

#pragma GCC pop_options

#endif  // defined(__x86_64__)
