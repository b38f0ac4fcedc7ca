#pragma once
/* Memory that an array lies in: an extent of the arena, or a file mapped into the arena's file region. Either way it is at one
   address in every process of the program. Shared by the arrays that view it, given back when the last of them is gone.
   The caller makes and destroys storages; workers only see addresses. */
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <cadre/shm/parcel.hpp>

namespace cadre {

class Storage {
 public:
  Storage(std::byte* data, std::size_t bytes) : data_(data), bytes_(bytes) {}
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  virtual ~Storage() = default;

  std::byte* data() const noexcept { return data_; }
  std::size_t bytes() const noexcept { return bytes_; }

  /** A mapped file, which workers open through the caller's descriptor; nullptr for arena memory. */
  struct File {
    int fd = -1;               // open in the caller while the storage lives
    std::uint64_t serial = 0;  // unique in the program: tells a worker that the address range now holds another file
    bool writable = false;
    std::string path;          // for messages
  };
  virtual const File* file() const noexcept { return nullptr; }

 protected:
  std::byte* data_;
  std::size_t bytes_;
};

/** `bytes` of zeroed arena memory on 2 MiB pages where the machine allows. Throws Error with both figures when it does not fit.
    `zero` false: the contents are undefined, which spares recycled memory its cleaning. */
std::shared_ptr<Storage> allocate_storage(std::size_t bytes, bool zero = true);

/** The storage of an extent that is the arena's already: reserved, or adopted from an earlier run. Gives it back when it is gone. */
std::shared_ptr<Storage> own_storage(std::byte* p, std::size_t bytes);
/** For arrays that travel to processes that were not forked: there the storage is known, not owned. A file is mapped through the descriptor that
    the program's first process has, at the same address. Throw Error. */
void pack_storage(Parcel& parcel, const std::shared_ptr<Storage>& storage);
std::shared_ptr<Storage> unpack_storage(ParcelReader& reader);

}  // namespace cadre
