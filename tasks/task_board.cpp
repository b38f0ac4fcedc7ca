#include <cadre/tasks/task_board.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <cadre/engine/crash.hpp>
#include <cadre/pool/process.hpp>

namespace cadre::detail {

namespace {
constexpr std::size_t kPiece = std::size_t{64} << 10;  // of a reply
}

std::pair<std::string, std::string> current_exception_text() {
  std::string type = "an exception of an unknown type";
  if (const std::type_info* info = abi::__cxa_current_exception_type()) {
    int status = 0;
    char* name = abi::__cxa_demangle(info->name(), nullptr, nullptr, &status);
    type = status == 0 && name ? name : info->name();
    std::free(name);
  }
  try {
    throw;
  } catch (const std::exception& e) {
    return {type, e.what()};
  } catch (...) {
    return {type, ""};
  }
}

void TaskSeat::begin() {
  TaskSlot& mine = slot();
  mine.line.phase.store(static_cast<std::uint32_t>(Phase::starting));
  witness_crashes(&mine.line, &mine.witness);
}

void TaskSeat::fail() {
  const auto [type, message] = current_exception_text();
  std::snprintf(slot().failure, sizeof slot().failure, "%s: %s", type.c_str(), message.c_str());
  cadre::exit(1);
}

void TaskSeat::ready() { slot().ready.store(1); }

void TaskSeat::work() {
  TaskSlot& mine = slot();
  Ring tasks(*board_->tasks);
  std::vector<std::byte> task;
  for (std::uint64_t done = 0; most_tasks_ == 0 || done < most_tasks_; ++done) {
    const bool taken = tasks.take(Deadline::never(), [&](const std::byte* bytes, std::size_t n, const std::byte* rest, std::size_t m) {
      task.resize(n + m);
      if (n) std::memcpy(task.data(), bytes, n);
      if (m) std::memcpy(task.data() + n, rest, m);
      std::uint64_t number;
      std::memcpy(&number, task.data() + offsetof(TaskCall, number), sizeof number);
      mine.task.store(number + 1);  // before it is off the ring
    });
    CADRE_CHECK(taken);
    TaskCall call;
    std::memcpy(&call, task.data(), sizeof call);
    if (!call.run) {
      mine.task.store(0);
      return;
    }
    run(task);
    mine.task.store(0);
  }
}

void TaskSeat::run(std::vector<std::byte>& task) {
  TaskCall call;
  std::memcpy(&call, task.data(), sizeof call);
  if (!call.callable) {
    call.callable = task.data() + sizeof call;
    call.items = call.callable + call.callable_bytes;
  }
  SlotLine& line = slot().line;
  ReplyHead head{call.number, ReplyKind::done, slot_};
  Parcel results;
  try {
    const RunTask function = map_ ? map_->here(call.run) : call.run;
    line.enter_kernel(0);
    function(call, results);
    line.leave_kernel();
  } catch (...) {
    line.leave_kernel();
    const auto [type, message] = current_exception_text();
    head.kind = ReplyKind::threw;
    results = Parcel();
    Travel<std::string>::pack(results, type);
    Travel<std::string>::pack(results, message);
  }
  reply(head, results.bytes());
}

void TaskSeat::reply(ReplyHead head, std::span<const std::byte> bytes) {
  Ring replies(*board_->replies);
  const ReplyKind last = head.kind;
  std::byte message[sizeof head + kPiece];
  do {
    const std::size_t n = std::min(bytes.size(), kPiece);
    head.kind = n < bytes.size() ? ReplyKind::piece : last;
    std::memcpy(message, &head, sizeof head);
    if (n) std::memcpy(message + sizeof head, bytes.data(), n);
    (void)replies.put(message, sizeof head + n, Deadline::never());
    bytes = bytes.subspan(n);
  } while (head.kind != last);
}

void TaskSeat::pack(Parcel& parcel) const {
  parcel.put(board_);
  parcel.put(slot_);
  parcel.put(most_tasks_);
  CodeMap::pack(parcel);
}

TaskSeat TaskSeat::unpack(ParcelReader& reader) {
  auto* board = reader.take<TaskBoard*>();
  const auto slot = reader.take<std::uint32_t>();
  TaskSeat seat(board, slot, reader.take<std::uint64_t>());
  seat.map_ = CodeMap::unpack(reader);
  return seat;
}

}  // namespace cadre::detail
