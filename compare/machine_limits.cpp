#include <cadre/compare/machine_limits.hpp>

#include <sched.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <immintrin.h>
#include <thread>

#include <cadre/compare/clock.hpp>
#include <cadre/kernels/registry.hpp>
#include <cadre/pool/cpus.hpp>
#include <cadre/shm/memory.hpp>

namespace cadre::compare {
namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/** The value behind "key : value" of /proc/cpuinfo. */
std::string cpu_field(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const auto value = line.find_first_not_of(" \t:", key.size());
    return value == std::string::npos ? "" : line.substr(value);
  }
  return "";
}

std::uint64_t last_cache() {
  std::uint64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    std::uint64_t size = 0;
    char unit = 0;
    if (file >> size >> unit) largest = std::max(largest, size << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0));
  }
  return largest;
}

/** "madvise" of "always [madvise] never". */
std::string chosen(const std::string& path) {
  std::ifstream in(path);
  for (std::string word; in >> word;)
    if (word.size() > 2 && word.front() == '[') return word.substr(1, word.size() - 2);
  return "";
}

/** Anonymous memory on huge pages, all of it touched. */
class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : bytes_(bytes), data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    if (data_ == MAP_FAILED) throw std::bad_alloc();
    madvise(data_, bytes_, MADV_HUGEPAGE);
    std::fill_n(values(), count(), 1.0);
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() { munmap(data_, bytes_); }
  double* values() const { return static_cast<double*>(data_); }
  std::size_t count() const { return bytes_ / sizeof(double); }

 private:
  const std::size_t bytes_;
  void* const data_;
};

// Eight sums at once, so that no addition waits for the one before.
#define CADRE_SUM(vector, width, load, add, zero, first)                                                                  \
  vector s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero(), s4 = zero(), s5 = zero(), s6 = zero(), s7 = zero();           \
  for (std::size_t i = 0; i + 8 * width <= n; i += 8 * width) {                                                           \
    s0 = add(s0, load(x + i)), s1 = add(s1, load(x + i + width)), s2 = add(s2, load(x + i + 2 * width));                   \
    s3 = add(s3, load(x + i + 3 * width)), s4 = add(s4, load(x + i + 4 * width)), s5 = add(s5, load(x + i + 5 * width));   \
    s6 = add(s6, load(x + i + 6 * width)), s7 = add(s7, load(x + i + 7 * width));                                          \
  }                                                                                                                       \
  return first(add(add(add(s0, s1), add(s2, s3)), add(add(s4, s5), add(s6, s7))))

__attribute__((target("avx512f"))) double sum_512(const double* x, std::size_t n) { CADRE_SUM(__m512d, 8, _mm512_loadu_pd, _mm512_add_pd, _mm512_setzero_pd, _mm512_cvtsd_f64); }
__attribute__((target("avx2"))) double sum_256(const double* x, std::size_t n) { CADRE_SUM(__m256d, 4, _mm256_loadu_pd, _mm256_add_pd, _mm256_setzero_pd, _mm256_cvtsd_f64); }
double sum_128(const double* x, std::size_t n) { CADRE_SUM(__m128d, 2, _mm_loadu_pd, _mm_add_pd, _mm_setzero_pd, _mm_cvtsd_f64); }
#undef CADRE_SUM

__attribute__((target("avx2,fma"))) void triad_avx(double* a, const double* b, const double* c, std::size_t n) {
  const __m256d s = _mm256_set1_pd(3);
  for (std::size_t i = 0; i + 4 <= n; i += 4) _mm256_stream_pd(a + i, _mm256_fmadd_pd(s, _mm256_loadu_pd(c + i), _mm256_loadu_pd(b + i)));
  _mm_sfence();
}
void triad_sse(double* a, const double* b, const double* c, std::size_t n) {
  const __m128d s = _mm_set1_pd(3);
  for (std::size_t i = 0; i + 2 <= n; i += 2) _mm_stream_pd(a + i, _mm_add_pd(_mm_loadu_pd(b + i), _mm_mul_pd(s, _mm_loadu_pd(c + i))));
  _mm_sfence();
}

constexpr int kChains = 12;  // independent, to hide a latency of 4 to 5 cycles at two a cycle

// The empty asm keeps a compiler from knowing what the values are.
#define CADRE_STEP(v, fma, constraint) v = fma(v, x, y); asm volatile("" : constraint(v))
#define CADRE_CHAINS(vector, set, fma, add, first, constraint)                                                                        \
  const vector x = set(0.999999), y = set(1e-9);                                                                                     \
  vector a = set(1), b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a, k = a, l = a;                                     \
  for (std::uint64_t r = 0; r < rounds; ++r) {                                                                                        \
    CADRE_STEP(a, fma, constraint); CADRE_STEP(b, fma, constraint); CADRE_STEP(c, fma, constraint); CADRE_STEP(d, fma, constraint);   \
    CADRE_STEP(e, fma, constraint); CADRE_STEP(f, fma, constraint); CADRE_STEP(g, fma, constraint); CADRE_STEP(h, fma, constraint);   \
    CADRE_STEP(i, fma, constraint); CADRE_STEP(j, fma, constraint); CADRE_STEP(k, fma, constraint); CADRE_STEP(l, fma, constraint);   \
  }                                                                                                                                  \
  return first(add(add(add(a, b), add(c, d)), add(add(add(e, f), add(g, h)), add(add(i, j), add(k, l)))))

__attribute__((target("avx512f"))) double fma_512(std::uint64_t rounds) { CADRE_CHAINS(__m512d, _mm512_set1_pd, _mm512_fmadd_pd, _mm512_add_pd, _mm512_cvtsd_f64, "+v"); }
__attribute__((target("avx2,fma"))) double fma_256(std::uint64_t rounds) { CADRE_CHAINS(__m256d, _mm256_set1_pd, _mm256_fmadd_pd, _mm256_add_pd, _mm256_cvtsd_f64, "+x"); }
__m128d mul_add(__m128d v, __m128d x, __m128d y) { return _mm_add_pd(_mm_mul_pd(v, x), y); }  // no FMA below level v3
double fma_128(std::uint64_t rounds) { CADRE_CHAINS(__m128d, _mm_set1_pd, mul_add, _mm_add_pd, _mm_cvtsd_f64, "+x"); }
#undef CADRE_CHAINS
#undef CADRE_STEP

/** The best of a few tries of work(thread) on `cores` pinned threads that begin together. Seconds. */
template <class F>
double together(int cores, int tries, F work) {
  const std::vector<int> cpus = usable_cpus();
  std::barrier<> meet(cores);
  double best = 1e300;
  std::vector<std::thread> threads;
  for (int t = 0; t < cores; ++t)
    threads.emplace_back([&, t] {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET(static_cast<std::size_t>(cpus[static_cast<std::size_t>(t) % cpus.size()]), &set);
      sched_setaffinity(0, sizeof set, &set);
      for (int i = 0; i < tries; ++i) {
        meet.arrive_and_wait();
        const auto begin = Clock::now();
        work(t);
        meet.arrive_and_wait();
        if (t == 0) best = std::min(best, seconds_since(begin));
      }
    });
  for (std::thread& t : threads) t.join();
  return best;
}

Roof measure(int cores, Buffer& buffer, int level) {
  Roof roof{.cores = cores};
  const std::size_t n = buffer.count();
  const auto part = [&](std::size_t whole, int t) { return std::pair(whole * static_cast<std::size_t>(t) / static_cast<std::size_t>(cores) / 64 * 64, whole * static_cast<std::size_t>(t + 1) / static_cast<std::size_t>(cores) / 64 * 64); };
  std::atomic<double> kept{0};
  roof.read = static_cast<double>(n * sizeof(double)) / together(cores, 5, [&](int t) {
                const auto [from, to] = part(n, t);
                kept.store((level >= 4 ? sum_512 : level >= 3 ? sum_256 : sum_128)(buffer.values() + from, to - from), std::memory_order_relaxed);
              });
  const std::size_t third = n / 3 / 64 * 64;
  roof.triad = static_cast<double>(3 * third * sizeof(double)) / together(cores, 5, [&](int t) {
                 const auto [from, to] = part(third, t);
                 double* a = buffer.values();
                 (level >= 3 ? triad_avx : triad_sse)(a + from, a + third + from, a + 2 * third + from, to - from);
               });
  constexpr std::uint64_t kRounds = 1'000'000;
  const double width = level >= 4 ? 8 : level >= 3 ? 4 : 2;
  roof.fma = 2 * width * kChains * static_cast<double>(kRounds) * cores / together(cores, 5, [&](int) {
               kept.store(level >= 4 ? fma_512(kRounds) : level >= 3 ? fma_256(kRounds) : fma_128(kRounds), std::memory_order_relaxed);
             });
  return roof;
}

/** The memory is touched through one mapping; faults through another are those of a process that comes second. */
double measure_fault() {
  constexpr std::size_t kPages = 4096, kPage = 4096;
  const int fd = memfd_create("cadre-compare", MFD_CLOEXEC);
  if (fd < 0) return 0;
  double seconds = 0;
  if (ftruncate(fd, kPages * kPage) == 0) {
    auto* first = static_cast<volatile char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    auto* second = static_cast<volatile char*>(mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    if (first != MAP_FAILED && second != MAP_FAILED) {
      madvise(const_cast<char*>(second), kPages * kPage, MADV_RANDOM);
      for (std::size_t i = 0; i < kPages; ++i) first[i * kPage] = 1;
      const auto begin = Clock::now();
      for (std::size_t i = 0; i < kPages; ++i) second[i * kPage] = 1;
      seconds = seconds_since(begin) / kPages;
      munmap(const_cast<char*>(first), kPages * kPage);
      munmap(const_cast<char*>(second), kPages * kPage);
    }
  }
  close(fd);
  return seconds;
}

}  // namespace

const Roof& MachineLimits::roof(int workers) const {
  static const Roof none;
  const Roof* best = roofs.empty() ? &none : &roofs.front();
  for (const Roof& r : roofs)
    if (r.cores <= workers) best = &r;
  return *best;
}

void MachineLimits::raise(const MachineLimits& other) {
  for (std::size_t i = 0; i < std::min(roofs.size(), other.roofs.size()); ++i) {
    Roof& r = roofs[i];
    const Roof& o = other.roofs[i];
    r = {r.cores, std::max(r.read, o.read), std::max(r.triad, o.triad), std::max(r.fma, o.fma)};
  }
}

MachineLimits measure_limits(const std::vector<int>& cores) {
  MachineLimits m;
  m.cpu = cpu_field("model name");
  utsname system{};
  uname(&system);
  m.kernel = std::string(system.sysname) + " " + system.release;
  m.level = name_of(best_level());
  m.cpus = usable_cpu_count();
  m.memory = static_cast<std::uint64_t>(std::max(sysconf(_SC_PHYS_PAGES), 0L)) * static_cast<std::uint64_t>(std::max(sysconf(_SC_PAGESIZE), 0L));
  m.last_cache = last_cache();
  m.huge_pages = chosen("/sys/kernel/mm/transparent_hugepage/enabled");
  m.shared_huge_pages = chosen("/sys/kernel/mm/transparent_hugepage/shmem_enabled");
  std::vector<int> wanted;
  for (const int c : cores) wanted.push_back(std::clamp(c, 1, m.cpus));
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  // Eight times the largest cache, so that little of it is found there again; less where memory is scarce.
  const std::uint64_t most = std::max<std::uint64_t>(available_memory().bytes / 4, 4u << 20);
  Buffer buffer(std::min({std::max<std::uint64_t>(8 * m.last_cache, 192u << 20), most, std::uint64_t{512} << 20}));
  const int level = m.level == "v4" ? 4 : m.level == "v3" ? 3 : 2;
  for (const int c : wanted) m.roofs.push_back(measure(c, buffer, level));
  m.fault_seconds = measure_fault();
  return m;
}

CpuTimes cpu_times() {
  unsigned long long user = 0, nice = 0, system = 0, idle = 0, io = 0, irq = 0, soft = 0, steal = 0;
  if (std::sscanf(first_line("/proc/stat").c_str(), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &io, &irq, &soft, &steal) != 8) return {};
  const double tick = 1.0 / static_cast<double>(sysconf(_SC_CLK_TCK));
  return {static_cast<double>(user + nice + system + irq + soft) * tick, static_cast<double>(steal) * tick};
}

}  // namespace cadre::compare
