#pragma once
/* What kernels of plug-ins keep in one worker from chunk to chunk: made by set_up() before the first chunk, destroyed by tear_down(). */
#include <cstdint>
#include <map>
#include <string>

#include <cadre/kernels/kernel.h>

namespace cadre {

class WorkerStates {
 public:
  WorkerStates() = default;
  WorkerStates(const WorkerStates&) = delete;
  ~WorkerStates() { tear_down(); }

  /** The state of a kernel in this worker, set up when it is new; nullptr for a kernel without set_up(). Throws std::runtime_error with the kernel's
      message. `kernel` identifies it, and lives as long as this object or until tear_down(). */
  void* of(const cadre_kernel* kernel, const cadre_kernel& complete, std::uint32_t slot);
  /** Whether one of them is to be torn down. */
  bool keeps() const;
  /** Destroys all of them: the worker leaves in order. */
  void tear_down() noexcept;

 private:
  struct State {
    cadre_worker worker{};
    void (*tear_down)(cadre_worker*) = nullptr;
  };
  std::map<const cadre_kernel*, State> states_;
};

}  // namespace cadre
