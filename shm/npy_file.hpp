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

/** An output file in the making whose temporary has a name that outlives the program, for whoever carries on. */
struct KeptFile {
  std::string path;       // what it will be called
  std::string temporary;  // what it is called until then
  std::uint64_t device = 0, inode = 0;
};

/** An output file in the making. Caller only; workers reach its memory through Storage::file(). In a storage with a file, data() is the
    file's first byte and bytes() reach to the end of the elements; the array's data lie behind the header. */
class NpyOutput {
 public:
  /** Makes the temporary in the directory of `path` (nameless where the file system can, else ".NAME.PID.tmp"), reserves its blocks (a full
      disk is an Error here, not a SIGBUS later) and maps it. A link at `path` is followed. */
  NpyOutput(const std::string& path, DType type, const Shape& shape);
  /** With a temporary of the name ".NAME.TAG.tmp" beside it, which stays there until it is committed. `again`: it is there from an earlier run, and what was
      written stays; else it is made afresh. */
  NpyOutput(const std::string& path, DType type, const Shape& shape, const std::string& tag, bool again);
  /** Writes all of it from `data`, without mapping it. `tag` "": not kept. */
  static NpyOutput written(const std::string& path, DType type, const Shape& shape, const void* data, const std::string& tag = "");
  NpyOutput(NpyOutput&&) noexcept;
  ~NpyOutput();  // removes a temporary that is not kept if commit() was not reached
  NpyOutput(const NpyOutput&) = delete;
  NpyOutput& operator=(const NpyOutput&) = delete;

  const AnyArray& array() const;
  KeptFile kept() const;
  /** Checks that the file can take its name, before anything is made: directory exists and is writable, name is no directory. */
  static void check(const std::string& path);
  /** Syncs nothing, renames the temporary to the path. Throws Error. */
  void commit();
  /** Puts what was written onto the disk. Throws Error. */
  void sync();
  /** Removes the temporary though it is kept. */
  void discard() noexcept;

 private:
  struct Impl;
  explicit NpyOutput(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/** Syncs and renames what an earlier run has made; nothing when that run has renamed it already. Throws Error when neither is there. */
void commit_kept(const KeptFile& file);

/** Writes a whole array from memory: temporary, write, rename. Throws Error. */
void write_npy(const std::string& path, DType type, const Shape& shape, const void* data);

}  // namespace cadre
