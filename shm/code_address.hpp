#pragma once
/* Addresses of code that mean the same in a process that was not forked: where the loader puts a program or a library differs from process to
   process, the distance from its beginning does not, as long as it is the same build. */
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace cadre {

/** Trivially copyable: travels as bytes. */
struct CodeAddress {
  std::array<std::uint8_t, 20> build_id{};  // of the module, as the linker wrote it
  std::uint32_t build_id_bytes = 0;
  std::uint64_t offset = 0;                 // from where the module is loaded
  std::array<char, 96> module{};            // its name, for messages; empty: the program itself
};

/** Where `code` is. Throws Error when it lies in no loaded module, or in one without a build id. */
CodeAddress locate_code(const void* code);
/** The same place in this process. Throws Error when the module is not loaded here, or is another build. */
void* resolve_code(const CodeAddress& address);

template <class R, class... Args>
CodeAddress locate_code(R (*function)(Args...)) {
  return locate_code(reinterpret_cast<const void*>(function));
}

class Parcel;
class ParcelReader;

/** Where another process has the program and its libraries: for addresses of functions and constants that it has written down as its own. */
class CodeMap {
 public:
  /** In the process whose addresses they will be. Modules without a build id are left out. */
  static void pack(Parcel& parcel);
  /** In the process that is to understand them. */
  static CodeMap unpack(ParcelReader& reader);
  /** The same place here; nullptr stays nullptr. Throws Error when it lies in no module that both have. */
  template <class T>
  T* here(T* there) const {
    return reinterpret_cast<T*>(translate(reinterpret_cast<std::uintptr_t>(there)));
  }

 private:
  struct Module {
    std::uintptr_t begin, end;  // there
    std::uintptr_t distance;    // from there to here, modulo 2^64
  };
  std::uintptr_t translate(std::uintptr_t there) const;
  std::vector<Module> modules_;
};

}  // namespace cadre
