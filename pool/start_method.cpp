#include <cadre/pool/start_method.hpp>

#include <string>

#include <cadre/shm/error.hpp>

namespace cadre {

const char* name_of(StartMethod s) {
  switch (s) {
    case StartMethod::fork: return "fork";
    case StartMethod::forkserver: return "forkserver";
    case StartMethod::spawn: return "spawn";
  }
  return "?";
}

StartMethod start_method_named(std::string_view name) {
  for (const StartMethod method : {StartMethod::fork, StartMethod::forkserver, StartMethod::spawn})
    if (name == name_of(method)) return method;
  throw Error("there is no start method \"" + std::string(name) + "\": it is fork, forkserver or spawn");
}

}  // namespace cadre
