#include <cadre/compare/subject.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>

#include <cadre/engine/engine.hpp>
#include <cadre/engine/kernel_table.hpp>
#include <cadre/engine/step.hpp>
#include <cadre/shm/memory.hpp>
#include <cadre/shm/npy.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre::compare {
namespace {

std::string file_of(const Job& job, const std::string& name) {
  const auto at = job.files.find(name);
  return at != job.files.end() ? at->second : is_file_name(name) ? name : "";
}

/** Outputs that have no name get one: all, or only those that a map writes, which have a row for each element. */
void name_outputs(Job& job, const KernelTable& table, bool all) {
  for (std::size_t s = 0; s < job.steps.size(); ++s) {
    Step& step = job.steps[s];
    const cadre_kernel& kernel = *table.find(step.kernel, step.where).kernel;
    const BoundStep bound = bind_step(step, table);
    for (std::uint32_t o = 0; o < kernel.n_outputs; ++o) {
      const bool optional = kernel.outputs[o].flags & CADRE_OUT_OPTIONAL;
      if (bound.outputs[o].empty() && !optional && (all || kernel.outputs[o].kind == CADRE_OUT_MAP))
        step.out.emplace_back(kernel.outputs[o].name, "output " + std::to_string(s + 1) + "." + kernel.outputs[o].name);
    }
  }
}

/** Files that steps write become temporaries, for later steps too. */
void keep_outputs_in_memory(Job& job) {
  std::vector<std::pair<std::string, std::string>> renamed;  // name -> temporary
  for (Step& step : job.steps) {
    for (auto& [input, name] : step.in)
      for (const auto& [from, to] : renamed)
        if (name == from || (!file_of(job, name).empty() && file_of(job, name) == file_of(job, from))) name = to;
    for (auto& [output, name] : step.out) {
      if (file_of(job, name).empty()) continue;
      const std::string temporary = "output " + std::to_string(renamed.size() + 1);
      renamed.insert(renamed.begin(), {name, temporary});
      name = temporary;
    }
  }
}

}  // namespace

SizedFile::SizedFile(const std::string& file, std::uint64_t rows) {
  const AnyArray source = open_npy(file);
  Shape shape = source.shape;
  if (shape.empty() || shape[0] < 1) throw Error("--sizes: " + file + " has no rows to repeat");
  const std::uint64_t row_bytes = source.bytes() / static_cast<std::uint64_t>(shape[0]);
  shape[0] = static_cast<std::int64_t>(rows);
  const std::string header = make_npy_header(source.type, shape);
  const std::uint64_t data_bytes = elements_of(shape, size_of(source.type)) * size_of(source.type), bytes = header.size() + data_bytes;
  require_memory(bytes, file + " with " + std::to_string(rows) + " rows");
  fd_ = memfd_create("cadre-compare", MFD_CLOEXEC);
  if (fd_ < 0) throw_errno("make an array of " + std::to_string(rows) + " rows", errno);
  path_ = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(fd_);
  const auto put = [&](const void* data, std::uint64_t size) {
    for (const auto* at = static_cast<const char*>(data); size > 0;) {
      const ssize_t written = write(fd_, at, std::min<std::uint64_t>(size, 1u << 30));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        const int error = errno;
        close(fd_);
        throw_errno("fill an array of " + std::to_string(rows) + " rows", error);
      }
      at += written;
      size -= static_cast<std::uint64_t>(written);
    }
  };
  put(header.data(), header.size());
  for (std::uint64_t left = rows; left > 0;) {
    const std::uint64_t now = std::min(left, static_cast<std::uint64_t>(source.shape[0]));
    put(source.data, now * row_bytes);
    left -= now;
  }
}

SizedFile::~SizedFile() { close(fd_); }

Subject::Subject(Job job, const Options& options) : job_(std::move(job)), options_(options) {
  const KernelTable table(options_);
  Job named = job_;
  keep_outputs_in_memory(named);
  job_ = named;
  name_outputs(named, table, false);
  try {
    check_job(named, options_);
  } catch (const Error&) {
    // Too much for `result`, perhaps: then it says so here again.
    named = job_;
    name_outputs(named, table, true);
    check_job(named, options_);
  }
  job_ = std::move(named);
}

std::vector<std::pair<std::string, std::string>> Subject::input_files(const Job& job) {
  std::vector<std::pair<std::string, std::string>> all;
  std::set<std::string> known, made;
  for (const Step& step : job.steps) {
    for (const auto& [input, name] : step.in)
      if (const std::string file = file_of(job, name); !file.empty() && !made.contains(name) && known.insert(name).second) all.emplace_back(name, file);
    for (const auto& [output, name] : step.out) made.insert(name);
  }
  return all;
}

std::vector<std::pair<std::string, std::string>> Subject::cut_files() const {
  const KernelTable table(options_);
  const BoundStep first = bind_step(job_.steps.front(), table);
  std::int64_t length = -1;
  for (std::uint32_t i = 0; i < first.kernel().n_inputs && length < 0; ++i)
    if (const std::string file = file_of(job_, first.inputs[i]); first.kernel().inputs[i].role == CADRE_ROWS && !file.empty())
      if (const NpyInfo info = inspect_npy(file); !info.shape.empty()) length = info.shape[0];
  if (length < 1) throw Error("--sizes: " + job_.steps.front().kernel + " cuts none of its inputs into rows: its size is told by its parameters");
  std::vector<std::pair<std::string, std::string>> all = input_files(job_);
  std::erase_if(all, [length](const auto& input) {
    const NpyInfo info = inspect_npy(input.second);
    return info.shape.empty() || info.shape[0] != length;
  });
  return all;
}

void Subject::check_size(std::uint64_t rows) const {
  unsigned __int128 bytes = 0;
  for (const auto& [name, file] : cut_files()) {
    NpyInfo info = inspect_npy(file);
    info.shape[0] = 1;
    bytes += static_cast<unsigned __int128>(elements_of(info.shape, size_of(info.type)) * size_of(info.type)) * rows;
  }
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  require_memory(bytes < kMost ? static_cast<std::uint64_t>(bytes) : kMost, "--sizes: all that has " + std::to_string(rows) + " rows");
}

Job Subject::sized(std::uint64_t rows, std::vector<std::unique_ptr<SizedFile>>& files) const {
  Job job = job_;
  for (const auto& [name, file] : cut_files()) {
    files.push_back(std::make_unique<SizedFile>(file, rows));
    if (job.files.contains(name)) {
      job.files[name] = files.back()->path();
      continue;
    }
    for (Step& step : job.steps)
      for (auto& [input, used] : step.in)
        if (used == name) used = files.back()->path();
  }
  check_job(job, options_);
  return job;
}

std::uint64_t Subject::input_bytes(const Job& job) {
  std::uint64_t bytes = 0;
  for (const auto& [name, file] : input_files(job)) {
    const NpyInfo info = inspect_npy(file);
    bytes += elements_of(info.shape, size_of(info.type)) * size_of(info.type);
  }
  return bytes;
}

void Subject::read_ahead(const Job& job) {
  std::vector<char> buffer(4u << 20);
  for (const auto& [name, file] : input_files(job)) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && read(fd, buffer.data(), buffer.size()) > 0) {
    }
    if (fd >= 0) close(fd);
  }
}

}  // namespace cadre::compare
