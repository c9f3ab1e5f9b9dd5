// Foreign functions that tests/test_ffi.py calls.

#include <atomic>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

// y = x / sqrt(mean(x²) + eps), over the last axis; and the factor of each row.
static ffi::Error RmsNormImpl(float eps, ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y,
                              ffi::ResultBuffer<ffi::F32> factor) {
  auto dims = x.dimensions();
  if (dims.size() == 0) return ffi::Error::InvalidArgument("RmsNorm input must be an array");
  int64_t n = dims.back(), rows = n ? x.element_count() / n : 0;
  const float* in = x.typed_data();
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += double(in[r * n + i]) * in[r * n + i];
    float f = factor->typed_data()[r] = 1.0f / std::sqrt(float(sum / n) + eps);
    for (int64_t i = 0; i < n; ++i) y->typed_data()[r * n + i] = in[r * n + i] * f;
  }
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(RmsNorm, RmsNormImpl,
                              ffi::Ffi::Bind()
                                  .Attr<float>("eps")
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>());

// Attributes of every kind, as numbers.
static ffi::Error AttributesImpl(ffi::Dictionary all, ffi::ResultBuffer<ffi::F64> out) {
  double* y = out->typed_data();
  y[0] = *all.get<int64_t>("whole");
  y[1] = *all.get<double>("real");
  y[2] = *all.get<int32_t>("narrow");
  y[3] = *all.get<bool>("flag");
  y[4] = all.get<std::string_view>("text")->size();
  auto numbers = *all.get<ffi::Span<const int64_t>>("numbers");
  y[5] = 0;
  for (int64_t n : numbers) y[5] += n;
  y[6] = *all.get<ffi::Dictionary>("nested")->get<float>("half");
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(Attributes, AttributesImpl, ffi::Ffi::Bind().Attrs().Ret<ffi::Buffer<ffi::F64>>());

// How often it has been called.
static std::atomic<int32_t> calls{0};

static ffi::Error CountImpl(ffi::ResultBuffer<ffi::S32> out) {
  out->typed_data()[0] = ++calls;
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(Count, CountImpl, ffi::Ffi::Bind().Ret<ffi::Buffer<ffi::S32>>());

// Adds 1 to each element, in place if operand and result share memory; and says whether they do.
static ffi::Error IncrementImpl(ffi::Buffer<ffi::F32> x, ffi::ResultBuffer<ffi::F32> y, ffi::ResultBuffer<ffi::PRED> shared) {
  for (size_t i = 0; i < x.element_count(); ++i) y->typed_data()[i] = x.typed_data()[i] + 1;
  shared->typed_data()[0] = x.untyped_data() == y->untyped_data();
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(Increment, IncrementImpl,
                              ffi::Ffi::Bind()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::F32>>()
                                  .Ret<ffi::Buffer<ffi::PRED>>());

// The elements in the order in which they lie in memory.
static ffi::Error RawImpl(ffi::AnyBuffer x, ffi::ResultBuffer<ffi::F32> y) {
  for (size_t i = 0; i < x.element_count(); ++i) y->typed_data()[i] = x.typed_data<float>()[i];
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(Raw, RawImpl, ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Ret<ffi::Buffer<ffi::F32>>());
