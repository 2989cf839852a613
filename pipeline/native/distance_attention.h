// DistanceAttention: attention with a bias for each distance between positions, over a cache (language model).
#pragma once

#if defined(__x86_64__)

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "args.h"
#include "attention_common.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::attention {

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

// Sixteen bits of a query or a weight are used with an i8 cache: as a sum 256 high + low of bytes, for `vpdpbusd`.
constexpr float kQueryPeak = 32639.0f;  // the largest whose high byte, rounded, is within -128..127
constexpr float kWeightPeak = 65535.0f;
constexpr int64_t kQueries = 4;          // computed at a time, to read what they have in common once
constexpr int64_t kSequences = 8;        // of a decode step that a task takes, to read a head's relative rows once
constexpr int64_t kRowsAhead = 16;       // of relative rows that are fetched
constexpr int64_t kMaxFetch = 16384;     // bytes asked for at once
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
  int64_t padded_dim;  // dim rounded up to 64, zeros behind
  int64_t stride;      // of scores, biases and weights: more than the largest number of keys
  const Query* query;  // those of the block; later ones follow, up to queries_end
  const Query* queries_end;
  float* relative_query;     // [kQueries, padded_dim]: (q + v_minus_u) log2(e)
  float* float_query;        // [kQueries, padded_dim]: q scale log2(e), times key_scale for an i8 cache
  int8_t* high;              // [kQueries, padded_dim]
  int8_t* low;               // [kQueries, padded_dim]
  float step[kQueries];      // of float_query: (256 high + low) step
  int32_t offset[kQueries];  // 128 sum(256 high + low): what keys + 128 give too much
  float* biases;             // [kQueries, stride] by distance
  float* scores;             // [kQueries, stride] by key; with a f32 cache then the weights
  uint8_t* weight_high;      // [kQueries, stride]
  uint8_t* weight_low;       // [kQueries, stride]
  float total[kQueries];     // of the weights
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
    const __m512 ratio =
        _mm512_maskz_div_ps(mask, _mm512_maskz_loadu_ps(mask, x + d), _mm512_maskz_loadu_ps(mask, scale + d));
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
  for (int64_t d = 0; d < block.padded_dim; d += kLanes)
    peaks = _mm512_max_ps(peaks, _mm512_abs_ps(_mm512_loadu_ps(x + d)));
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
  const float* x =
      args.qkv + (query.sequence * args.frames + query.frame) * 3 * args.num_heads * args.dim + head_offset;
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
      fetch(row + kRowsAhead * args.num_distances + v * kLanes, kBytes);
      const __m512 relative = _mm512_maskz_loadu_ps(mask[v], row + v * kLanes);
#pragma GCC unroll 4
      for (int q = 0; q < kCount; ++q) sum[q][v] = _mm512_fmadd_ps(query[q], relative, sum[q][v]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      _mm512_storeu_ps(block.biases + q * block.stride + distance + v * kLanes, sum[q][v]);
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
    const __m512i bytes =
        kIs64 ? _mm512_loadu_si512(key) : _mm512_maskz_loadu_epi8(bytes_below(block.args->dim, d), key + d);
    sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(bytes, sign), _mm512_load_si512(high + d));
  }
  sum = _mm512_slli_epi32(sum, 8);
  for (int64_t d = 0; d < padded_dim; d += kBytes) {
    const __m512i bytes =
        kIs64 ? _mm512_loadu_si512(key) : _mm512_maskz_loadu_epi8(bytes_below(block.args->dim, d), key + d);
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
    for (int j = 0; j < 4; ++j)
      key[j] = keys + (kIsWhole ? 4 * i + j : std::min<int64_t>(4 * i + j, num_keys - 1)) * dim;
#pragma GCC unroll 4
    for (int q = 0; q < kCount; ++q) {
      products[q][i] =
          fold4<Sum<Cache>>(key_product<kIs64>(block, first + q, key[0]), key_product<kIs64>(block, first + q, key[1]),
                            key_product<kIs64>(block, first + q, key[2]), key_product<kIs64>(block, first + q, key[3]));
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < kCount; ++q)
    _mm512_storeu_ps(scores + q * block.stride, score(block, first + q, products[q], keys));
}

// scores[q, j] = q . k_j scale log2(e) for kCount queries of a sequence from `first` on and the keys the first of them
// has.
template <class Cache, bool kIs64, int kCount>
void compute_scores(const Block& block, int64_t first) {
  const DistanceArgs& args = *block.args;
  const Query& query = block.query[first];
  const Cache* keys = cache_rows<Cache>(args, args.key, query.sequence, block.head);
  float* scores = block.scores + first * block.stride;
  const Cache* values = cache_rows<Cache>(args, args.value, query.sequence, block.head);
  int64_t j = 0;
  for (; j + kLanes <= query.num_keys; j += kLanes) {
    fetch(values + j * args.dim, kLanes * args.dim * static_cast<int64_t>(sizeof(Cache)));
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
COSYVOICE_INLINE void add_values(const Block& block, int64_t first, int64_t j, const int8_t* const value[4],
                                 __mmask64 mask, Gathered<int8_t> gathered[kCount]) {
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
COSYVOICE_INLINE void add_values(const Block& block, int64_t first, int64_t j, const float* const value[4],
                                 __mmask64 mask, Gathered<float> gathered[kCount]) {
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

COSYVOICE_INLINE void store_values(const Gathered<float>& gathered, const float*, float total, __mmask64 mask,
                                   float* y) {
  const __m512 reciprocal = _mm512_set1_ps(1.0f / total);
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    _mm512_mask_storeu_ps(y + v * kLanes, static_cast<__mmask16>(mask >> (v * kLanes)),
                          _mm512_mul_ps(gathered.sum[v], reciprocal));
  }
}

COSYVOICE_INLINE void store_values(const Gathered<int8_t>& gathered, const float* scale, float total, __mmask64 mask,
                                   float* y) {
  const __m512 reciprocal = _mm512_set1_ps(1.0f / total);
  __m512 sum[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    sum[v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(gathered.high[v]), _mm512_set1_ps(256.0f),
                             _mm512_cvtepi32_ps(gathered.low[v]));
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
  const Query* next = block.query + first + kCount;
  const bool is_another = next < block.queries_end && next->sequence != block.query[first].sequence;
  const Cache* next_keys = is_another ? cache_rows<Cache>(args, args.key, next->sequence, block.head) : values;
  int64_t j = 0;
  for (; j + 4 <= num_keys; j += 4) {
    fetch(next_keys + j * dim, 4 * dim * static_cast<int64_t>(sizeof(Cache)));
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
  const int64_t num_bytes = block.query[0].num_keys * block.args->dim * static_cast<int64_t>(sizeof(Cache));
  fetch(cache_rows<Cache>(*block.args, block.args->key, block.query[0].sequence, block.head),
        std::min(num_bytes, kMaxFetch));
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
  block.queries_end = queries.data() + queries.size();
  for (size_t q = 0; q < queries.size(); q += kQueries) {
    block.count = std::min<int64_t>(kQueries, static_cast<int64_t>(queries.size() - q));
    block.query = queries.data() + q;
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
      args.dim == 64 ? distance_task<int8_t, true>(args, head, begin, end)
                     : distance_task<int8_t, false>(args, head, begin, end);
    } else {
      args.dim == 64 ? distance_task<float, true>(args, head, begin, end)
                     : distance_task<float, false>(args, head, begin, end);
    }
  });
}

}  // namespace cosyvoice::attention

#pragma GCC pop_options

#endif  // defined(__x86_64__)
