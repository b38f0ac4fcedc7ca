/* 1 GiB of memory: allocated and touched for the first time, and touched by the next process that shares it. Every sample is a
   program of its own, since an arena keeps what it has. One number per 4 KiB is touched, by one thread. */
#include <cadre/bench/child.hpp>
#include <cadre/bench/races.hpp>
#include <cadre/shm/storage.hpp>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fstream>
#include <sstream>

namespace cadre::bench {
namespace {

void touch(std::byte* p, std::size_t bytes) {
  for (std::size_t at = 0; at < bytes; at += 4096) const_cast<volatile std::byte&>(p[at]) = std::byte{1};
}

/** Seconds that a fork of this process needs to read one number of each 4 KiB. */
double next_process(const std::byte* p, std::size_t bytes) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("pipe");
  const pid_t pid = fork();
  if (pid == 0) {
    unsigned sum = 0;
    const double seconds = seconds_of([&] {
      for (std::size_t at = 0; at < bytes; at += 4096) sum += static_cast<unsigned>(const_cast<const volatile std::byte&>(p[at]));
    });
    const bool right = sum == bytes / 4096;
    const bool told = write(ends[1], &seconds, sizeof seconds) == sizeof seconds;
    _exit(right && told ? 0 : 1);
  }
  double seconds = 0;
  const bool told = pid > 0 && read(ends[0], &seconds, sizeof seconds) == sizeof seconds;
  int status = 0;
  if (pid > 0) waitpid(pid, &status, 0);
  close(ends[0]);
  close(ends[1]);
  if (!told || status != 0) throw WrongAnswer("the next process did not find what was written");
  return seconds;
}

/** Bytes of [p, p + bytes) that smaps does not show on huge pages. */
double bytes_on_small_pages(const std::byte* p, std::size_t bytes) {
  std::ifstream smaps("/proc/self/smaps");
  std::size_t huge = 0;
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    std::size_t first = 0, last = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &first, &last) == 2)
      inside = first <= reinterpret_cast<std::size_t>(p) && reinterpret_cast<std::size_t>(p) < last;
    if (inside &&
        (std::sscanf(line.c_str(), "ShmemPmdMapped: %zu", &kib) == 1 || std::sscanf(line.c_str(), "AnonHugePages: %zu", &kib) == 1))
      huge += kib << 10;
  }
  return huge >= bytes ? 0 : static_cast<double>(bytes - huge);
}

std::vector<double> measure(std::byte* p, std::size_t bytes, double seconds) {
  return {seconds, next_process(p, bytes), bytes_on_small_pages(p, bytes)};
}

const ChildEntry arena("allocate_arena", [](const std::vector<std::string>& arguments) {
  const std::size_t bytes = std::stoull(arguments.at(0));
  const auto first = allocate_storage(4096);  // the arena itself exists
  std::shared_ptr<Storage> storage;
  const double seconds = seconds_of([&] {
    storage = allocate_storage(bytes);
    touch(storage->data(), bytes);
  });
  return measure(storage->data(), bytes, seconds);
});

std::vector<double> anonymous(const std::vector<std::string>& arguments, int advice) {
  const std::size_t bytes = std::stoull(arguments.at(0)), huge = std::size_t{2} << 20;
  std::byte* p = nullptr;
  const double seconds = seconds_of([&] {
    void* base =
        mmap(nullptr, bytes + huge, PROT_READ | PROT_WRITE, (advice < 0 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    p = reinterpret_cast<std::byte*>((reinterpret_cast<std::size_t>(base) + huge - 1) / huge * huge);
    if (advice > 0) madvise(p, bytes, advice);
    touch(p, bytes);
  });
  return measure(p, bytes, seconds);
}
const ChildEntry huge_pages("allocate_anonymous_huge", [](const std::vector<std::string>& a) { return anonymous(a, MADV_HUGEPAGE); });
const ChildEntry small_pages("allocate_anonymous_4k", [](const std::vector<std::string>& a) { return anonymous(a, MADV_NOHUGEPAGE); });
const ChildEntry shared_pages("allocate_shared_4k", [](const std::vector<std::string>& a) { return anonymous(a, -1); });

}  // namespace

Race allocation_race(const Setting& setting, AllocationPart part) {
  const std::size_t bytes = setting.size(std::size_t{1} << 30, std::size_t{2} << 20);
  const double pages = static_cast<double>(bytes / 4096);
  Race race;
  const auto add = [&](const std::string& name, const std::string& child, double divisor) {
    race.contestants.push_back({name,
                                [=] {
                                  return run_child({child, std::to_string(bytes)}).at(static_cast<std::size_t>(part)) / divisor;
                                },
                                {}});
  };
  switch (part) {
    case AllocationPart::first_touch:
      race.name = "allocate";
      race.rate_unit = "GiB/s";
      race.work = static_cast<double>(bytes) / (1 << 30);
      for (auto [name, child] : {std::pair{"arena", "allocate_arena"},
                                 {"anonymous, huge pages", "allocate_anonymous_huge"},
                                 {"anonymous, 4 KiB pages", "allocate_anonymous_4k"},
                                 {"shared, 4 KiB pages", "allocate_shared_4k"}})
        add(name, child, 1);
      race.figures.push_back({.what = "1 GiB array: allocate and first touch, time against anonymous huge pages",
                              .kind = Figure::Kind::cost,
                              .wanted = 1.3,
                              .ours = "arena",
                              .peers = {"anonymous, huge pages"}});
      break;
    case AllocationPart::next_process:
      race.name = "next_process";
      race.cost_unit = "ns per 4 KiB";
      race.cost_unit_size = 1e-9;
      add("arena", "allocate_arena", pages);
      add("shared, 4 KiB pages", "allocate_shared_4k", pages);
      race.figures.push_back({.what = "the same range in the next process, per 4 KiB",
                              .kind = Figure::Kind::amount,
                              .wanted = 20,
                              .ours = "arena",
                              .unit = "ns",
                              .unit_size = 1e-9});
      break;
    case AllocationPart::small_pages:
      race.name = "huge_pages";
      race.most_rounds = 5;
      race.cost_unit = "MiB";
      race.cost_unit_size = 1 << 20;
      add("arena", "allocate_arena", 1);
      race.figures.push_back({.what = "of that, not in ShmemPmdMapped",
                              .kind = Figure::Kind::amount,
                              .wanted = 0,
                              .ours = "arena",
                              .unit = "MiB",
                              .unit_size = 1 << 20});
      break;
  }
  return race;
}

}  // namespace cadre::bench
