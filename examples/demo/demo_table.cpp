/* demo_table FOLDER [ROWS [SEED]]: writes the demo's table (flights.hpp), one .npy file for each column and table.txt that describes them.
   The files are the same for any number of threads. Where table.txt already says the same, nothing is done. */
#include <fcntl.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "flights.hpp"

namespace {

constexpr std::uint64_t kBlock = 1 << 18;  // rows that a thread makes and writes at a time

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "demo_table: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

/** A one-dimensional .npy file in the making, version 1.0: 128 bytes of header, then the data. */
class Column {
 public:
  Column(std::filesystem::path path, const char* descr, std::size_t item, std::uint64_t rows) : path_(std::move(path)), item_(item) {
    fd_ = open(temporary().c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd_ < 0) fail("create " + temporary());
    std::string header = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ",), }";
    header.resize(kHeader - 11, ' ');
    header = std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(kHeader - 10) + '\0' + header + '\n';
    if (const int error = posix_fallocate(fd_, 0, static_cast<off_t>(kHeader + rows * item)); error != 0)
      errno = error, fail("reserve " + temporary());
    put(header.data(), header.size(), 0);
  }
  void write(const void* data, std::uint64_t first, std::uint64_t rows) const { put(data, rows * item_, kHeader + first * item_); }
  void finish() {
    close(fd_);
    std::filesystem::rename(temporary(), path_);
  }

 private:
  static constexpr std::size_t kHeader = 128;
  std::string temporary() const { return path_.string() + ".part"; }
  void put(const void* data, std::size_t bytes, std::size_t offset) const {
    const char* p = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t n = pwrite(fd_, p, bytes, static_cast<off_t>(offset));
      if (n < 0) fail("write " + temporary());
      p += n, bytes -= static_cast<std::size_t>(n), offset += static_cast<std::size_t>(n);
    }
  }
  std::filesystem::path path_;
  std::size_t item_;
  int fd_;
};

std::string description(std::uint64_t rows, std::uint64_t seed) {
  return "Made-up flights, one in each row: " + std::to_string(rows) + " rows, seed " + std::to_string(seed) + ", version 1.\n" +
         "  delay.npy     int16    minutes late at arrival, negative when early: skewed, with a long tail, worse late in the day\n"
         "  distance.npy  int16    miles flown on one of 3,000 routes: several modes\n"
         "  time.npy      float32  scheduled departure in decimal hours: peaks in the morning and the evening\n"
         "How they are made: examples/demo/flights.hpp\n";
}

std::string contents(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

void make(const std::filesystem::path& folder, std::uint64_t rows, std::uint64_t seed) {
  Column delay(folder / "delay.npy", "<i2", 2, rows), distance(folder / "distance.npy", "<i2", 2, rows),
      time(folder / "time.npy", "<f4", 4, rows);
  const Flights flights(seed);
  std::atomic<std::uint64_t> next{0};
  auto work = [&] {
    std::vector<std::int16_t> delays(kBlock), distances(kBlock);
    std::vector<float> times(kBlock);
    for (std::uint64_t first; (first = next.fetch_add(kBlock)) < rows;) {
      const std::uint64_t count = std::min(kBlock, rows - first);
      for (std::uint64_t i = 0; i < count; ++i) {
        const Flights::Row row = flights.row(first + i);
        delays[i] = row.delay, distances[i] = row.distance, times[i] = row.time;
      }
      delay.write(delays.data(), first, count);
      distance.write(distances.data(), first, count);
      time.write(times.data(), first, count);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < std::max(1u, std::thread::hardware_concurrency()); ++t) threads.emplace_back(work);
  threads.clear();
  delay.finish(), distance.finish(), time.finish();
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t rows = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 50'000'000;
  const std::uint64_t seed = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 2008;
  if (argc < 2 || argc > 4 || rows == 0) {
    std::fprintf(stderr, "usage: demo_table FOLDER [ROWS [SEED]]\n");
    return 2;
  }
  try {
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    const std::string text = description(rows, seed);
    if (contents(folder / "table.txt") == text) return 0;
    std::filesystem::remove(folder / "table.txt");
    make(folder, rows, seed);
    std::ofstream(folder / "table.txt") << text;  // last: its presence says that the columns are whole
  } catch (const std::exception& error) {
    std::fprintf(stderr, "demo_table: %s\n", error.what());
    return 1;
  }
}
