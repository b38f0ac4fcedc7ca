/* bench_figures: every figure of the project, measured, as Markdown. The exit status is 1 where an answer is wrong, 0 whatever the speed. */
#include <cadre/bench/child.hpp>
#include <cadre/bench/machine.hpp>
#include <cadre/bench/ours.hpp>
#include <cadre/bench/races.hpp>

#include <CLI/CLI.hpp>
#include <iostream>
#include <regex>
#include <sstream>

using namespace cadre::bench;

int main(int argc, char** argv) try {
  if (const int status = child_main(argc, argv); status >= 0) return status;
  Setting setting;
  Limits limits;
  std::string filter = ".*";
  bool list = false;
  CLI::App app{"Measures Cadre beside what a good oneTBB user would write, and prints the figures as Markdown."};
  app.add_option("--filter", filter, "regular expression: which races")->capture_default_str();
  app.add_option("--scale", setting.scale, "sizes as a fraction of the full ones, for a quick look")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 1.0));
  app.add_option("--seconds", limits.seconds, "time for the rounds of one race")->capture_default_str();
  app.add_option("--min-rounds", limits.min_rounds, "rounds even if that takes longer")->capture_default_str();
  app.add_option("--max-rounds", limits.max_rounds, "rounds at most")->capture_default_str();
  app.add_option("--workers", setting.workers, "processes and threads")->capture_default_str()->check(CLI::Range(1, 64));
  app.add_flag("--list", list, "only name the races");
  CLI11_PARSE(app, argc, argv);

  const std::regex wanted(filter);
  if (list) {
    for (const Entry& entry : entries())
      if (std::regex_search(entry.name, wanted)) std::cout << entry.name << "\n";
    return 0;
  }
  Workers workers(setting);
  std::cout << machine_fingerprint() << "- " << setting.workers << " workers, code for x86-64-v" << setting.level << "; " << limits.warm_up
            << " rounds of warm-up, then rounds in turn for " << limits.seconds << " s, " << limits.min_rounds << " to "
            << limits.max_rounds << " of them; medians\n\n";
  print_figures_head(std::cout);
  int status = 0;
  std::ostringstream details;
  for (const Entry& entry : entries()) {
    if (!std::regex_search(entry.name, wanted)) continue;
    try {
      const Race race = entry.make(setting);
      const Measured measured = run(race, limits);
      print_figures(std::cout, race, measured);
      print_contestants(details, race, measured);
    } catch (const std::exception& error) {
      std::cout << std::flush;
      std::cerr << "bench_figures: " << entry.name << ": " << error.what() << "\n";
      status = 1;
    }
  }
  std::cout << details.str();
  return status;
} catch (const std::exception& error) {
  std::cerr << "bench_figures: " << error.what() << "\n";
  return 1;
}
