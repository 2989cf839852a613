// What both kinds of attention need: memory of the thread, masks, and powers of two.
//
// Logits are kept in units of log2, so that weights are powers of two. Products with integers are exact, and floats are
// summed in an order that depends on the query and its own keys only: results are the same bits whatever is computed
// along.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>
#include <vector>

#include "simd.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::attention {

constexpr int64_t kLanes = simd::kLanes;
constexpr int64_t kBytes = 64;  // of a vector
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

// Asks for memory that is read soon. Caches of many sequences are too large for the processor's, which by itself starts
// anew at each page and at each head.
COSYVOICE_INLINE void fetch(const void* at, int64_t bytes) {
  for (int64_t i = 0; i < bytes; i += kBytes) _mm_prefetch(static_cast<const char*>(at) + i, _MM_HINT_T1);
}

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

}  // namespace cosyvoice::attention

#pragma GCC pop_options

#endif  // defined(__x86_64__)
