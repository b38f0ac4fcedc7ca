#include <cadre/engine/options.hpp>

namespace cadre {

const char* name_of(Backend b) {
  switch (b) {
    case Backend::serial: return "serial";
    case Backend::threads: return "threads";
    case Backend::processes: return "processes";
  }
  return "?";
}

const char* name_of(OnPoison p) {
  switch (p) {
    case OnPoison::fail: return "fail";
    case OnPoison::skip: return "skip";
  }
  return "?";
}

const char* name_of(Isa i) {
  switch (i) {
    case Isa::automatic: return "auto";
    case Isa::v2: return "v2";
    case Isa::v3: return "v3";
    case Isa::v4: return "v4";
  }
  return "?";
}

}  // namespace cadre
