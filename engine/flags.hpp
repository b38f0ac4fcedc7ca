#pragma once
/* The flags of `cadre run` as text, for whoever has them as text: the command line, job files, the help page. One table says
   which there are; apply_flag says what each value means.

     RunSettings settings;
     apply_flag(settings, "workers", "8", "");                 // --workers 8
     apply_flag(settings, "no-pin", "true", "fares.toml:3");   // no-pin = true, on line 3 of fares.toml */
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include <cadre/engine/job.hpp>
#include <cadre/engine/options.hpp>

namespace cadre {

struct Flag {
  const char* name;   // without dashes
  const char* value;  // what stands for the value in the help page; nullptr: a switch, "true" or "false" as text
  const char* doc;    // one line
  bool built;         // false: known, refused with "not built yet"
};
/** All flags that a job file may set too, in the order of the help page. */
std::span<const Flag> run_flags();

/** What the flags of one `cadre run` come to. */
struct RunSettings {
  Options options;
  std::uint64_t chunk = 0;
  bool digest = true;
  bool json = false;
  bool progress = true;
  bool quiet = false;
};

/** Sets one flag from its text; several values (of "plugin") are separated by newlines. Throws Error (usage) with `where`, or the flag
    as typed, in front: values out of range, flags that are unknown or not built yet. */
void apply_flag(RunSettings& settings, const std::string& name, const std::string& value, const std::string& where);

/** "x=file.npy" -> ("x", "file.npy"); "file.npy" -> ("", "file.npy"). What stands before the first '=' is a name when it is an identifier. */
std::pair<std::string, std::string> parse_binding(const std::string& text);

/** "bins=100" -> ("bins", 100). Digits alone are a whole number, kept exactly; all else is a real ("1e6" too). Throws Error (usage). */
std::pair<std::string, Param> parse_param(const std::string& text);

}  // namespace cadre
