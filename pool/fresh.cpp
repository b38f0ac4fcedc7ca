#include <cadre/pool/fresh.hpp>

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include <cadre/pool/fork.hpp>
#include <cadre/pool/program.hpp>

namespace cadre {

namespace {

// Descriptors that a supervisor gets, in this order.
constexpr int kLifeline = kFirstPassed, kShutdown = kFirstPassed + 1, kCaller = kFirstPassed + 2;

/** A plan, and what it points to, as a process has it that is not forked. Constant, for as long as that process lives. */
struct OwnPlan {
  SupervisorPlan plan;
  TaskRecipe recipe;
  Task task;
};

void pack(Parcel& parcel, const SupervisorPlan& plan) {
  parcel.put(plan.board);
  Travel<std::vector<int>>::pack(parcel, plan.cpus);
  parcel.put(plan.start);
  parcel.put(plan.caller);
  parcel.put(plan.look_ns);
  parcel.put(plan.slots);
  parcel.put(plan.active);
  parcel.put(locate_code(plan.recipe->make));
  parcel.put<std::uint64_t>(plan.recipe->parcel.bytes().size());
  parcel.put(plan.recipe->parcel.bytes().data(), plan.recipe->parcel.bytes().size());
}

OwnPlan& unpack(ParcelReader& reader) {
  auto& own = *new OwnPlan;
  own.plan.board = reader.take<Board*>();
  own.plan.cpus = Travel<std::vector<int>>::unpack(reader);
  own.plan.start = reader.take<StartMethod>();
  own.plan.caller = reader.take<pid_t>();
  own.plan.look_ns = reader.take<std::uint64_t>();
  own.plan.slots = reader.take<std::uint32_t>();
  own.plan.active = reader.take<std::uint32_t>();
  own.recipe.make = reinterpret_cast<Task (*)(ParcelReader&)>(resolve_code(reader.take<CodeAddress>()));
  std::vector<std::byte> bytes(reader.take_size(1));
  reader.take(bytes.data(), bytes.size());
  own.recipe.parcel.put(bytes.data(), bytes.size());
  own.plan.recipe = &own.recipe;
  own.plan.task = &own.task;
  return own;
}

void make_task(OwnPlan& own) {
  ParcelReader reader(own.recipe.parcel.bytes());
  own.task = own.recipe.make(reader);
}

void begin_supervisor(ParcelReader& reader) {
  settle_in_child();
  OwnPlan& own = unpack(reader);
  own.plan.lifeline_fd = kLifeline;
  own.plan.shutdown_fd = kShutdown;
  own.plan.caller_pidfd = kCaller;
  if (own.plan.start == StartMethod::forkserver) make_task(own);  // its workers are forked, and have it
  supervise(own.plan);
}

void begin_worker(ParcelReader& reader) {
  const auto zygote = reader.take<pid_t>();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != zygote) _exit(0);  // it died before the line above could tell
  settle_in_child();
  const int slot = reader.take<int>();
  OwnPlan& own = unpack(reader);
  make_task(own);
  live_as_worker(own.plan, slot);
}

}  // namespace

pid_t exec_supervisor(const SupervisorPlan& plan) {
  Parcel parcel;
  pack(parcel, plan);
  // What is sent to the whole group must not end a copy that has not yet come to say that it ignores it: it has the mask of who starts it.
  const SignalsBlocked until_it_settles;
  return exec_program(begin_supervisor, parcel, {plan.lifeline_fd, plan.shutdown_fd, plan.caller_pidfd});
}

pid_t exec_worker(const SupervisorPlan& plan, int slot) noexcept {
  try {
    Parcel parcel;
    parcel.put(getpid());
    parcel.put(slot);
    pack(parcel, plan);
    const SignalsBlocked until_it_settles;
    return exec_program(begin_worker, parcel, {});
  } catch (const std::exception&) {
    if (errno == 0) errno = EAGAIN;
    return -1;
  }
}

}  // namespace cadre
