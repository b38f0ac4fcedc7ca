/* FFTW's planner has global state without a lock. On threads it breaks; on processes, each of which has its own, the same work runs in parallel. The
   threads run in a process too: what they break is not this program. Argument: fork, forkserver or spawn. */
#include <cadre/cadre.hpp>
#include <fftw3.h>
#include <signal.h>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <thread>

/** Plans and runs transforms of a cosine, whose spectrum is known. How many were wrong. */
int transform(int worker) {
  int wrong = 0;
  for (int n = 64 + worker; n < 464; n += 4) {
    auto* in = fftw_alloc_real(static_cast<std::size_t>(n));
    auto* out = fftw_alloc_complex(static_cast<std::size_t>(n / 2 + 1));
    const fftw_plan plan = fftw_plan_dft_r2c_1d(n, in, out, FFTW_ESTIMATE);
    for (int i = 0; i < n; ++i) in[i] = std::cos(2 * M_PI * 5 * i / n);
    if (plan) fftw_execute(plan);
    for (int k = 0; k <= n / 2; ++k) wrong += !plan || std::abs(out[k][0] - (k == 5 ? n / 2.0 : 0)) > 1e-9 * n;
    if (plan) fftw_destroy_plan(plan);
    fftw_free(in);
    fftw_free(out);
  }
  return wrong;
}

void on_threads() {
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int worker = 0; worker < 4; ++worker) threads.emplace_back([&, worker] { wrong += transform(worker); });
  for (auto& t : threads) t.join();
  cadre::exit(wrong ? 1 : 0);
}
void in_a_process(int worker, cadre::SharedArray<int>& wrong) { wrong[static_cast<std::size_t>(worker)] = transform(worker); }

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  cadre::set_start_method(argc > 1 ? argv[1] : "fork");

  // A race is not lost every time.
  int code = 0, attempts = 0;
  for (; code == 0 && attempts < 50; ++attempts) {
    cadre::Process threads(on_threads);
    threads.start();
    if (!threads.join(std::chrono::seconds(10))) threads.kill();  // a planner whose tables are broken may look for ever
    threads.join();
    code = *threads.exitcode();
  }
  std::fprintf(stderr, "exit code %d at attempt %d\n", code, attempts);
  std::printf("threads: %s\n", code == 0 ? "lucky" : code == -SIGKILL ? "hang" : code < 0 ? "crash" : "wrong");

  cadre::SharedArray<int> wrong(4);
  std::vector<cadre::Process> processes;
  for (int worker = 0; worker < 4; ++worker) processes.emplace_back(in_a_process, worker, wrong);
  for (auto& p : processes) p.start();
  for (auto& p : processes) p.join();
  int bad = 0;
  for (std::size_t i = 0; i < 4; ++i) bad += wrong[i] != 0 || processes[i].exitcode() != 0;
  std::printf("processes: %s\n", bad == 0 ? "right" : "wrong");
  return bad;
}
