// The part of ONNX Runtime's C interface that custom operators need: its wheels come without headers.
//
// The interface only ever grows at its end, so a function is known by its place in the table. Places and signatures
// are those of onnxruntime_c_api.h (MIT), version kApiVersion of its API, which ONNX Runtime 1.24 and all later have.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ort {

constexpr uint32_t kApiVersion = 24;

struct Status;  // null is success
struct Value;
struct KernelInfo;
struct KernelContext;
struct SessionOptions;
struct CustomOpDomain;

enum class ErrorCode : int { kInvalidArgument = 2, kRuntimeException = 6, kNotImplemented = 9 };
enum class ElementType : int { kUndefined = 0, kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7 };
enum class Characteristic : int { kRequired = 0, kOptional = 1 };
enum class MemoryType : int { kDefault = 0 };

struct Api {
  using Pointer = void (*)();
  Pointer functions[1];  // and hundreds more
};

struct ApiBase {
  const Api* (*get_api)(uint32_t version);  // null where this ONNX Runtime is older
  const char* (*get_version_string)();
};

template <size_t kIndex, class Signature>
struct Function;

template <size_t kIndex, class Result, class... Args>
struct Function<kIndex, Result(Args...)> {
  Result operator()(const Api* api, Args... args) const {
    return reinterpret_cast<Result (*)(Args...)>((&api->functions[0])[kIndex])(args...);
  }
};

constexpr Function<0, Status*(ErrorCode, const char*)> create_status{};
constexpr Function<26, Status*(const char*, CustomOpDomain**)> create_domain{};
constexpr Function<27, Status*(CustomOpDomain*, const struct CustomOp*)> add_operator{};
constexpr Function<28, Status*(SessionOptions*, CustomOpDomain*)> add_domain{};
constexpr Function<51, Status*(Value*, void**)> get_data{};
constexpr Function<85, Status*(const KernelInfo*, const char*, float*)> get_float_attribute{};
constexpr Function<86, Status*(const KernelInfo*, const char*, int64_t*)> get_int_attribute{};
constexpr Function<90, Status*(const KernelContext*, size_t, const Value**)> get_input{};
constexpr Function<91, Status*(KernelContext*, size_t, const int64_t*, size_t, Value**)> get_output{};
constexpr Function<93, void(Status*)> release_status{};
constexpr Function<230, Status*(const KernelInfo*, size_t*)> get_input_count{};
constexpr Function<249, Status*(const KernelInfo*, size_t, int*, const Value**)> get_constant_input{};
constexpr Function<274, Status*(const KernelContext*, void (*)(void*, size_t), size_t, size_t, void*)> parallel_for{};
constexpr Function<414, Status*(const Value*, ElementType*, const int64_t**, size_t*)> get_type_and_shape{};

// An operator's description. ONNX Runtime reads it as long as there are sessions.
struct CustomOp {
  uint32_t version;
  void* (*create_kernel)(const CustomOp*, const Api*, const KernelInfo*);
  const char* (*get_name)(const CustomOp*);
  const char* (*get_execution_provider)(const CustomOp*);  // null is the CPU's
  ElementType (*get_input_type)(const CustomOp*, size_t);
  size_t (*get_num_inputs)(const CustomOp*);
  ElementType (*get_output_type)(const CustomOp*, size_t);
  size_t (*get_num_outputs)(const CustomOp*);
  void (*compute)(void*, KernelContext*);
  void (*destroy_kernel)(void*);
  Characteristic (*get_input_characteristic)(const CustomOp*, size_t);
  Characteristic (*get_output_characteristic)(const CustomOp*, size_t);
  MemoryType (*get_input_memory_type)(const CustomOp*, size_t);
  int (*get_variadic_input_min_arity)(const CustomOp*);
  int (*get_variadic_input_homogeneity)(const CustomOp*);
  int (*get_variadic_output_min_arity)(const CustomOp*);
  int (*get_variadic_output_homogeneity)(const CustomOp*);
  Status* (*create_kernel_v2)(const CustomOp*, const Api*, const KernelInfo*, void**);
  Status* (*compute_v2)(void*, KernelContext*);
  Status* (*infer_output_shape)(const CustomOp*, void*);
  int (*get_start_version)(const CustomOp*);
  int (*get_end_version)(const CustomOp*);
  size_t (*get_may_inplace)(int**, int**);
  void (*release_may_inplace)(int*, int*);
  size_t (*get_alias_map)(int**, int**);
  void (*release_alias_map)(int*, int*);
};

}  // namespace ort
