// What each operator's computation is given: plain memory, sizes and threads to share it with. No ONNX Runtime here.
//
// Memory is aligned to its element only: weights are mapped from a file, and a tensor may be a part of a larger one.
// Where a pointer may be null it says so. Outputs share no memory with inputs, but for the caches of DistanceArgs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cosyvoice {

// The threads of a session. Which of them runs a task must not change a bit of its result.
class Pool {
 public:
  using Task = void (*)(void* user, size_t index);
  using Run = void (*)(void* context, Task task, size_t count, void* user);

  // Without `run`, everything is computed by the caller.
  explicit Pool(Run run = nullptr, void* context = nullptr) : run_(run), context_(context) {}

  // Calls fn(0), .. fn(count - 1), each once, in any order, and returns when all are done. Threads take the next index
  // when they are done with one, so tasks should take at least some microseconds; a count of 1 costs nothing.
  template <class F>
  void parallel_for(int64_t count, const F& fn) const {
    if (count <= 1 || run_ == nullptr) {
      for (int64_t index = 0; index < count; ++index) fn(index);
      return;
    }
    run_(
        context_, [](void* user, size_t index) { (*static_cast<const F*>(user))(static_cast<int64_t>(index)); },
        static_cast<size_t>(count), const_cast<F*>(&fn));
  }

 private:
  Run run_;
  void* context_;
};

enum class Activation : int64_t { kNone = 0, kRelu = 1, kGelu = 2, kSilu = 3 };

struct Linear8Args {
  const float* x;              // [batch, frames, num_in]
  const int8_t* weight;        // [ceil(num_out / 16), ceil(num_in * taps / 4), 16, 4], zero padded
  const int32_t* column_sums;  // [16 ceil(num_out / 16)]: product::column_sums of the weight; null where is_rectified
  const float* scale;          // [num_out]
  const float* bias;           // [num_out] or null
  const float* residual;       // as y, or null
  const float* gamma;          // [num_in] or null; beta is null with it
  const float* beta;           // [num_in] or null
  float* y;                    // [batch, num_out_frames, num_out]
  int64_t batch;               // 1 where no row reads its neighbours: then frames is the number of rows
  int64_t frames;
  int64_t num_out_frames;  // ceil(frames / stride)
  int64_t num_in;
  int64_t num_out;
  int64_t taps;    // 1 or 3
  int64_t stride;  // 1 or 2; output frame o is centred on frame o * stride
  Activation activation;
  bool is_rectified;
  float epsilon;  // of the layer norm

  int64_t num_rows() const { return batch * num_out_frames; }
};

struct DistanceArgs {
  const float* qkv;            // [batch, frames, 3, num_heads, dim]
  const float* v_minus_u;      // [num_heads, dim]
  const float* relative;       // [num_heads, dim, num_distances]
  const int64_t* past_length;  // [batch]
  const int64_t* length;       // [batch] of 0..frames; where positive, past + length <= min(capacity, num_distances)
  void* key;                   // [batch, num_heads, capacity, dim] f32 or i8: what is past, to be written behind
  void* value;                 // as key
  const float* key_scale;      // [num_heads, dim]; null for f32 caches
  const float* value_scale;    // as key_scale
  float* y;                    // [batch, frames, num_heads, dim]
  int64_t batch;
  int64_t frames;
  int64_t num_heads;
  int64_t dim;
  int64_t capacity;
  int64_t num_distances;
  bool is_int8;
  float scale;
};

struct SelfArgs {
  const float* qkv;  // [batch, frames, 3, num_heads, dim]
  float* y;          // [batch, frames, num_heads, dim]
  int64_t batch;
  int64_t frames;
  int64_t num_heads;
  int64_t dim;
  float scale;
};

struct GroupNormArgs {
  const float* x;      // [batch, frames, channels]
  const float* gamma;  // [channels]
  const float* beta;   // [channels]
  const float* add;    // [channels] for each sequence, or null
  float* y;            // as x
  int64_t batch;
  int64_t frames;
  int64_t channels;
  int64_t groups;
  int64_t add_stride;  // floats from one sequence's `add` to the next one's: channels, or 0 where they share it
  float epsilon;
};

struct SnakeBytesArgs {
  const float* x;        // [channels, frames]
  const float* scale;    // [channels]: a level is rint(x / scale) + zero, clipped to a byte
  const uint8_t* zero;   // [channels]
  const uint8_t* table;  // [channels, 256]: what becomes of a level
  uint8_t* y;            // [frames, channels]
  int64_t channels;
  int64_t frames;
};

struct ByteConvArgs {
  const uint8_t* x;  // [frames, num_in]
  const int8_t*
      weight;  // [ceil(num_out / 16), taps * num_in / 4, 16, 4], an output's inputs in the order [taps, num_in]
  const int32_t* offset;  // [num_out]: the bias, less the zero point's share of the sums
  const float* gain;      // [num_out]
  int64_t frames;
  int64_t num_in;  // a multiple of 4
  int64_t num_out;
  int64_t taps;  // odd
  int64_t dilation;
  uint8_t zero;  // level of x that stands for 0, beyond its ends too

  // Either bytes: y = table[clip(rint((sums + offset) * gain) + 128)]
  const uint8_t* table;  // [num_out, 256], or null for the other form
  uint8_t* bytes;        // [frames, num_out]
  // or floats: y = residual + (sums + offset) * gain + shift
  const float* shift;     // [num_out]
  const float* residual;  // [num_out, frames]
  float* floats;          // [num_out, frames]
};

}  // namespace cosyvoice
