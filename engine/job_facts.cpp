#include <cadre/engine/job_facts.hpp>

#include <sys/stat.h>

#include <cstdio>
#include <ctime>
#include <set>

#include <cadre/engine/step.hpp>
#include <cadre/shm/npy_file.hpp>

namespace cadre {

namespace {

/** What a name of a step means, wherever the program is started: a file by its path, a temporary by its name. */
std::string place(const Job& job, const std::string& name) {
  if (const auto at = job.files.find(name); at != job.files.end()) return canonical_path(at->second);
  return is_file_name(name) ? canonical_path(name) : name;
}

std::string value(const cadre_value& v) {
  if (!v.present) return "none";
  if (v.kind == CADRE_INTEGER) return std::to_string(v.integer);
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v.real);
  return text;
}

/** To the nanosecond, for it is compared. */
std::string time_text(const timespec& time) {
  struct tm utc {};
  if (!gmtime_r(&time.tv_sec, &utc)) return std::to_string(time.tv_sec) + " s and " + std::to_string(time.tv_nsec) + " ns";
  char text[64], all[96];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc);
  std::snprintf(all, sizeof all, "%s.%09ld UTC", text, time.tv_nsec);
  return all;
}

}  // namespace

std::vector<Fact> job_facts(const Job& job, const KernelTable& table) {
  std::vector<Fact> facts{{"--chunk", std::to_string(job.chunk)}};
  for (std::size_t i = 0; i < job.steps.size(); ++i) {
    const BoundStep step = bind_step(job.steps[i], table);
    const cadre_kernel& k = step.kernel();
    std::string is = k.name;
    for (std::uint32_t n = 0; n < k.n_inputs; ++n) is += std::string(", ") + k.inputs[n].name + " " + place(job, step.inputs[n]);
    for (std::uint32_t n = 0; n < k.n_outputs; ++n)
      if (!step.outputs[n].empty()) is += std::string(", out ") + k.outputs[n].name + " " + place(job, step.outputs[n]);
    for (std::uint32_t n = 0; n < k.n_params; ++n) is += std::string(", ") + k.params[n].name + "=" + value(step.params[n]);
    facts.push_back({"step " + std::to_string(i + 1), std::move(is)});
  }
  return facts;
}

std::vector<Fact> input_facts(const Job& job, const KernelTable& table) {
  std::vector<Fact> facts;
  std::set<std::string> known;  // inputs told, and what steps make
  for (const Step& given : job.steps) {
    const BoundStep step = bind_step(given, table);
    for (const std::string& name : step.inputs) {
      const std::string path = place(job, name);
      if ((!job.files.contains(name) && !is_file_name(name)) || !known.insert(path).second) continue;
      struct stat status {};
      if (stat(path.c_str(), &status) != 0) throw_errno("look at " + path, errno);
      const NpyInfo info = inspect_npy(path);
      facts.push_back({"input " + path, std::to_string(status.st_size) + " bytes of " + name_of(info.type) + " " + to_string(info.shape) +
                                            ", changed at " + time_text(status.st_mtim)});
    }
    for (const std::string& name : step.outputs)
      if (!name.empty()) known.insert(place(job, name));
  }
  return facts;
}

}  // namespace cadre
