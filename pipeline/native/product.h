// Tiles of products of unsigned with signed bytes, summed up in 32 bits: what the matrix products and convolutions
// share.
//
// Weights lie in panels of sixteen outputs, [panel, step, 16, 4], a step being four inputs. Sums of integers are exact,
// so which tile computes one changes nothing.
#pragma once

#if defined(__x86_64__)

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "simd.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::product {

constexpr int64_t kPanel = 16;      // outputs
constexpr int64_t kStep = 4;        // inputs
constexpr int64_t kGroup = 4;       // panels that a tile reads at once
constexpr int kTileRows = 6;        // 6 x 4 sums, 4 vectors of weights and one of inputs are 29 of 32 registers
constexpr int64_t kBlockRows = 48;  // whose inputs stay near while all weights pass by
// Bytes that a panel is fetched ahead, into the second cache: with eight rows it takes a quarter less than with 1024.
constexpr int64_t kAhead = 6144;

inline int64_t ceil_div(int64_t number, int64_t divisor) { return (number + divisor - 1) / divisor; }

// Rows of bytes and the weights that they meet. A row may read several places, `taps` of them and `tap_pitch` apart.
struct Operands {
  const uint8_t* levels;  // of the first row
  int64_t pitch;          // bytes from a row to the next
  const int8_t* weight;   // [panels, taps * steps, 16, 4]
  int64_t steps;          // of a tap
  int64_t taps = 1;
  int64_t tap_pitch = 0;

  int64_t panel_size() const { return taps * steps * kPanel * kStep; }
};

// Sum of each output's weights, i32 [16 panels]: what a zero point is multiplied with.
inline std::vector<int32_t> column_sums(const int8_t* weight, int64_t panels, int64_t steps) {
  std::vector<int32_t> sums(static_cast<size_t>(panels * kPanel));
  const __m512i ones = _mm512_set1_epi8(1);
  for (int64_t panel = 0; panel < panels; ++panel) {
    __m512i sum = _mm512_setzero_si512();
    for (int64_t step = 0; step < steps; ++step, weight += 64)
      sum = _mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512(weight));
    _mm512_storeu_si512(&sums[static_cast<size_t>(panel * kPanel)], sum);
  }
  return sums;
}

// R rows times P panels, from `first_panel` on. finish(row, panel, sums of sixteen outputs) takes each result.
template <int R, int P, class Finish>
inline void tile(const Operands& x, int64_t first_row, int64_t first_panel, const Finish& finish) {
  const int64_t panel_size = x.panel_size();
  const int8_t* weight = x.weight + first_panel * panel_size;
  __m512i sums[R][P];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sums[r][p] = _mm512_setzero_si512();
  }
  const uint8_t* levels = x.levels + first_row * x.pitch;
  for (int64_t tap = 0; tap < x.taps; ++tap, levels += x.tap_pitch) {
    for (int64_t step = 0; step < x.steps; ++step, weight += 64) {
      __m512i columns[P];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        columns[p] = _mm512_loadu_si512(weight + p * panel_size);
        _mm_prefetch(reinterpret_cast<const char*>(weight + p * panel_size + kAhead), _MM_HINT_T1);
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        int32_t four;
        std::memcpy(&four, levels + r * x.pitch + step * kStep, sizeof four);
        const __m512i inputs = _mm512_set1_epi32(four);
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p) sums[r][p] = _mm512_dpbusd_epi32(sums[r][p], inputs, columns[p]);
      }
    }
  }
  // By way of memory, for what follows is long and would be there R times P times.
  alignas(64) int32_t results[R * P][kPanel];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) _mm512_store_si512(results[r * P + p], sums[r][p]);
  }
#pragma GCC unroll 1
  for (int i = 0; i < R * P; ++i) finish(first_row + i / P, first_panel + i % P, _mm512_load_si512(results[i]));
}

// `count` rows times P panels, tile by tile.
template <int P, class Finish>
inline void rows_times_panels(const Operands& x, int64_t count, int64_t first_panel, const Finish& finish) {
  int64_t row = 0;
  for (; count - row >= kTileRows; row += kTileRows) tile<kTileRows, P>(x, row, first_panel, finish);
  switch (count - row) {
    case 1:
      return tile<1, P>(x, row, first_panel, finish);
    case 2:
      return tile<2, P>(x, row, first_panel, finish);
    case 3:
      return tile<3, P>(x, row, first_panel, finish);
    case 4:
      return tile<4, P>(x, row, first_panel, finish);
    case 5:
      return tile<5, P>(x, row, first_panel, finish);
  }
}

// `count` rows times the panels [first, last), at most kGroup of them.
template <class Finish>
inline void rows_times_group(const Operands& x, int64_t count, int64_t first, int64_t last, const Finish& finish) {
  if (last - first == kGroup && count != 7 && count != 8) return rows_times_panels<kGroup>(x, count, first, finish);
  for (; first + 2 <= last; first += 2) {
    // So few rows wait for the weights: all of them in one tile read each weight once
    if (count == 7) {
      tile<7, 2>(x, 0, first, finish);
    } else if (count == 8) {
      tile<8, 2>(x, 0, first, finish);
    } else {
      rows_times_panels<2>(x, count, first, finish);
    }
  }
  if (first < last) rows_times_panels<1>(x, count, first, finish);
}

}  // namespace cosyvoice::product

#pragma GCC pop_options

#endif  // defined(__x86_64__)
