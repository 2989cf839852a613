// Attention with a bias for each distance (language model) and of every frame to every frame (flow estimator).
//
// Logits are kept in units of log2, so that weights are powers of two. Products with integers are exact, and floats are
// summed in an order that depends on the query and its own keys only: results are the same bits whatever is computed along.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "args.h"
#include "simd.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::attention {

constexpr int64_t kLanes = simd::kLanes;
constexpr int64_t kBytes = 64;       // of a vector
constexpr float kLog2E = 1.44269504f;

#define COSYVOICE_INLINE inline __attribute__((always_inline))

// Memory that is kept for the thread's next call; its contents are not.
class Scratch {
 public:
  // `count` elements of T at a cache line's start.
  template <class T>
  T* get(int64_t count) {
    const size_t lines = (static_cast<size_t>(count) * sizeof(T) + sizeof(Line) - 1) / sizeof(Line);
    if (lines_.size() < lines) lines_.resize(lines);
    return reinterpret_cast<T*>(lines_.data());
  }

 private:
  struct alignas(64) Line {
    char bytes[64];
  };
  std::vector<Line> lines_;
};

COSYVOICE_INLINE int64_t round_up(int64_t count, int64_t unit) { return (count + unit - 1) / unit * unit; }

// The lanes of the vector at `index` that lie below `count`.
COSYVOICE_INLINE __mmask16 lanes_below(int64_t count, int64_t index) {
  return index < count ? simd::lanes(count - index) : static_cast<__mmask16>(0);
}

COSYVOICE_INLINE __mmask64 bytes_below(int64_t count, int64_t index) {
  const int64_t rest = count - index;
  return rest >= kBytes ? ~__mmask64{0} : rest <= 0 ? __mmask64{0} : (__mmask64{1} << rest) - 1;
}

// 2^x for x <= 0 to 1e-7 of its value, 2^-126 below: the nearest integer's power times a minimax polynomial (relative
// error, degree 5) of the rest.
COSYVOICE_INLINE __m512 exp2(__m512 x) {
  x = _mm512_max_ps(x, _mm512_set1_ps(-126.0f));
  const __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT);
  const __m512 rest = _mm512_sub_ps(x, n);
  __m512 p = _mm512_set1_ps(1.327647199e-3f);
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(9.675541334e-3f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(5.550713274e-2f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(2.402211972e-1f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(6.931469671e-1f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

// How fold() adds.
struct Integers {
  static COSYVOICE_INLINE __m512i add(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};
struct Floats {
  static COSYVOICE_INLINE __m512i add(__m512i a, __m512i b) {
    return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
  }
};

// Four vectors to one that holds, in each 128 bits, the sums of each vector's four lanes there.
template <class Sum>
COSYVOICE_INLINE __m512i fold4(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = Sum::add(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = Sum::add(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return Sum::add(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// Four results of fold4 to one vector of the sixteen vectors' sums. All are added up in the same order.
template <class Sum>
COSYVOICE_INLINE __m512i fold16(const __m512i t[4]) {
  const __m512i low = Sum::add(_mm512_shuffle_i32x4(t[0], t[1], 0x88), _mm512_shuffle_i32x4(t[0], t[1], 0xdd));
  const __m512i high = Sum::add(_mm512_shuffle_i32x4(t[2], t[3], 0x88), _mm512_shuffle_i32x4(t[2], t[3], 0xdd));
  return Sum::add(_mm512_shuffle_i32x4(low, high, 0x88), _mm512_shuffle_i32x4(low, high, 0xdd));
}

// ---------------------------------------------------------------------------------------------------------------------
// DistanceAttention

// Sixteen bits of a query or a weight are used with an i8 cache: as a sum 256 high + low of bytes, for `vpdpbusd`.
constexpr float kQueryPeak = 32639.0f;   // the largest whose high byte, rounded, is within -128..127
constexpr float kWeightPeak = 65535.0f;
constexpr int64_t kQueries = 4;          // computed at a time, to read what they have in common once
constexpr int64_t kSequences = 8;        // of a decode step that a task takes, to read a head's relative rows once
constexpr int64_t kBefore = 2 * kLanes;  // readable floats before the biases: where distances would be negative

struct Query {
  int64_t sequence;
  int64_t frame;
  int64_t num_keys;
};

// Some queries of a head, the ones with more keys first, and what is computed for each.
struct Block {
  const DistanceArgs* args;
  int64_t head;
  int64_t count;
  int64_t padded_dim;         // dim rounded up to 64, zeros behind
  int64_t stride;             // of scores, biases and weights: more than the largest number of keys
  Query query[kQueries];
  float* relative_query;      // [kQueries, padded_dim]: (q + v_minus_u) log2(e)
  float* float_query;         // [kQueries, padded_dim]: q scale log2(e), times key_scale for an i8 cache
  int8_t* high;               // [kQueries, padded_dim]
  int8_t* low;                // [kQueries, padded_dim]
  float step[kQueries];       // of float_query: (256 high + low) step
  int32_t offset[kQueries];   // 128 sum(256 high + low): what keys + 128 give too much
  float* biases;              // [kQueries, stride] by distance
  float* scores;              // [kQueries, stride] by key; with a f32 cache then the weights
  uint8_t* weight_high;       // [kQueries, stride]
  uint8_t* weight_low;        // [kQueries, stride]
  float total[kQueries];      // of the weights
};

// A head's past keys or values of a sequence, [capacity, dim].
template <class Cache>
COSYVOICE_INLINE Cache* cache_rows(const DistanceArgs& args, void* cache, int64_t sequence, int64_t head) {
  return static_cast<Cache*>(cache) + (sequence * args.num_heads + head) * args.capacity * args.dim;
}

inline void store_row(const float* x, const float*, int64_t dim, float* row) {
  std::memcpy(row, x, static_cast<size_t>(dim) * sizeof(float));
}

// round(x / scale), ties to even, within -128..127.
inline void store_row(const float* x, const float* scale, int64_t dim, int8_t* row) {
  for (int64_t d = 0; d < dim; d += kLanes) {
    const __mmask16 mask = simd::lanes(dim - d);
    const __m512 ratio = _mm512_maskz_div_ps(mask, _mm512_maskz_loadu_ps(mask, x + d), _mm512_maskz_loadu_ps(mask, scale + d));
    _mm512_mask_cvtsepi32_storeu_epi8(row + d, mask, _mm512_cvtps_epi32(ratio));
  }
}

// Writes the keys and values of a sequence's new frames behind those of its past.
template <class Cache>
void append(const DistanceArgs& args, int64_t sequence, int64_t head) {
  const int64_t width = args.num_heads * args.dim;
  const float* key_scale = args.key_scale == nullptr ? nullptr : args.key_scale + head * args.dim;
  const float* value_scale = args.value_scale == nullptr ? nullptr : args.value_scale + head * args.dim;
  const int64_t past = args.past_length[sequence];
  Cache* keys = cache_rows<Cache>(args, args.key, sequence, head) + past * args.dim;
  Cache* values = cache_rows<Cache>(args, args.value, sequence, head) + past * args.dim;
  for (int64_t frame = 0; frame < args.length[sequence]; ++frame) {
    const float* x = args.qkv + (sequence * args.frames + frame) * 3 * width + head * args.dim;
    store_row(x + width, key_scale, args.dim, keys + frame * args.dim);
    store_row(x + 2 * width, value_scale, args.dim, values + frame * args.dim);
  }
}

// float_query as 16 bit levels of its peak.
inline void quantize_query(Block& block, int64_t q) {
  const float* x = block.float_query + q * block.padded_dim;
  __m512 peaks = _mm512_setzero_ps();
  for (int64_t d = 0; d < block.padded_dim; d += kLanes) peaks = _mm512_max_ps(peaks, _mm512_abs_ps(_mm512_loadu_ps(x + d)));
  const float peak = _mm512_reduce_max_ps(peaks);
  const __m512 levels_per_unit = _mm512_set1_ps(peak > 0.0f ? kQueryPeak / peak : 0.0f);
  __m512i sum = _mm512_setzero_si512();
  for (int64_t d = 0; d < block.padded_dim; d += kLanes) {
    const __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + d), levels_per_unit));
    const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(level, _mm512_set1_epi32(128)), 8);
    const __m512i low = _mm512_sub_epi32(level, _mm512_slli_epi32(high, 8));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(block.high + q * block.padded_dim + d), _mm512_cvtepi32_epi8(high));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(block.low + q * block.padded_dim + d), _mm512_cvtepi32_epi8(low));
    sum = _mm512_add_epi32(sum, level);
  }
  block.step[q] = peak / kQueryPeak;
  block.offset[q] = 128 * _mm512_reduce_add_epi32(sum);
}

inline void prepare_query(Block& block, int64_t q) {
  const DistanceArgs& args = *block.args;
  const Query& query = block.query[q];
  const int64_t head_offset = block.head * args.dim;
  const float* x = args.qkv + (query.sequence * args.frames + query.frame) * 3 * args.num_heads * args.dim + head_offset;
  const __m512 log2e = _mm512_set1_ps(kLog2E);
  const __m512 scale = _mm512_set1_ps(args.scale * kLog2E);
  for (int64_t d = 0; d < block.padded_dim; d += kLanes) {
    const __mmask16 mask = lanes_below(args.dim, d);
    const __m512 value = _mm512_maskz_loadu_ps(mask, x + d);
    const __m512 shifted = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, args.v_minus_u + head_offset + d));
    __m512 scaled = _mm512_mul_ps(value, scale);
    if (args.is_int8) scaled = _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(mask, args.key_scale + head_offset + d));
    _mm512_storeu_ps(block.relative_query + q * block.padded_dim + d, _mm512_mul_ps(shifted, log2e));
    _mm512_storeu_ps(block.float_query + q * block.padded_dim + d, scaled);
  }
  if (args.is_int8) quantize_query(block, q);
}

// biases[q, distance] = relative_query[q] . relative[head, :, distance] for the first kCount queries and kVectors * 16
// distances from `distance` on, as far as there are any.
template <int kCount, int kVectors>
void biases_at(const Block& block, int64_t distance) {
  const DistanceArgs& args = *block.args;
  const float* row = args.relative + block.head * args.dim * args.num_distances + distance;
  __mmask16 mask[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) mask[v] = lanes_below(args.num_distances - distance, v * kLanes);
  __m512 sum[kCount][kVectors];
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sum[q][v] = _mm512_setzero_ps();
  }
  for (int64_t d = 0; d < args.dim; ++d, row += args.num_distances) {
    __m512 query[kCount];
#pragma GCC unroll 4
    for (int q = 0; q < kCount; ++q) query[q] = _mm512_set1_ps(block.relative_query[q * block.padded_dim + d]);
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const __m512 relative = _mm512_maskz_loadu_ps(mask[v], row + v * kLanes);
#pragma GCC unroll 4
      for (int q = 0; q < kCount; ++q) sum[q][v] = _mm512_fmadd_ps(query[q], relative, sum[q][v]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(block.biases + q * block.stride + distance + v * kLanes, sum[q][v]);
  }
}

inline void compute_biases(const Block& block) {
  int64_t count = block.count;
  for (int64_t distance = 0; distance < block.query[0].num_keys;) {
    while (block.query[count - 1].num_keys <= distance) --count;
    const bool is_wide = count <= 2 && block.query[0].num_keys - distance > 4 * kLanes;
    if (count == 1) {
      is_wide ? biases_at<1, 8>(block, distance) : biases_at<1, 4>(block, distance);
    } else if (count == 2) {
      is_wide ? biases_at<2, 8>(block, distance) : biases_at<2, 4>(block, distance);
    } else {
      count == 3 ? biases_at<3, 4>(block, distance) : biases_at<4, 4>(block, distance);
    }
    distance += (is_wide ? 8 : 4) * kLanes;
  }
}

// (256 high + low) . (key + 128) by lanes.
template <bool kIs64>
COSYVOICE_INLINE __m512i key_product(const Block& block, int64_t q, const int8_t* key) {
  const int8_t* high = block.high + q * block.padded_dim;
  const int8_t* low = block.low + q * block.padded_dim;
  const __m512i sign = _mm512_set1_epi8(-128);
  const int64_t padded_dim = kIs64 ? kBytes : block.padded_dim;
  __m512i sum = _mm512_setzero_si512();
  for (int64_t d = 0; d < padded_dim; d += kBytes) {
    const __m512i bytes = kIs64 ? _mm512_loadu_si512(key) : _mm512_maskz_loadu_epi8(bytes_below(block.args->dim, d), key + d);
    sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(bytes, sign), _mm512_load_si512(high + d));
  }
  sum = _mm512_slli_epi32(sum, 8);
  for (int64_t d = 0; d < padded_dim; d += kBytes) {
    const __m512i bytes = kIs64 ? _mm512_loadu_si512(key) : _mm512_maskz_loadu_epi8(bytes_below(block.args->dim, d), key + d);
    sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(bytes, sign), _mm512_load_si512(low + d));
  }
  return sum;
}

template <bool kIs64>
COSYVOICE_INLINE __m512i key_product(const Block& block, int64_t q, const float* key) {
  const float* query = block.float_query + q * block.padded_dim;
  const int64_t dim = kIs64 ? 64 : block.args->dim;
  __m512 sum = _mm512_setzero_ps();
  for (int64_t d = 0; d < dim; d += kLanes) {
    const __m512 x = kIs64 ? _mm512_loadu_ps(key + d) : _mm512_maskz_loadu_ps(lanes_below(dim, d), key + d);
    sum = _mm512_fmadd_ps(x, _mm512_load_ps(query + d), sum);
  }
  return _mm512_castps_si512(sum);
}

COSYVOICE_INLINE __m512 score(const Block& block, int64_t q, const __m512i products[4], const int8_t*) {
  const __m512i sum = _mm512_sub_epi32(fold16<Integers>(products), _mm512_set1_epi32(block.offset[q]));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(block.step[q]));
}

COSYVOICE_INLINE __m512 score(const Block&, int64_t, const __m512i products[4], const float*) {
  return _mm512_castsi512_ps(fold16<Floats>(products));
}

template <class Cache>
using Sum = std::conditional_t<std::is_same_v<Cache, int8_t>, Integers, Floats>;

// Scores of sixteen keys of which `num_keys` are there (of others the last one is read instead).
template <class Cache, bool kIs64, int kCount, bool kIsWhole>
COSYVOICE_INLINE void scores_at(const Block& block, int64_t first, const Cache* keys, int64_t num_keys, float* scores) {
  const int64_t dim = kIs64 ? 64 : block.args->dim;
  __m512i products[kCount][4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const Cache* key[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) key[j] = keys + (kIsWhole ? 4 * i + j : std::min<int64_t>(4 * i + j, num_keys - 1)) * dim;
#pragma GCC unroll 4
    for (int q = 0; q < kCount; ++q) {
      products[q][i] = fold4<Sum<Cache>>(key_product<kIs64>(block, first + q, key[0]), key_product<kIs64>(block, first + q, key[1]),
                                         key_product<kIs64>(block, first + q, key[2]), key_product<kIs64>(block, first + q, key[3]));
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) _mm512_storeu_ps(scores + q * block.stride, score(block, first + q, products[q], keys));
}

// scores[q, j] = q . k_j scale log2(e) for kCount queries of a sequence from `first` on and the keys the first of them has.
template <class Cache, bool kIs64, int kCount>
void compute_scores(const Block& block, int64_t first) {
  const DistanceArgs& args = *block.args;
  const Query& query = block.query[first];
  const Cache* keys = cache_rows<Cache>(args, args.key, query.sequence, block.head);
  float* scores = block.scores + first * block.stride;
  int64_t j = 0;
  for (; j + kLanes <= query.num_keys; j += kLanes) {
    scores_at<Cache, kIs64, kCount, true>(block, first, keys + j * args.dim, kLanes, scores + j);
  }
  if (j < query.num_keys) {
    scores_at<Cache, kIs64, kCount, false>(block, first, keys + j * args.dim, query.num_keys - j, scores + j);
  }
}

// Adds the biases to a query's scores; its largest logit. Keys from num_keys up to padded_keys get minus infinity.
inline float add_biases(const Block& block, int64_t q, int64_t padded_keys) {
  const __m512i reversed = _mm512_set_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const int64_t num_keys = block.query[q].num_keys;
  const __m512 lowest = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  float* scores = block.scores + q * block.stride;
  const float* bias = block.biases + q * block.stride + num_keys - kLanes;
  __m512 largest = lowest;
  for (int64_t j = 0; j < padded_keys; j += kLanes) {
    const __m512 biases = _mm512_permutexvar_ps(reversed, _mm512_loadu_ps(bias - j));
    const __m512 logits = _mm512_mask_add_ps(lowest, lanes_below(num_keys, j), _mm512_load_ps(scores + j), biases);
    _mm512_store_ps(scores + j, logits);
    largest = _mm512_max_ps(largest, logits);
  }
  return _mm512_reduce_max_ps(largest);
}

inline void compute_weights(Block& block, int64_t q, int64_t padded_keys, const int8_t*) {
  const __m512 largest = _mm512_set1_ps(add_biases(block, q, padded_keys));
  const float* scores = block.scores + q * block.stride;
  uint8_t* high = block.weight_high + q * block.stride;
  uint8_t* low = block.weight_low + q * block.stride;
  __m512i total = _mm512_setzero_si512();
  for (int64_t j = 0; j < padded_keys; j += kLanes) {
    const __m512 weights = exp2(_mm512_sub_ps(_mm512_load_ps(scores + j), largest));
    const __m512i level = _mm512_cvtps_epi32(_mm512_mul_ps(weights, _mm512_set1_ps(kWeightPeak)));
    _mm_store_si128(reinterpret_cast<__m128i*>(high + j), _mm512_cvtepi32_epi8(_mm512_srli_epi32(level, 8)));
    _mm_store_si128(reinterpret_cast<__m128i*>(low + j), _mm512_cvtepi32_epi8(level));
    total = _mm512_add_epi32(total, level);
  }
  block.total[q] = static_cast<float>(_mm512_reduce_add_epi32(total));
}

inline void compute_weights(Block& block, int64_t q, int64_t padded_keys, const float*) {
  const __m512 largest = _mm512_set1_ps(add_biases(block, q, padded_keys));
  float* scores = block.scores + q * block.stride;
  __m512 total = _mm512_setzero_ps();
  for (int64_t j = 0; j < padded_keys; j += kLanes) {
    const __m512 logits = _mm512_load_ps(scores + j);
    const __mmask16 mask = lanes_below(block.query[q].num_keys, j);
    const __m512 weights = _mm512_maskz_mov_ps(mask, exp2(_mm512_sub_ps(logits, largest)));
    _mm512_store_ps(scores + j, weights);
    total = _mm512_add_ps(total, weights);
  }
  block.total[q] = _mm512_reduce_add_ps(total);
}

// What a query has gathered of the values of 64 channels: for a f32 cache in order, otherwise see add_values.
template <class Cache>
struct Gathered;

template <>
struct Gathered<float> {
  __m512 sum[4];

  COSYVOICE_INLINE void clear() {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) sum[v] = _mm512_setzero_ps();
  }
};

template <>
struct Gathered<int8_t> {
  __m512i high[4];
  __m512i low[4];

  COSYVOICE_INLINE void clear() {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) high[v] = low[v] = _mm512_setzero_si512();
  }
};

// Adds four keys' values: bytes are interleaved so that a channel's four stand side by side, in order within 128 bits.
template <int kCount>
COSYVOICE_INLINE void add_values(const Block& block, int64_t first, int64_t j, const int8_t* const value[4], __mmask64 mask,
                                 Gathered<int8_t> gathered[kCount]) {
  const __m512i a = _mm512_maskz_loadu_epi8(mask, value[0]);
  const __m512i b = _mm512_maskz_loadu_epi8(mask, value[1]);
  const __m512i c = _mm512_maskz_loadu_epi8(mask, value[2]);
  const __m512i d = _mm512_maskz_loadu_epi8(mask, value[3]);
  const __m512i ab_low = _mm512_unpacklo_epi8(a, b), ab_high = _mm512_unpackhi_epi8(a, b);
  const __m512i cd_low = _mm512_unpacklo_epi8(c, d), cd_high = _mm512_unpackhi_epi8(c, d);
  const __m512i bytes[4] = {_mm512_unpacklo_epi16(ab_low, cd_low), _mm512_unpackhi_epi16(ab_low, cd_low),
                            _mm512_unpacklo_epi16(ab_high, cd_high), _mm512_unpackhi_epi16(ab_high, cd_high)};
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) {
    const int64_t at = (first + q) * block.stride + j;
    const __m512i high = _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(block.weight_high + at));
    const __m512i low = _mm512_set1_epi32(*reinterpret_cast<const int32_t*>(block.weight_low + at));
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      gathered[q].high[v] = _mm512_dpbusd_epi32(gathered[q].high[v], high, bytes[v]);
      gathered[q].low[v] = _mm512_dpbusd_epi32(gathered[q].low[v], low, bytes[v]);
    }
  }
}

template <int kCount>
COSYVOICE_INLINE void add_values(const Block& block, int64_t first, int64_t j, const float* const value[4], __mmask64 mask,
                                 Gathered<float> gathered[kCount]) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512 x = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> (v * kLanes)), value[i] + v * kLanes);
#pragma GCC unroll 4
      for (int q = 0; q < kCount; ++q) {
        const __m512 weight = _mm512_set1_ps(block.scores[(first + q) * block.stride + j + i]);
        gathered[q].sum[v] = _mm512_fmadd_ps(weight, x, gathered[q].sum[v]);
      }
    }
  }
}

COSYVOICE_INLINE void store_values(const Gathered<float>& gathered, const float*, float total, __mmask64 mask, float* y) {
  const __m512 reciprocal = _mm512_set1_ps(1.0f / total);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    _mm512_mask_storeu_ps(y + v * kLanes, static_cast<__mmask16>(mask >> (v * kLanes)), _mm512_mul_ps(gathered.sum[v], reciprocal));
  }
}

COSYVOICE_INLINE void store_values(const Gathered<int8_t>& gathered, const float* scale, float total, __mmask64 mask, float* y) {
  const __m512 reciprocal = _mm512_set1_ps(1.0f / total);
  __m512 sum[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    sum[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(gathered.high[v]), _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(gathered.low[v]));
  }
  // 128 bits l of vector v are channels 16 l + 4 v and the three after it
  const __m512 a = _mm512_shuffle_f32x4(sum[0], sum[1], 0x44), b = _mm512_shuffle_f32x4(sum[2], sum[3], 0x44);
  const __m512 c = _mm512_shuffle_f32x4(sum[0], sum[1], 0xee), d = _mm512_shuffle_f32x4(sum[2], sum[3], 0xee);
  const __m512 ordered[4] = {_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd),
                             _mm512_shuffle_f32x4(c, d, 0x88), _mm512_shuffle_f32x4(c, d, 0xdd)};
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    const __mmask16 part = static_cast<__mmask16>(mask >> (v * kLanes));
    const __m512 factor = _mm512_mul_ps(_mm512_maskz_loadu_ps(part, scale + v * kLanes), reciprocal);
    _mm512_mask_storeu_ps(y + v * kLanes, part, _mm512_mul_ps(ordered[v], factor));
  }
}

// y = sum_j w_j v_j / sum_j w_j of 64 channels from `channel` on, for kCount queries of a sequence from `first` on.
template <class Cache, bool kIs64, int kCount>
void compute_values(const Block& block, int64_t first, int64_t channel) {
  const DistanceArgs& args = *block.args;
  const int64_t dim = kIs64 ? 64 : args.dim;
  const __mmask64 mask = kIs64 ? ~__mmask64{0} : bytes_below(dim, channel);
  const int64_t num_keys = block.query[first].num_keys;
  const Cache* values = cache_rows<Cache>(args, args.value, block.query[first].sequence, block.head) + channel;
  Gathered<Cache> gathered[kCount];
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) gathered[q].clear();
  int64_t j = 0;
  for (; j + 4 <= num_keys; j += 4) {
    const Cache* value = values + j * dim;
    const Cache* const rows[4] = {value, value + dim, value + 2 * dim, value + 3 * dim};
    add_values<kCount>(block, first, j, rows, mask, gathered);
  }
  if (j < num_keys) {  // weights are zero behind the last key
    const Cache* rows[4];
    for (int i = 0; i < 4; ++i) rows[i] = values + std::min(j + i, num_keys - 1) * dim;
    add_values<kCount>(block, first, j, rows, mask, gathered);
  }
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) {
    const Query& query = block.query[first + q];
    const int64_t column = block.head * dim + channel;
    float* y = args.y + (query.sequence * args.frames + query.frame) * args.num_heads * dim + column;
    const float* scale = args.value_scale == nullptr ? nullptr : args.value_scale + column;
    store_values(gathered[q], scale, block.total[first + q], mask, y);
  }
}

// Everything but the biases for kCount queries of a sequence.
template <class Cache, bool kIs64, int kCount>
void attend(Block& block, int64_t first) {
  compute_scores<Cache, kIs64, kCount>(block, first);
  const int64_t padded_keys = round_up(block.query[first].num_keys, kLanes);
  for (int q = 0; q < kCount; ++q) compute_weights(block, first + q, padded_keys, static_cast<const Cache*>(nullptr));
  constexpr int kAtOnce = std::min(kCount, 2);  // of which sums fit into registers
  for (int64_t channel = 0; channel < block.args->dim; channel += 64) {
    for (int q = 0; q < kCount; q += kAtOnce) compute_values<Cache, kIs64, kAtOnce>(block, first + q, channel);
  }
}

template <class Cache, bool kIs64>
void attend_all(Block& block) {
  for (int64_t q = 0; q < block.count; ++q) prepare_query(block, q);
  compute_biases(block);
  if (block.count == kQueries && block.query[0].sequence == block.query[kQueries - 1].sequence) {
    attend<Cache, kIs64, kQueries>(block, 0);
  } else {
    for (int64_t q = 0; q < block.count; ++q) attend<Cache, kIs64, 1>(block, q);
  }
}

// Points a block into the thread's memory. `num_keys`: the most of any query.
inline Block make_block(const DistanceArgs& args, int64_t head, int64_t num_keys) {
  thread_local Scratch scratch;
  Block block;
  block.args = &args;
  block.head = head;
  block.padded_dim = round_up(args.dim, kBytes);
  block.stride = round_up(num_keys, 8 * kLanes) + kBytes;
  const int64_t queries = kQueries * block.padded_dim, keys = kQueries * block.stride;
  float* floats = scratch.get<float>(2 * queries + 2 * keys + kBefore + (queries + keys) / 2);
  block.relative_query = floats;
  block.float_query = block.relative_query + queries;
  block.scores = block.float_query + queries;
  block.biases = block.scores + keys + kBefore;
  block.high = reinterpret_cast<int8_t*>(block.biases + keys);
  block.low = block.high + queries;
  block.weight_high = reinterpret_cast<uint8_t*>(block.low + queries);
  block.weight_low = block.weight_high + keys;
  return block;
}

// The queries of sequences begin..end-1 in one head.
template <class Cache, bool kIs64>
void distance_task(const DistanceArgs& args, int64_t head, int64_t begin, int64_t end) {
  thread_local std::vector<Query> queries;
  queries.clear();
  for (int64_t sequence = begin; sequence < end; ++sequence) {
    append<Cache>(args, sequence, head);
    const int64_t past = args.past_length[sequence], length = args.length[sequence];
    for (int64_t frame = 0; frame < length; ++frame) queries.push_back({sequence, frame, past + frame + 1});
    for (int64_t frame = length; frame < args.frames; ++frame) {
      float* y = args.y + ((sequence * args.frames + frame) * args.num_heads + head) * args.dim;
      std::fill(y, y + args.dim, 0.0f);
    }
  }
  if (queries.empty()) return;
  std::sort(queries.begin(), queries.end(), [](const Query& a, const Query& b) { return a.num_keys > b.num_keys; });
  Block block = make_block(args, head, queries[0].num_keys);
  for (size_t q = 0; q < queries.size(); q += kQueries) {
    block.count = std::min<int64_t>(kQueries, static_cast<int64_t>(queries.size() - q));
    std::copy_n(queries.begin() + static_cast<int64_t>(q), block.count, block.query);
    attend_all<Cache, kIs64>(block);
  }
}

// Each query attends to its own and all earlier positions of its sequence; see DistanceArgs.
// A task is a head of one sequence, or of some where each has but one query.
inline void distance(const DistanceArgs& args, const Pool& pool) {
  const int64_t per_task = args.frames == 1 ? kSequences : 1;
  const int64_t tasks_per_head = (args.batch + per_task - 1) / per_task;
  pool.parallel_for(args.num_heads * tasks_per_head, [&](int64_t task) {
    const int64_t head = task / tasks_per_head;
    const int64_t begin = task % tasks_per_head * per_task;
    const int64_t end = std::min(begin + per_task, args.batch);
    if (args.is_int8) {
      args.dim == 64 ? distance_task<int8_t, true>(args, head, begin, end) : distance_task<int8_t, false>(args, head, begin, end);
    } else {
      args.dim == 64 ? distance_task<float, true>(args, head, begin, end) : distance_task<float, false>(args, head, begin, end);
    }
  });
}

// ---------------------------------------------------------------------------------------------------------------------
// SelfAttention
//
// Queries, keys, weights and values are rounded to integers for `vpdpwssd`, which multiplies twice as many of them as
// there are floats in a vector (as many as of bfloat16, which is far less accurate). Steps are chosen by norms so that no
// sum can leave 32 bits: |a . b| <= |a| |b|.

constexpr int64_t kRows = 6;       // queries at a time
constexpr int64_t kPanels = 4;     // of 16 keys at a time
constexpr int64_t kKeys = kPanels * kLanes;
constexpr int64_t kTaskRows = 16 * kRows;
constexpr float kMaxLevel = 32767.0f;
constexpr float kQueryNorm = 46300.0f;  // of a query's and of a key's levels: sqrt(2^31) less what rounding may add
constexpr float kWeightLevels = 16383.0f;  // of the largest weight: 2^17 is the norm of a block's
constexpr float kValueNorm = 16300.0f;     // of a channel's levels over a block of kKeys keys: 2^31 / 2^17, less rounding

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
      : padded_keys(round_up(args.frames, kKeys)), padded_dim(round_up(args.dim, kLanes)), row_stride(3 * args.num_heads * args.dim) {}
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
      packed.key_step[first + i] = quantize_row(keys + key * shape.row_stride, args.dim, shape.padded_dim, levels + i * shape.padded_dim);
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
      const __m512i b = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_maskz_loadu_ps(has_odd, even + shape.row_stride), levels_per_unit));
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
    case 1: return multiply<1>(x);
    case 2: return multiply<2>(x);
    case 3: return multiply<3>(x);
    default: return multiply<4>(x);
  }
}

// What is computed for kRows queries.
struct Rows {
  int16_t* queries;   // [kRows, padded_dim]
  float step[kRows];  // of the queries' levels, times scale log2(e)
  float* logits;      // [kRows, padded_keys]
  int16_t* weights;   // [kRows, kKeys]
  int32_t* sums;      // [kRows, kKeys]: products of weights and values
  float* gathered;    // [kRows, padded_dim]
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
    multiply({rows.queries, packed.keys + key * shape.padded_dim, reinterpret_cast<int32_t*>(rows.logits) + key, shape.padded_dim / 2,
              shape.padded_dim, 2 * kLanes, kLanes * shape.padded_dim, shape.padded_keys}, panels);
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
inline void multiply_values(const SelfShape& shape, const Packed& packed, const Rows& rows, int64_t key, int64_t count) {
  for (int64_t d = 0; d < shape.padded_dim; d += 4 * kLanes) {
    const int64_t vectors = std::min<int64_t>(4, (shape.padded_dim - d) / kLanes);
    multiply({rows.weights, packed.values + key * shape.padded_dim + 2 * d, rows.sums, (count + 1) / 2, kKeys, 2 * shape.padded_dim,
              2 * kLanes, kKeys}, vectors);
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
inline void self_rows(const SelfArgs& args, const SelfShape& shape, const Packed& packed, const float* queries, int64_t first,
                      Rows& rows, float* y) {
  for (int64_t r = 0; r < kRows; ++r) {
    const float* query = queries + std::min(first + r, args.frames - 1) * shape.row_stride;
    rows.step[r] = quantize_row(query, args.dim, shape.padded_dim, rows.queries + r * shape.padded_dim) * args.scale * kLog2E;
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
    store_row(args, packed, rows.gathered + r * shape.padded_dim, rows.total[r], y + (first + r) * args.num_heads * args.dim);
  }
}

// Every frame attends to all frames; see SelfArgs. y is within 3e-4 of its root mean square.
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
    float* y = args.y + index / args.num_heads * args.frames * args.num_heads * args.dim + index % args.num_heads * args.dim;
    for (int64_t first = begin; first < std::min(begin + kTaskRows, args.frames); first += kRows) {
      self_rows(args, shape, packed, head_at(index), first, rows, y);
    }
  });
}

#undef COSYVOICE_INLINE

}  // namespace cosyvoice::attention

#pragma GCC pop_options

#endif  // defined(__x86_64__)
