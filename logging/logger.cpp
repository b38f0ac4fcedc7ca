#include <cadre/logging/logger.hpp>

#include <spdlog/sinks/sink.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <cerrno>
#include <string>

#include <cadre/pool/process.hpp>
#include <cadre/shm/arena.hpp>
#include <cadre/sync/lock_word.hpp>

namespace cadre {

namespace {

/* The lock lies at the end of the registry, where every process finds it without being told; zero memory is a free lock. */
LockWord& line_lock() { return *reinterpret_cast<LockWord*>(Arena::instance().base() + kRegistryBytes - 64); }

const char* python_name(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace: return "TRACE";
    case spdlog::level::debug: return "DEBUG";
    case spdlog::level::info: return "INFO";
    case spdlog::level::warn: return "WARNING";
    case spdlog::level::err: return "ERROR";
    default: return "CRITICAL";
  }
}

/* No mutex of this process: a child that is forked while another thread logs would find it locked for ever. */
class StderrSink final : public spdlog::sinks::sink {
 public:
  void log(const spdlog::details::log_msg& message) override {
    const Process self = current_process();
    std::string line = std::string("[") + python_name(message.level) + "/" + self.name() + ":" + std::to_string(getpid()) + "] ";
    line.append(message.payload.data(), message.payload.size());
    line += '\n';
    (void)line_lock().acquire(Deadline::never());  // one that died with it has left a line cut short, no more
    for (std::size_t at = 0; at < line.size();) {
      const ssize_t n = write(STDERR_FILENO, line.data() + at, line.size() - at);
      if (n < 0 && errno != EINTR) break;
      if (n > 0) at += static_cast<std::size_t>(n);
    }
    (void)line_lock().release();
  }
  void flush() override {}
  void set_pattern(const std::string&) override {}
  void set_formatter(std::unique_ptr<spdlog::formatter>) override {}
};

void tell(const std::string& event) { get_logger().info("{}", event); }

// Reaches processes that are not forked: there too this file has been initialised before main.
[[maybe_unused]] const bool hooked = [] {
  detail::process_hooks = {.tell = tell,
                           .pack = [](Parcel& parcel) { parcel.put(get_logger().level()); },
                           .unpack =
                               [](ParcelReader& reader) {
                                 const auto level = reader.take<spdlog::level::level_enum>();
                                 if (level != spdlog::level::off) (void)log_to_stderr(level);
                               }};
  return true;
}();

}  // namespace

spdlog::logger& get_logger() {
  static auto* const logger = [] {
    auto* made = new spdlog::logger("cadre", std::make_shared<StderrSink>());  // for ever: processes log to their last moment
    made->set_level(spdlog::level::off);
    return made;
  }();
  return *logger;
}

spdlog::logger& log_to_stderr(spdlog::level::level_enum level) {
  Arena::instance();
  get_logger().set_level(level);
  return get_logger();
}

}  // namespace cadre
