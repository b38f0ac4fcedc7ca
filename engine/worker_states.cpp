#include <cadre/engine/worker_states.hpp>

#include <algorithm>
#include <stdexcept>

namespace cadre {

void* WorkerStates::of(const cadre_kernel* kernel, const cadre_kernel& complete, std::uint32_t slot) {
  if (!complete.set_up) return nullptr;
  if (const auto at = states_.find(kernel); at != states_.end()) return at->second.worker.worker;
  State state;
  state.worker.size = sizeof state.worker;
  state.worker.slot = slot;
  state.worker.state = complete.state;
  state.tear_down = complete.tear_down;
  if (complete.set_up(&state.worker) != CADRE_OK) {
    state.worker.message[sizeof state.worker.message - 1] = 0;
    throw std::runtime_error(std::string("its set_up fails: ") + (state.worker.message[0] ? state.worker.message : "no reason given"));
  }
  return states_.emplace(kernel, state).first->second.worker.worker;
}

bool WorkerStates::keeps() const {
  return std::any_of(states_.begin(), states_.end(), [](const auto& entry) { return entry.second.tear_down != nullptr; });
}

void WorkerStates::tear_down() noexcept {
  for (auto& [kernel, state] : states_)
    if (state.tear_down) state.tear_down(&state.worker);
  states_.clear();
}

}  // namespace cadre
