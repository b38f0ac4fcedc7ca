#pragma once
/* .npy files as arrays: inputs mapped read-only, never copied; outputs written in place in a temporary beside their name, which
   gets the name when it is whole. */
#include <memory>
#include <string>

#include <cadre/shm/array.hpp>

namespace cadre {

/** What the header of a file says, with no mapping made. Throws Error as open_npy does. */
struct NpyInfo {
  DType type;
  Shape shape;
  bool fortran_order;
  std::uint64_t device, inode;  // to recognise one file under two names
};
NpyInfo inspect_npy(const std::string& path);

/** Maps a .npy file for reading into the arena's file region. Regular files only: FIFOs, directories, devices, links that dangle
    or loop, files that can not be read are refused by name; data shorter than the header says are refused with both sizes; longer ones
    give a warning on stderr. Fortran order is refused where it matters. Caller only. */
AnyArray open_npy(const std::string& path);

/** An output file in the making. Caller only; workers reach its memory through Storage::file(). In a storage with a file, data() is the
    file's first byte and bytes() reach to the end of the elements; the array's data lie behind the header. */
class NpyOutput {
 public:
  /** Makes the temporary in the directory of `path` (nameless where the file system can, else ".NAME.PID.tmp"), reserves its blocks (a full
      disk is an Error here, not a SIGBUS later) and maps it. A link at `path` is followed. */
  NpyOutput(const std::string& path, DType type, const Shape& shape);
  ~NpyOutput();  // removes the temporary if commit() was not reached
  NpyOutput(const NpyOutput&) = delete;
  NpyOutput& operator=(const NpyOutput&) = delete;

  const AnyArray& array() const;
  /** Checks that the file can take its name, before anything is made: directory exists and is writable, name is no directory. */
  static void check(const std::string& path);
  /** Syncs nothing, renames the temporary to the path. Throws Error. */
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/** Writes a whole array from memory: temporary, write, rename. Throws Error. */
void write_npy(const std::string& path, DType type, const Shape& shape, const void* data);

}  // namespace cadre
