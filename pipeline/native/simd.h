// Functions of sixteen floats at a time that several operators need.
#pragma once

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstdint>

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::simd {

constexpr int64_t kLanes = 16;

// The first `count` of sixteen lanes; all of them where there are more.
inline __mmask16 lanes(int64_t count) {
  return count >= kLanes ? static_cast<__mmask16>(0xffff) : static_cast<__mmask16>((1u << count) - 1u);
}

// exp(x) to 1e-7 of its value, 0 below -87 and at most exp(88): 2^n times a polynomial of the rest, Cephes' expf.
inline __m512 exp(__m512 x) {
  x = _mm512_min_ps(x, _mm512_set1_ps(88.0f));
  const __mmask16 is_zero = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.3f), _CMP_LT_OQ);
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
  __m512 rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
  rest = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), rest);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, rest, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(rest, rest), _mm512_add_ps(rest, _mm512_set1_ps(1.0f)));
  return _mm512_mask_mov_ps(_mm512_scalef_ps(p, n), is_zero, _mm512_setzero_ps());
}

// 1 / x to 1e-7 of its value: the CPU's estimate of 14 bits and a step of Newton's. A division takes three times as
// long.
inline __m512 reciprocal(__m512 x) {
  const __m512 estimate = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(estimate, _mm512_fnmadd_ps(x, estimate, _mm512_set1_ps(2.0f)));
}

// x times the standard normal's distribution function: GELU. The error function is Abramowitz and Stegun's 7.1.28,
// 1 - p(z)^-16, which is 3e-7 off at most.
inline __m512 gelu(__m512 x) {
  const __m512 z = _mm512_min_ps(_mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f)), _mm512_set1_ps(5.0f));
  __m512 p = _mm512_set1_ps(0.0000430638f);
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.0002765672f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.0001520143f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.0092705272f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.0422820123f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(0.0705230784f));
  p = _mm512_fmadd_ps(p, z, _mm512_set1_ps(1.0f));
  for (int i = 0; i < 4; ++i) p = _mm512_mul_ps(p, p);
  // x / 2 (1 + erf) is x - x p / 2 for positive x and x p / 2 for negative, with p = 1 - erf(|x| / sqrt 2)
  const __m512 half = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(0.5f)), reciprocal(p));
  const __mmask16 is_positive = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
  return _mm512_mask_sub_ps(half, is_positive, x, half);
}

// x sigmoid(x).
inline __m512 silu(__m512 x) {
  const __m512 decay = exp(_mm512_sub_ps(_mm512_setzero_ps(), x));
  return _mm512_mul_ps(x, reciprocal(_mm512_add_ps(_mm512_set1_ps(1.0f), decay)));
}

// x tanh(log(1 + e^x)) = x w / (w + 2) with w = e^x (e^x + 2); x itself where e^x is far above 1.
inline __m512 mish(__m512 x) {
  const __m512 two = _mm512_set1_ps(2.0f);
  const __m512 e = exp(_mm512_min_ps(x, _mm512_set1_ps(30.0f)));
  const __m512 w = _mm512_mul_ps(e, _mm512_add_ps(e, two));
  return _mm512_mul_ps(_mm512_mul_ps(x, w), reciprocal(_mm512_add_ps(w, two)));
}

}  // namespace cosyvoice::simd

#pragma GCC pop_options

#endif  // defined(__x86_64__)
