// GroupNormMish: group norm over the frames and the channels of a group (arXiv 1803.08494), then mish.
#pragma once

#if defined(__x86_64__)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "args.h"
#include "simd.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")

namespace cosyvoice::norm {

constexpr int64_t kChunk = 64;  // frames that one task sums up: fixed, so that sums do not depend on the threads

// Adds f(x) of each frame in [first, stop) to sums [channels].
template <class F>
inline void add_up(const GroupNormArgs& args, const float* x, int64_t first, int64_t stop, float* sums, const F& f) {
  for (int64_t c = 0; c < args.channels; c += simd::kLanes) {
    const __mmask16 mask = simd::lanes(args.channels - c);
    __m512 sum = _mm512_setzero_ps();
    for (int64_t t = first; t < stop; ++t)
      sum = _mm512_add_ps(sum, f(_mm512_maskz_loadu_ps(mask, x + t * args.channels + c), mask, c));
    _mm512_mask_storeu_ps(sums + c, mask, sum);
  }
}

// Means over each group of what `f` makes of the values of one sequence, one for each channel.
template <class F>
inline void group_means(const GroupNormArgs& args, const Pool& pool, const float* x, std::vector<float>& means,
                        const F& f) {
  const int64_t chunks = (args.frames + kChunk - 1) / kChunk, size = args.channels / args.groups;
  std::vector<float> parts(static_cast<size_t>(chunks * args.channels));
  pool.parallel_for(chunks, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk, stop = std::min(args.frames, first + kChunk);
    add_up(args, x, first, stop, parts.data() + chunk * args.channels, f);
  });
  for (int64_t group = 0; group < args.groups; ++group) {
    double sum = 0.0;
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float* part = parts.data() + chunk * args.channels + group * size;
      for (int64_t c = 0; c < size; ++c) sum += part[c];
    }
    const auto first = means.begin() + group * size;
    std::fill(first, first + size, static_cast<float>(sum / static_cast<double>(args.frames * size)));
  }
}

inline void run_sequence(const GroupNormArgs& args, const Pool& pool, const float* x, const float* add, float* y) {
  std::vector<float> mean(static_cast<size_t>(args.channels)), variance(static_cast<size_t>(args.channels));
  group_means(args, pool, x, mean, [](__m512 values, __mmask16, int64_t) { return values; });
  group_means(args, pool, x, variance, [&](__m512 values, __mmask16 mask, int64_t c) {
    const __m512 centred =
        _mm512_maskz_sub_ps(mask, values, _mm512_maskz_loadu_ps(mask, &mean[static_cast<size_t>(c)]));
    return _mm512_mul_ps(centred, centred);
  });
  std::vector<float>& rate = variance;
  for (int64_t c = 0; c < args.channels; ++c) {
    rate[static_cast<size_t>(c)] = args.gamma[c] / std::sqrt(variance[static_cast<size_t>(c)] + args.epsilon);
  }
  const int64_t chunks = (args.frames + kChunk - 1) / kChunk;
  pool.parallel_for(chunks, [&](int64_t chunk) {
    for (int64_t t = chunk * kChunk, stop = std::min(args.frames, t + kChunk); t < stop; ++t) {
      for (int64_t c = 0; c < args.channels; c += simd::kLanes) {
        const __mmask16 mask = simd::lanes(args.channels - c);
        const int64_t place = t * args.channels + c;
        __m512 value = _mm512_sub_ps(_mm512_maskz_loadu_ps(mask, x + place),
                                     _mm512_maskz_loadu_ps(mask, &mean[static_cast<size_t>(c)]));
        value = _mm512_fmadd_ps(value, _mm512_maskz_loadu_ps(mask, &rate[static_cast<size_t>(c)]),
                                _mm512_maskz_loadu_ps(mask, args.beta + c));
        value = simd::mish(value);
        if (add != nullptr) value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, add + c));
        _mm512_mask_storeu_ps(y + place, mask, value);
      }
    }
  });
}

inline void group_norm_mish(const GroupNormArgs& args, const Pool& pool) {
  const int64_t size = args.frames * args.channels;
  for (int64_t b = 0; b < args.batch; ++b) {
    const float* add = args.add == nullptr ? nullptr : args.add + b * args.add_stride;
    run_sequence(args, pool, args.x + b * size, add, args.y + b * size);
  }
}

}  // namespace cosyvoice::norm

#pragma GCC pop_options

#endif  // defined(__x86_64__)
