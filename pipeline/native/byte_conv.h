// The vocoder's resblocks in bytes: SnakeBytes in front of a convolution, and the convolution with what comes behind
// it.
//
// Values in 32 bits have channels first, [C, T], as the layers around them; bytes have them last, [T, C], where the
// inputs of a convolution's tap lie side by side.
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

namespace cosyvoice::byte_conv {

using product::ceil_div;
using product::kGroup;
using product::kPanel;

constexpr int64_t kTile = 16;     // frames and channels that are transposed at once
constexpr int64_t kChunk = 256;   // frames of one task
constexpr int64_t kMiddle = 128;  // byte of 0 where a convolution writes bytes

// Levels of sixteen frames of a channel.
inline __m128i levels_of(const SnakeBytesArgs& args, int64_t channel, int64_t frame, __mmask16 mask) {
  const __m512 x = _mm512_maskz_loadu_ps(mask, args.x + channel * args.frames + frame);
  const __m512i level = _mm512_cvtps_epi32(_mm512_div_ps(x, _mm512_set1_ps(args.scale[channel])));
  const __m512i shifted = _mm512_add_epi32(level, _mm512_set1_epi32(args.zero[channel]));
  return _mm512_cvtusepi32_epi8(_mm512_max_epi32(shifted, _mm512_setzero_si512()));
}

inline void snake_tile(const SnakeBytesArgs& args, int64_t frame, int64_t channel) {
  const int64_t num_frames = std::min(kTile, args.frames - frame),
                num_channels = std::min(kTile, args.channels - channel);
  alignas(16) uint8_t levels[kTile][kTile];
  for (int64_t c = 0; c < num_channels; ++c) {
    const __m128i level = levels_of(args, channel + c, frame, simd::lanes(num_frames));
    _mm_store_si128(reinterpret_cast<__m128i*>(levels[c]), level);
  }
  const uint8_t* table = args.table + channel * 256;
  for (int64_t t = 0; t < num_frames; ++t) {
    uint8_t* y = args.y + (frame + t) * args.channels + channel;
    for (int64_t c = 0; c < num_channels; ++c) y[c] = table[c * 256 + levels[c][t]];
  }
}

inline void snake_bytes(const SnakeBytesArgs& args, const Pool& pool) {
  pool.parallel_for(ceil_div(args.frames, kChunk), [&](int64_t chunk) {
    const int64_t stop = std::min(args.frames, (chunk + 1) * kChunk);
    for (int64_t channel = 0; channel < args.channels; channel += kTile) {
      for (int64_t frame = chunk * kChunk; frame < stop; frame += kTile) snake_tile(args, frame, channel);
    }
  });
}

// x with the frames that taps reach for beyond its ends.
inline const std::vector<uint8_t>& padded(const ByteConvArgs& args) {
  static thread_local std::vector<uint8_t> frames;
  const size_t margin = static_cast<size_t>(args.taps / 2 * args.dilation * args.num_in);
  const size_t size = static_cast<size_t>(args.frames * args.num_in);
  frames.resize(size + 2 * margin);
  std::memset(frames.data(), args.zero, margin);
  std::memcpy(frames.data() + margin, args.x, size);
  std::memset(frames.data() + margin + size, args.zero, margin);
  return frames;
}

inline __m512 scaled(const ByteConvArgs& args, __m512i sums, int64_t first, __mmask16 mask) {
  const __m512i total = _mm512_add_epi32(sums, _mm512_maskz_loadu_epi32(mask, args.offset + first));
  return _mm512_mul_ps(_mm512_cvtepi32_ps(total), _mm512_maskz_loadu_ps(mask, args.gain + first));
}

inline void finish_bytes(const ByteConvArgs& args, int64_t frame, int64_t panel, __m512i sums) {
  const int64_t first = panel * kPanel, count = std::min(kPanel, args.num_out - first);
  const __m512i level =
      _mm512_add_epi32(_mm512_cvtps_epi32(scaled(args, sums, first, simd::lanes(count))), _mm512_set1_epi32(kMiddle));
  alignas(16) uint8_t levels[kPanel];
  _mm_store_si128(reinterpret_cast<__m128i*>(levels),
                  _mm512_cvtusepi32_epi8(_mm512_max_epi32(level, _mm512_setzero_si512())));
  const uint8_t* table = args.table + first * 256;
  uint8_t* y = args.bytes + frame * args.num_out + first;
  for (int64_t c = 0; c < count; ++c) y[c] = table[c * 256 + levels[c]];
}

// Adds the sums' values of `count` frames, [frames, 16], to the residual and lays them out with channels first.
inline void finish_floats(const ByteConvArgs& args, int64_t first_frame, int64_t count, int64_t panel,
                          const float* values) {
  const int64_t first = panel * kPanel, num_channels = std::min(kPanel, args.num_out - first);
  const __m512i stride = _mm512_mullo_epi32(_mm512_set1_epi32(kPanel),
                                            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  for (int64_t c = 0; c < num_channels; ++c) {
    const __m512 shift = _mm512_set1_ps(args.shift[first + c]);
    const int64_t place = (first + c) * args.frames + first_frame;
    for (int64_t t = 0; t < count; t += simd::kLanes) {
      const __mmask16 mask = simd::lanes(count - t);
      const __m512 value =
          _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, stride, values + t * kPanel + c, sizeof(float));
      const __m512 residual = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, args.residual + place + t), shift);
      _mm512_mask_storeu_ps(args.floats + place + t, mask, _mm512_add_ps(residual, value));
    }
  }
}

// Frames [first, first + count) of the output, at most kBlockRows of them.
inline void block(const ByteConvArgs& args, const uint8_t* levels, int64_t first, int64_t count) {
  const int64_t panels = ceil_div(args.num_out, kPanel);
  product::Operands operands{levels + first * args.num_in, args.num_in, args.weight, args.num_in / product::kStep};
  operands.taps = args.taps;
  operands.tap_pitch = args.dilation * args.num_in;
  alignas(64) float values[kGroup][product::kBlockRows * kPanel];
  for (int64_t panel = 0; panel < panels; panel += kGroup) {
    const int64_t stop = std::min(panel + kGroup, panels);
    product::rows_times_group(operands, count, panel, stop, [&](int64_t row, int64_t p, __m512i sums) {
      if (args.table != nullptr) return finish_bytes(args, first + row, p, sums);
      const __mmask16 mask = simd::lanes(args.num_out - p * kPanel);
      _mm512_store_ps(&values[p - panel][row * kPanel], scaled(args, sums, p * kPanel, mask));
    });
    if (args.table != nullptr) continue;
    for (int64_t p = panel; p < stop; ++p) finish_floats(args, first, count, p, values[p - panel]);
  }
}

inline void run(const ByteConvArgs& args, const Pool& pool) {
  const uint8_t* levels = padded(args).data();
  pool.parallel_for(ceil_div(args.frames, product::kBlockRows), [&](int64_t index) {
    const int64_t first = index * product::kBlockRows;
    block(args, levels, first, std::min(product::kBlockRows, args.frames - first));
  });
}

}  // namespace cosyvoice::byte_conv

#pragma GCC pop_options

#endif  // defined(__x86_64__)
