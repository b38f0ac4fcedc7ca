/* fft_rows: the discrete Fourier transform of every row, by FFTW. Its planner is not thread-safe and dear; executing a plan is both: one plan for each length
   and process, made under a lock, from its estimate alone, so that a length has one plan. The plan is for aligned rows, so that FFTW may use vector code; a row that lies
   elsewhere is transformed in room of ours, by the same plan. */
#include <fftw3.h>

#include <bit>
#include <cstring>
#include <memory>
#include <mutex>
#include <utility>

#include <cadre/kernels/builtin/columns.hpp>
#include <cadre/kernels/builtin/kernel_list.hpp>

namespace cadre::builtin {
namespace {

const cadre_input kInputs[] = {{"X", "n x d, a signal in each row", CADRE_NUMBERS, CADRE_ROWS, 2, 2}};
const cadre_output kOutput[] = {{"out", "float64, n x (d/2 + 1) x 2: real and imaginary parts", CADRE_OUT_MAP}};
constexpr int64_t kLongest = int64_t{1} << 26;

uint64_t length_of(const cadre_plan* p) { return static_cast<uint64_t>(p->inputs[0].shape[1]); }

uint64_t width_of(uint64_t d) { return 2 * (d / 2 + 1); }
/** Numbers of a row in whole lines, with some to read past its end. */
uint64_t room_for(uint64_t d) { return (d + 15) / 8 * 8; }
bool aligned(const double* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

int plan(cadre_plan* p) {
  if (int bad = plan_rows(p, kInputs)) return bad;
  const int64_t d = p->inputs[0].shape[1];
  if (d < 1 || d > kLongest) return refuse(p, "X has %lld columns: 1 to %lld are possible", static_cast<long long>(d), static_cast<long long>(kLongest));
  const double n = static_cast<double>(d);
  p->bytes = static_cast<uint64_t>(d) * bytes_of(p->inputs[0].dtype) + 16 * (static_cast<uint64_t>(d) / 2 + 1);
  p->cost_ns = 20 + 0.35 * n * static_cast<double>(std::bit_width(static_cast<uint64_t>(d)));
  p->scratch_bytes = (room_for(static_cast<uint64_t>(d)) + width_of(static_cast<uint64_t>(d))) * sizeof(double);
  p->outputs[0] = {kF64, 3, {p->inputs[0].shape[0], d / 2 + 1, 2}};
  return CADRE_OK;
}

using Transform = std::shared_ptr<fftw_plan_s>;
std::mutex planner;

Transform plan_for(uint64_t d, double* in, double* out) {
  static uint64_t length = 0;
  static Transform kept;
  Transform before;  // may still be at work in another thread; ends when nobody has it and the planner is free
  const std::lock_guard lock(planner);
  if (length != d) {
    before = std::move(kept);
    const fftw_plan made = fftw_plan_dft_r2c_1d(static_cast<int>(d), in, reinterpret_cast<fftw_complex*>(out), FFTW_ESTIMATE | FFTW_PRESERVE_INPUT);
    if (made)
      kept.reset(made, [](fftw_plan ended) {
        const std::lock_guard alone(planner);
        fftw_destroy_plan(ended);
      });
    length = made ? d : 0;
  }
  return kept;
}

int run(cadre_chunk* c) {
  const uint64_t d = length_of(c->plan), width = width_of(d);
  auto *in_room = static_cast<double*>(c->scratch), *out_room = in_room + room_for(d);
  auto* out = static_cast<double*>(c->outputs[0].data);
  if (c->count == 0) return CADRE_OK;
  const Transform transform = plan_for(d, in_room, out_room);
  if (!transform) return refuse(c, "FFTW makes no plan for rows of %llu numbers", static_cast<unsigned long long>(d));
  const Column<double> x(c->inputs[0]);
  for (uint64_t row = 0; row < c->count; ++row) {
    auto* v = const_cast<double*>(x.load(row * d, d, in_room));  // preserved
    if (!aligned(v)) std::memcpy(in_room, v, d * sizeof(double)), v = in_room;
    double *to = out + row * width, *result = aligned(to) ? to : out_room;
    fftw_execute_dft_r2c(transform.get(), v, reinterpret_cast<fftw_complex*>(result));
    if (result != to) std::memcpy(to, result, width * sizeof(double));
  }
  return CADRE_OK;
}

}  // namespace

const cadre_kernel fft_rows_kernel = {
    .abi = CADRE_KERNEL_ABI, .size = sizeof(cadre_kernel), .name = "fft_rows", .doc = "discrete Fourier transform of each row, as np.fft.rfft(X, axis=1)",
    .accuracy = "FFTW's: relative error of some u sqrt(log d), u = 2^-53; FFTW chooses its code by the CPU, and the last bits with it", .example = "cadre run fft_rows --in X.npy --out out.npy",
    .flags = 0, .passes = 1, .n_inputs = 1, .n_outputs = 1, .n_params = 0, .n_results = 0, .inputs = kInputs, .outputs = kOutput, .params = nullptr, .results = nullptr,
    .plan = plan, .run = run};

}  // namespace cadre::builtin
