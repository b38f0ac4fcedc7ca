#include <cadre/bench/ours.hpp>
#include <cadre/bench/team.hpp>

#include <memory>

namespace cadre::bench {

Workers::Workers(Setting& setting)
    : processes_({.backend = Backend::processes, .workers = setting.workers, .plugins = {BENCH_PLUGIN}}),
      crowd_({.backend = Backend::processes, .workers = kCrowd}),
      pool_(setting.workers),
      crowded_pool_(kCrowd),
      threads_({.backend = Backend::threads, .workers = setting.workers, .plugins = {BENCH_PLUGIN}}) {
  set_team_size(setting.workers);
  setting.processes = &processes_;
  setting.crowd = &crowd_;
  setting.pool = &pool_;
  setting.crowded_pool = &crowded_pool_;
  setting.threads = &threads_;
  setting.level = processes_.options().isa == Isa::v4 ? 4 : processes_.options().isa == Isa::v3 ? 3 : 2;
}

Job job_of(const std::string& kernel, const NamedArrays& in, const NamedArrays& out,
           const std::vector<std::pair<std::string, Param>>& params) {
  Job job;
  job.name = kernel;
  job.digest = false;
  Step step;
  step.kernel = kernel;
  step.params = params;
  for (const auto& [name, array] : in) {
    job.arrays["in_" + name] = array;
    step.in.push_back({name, "in_" + name});
  }
  for (const auto& [name, array] : out) {
    job.arrays["out_" + name] = array;
    step.out.push_back({name, "out_" + name});
  }
  job.steps.push_back(step);
  return job;
}

void add_engines(Race& race, const Setting& setting, const Job& job, const std::function<void(const Report&)>& check) {
  const auto add = [&](const std::string& name, Engine* engine) {
    auto report = std::make_shared<Report>();
    race.contestants.push_back({name,
                                [=] {
                                  const double seconds = seconds_of([&] { *report = engine->run(job); });
                                  if (report->exit_code != 0) throw WrongAnswer(job.name + ", " + name + ": " + report->error);
                                  return seconds;
                                },
                                [=] {
                                  check(*report);
                                  *report = Report{};
                                }});
  };
  add("processes", setting.processes);
  add("Cadre threads", setting.threads);
}

double number_of(const Report& report, const std::string& result) {
  if (!report.steps.empty())
    for (const SmallResult& r : report.steps.back().result)
      if (r.name == result)
        return std::visit(
            [](const auto& values) { return values.empty() ? throw WrongAnswer("an empty result") : static_cast<double>(values.front()); },
            r.values);
  throw WrongAnswer("there is no result named " + result);
}

std::vector<std::string> peers_of(const Race& race) {
  std::vector<std::string> names;
  for (const Contestant& c : race.contestants)
    if (c.name.rfind("oneTBB", 0) == 0) names.push_back(c.name);
  return names;
}

}  // namespace cadre::bench
