#include <cadre/kernels/registry.hpp>

#include <algorithm>
#include <cctype>

#include <cadre/kernels/plugin/cpu_level.h>

extern "C" {
const cadre_library* cadre_builtin_v2();
const cadre_library* cadre_builtin_v3();
const cadre_library* cadre_builtin_v4();
}

namespace cadre {

const char* name_of(Level level) {
  constexpr const char* names[] = {"v2", "v3", "v4"};
  return names[static_cast<int>(level)];
}

std::optional<Level> level_of(std::string_view name) {
  for (Level level : {Level::v2, Level::v3, Level::v4})
    if (name == name_of(level)) return level;
  return std::nullopt;
}

bool has_level(Level level) {
  switch (level) {
    case Level::v2: return CADRE_CPU_HAS_V2;
    case Level::v3: return CADRE_CPU_HAS_V3;
    case Level::v4: return CADRE_CPU_HAS_V4;
  }
  return false;
}

Level best_level() { return has_level(Level::v4) ? Level::v4 : has_level(Level::v3) ? Level::v3 : Level::v2; }

const cadre_library* builtin_kernels(Level level) {
  switch (level) {
    case Level::v4: return cadre_builtin_v4();
    case Level::v3: return cadre_builtin_v3();
    default: return cadre_builtin_v2();
  }
}

const cadre_kernel* find_kernel(std::string_view name, Level level) {
  const cadre_library* library = builtin_kernels(level);
  for (std::uint32_t i = 0; i < library->count; ++i)
    if (name == library->kernels[i]->name) return library->kernels[i];
  return nullptr;
}

std::vector<std::string> kernel_names() {
  const cadre_library* library = builtin_kernels(Level::v2);
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < library->count; ++i) names.emplace_back(library->kernels[i]->name);
  return names;
}

namespace {

/** Damerau-Levenshtein distance (optimal string alignment), doubled, so that a letter of the other case can cost 1. */
int distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = 2 * static_cast<int>(j);
  const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = 2 * static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replace = a[i - 1] == b[j - 1] ? 0 : lower(a[i - 1]) == lower(b[j - 1]) ? 1 : 2;
      now[j] = std::min({last[j] + 2, now[j - 1] + 2, last[j - 1] + replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) now[j] = std::min(now[j], before[j - 2] + 2);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongestSensibleName = 64;
  if (name.size() > kLongestSensibleName) return {};
  // Near enough: at most half of the letters differ. A name that begins as typed ("kmeans") is meant, however long it goes on.
  int best = static_cast<int>(std::max<std::size_t>(2, name.size())) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& candidate : candidates) {
    int d = distance(name, candidate);
    if (name.size() >= 3 && candidate.compare(0, name.size(), name) == 0) d = std::min(d, 2);
    if (d < best) best = d, nearest = &candidate;
  }
  return nearest ? *nearest : std::string{};
}

}  // namespace cadre
