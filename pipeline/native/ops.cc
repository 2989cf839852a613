// Operators of domain "cosyvoice" for ONNX Runtime, where the CPU has AVX-512 with VNNI.
#include "ort_abi.h"

#define COSYVOICE_EXPORT extern "C" __attribute__((visibility("default")))

#if !defined(__x86_64__)

COSYVOICE_EXPORT int cosyvoice_ops_supported() { return 0; }

COSYVOICE_EXPORT ort::Status* RegisterCustomOps(ort::SessionOptions*, const ort::ApiBase* base) {
  return ort::create_status(base->get_api(1), ort::ErrorCode::kNotImplemented, "cosyvoice: no operators for this CPU");
}

#else

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "args.h"
#include "byte_conv.h"
#include "distance_attention.h"
#include "linear8.h"
#include "norm.h"
#include "self_attention.h"

namespace cosyvoice {
namespace {

using ort::ElementType;

// An input or output.
struct Slot {
  ElementType type;
  bool is_optional = false;
};

constexpr bool kOptional = true;

struct Tensor {
  const void* data = nullptr;  // null is absent
  const int64_t* shape = nullptr;
  size_t rank = 0;

  const float* floats() const { return static_cast<const float*>(data); }
  const int8_t* bytes() const { return static_cast<const int8_t*>(data); }
  const uint8_t* unsigned_bytes() const { return static_cast<const uint8_t*>(data); }
  const int64_t* integers() const { return static_cast<const int64_t*>(data); }
  int64_t last() const { return rank == 0 ? 1 : shape[rank - 1]; }
  int64_t size() const {
    int64_t size = 1;
    for (size_t axis = 0; axis < rank; ++axis) size *= shape[axis];
    return size;
  }
};

// An error of ONNX Runtime's own, to be handed back to it.
struct Failure {
  ort::Status* status;
};

void check(ort::Status* status) {
  if (status != nullptr) throw Failure{status};
}

void require(bool is_met, const char* what, int64_t value) {
  if (!is_met) throw std::invalid_argument(std::string(what) + ", not " + std::to_string(value));
}

void require_size(const Tensor& tensor, const char* name, int64_t size) {
  if (tensor.data != nullptr && tensor.size() != size) {
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(tensor.size()) + " elements, not " +
                                std::to_string(size));
  }
}

class Attributes {
 public:
  Attributes(const ort::Api* api, const ort::KernelInfo* info) : api_(api), info_(info) {}

  int64_t integer(const char* name, int64_t otherwise) const { return get(ort::get_int_attribute, name, otherwise); }
  float number(const char* name, float otherwise) const { return get(ort::get_float_attribute, name, otherwise); }

 private:
  template <class Function, class T>
  T get(const Function& function, const char* name, T value) const {
    T found;
    ort::Status* status = function(api_, info_, name, &found);
    if (status == nullptr) return found;
    ort::release_status(api_, status);
    return value;
  }

  const ort::Api* api_;
  const ort::KernelInfo* info_;
};

// One computation of a node: where its outputs go, and the threads.
class Run {
 public:
  Run(const ort::Api* api, ort::KernelContext* context) : api_(api), context_(context) {}

  Tensor input(size_t index) const {
    const ort::Value* value = nullptr;
    check(ort::get_input(api_, context_, index, &value));
    return view(api_, value);
  }

  template <class T>
  T* output(size_t index, const int64_t* shape, size_t rank) const {
    ort::Value* value = nullptr;
    check(ort::get_output(api_, context_, index, shape, rank, &value));
    void* data = nullptr;
    check(ort::get_data(api_, value, &data));
    return static_cast<T*>(data);
  }

  Pool pool() const {
    return Pool(
        [](void* self, Pool::Task task, size_t count, void* user) {
          const Run* run = static_cast<const Run*>(self);
          // 0: a thread takes one index at a time.
          check(ort::parallel_for(run->api_, run->context_, task, count, 0, user));
        },
        const_cast<Run*>(this));
  }

  static Tensor view(const ort::Api* api, const ort::Value* value) {
    Tensor tensor;
    if (value == nullptr) return tensor;
    ElementType type;
    check(ort::get_type_and_shape(api, value, &type, &tensor.shape, &tensor.rank));
    void* data = nullptr;
    check(ort::get_data(api, const_cast<ort::Value*>(value), &data));
    static const char kNothing = 0;
    tensor.data = data == nullptr ? &kNothing : data;  // of a tensor without elements
    return tensor;
  }

 private:
  const ort::Api* api_;
  ort::KernelContext* context_;
};

struct Linear8 {
  static constexpr const char* kName = "Linear8";
  static constexpr std::array<Slot, 7> kInputs{{{ElementType::kFloat},
                                                {ElementType::kInt8},
                                                {ElementType::kFloat},
                                                {ElementType::kFloat, kOptional},
                                                {ElementType::kFloat, kOptional},
                                                {ElementType::kFloat, kOptional},
                                                {ElementType::kFloat, kOptional}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kFloat}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  Linear8(const Attributes& attributes, const Inputs& constants)
      : activation(attributes.integer("activation", 0)),
        taps(attributes.integer("taps", 1)),
        stride(attributes.integer("stride", 1)),
        is_rectified(attributes.integer("rectified", 0) != 0),
        epsilon(attributes.number("epsilon", 1e-5f)) {
    require(activation >= 0 && activation <= 3, "activation is one of 0..3", activation);
    require(taps == 1 || taps == 3, "taps is 1 or 3", taps);
    require(stride == 1 || (stride == 2 && taps == 3), "stride is 1, or 2 with 3 taps", stride);
    const Tensor& weight = constants[1];
    if (weight.data == nullptr) throw std::invalid_argument("weight is a constant");
    require(weight.rank == 4, "weight has 4 axes", weight.rank);
    require(weight.shape[2] == 16 && weight.shape[3] == 4, "weight is packed [.., 16, 4]", weight.shape[2]);
    if (!is_rectified) column_sums = product::column_sums(weight.bytes(), weight.shape[0], weight.shape[1]);
  }

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [x, weight, scale, bias, residual, gamma, beta] = inputs;
    const bool has_frames = taps > 1;
    if (has_frames) {
      require(x.rank == 3, "x is [B, T, K]: 3 axes", x.rank);
      require(gamma.data == nullptr, "1 tap goes with a layer norm", taps);
    }
    require(x.rank >= 1 && x.rank <= kMaxRank, "x has 1 to 8 axes", x.rank);

    Linear8Args args{};
    args.num_in = x.last();
    args.num_out = scale.size();
    args.batch = has_frames ? x.shape[0] : 1;
    args.frames = 1;
    for (size_t axis = has_frames ? 1 : 0; axis + 1 < x.rank; ++axis) args.frames *= x.shape[axis];
    args.num_out_frames = (args.frames + stride - 1) / stride;
    args.taps = taps;
    args.stride = stride;
    args.activation = static_cast<Activation>(activation);
    args.is_rectified = is_rectified;
    args.epsilon = epsilon;
    require(weight.shape[0] == (args.num_out + 15) / 16, "weight has ceil(N / 16) panels", weight.shape[0]);
    require(weight.shape[1] == (args.num_in * taps + 3) / 4, "weight has ceil(K * taps / 4) steps", weight.shape[1]);
    require_size(bias, "bias", args.num_out);
    require_size(residual, "residual", args.num_rows() * args.num_out);
    require_size(gamma, "gamma", args.num_in);
    require_size(beta, "beta", args.num_in);
    if ((gamma.data == nullptr) != (beta.data == nullptr)) throw std::invalid_argument("gamma and beta come together");

    std::array<int64_t, kMaxRank> shape{};
    std::copy_n(x.shape, x.rank, shape.begin());
    shape[x.rank - 1] = args.num_out;
    if (has_frames) shape[1] = args.num_out_frames;
    args.y = run.output<float>(0, shape.data(), x.rank);
    if (args.num_rows() == 0 || args.num_out == 0) return;
    args.x = x.floats();
    args.weight = weight.bytes();
    args.column_sums = is_rectified ? nullptr : column_sums.data();
    args.scale = scale.floats();
    args.bias = bias.floats();
    args.residual = residual.floats();
    args.gamma = gamma.floats();
    args.beta = beta.floats();
    linear8::run(args, run.pool());
  }

  static constexpr size_t kMaxRank = 8;
  int64_t activation, taps, stride;
  bool is_rectified;
  float epsilon;
  std::vector<int32_t> column_sums;
};

// kType: of the caches.
template <ElementType kType>
struct DistanceAttention {
  static constexpr const char* kName = "DistanceAttention";
  static constexpr std::array<Slot, 9> kInputs{{{ElementType::kFloat},
                                                {ElementType::kFloat},
                                                {ElementType::kFloat},
                                                {ElementType::kInt64},
                                                {ElementType::kInt64},
                                                {kType},
                                                {kType},
                                                {ElementType::kFloat, kOptional},
                                                {ElementType::kFloat, kOptional}}};
  static constexpr std::array<Slot, 3> kOutputs{{{ElementType::kFloat}, {kType}, {kType}}};
  using Inputs = std::array<Tensor, kInputs.size()>;
  static constexpr bool kIsInt8 = kType == ElementType::kInt8;

  DistanceAttention(const Attributes& attributes, const Inputs&)
      : num_heads(attributes.integer("num_heads", 0)), scale(attributes.number("scale", 0.0f)) {
    require(num_heads > 0, "num_heads is positive", num_heads);
    if (!(scale > 0.0f)) throw std::invalid_argument("scale is a positive attribute");
  }

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [qkv, v_minus_u, relative, past_length, length, key, value, key_scale, value_scale] = inputs;
    require(key.rank == 4, "past_key is [B, H, M, D]: 4 axes", key.rank);
    require(relative.rank == 3, "relative is [H, D, P]: 3 axes", relative.rank);
    // Sums of products with 8 bits, twice, must not leave 32.
    require(!kIsInt8 || key.shape[3] <= 512, "heads have at most 512 channels with i8 caches", key.shape[3]);

    DistanceArgs args{};
    args.batch = key.shape[0];
    args.num_heads = num_heads;
    args.capacity = key.shape[2];
    args.dim = key.shape[3];
    args.num_distances = relative.last();
    args.is_int8 = kIsInt8;
    args.scale = scale;
    const int64_t width = num_heads * args.dim;
    require(key.shape[1] == num_heads, "past_key has num_heads heads", key.shape[1]);
    require_size(value, "past_value", key.size());
    require(width > 0 && qkv.last() == 3 * width, "qkv has 3 * num_heads * D columns", qkv.last());
    require_size(v_minus_u, "v_minus_u", width);
    require_size(relative, "relative", width * args.num_distances);
    require_size(past_length, "past_length", args.batch);
    require_size(length, "length", args.batch);
    require_scale(key_scale, "key_scale", width);
    require_scale(value_scale, "value_scale", width);
    const int64_t rows = qkv.size() / (3 * width);
    args.frames = args.batch == 0 ? 0 : rows / args.batch;
    require(rows == args.batch * args.frames, "qkv has as many rows for each sequence", rows);
    args.past_length = past_length.integers();
    args.length = length.integers();
    const int64_t max_length = std::min(args.capacity, args.num_distances);
    for (int64_t b = 0; b < args.batch; ++b) {
      require(args.length[b] >= 0 && args.length[b] <= args.frames, "length is one of 0..T", args.length[b]);
      require(args.length[b] == 0 || (args.past_length[b] >= 0 && args.past_length[b] <= max_length - args.length[b]),
              "past_length and length have room in the cache and among the distances", args.past_length[b]);
    }

    const int64_t shape[] = {rows, width};
    args.y = run.output<float>(0, shape, 2);
    args.key = present(run, 1, key);
    args.value = present(run, 2, value);
    if (rows == 0) return;
    args.qkv = qkv.floats();
    args.v_minus_u = v_minus_u.floats();
    args.relative = relative.floats();
    args.key_scale = key_scale.floats();
    args.value_scale = value_scale.floats();
    attention::distance(args, run.pool());
  }

  static void require_scale(const Tensor& scale, const char* name, int64_t size) {
    if ((scale.data != nullptr) != kIsInt8) {
      throw std::invalid_argument(std::string(name) + " goes with i8 caches, and with them only");
    }
    require_size(scale, name, size);
  }

  // What is past is copied, unless the output is bound to its memory.
  static void* present(const Run& run, size_t index, const Tensor& past) {
    void* memory = run.output<void>(index, past.shape, past.rank);
    if (memory != past.data && past.size() > 0) {
      std::memcpy(memory, past.data, past.size() * (kIsInt8 ? sizeof(int8_t) : sizeof(float)));
    }
    return memory;
  }

  int64_t num_heads;
  float scale;
};

struct SelfAttention {
  static constexpr const char* kName = "SelfAttention";
  static constexpr std::array<Slot, 1> kInputs{{{ElementType::kFloat}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kFloat}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  SelfAttention(const Attributes& attributes, const Inputs&) : num_heads(attributes.integer("num_heads", 0)) {
    require(num_heads > 0, "num_heads is positive", num_heads);
  }

  void compute(const Inputs& inputs, const Run& run) const {
    const Tensor& qkv = inputs[0];
    require(qkv.rank == 3, "qkv is [B, T, 3 * H * D]: 3 axes", qkv.rank);
    require(qkv.last() > 0 && qkv.last() % (3 * num_heads) == 0, "qkv has 3 * num_heads * D columns", qkv.last());

    SelfArgs args{};
    args.batch = qkv.shape[0];
    args.frames = qkv.shape[1];
    args.num_heads = num_heads;
    args.dim = qkv.last() / (3 * num_heads);
    args.scale = 1.0f / std::sqrt(static_cast<float>(args.dim));
    const int64_t shape[] = {args.batch, args.frames, num_heads * args.dim};
    args.y = run.output<float>(0, shape, 3);
    if (args.batch * args.frames == 0) return;
    args.qkv = qkv.floats();
    attention::self(args, run.pool());
  }

  int64_t num_heads;
};

struct GroupNormMish {
  static constexpr const char* kName = "GroupNormMish";
  static constexpr std::array<Slot, 4> kInputs{
      {{ElementType::kFloat}, {ElementType::kFloat}, {ElementType::kFloat}, {ElementType::kFloat, kOptional}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kFloat}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  GroupNormMish(const Attributes& attributes, const Inputs&)
      : groups(attributes.integer("groups", 1)), epsilon(attributes.number("epsilon", 1e-5f)) {
    require(groups > 0, "groups is positive", groups);
  }

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [x, gamma, beta, add] = inputs;
    require(x.rank == 3, "x is [B, T, C]: 3 axes", x.rank);

    GroupNormArgs args{};
    args.batch = x.shape[0];
    args.frames = x.shape[1];
    args.channels = x.shape[2];
    args.groups = groups;
    args.epsilon = epsilon;
    require(args.channels > 0 && args.channels % groups == 0, "x has channels for each group", args.channels);
    require_size(gamma, "gamma", args.channels);
    require_size(beta, "beta", args.channels);
    const bool is_shared = add.data == nullptr || add.size() == args.channels;
    require_size(add, "add", is_shared ? args.channels : args.batch * args.channels);
    args.add_stride = is_shared ? 0 : args.channels;
    args.y = run.output<float>(0, x.shape, 3);
    if (args.batch * args.frames == 0) return;
    args.x = x.floats();
    args.gamma = gamma.floats();
    args.beta = beta.floats();
    args.add = add.floats();
    norm::group_norm_mish(args, run.pool());
  }

  int64_t groups;
  float epsilon;
};

struct SnakeBytes {
  static constexpr const char* kName = "SnakeBytes";
  static constexpr std::array<Slot, 4> kInputs{
      {{ElementType::kFloat}, {ElementType::kFloat}, {ElementType::kUint8}, {ElementType::kUint8}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kUint8}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  SnakeBytes(const Attributes&, const Inputs&) {}

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [x, scale, zero, table] = inputs;
    require(x.rank == 4 && x.shape[0] == 1 && x.shape[2] == 1, "x is [1, C, 1, T]: 4 axes", x.rank);

    SnakeBytesArgs args{};
    args.channels = x.shape[1];
    args.frames = x.shape[3];
    require_size(scale, "scale", args.channels);
    require_size(zero, "zero", args.channels);
    require_size(table, "table", args.channels * 256);
    const int64_t shape[] = {1, 1, args.frames, args.channels};
    args.y = run.output<uint8_t>(0, shape, 4);
    if (args.frames == 0) return;
    args.x = x.floats();
    args.scale = scale.floats();
    args.zero = zero.unsigned_bytes();
    args.table = table.unsigned_bytes();
    byte_conv::snake_bytes(args, run.pool());
  }
};

// What the two forms of the convolution have in common: inputs x, weight, offset and gain come first.
struct ByteConvolution {
  explicit ByteConvolution(const Attributes& attributes)
      : taps(attributes.integer("taps", 1)),
        dilation(attributes.integer("dilation", 1)),
        zero(attributes.integer("zero", 0)) {
    require(taps > 0 && taps % 2 == 1, "taps is an odd number", taps);
    require(dilation > 0, "dilation is positive", dilation);
    require(zero >= 0 && zero <= 255, "zero is a byte", zero);
  }

  ByteConvArgs args_of(const Tensor& x, const Tensor& weight, const Tensor& offset, const Tensor& gain) const {
    require(x.rank == 4 && x.shape[0] == 1 && x.shape[1] == 1, "x is [1, 1, T, C]: 4 axes", x.rank);
    ByteConvArgs args{};
    args.frames = x.shape[2];
    args.num_in = x.last();
    args.num_out = gain.size();
    args.taps = taps;
    args.dilation = dilation;
    args.zero = static_cast<uint8_t>(zero);
    require(args.num_in % 4 == 0, "x has a multiple of 4 channels", args.num_in);
    require_size(weight, "weight", (args.num_out + 15) / 16 * 16 * taps * args.num_in);
    require_size(offset, "offset", args.num_out);
    args.x = x.unsigned_bytes();
    args.weight = weight.bytes();
    args.offset = static_cast<const int32_t*>(offset.data);
    args.gain = gain.floats();
    return args;
  }

  int64_t taps, dilation, zero;
};

struct ByteConv : ByteConvolution {
  static constexpr const char* kName = "ByteConv";
  static constexpr std::array<Slot, 5> kInputs{{{ElementType::kUint8},
                                                {ElementType::kInt8},
                                                {ElementType::kInt32},
                                                {ElementType::kFloat},
                                                {ElementType::kUint8}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kUint8}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  ByteConv(const Attributes& attributes, const Inputs&) : ByteConvolution(attributes) {}

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [x, weight, offset, gain, table] = inputs;
    ByteConvArgs args = args_of(x, weight, offset, gain);
    require_size(table, "table", args.num_out * 256);
    const int64_t shape[] = {1, 1, args.frames, args.num_out};
    args.bytes = run.output<uint8_t>(0, shape, 4);
    args.table = table.unsigned_bytes();
    if (args.frames > 0) byte_conv::run(args, run.pool());
  }
};

struct ByteConvAdd : ByteConvolution {
  static constexpr const char* kName = "ByteConvAdd";
  static constexpr std::array<Slot, 6> kInputs{{{ElementType::kUint8},
                                                {ElementType::kInt8},
                                                {ElementType::kInt32},
                                                {ElementType::kFloat},
                                                {ElementType::kFloat},
                                                {ElementType::kFloat}}};
  static constexpr std::array<Slot, 1> kOutputs{{{ElementType::kFloat}}};
  using Inputs = std::array<Tensor, kInputs.size()>;

  ByteConvAdd(const Attributes& attributes, const Inputs&) : ByteConvolution(attributes) {}

  void compute(const Inputs& inputs, const Run& run) const {
    const auto& [x, weight, offset, gain, shift, residual] = inputs;
    ByteConvArgs args = args_of(x, weight, offset, gain);
    require_size(shift, "shift", args.num_out);
    require_size(residual, "residual", args.num_out * args.frames);
    const int64_t shape[] = {1, args.num_out, 1, args.frames};
    args.floats = run.output<float>(0, shape, 4);
    args.shift = shift.floats();
    args.residual = residual.floats();
    if (args.frames > 0) byte_conv::run(args, run.pool());
  }
};

// Calls fn and makes a status of what it throws.
template <class F>
ort::Status* guarded(const ort::Api* api, const char* name, const F& fn) {
  try {
    fn();
    return nullptr;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::invalid_argument& error) {
    const std::string message = std::string("cosyvoice.") + name + ": " + error.what();
    return ort::create_status(api, ort::ErrorCode::kInvalidArgument, message.c_str());
  } catch (const std::exception& error) {
    return ort::create_status(api, ort::ErrorCode::kRuntimeException, error.what());
  }
}

// A node of a graph. Inputs that are constants, all weights, are looked up once.
template <class Operator>
class Node {
 public:
  using Inputs = typename Operator::Inputs;

  Node(const ort::Api* api, const ort::KernelInfo* info)
      : api_(api), constants_(constants_of(api, info)), operator_(Attributes(api, info), constants_) {
    size_t num_inputs = 0;
    check(ort::get_input_count(api, info, &num_inputs));
    for (size_t index = 0; index < std::min(num_inputs, constants_.size()); ++index) {
      if (constants_[index].data == nullptr) variable_[num_variable_++] = index;
    }
  }

  ort::Status* compute(ort::KernelContext* context) const {
    return guarded(api_, Operator::kName, [&] {
      const Run run(api_, context);
      Inputs inputs = constants_;
      for (size_t i = 0; i < num_variable_; ++i) inputs[variable_[i]] = run.input(variable_[i]);
      operator_.compute(inputs, run);
    });
  }

 private:
  static Inputs constants_of(const ort::Api* api, const ort::KernelInfo* info) {
    Inputs inputs{};
    for (size_t index = 0; index < inputs.size(); ++index) {
      int is_constant = 0;
      const ort::Value* value = nullptr;
      check(ort::get_constant_input(api, info, index, &is_constant, &value));
      if (is_constant != 0) inputs[index] = Run::view(api, value);
    }
    return inputs;
  }

  const ort::Api* api_;
  Inputs constants_;
  Operator operator_;
  std::array<size_t, Operator::kInputs.size()> variable_{};
  size_t num_variable_ = 0;
};

template <class Operator>
ort::CustomOp describe() {
  ort::CustomOp op{};
  op.version = ort::kApiVersion;
  op.get_name = [](const ort::CustomOp*) { return Operator::kName; };
  op.get_execution_provider = [](const ort::CustomOp*) -> const char* { return nullptr; };
  op.get_num_inputs = [](const ort::CustomOp*) { return Operator::kInputs.size(); };
  op.get_num_outputs = [](const ort::CustomOp*) { return Operator::kOutputs.size(); };
  op.get_input_type = [](const ort::CustomOp*, size_t index) { return Operator::kInputs[index].type; };
  op.get_output_type = [](const ort::CustomOp*, size_t index) { return Operator::kOutputs[index].type; };
  op.get_input_characteristic = [](const ort::CustomOp*, size_t index) {
    return Operator::kInputs[index].is_optional ? ort::Characteristic::kOptional : ort::Characteristic::kRequired;
  };
  op.get_output_characteristic = [](const ort::CustomOp*, size_t) { return ort::Characteristic::kRequired; };
  op.get_input_memory_type = [](const ort::CustomOp*, size_t) { return ort::MemoryType::kDefault; };
  op.create_kernel_v2 = [](const ort::CustomOp*, const ort::Api* api, const ort::KernelInfo* info, void** kernel) {
    return guarded(api, Operator::kName, [&] { *kernel = new Node<Operator>(api, info); });
  };
  op.compute_v2 = [](void* kernel, ort::KernelContext* context) {
    return static_cast<const Node<Operator>*>(kernel)->compute(context);
  };
  op.destroy_kernel = [](void* kernel) { delete static_cast<Node<Operator>*>(kernel); };
  return op;
}

// Made once and never released: sessions may outlive whatever could own it.
ort::CustomOpDomain* domain(const ort::Api* api) {
  static const ort::CustomOp operators[] = {describe<Linear8>(),
                                            describe<DistanceAttention<ElementType::kFloat> >(),
                                            describe<DistanceAttention<ElementType::kInt8> >(),
                                            describe<SelfAttention>(),
                                            describe<GroupNormMish>(),
                                            describe<SnakeBytes>(),
                                            describe<ByteConv>(),
                                            describe<ByteConvAdd>()};
  static ort::CustomOpDomain* const made = [api] {
    ort::CustomOpDomain* domain = nullptr;
    check(ort::create_domain(api, "cosyvoice", &domain));
    for (const ort::CustomOp& op : operators) check(ort::add_operator(api, domain, &op));
    return domain;
  }();
  return made;
}

}  // namespace
}  // namespace cosyvoice

// Whether this CPU, and the system's saving of its registers, has what the operators are compiled for.
COSYVOICE_EXPORT int cosyvoice_ops_supported() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

COSYVOICE_EXPORT ort::Status* RegisterCustomOps(ort::SessionOptions* options, const ort::ApiBase* base) {
  const ort::Api* api = base->get_api(ort::kApiVersion);
  if (api == nullptr) {
    return ort::create_status(base->get_api(1), ort::ErrorCode::kNotImplemented,
                              "cosyvoice: the operators need ONNX Runtime 1.24 or later");
  }
  if (cosyvoice_ops_supported() == 0) {
    return ort::create_status(api, ort::ErrorCode::kNotImplemented, "cosyvoice: this CPU has no AVX-512 with VNNI");
  }
  return cosyvoice::guarded(api, "RegisterCustomOps",
                            [&] { cosyvoice::check(ort::add_domain(api, options, cosyvoice::domain(api))); });
}

#endif
