#include <cadre/sync/lock.hpp>

namespace cadre {

void RLock::throw_not_mine() { throw Error("release of a recursive lock that this thread does not hold"); }

void AnyLock::pack(Parcel& parcel) const {
  parcel.put<std::uint8_t>(static_cast<std::uint8_t>(lock_.index()));
  std::visit([&](const auto& lock) { lock.pack(parcel); }, lock_);
}

AnyLock AnyLock::unpack(ParcelReader& reader) {
  if (reader.take<std::uint8_t>() == 0) return AnyLock(RLock::unpack(reader));
  return AnyLock(Lock::unpack(reader));
}

}  // namespace cadre
