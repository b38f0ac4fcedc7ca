#include <cadre/shm/storage.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include <cadre/shm/arena.hpp>

namespace cadre {
namespace {

class ArenaStorage final : public Storage {
 public:
  ArenaStorage(std::byte* p, std::size_t bytes) : Storage(p, bytes) {}
  ~ArenaStorage() override { Arena::instance().release(data_); }
};

}  // namespace

std::shared_ptr<Storage> own_storage(std::byte* p, std::size_t bytes) {
  try {
    return std::make_shared<ArenaStorage>(p, bytes);
  } catch (...) {
    Arena::instance().release(p);
    throw;
  }
}

std::shared_ptr<Storage> allocate_storage(std::size_t bytes, bool zero) {
  return own_storage(Arena::instance().allocate(bytes, zero), bytes);
}

namespace {

class Foreign final : public Storage {
 public:
  Foreign(std::byte* data, std::size_t bytes, const File& file) : Storage(data, bytes), file_(file) {}
  const File* file() const noexcept override { return file_.fd >= 0 ? &file_ : nullptr; }

 private:
  File file_;
};

}  // namespace

void pack_storage(Parcel& parcel, const std::shared_ptr<Storage>& storage) {
  parcel.put(storage != nullptr);
  if (!storage) return;
  parcel.put<std::uint64_t>(reinterpret_cast<std::uintptr_t>(storage->data()));
  parcel.put<std::uint64_t>(storage->bytes());
  const Storage::File* const file = storage->file();
  parcel.put<std::int32_t>(file ? file->fd : -1);
  if (!file) return;
  parcel.put(file->serial);
  parcel.put(file->writable);
  Travel<std::string>::pack(parcel, file->path);
}

std::shared_ptr<Storage> unpack_storage(ParcelReader& reader) {
  if (!reader.take<bool>()) return nullptr;
  Arena& arena = Arena::instance();
  auto* const data = reinterpret_cast<std::byte*>(reader.take<std::uint64_t>());
  const auto bytes = reader.take<std::uint64_t>();
  Storage::File file;
  file.fd = reader.take<std::int32_t>();
  if (file.fd < 0) {
    if (!arena.contains(data)) throw Error("an array from another process does not lie in the shared memory");
    return std::make_shared<Foreign>(data, bytes, file);
  }
  file.serial = reader.take<std::uint64_t>();
  file.writable = reader.take<bool>();
  file.path = Travel<std::string>::unpack(reader);
  if (!arena.contains_file(data)) throw Error("an array from another process does not lie where files are mapped");
  const std::string link = "/proc/" + std::to_string(arena.seat().owner) + "/fd/" + std::to_string(file.fd);
  const int fd = open(link.c_str(), (file.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (fd < 0) throw_errno("open " + file.path + ", which another process has mapped", errno, Error::Kind::failed);
  void* const got = mmap(data, bytes, file.writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
  const int error = errno;
  close(fd);
  if (got == MAP_FAILED) throw_errno("map " + file.path, error, Error::Kind::failed);
  return std::make_shared<Foreign>(data, bytes, file);
}

}  // namespace cadre
