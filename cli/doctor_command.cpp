/* cadre doctor: what this machine gives, what is wrong with it, and what would mend that. */
#include <memory>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "machine.hpp"
#include "output.hpp"

namespace cadre::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string counted(int n, const char* one, const char* many) { return std::to_string(n) + " " + (n == 1 ? one : many); }

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

std::string as_json(const Machine& m) {
  Json limits = Json::object(), problems = Json::array();
  for (const Limit& l : m.limits) limits[l.name] = l.value ? Json(*l.value) : Json(nullptr);
  for (const Problem& p : m.problems) problems.push_back({{"what", p.what}, {"remedy", p.remedy}});
  const Json all{{"version", CADRE_VERSION},
                 {"cpus", {{"online", m.online}, {"affinity", m.affinity}, {"quota", m.quota > 0 ? Json(m.quota) : Json(nullptr)}, {"usable", m.usable}}},
                 {"topology",
                  {{"packages", m.packages}, {"cores", m.cores}, {"threads", m.threads}, {"numa_nodes", m.numa}, {"l1", m.l1}, {"l2", m.l2}, {"l3", m.l3}}},
                 {"isa", m.isa},
                 {"memory", {{"total", m.memory}, {"available", m.available.bytes}, {"limited_by", m.available.what}}},
                 {"limits", limits},
                 {"huge_pages", {{"enabled", or_null(m.thp)}, {"shmem_enabled", or_null(m.shmem_thp)}, {"collapse", m.collapse}}},
                 {"memfd", m.memfd},
                 {"start_methods", {"fork", "forkserver", "spawn"}},
                 {"dev_shm", {{"bytes", m.dev_shm}, {"used", false}}},
                 {"problems", problems}};
  return all.dump() + "\n";
}

std::string as_text(const Machine& m) {
  std::string text;
  auto line = [&](const std::string& label, const std::string& what) { text += label + std::string(12 - label.size(), ' ') + what + "\n"; };
  line("cpus", std::to_string(m.usable) + " usable: " + std::to_string(m.online) + " online, " + std::to_string(m.affinity) + " in the affinity mask, " +
                   (m.quota > 0 ? "cgroup quota " + shortest(m.quota) : "no cgroup quota"));
  if (m.threads)
    line("topology", counted(m.packages, "package", "packages") + ", " + counted(m.cores, "core", "cores") + ", " + counted(m.threads, "thread", "threads") + ", " +
                         counted(m.numa, "NUMA node", "NUMA nodes"));
  if (m.l1) line("caches", "L1 " + human_bytes(m.l1) + (m.l2 ? ", L2 " + human_bytes(m.l2) : "") + (m.l3 ? ", L3 " + human_bytes(m.l3) : ""));
  line("isa", m.isa + " (x86-64-" + m.isa + ")");
  line("memory", human_bytes(m.available.bytes) + " available (" + m.available.what + ") of " + human_bytes(m.memory));
  std::string limits;
  for (const Limit& l : m.limits)
    limits += (limits.empty() ? "" : ", ") + std::string(l.words) + " " + (!l.value ? "unlimited" : l.in_bytes ? human_bytes(*l.value) : grouped(*l.value));
  line("limits", limits);
  line("huge pages", std::string(m.collapse ? "arrays lie on 2 MiB pages" : "arrays lie on 4 KiB pages") + " (settings: enabled " +
                         (m.thp.empty() ? "not there" : m.thp) + ", shmem_enabled " + (m.shmem_thp.empty() ? "not there" : m.shmem_thp) + ")");
  line("memfd", m.memfd ? "works" : "refused");
  line("start", "fork, forkserver, spawn");
  line("/dev/shm", (m.dev_shm ? human_bytes(m.dev_shm) : std::string("none")) + ", not used");
  for (const Problem& p : m.problems) {
    text += "\n";
    line("problem", p.what);
    line("remedy", p.remedy);
  }
  if (m.problems.empty()) text += "\nNo problems found.\n";
  return text;
}

}  // namespace

Command add_doctor(CLI::App& program, Context& context) {
  CLI::App* app = program.add_subcommand("doctor", "Tell what this machine gives: CPUs, memory, limits, huge pages, start methods");
  app->allow_extras();
  app->add_flag("--json", context.json, "one JSON object on stdout, nothing else there");
  return {app, [&context] {
            const Machine machine = examine_machine();
            write_out(context.json ? as_json(machine) : as_text(machine));
            return 0;
          }};
}

}  // namespace cadre::cli
