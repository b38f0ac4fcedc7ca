#pragma once
/* What is compared with what: the value of --backends.

     serial,threads,processes:pages=4k,processes:start=spawn:pin=no

   An entry is a backend and settings behind colons. An entry may stand there twice: processes,processes shows what of a difference is noise. */
#include <string>
#include <vector>

#include <cadre/engine/options.hpp>

namespace cadre::compare {

struct BackendSpec {
  std::string text;                       // as typed: the name in tables
  Backend backend = Backend::processes;
  StartMethod start = StartMethod::fork;  // start=fork|forkserver|spawn; processes only
  bool pin = true;                        // pin=yes|no; processes only
  bool small_pages = false;               // pages=huge|4k; of arrays in shared memory
  bool private_copies = false;            // combine=segments|private; threads only
};

/** Throws Error (usage) that names the entry, what is wrong with it, and what there is. `base`: what entries that say nothing else get. */
std::vector<BackendSpec> parse_backends(const std::string& list, const Options& base);

/** "1,2,4" and "1M,16M": whole numbers from 1 to `most`, with K, M, G for powers of 1024 where `units` is true. Throws Error (usage). */
std::vector<std::uint64_t> parse_numbers(const std::string& flag, const std::string& list, std::uint64_t most, bool units);

}  // namespace cadre::compare
