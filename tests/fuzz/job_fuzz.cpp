/* Any bytes as a job file: refused with an Error that names the file, or a job of steps with kernels. Its options are applied as the program does it. */
#include <cstdlib>

#include <cadre/engine/flags.hpp>
#include <cadre/engine/job.hpp>
#include <cadre/shm/error.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const cadre::JobFile file = cadre::parse_job_text({reinterpret_cast<const char*>(data), size}, "fuzz.toml");
    if (file.job.steps.empty()) std::abort();
    for (const cadre::Step& step : file.job.steps)
      if (step.kernel.empty() || step.where.rfind("fuzz.toml:", 0) != 0) std::abort();
    cadre::RunSettings settings;
    for (const auto& [name, value] : file.options) cadre::apply_flag(settings, name, value, "fuzz.toml:" + std::to_string(file.option_lines.at(name)));
  } catch (const cadre::Error& error) {
    if (std::string(error.what()).find("fuzz.toml") == std::string::npos) std::abort();
  }
  return 0;
}
