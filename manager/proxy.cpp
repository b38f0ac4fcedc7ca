#include <cadre/manager/proxy.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <cadre/manager/client.hpp>
#include <cadre/manager/encoding.hpp>
#include <cadre/manager/session.hpp>

namespace cadre {

namespace detail {

Data Handle::call(const char* verb, Data::List args) const { return client_->call(object_, {}, verb, std::move(args)); }

void Handle::pack(Parcel& parcel) const {
  Travel<std::string>::pack(parcel, client_->address());
  Travel<std::string>::pack(parcel, client_->certificates());
  parcel.put(object_);
}
std::pair<std::shared_ptr<ClientState>, std::uint64_t> Handle::unpack_handle(ParcelReader& reader) {
  const std::string address = Travel<std::string>::unpack(reader), certificates = Travel<std::string>::unpack(reader);
  return {ClientState::of(address, certificates), reader.take<std::uint64_t>()};
}

MappedNumbers::MappedNumbers(const std::string& file, DType type, std::uint64_t size) : bytes_(std::max<std::size_t>(size * size_of(type), 1)) {
  const int fd = open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) throw_errno("open an array of the manager (" + file + ")", errno, Error::Kind::failed);
  data_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = errno;
  ::close(fd);
  if (data_ == MAP_FAILED) throw_errno("map an array of the manager", error, Error::Kind::failed);
}
MappedNumbers::~MappedNumbers() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace detail

Data Proxy::call(const char* verb, Data::List args) const {
  if (!recorder_) return client_->call(object_, path_, verb, std::move(args));
  recorder_->calls_.push_back(Data::List{object_, path_, verb, std::move(args)});
  // What is read of it is of no use, but must be readable: as whatever the verb returns.
  for (const char* yes_or_no : {"exists", "compare_and_set", "contains"})
    if (std::string_view(verb) == yes_or_no) return false;
  for (const char* number : {"len", "index", "count"})
    if (std::string_view(verb) == number) return 0;
  for (const char* text : {"repr", "type"})
    if (std::string_view(verb) == text) return "";
  for (const char* list : {"keys", "values", "items", "get_many", "popitem"})
    if (std::string_view(verb) == list) return Data::List{};
  return {};
}

std::pair<Data, Data> Proxy::popitem() const {
  Data item = call("popitem");
  if (item.list().size() != 2) return {};
  return {std::move(item.list()[0]), std::move(item.list()[1])};
}

std::vector<std::pair<Data, Data>> Proxy::items() const {
  std::vector<std::pair<Data, Data>> all;
  Data received = call("items");
  for (Data& item : received.list()) all.emplace_back(std::move(item.list().at(0)), std::move(item.list().at(1)));
  return all;
}

Proxy::Copy Proxy::begin() const {
  Data all = value();
  if (all.kind() == Data::Kind::list) return {std::move(all.list())};
  Copy copy;
  if (all.kind() == Data::Kind::array)
    for (std::uint64_t i = 0; i < all.array().size(); ++i) copy.all.push_back(all.array().at(i));
  else
    all.dict().each([&](const Data& key, const Data&) { copy.all.push_back(key); });
  return copy;
}

detail::MappedNumbers Proxy::map_numbers(DType type, std::uint64_t& size) const {
  if (recorder_) throw Error("map an array: not in a transaction");
  if (!client_->is_local()) throw Error("map an array: the manager at " + client_->address() + " is reached over a network; read it with slice(), write it with write()");
  const Data shared = call("share");
  const Data::List& told = shared.list();
  const auto found = static_cast<DType>(told.at(2).integer());
  if (found != type) throw Error(std::string("map an array of ") + name_of(found) + " as one of " + name_of(type));
  size = told.at(3).as<std::uint64_t>();
  return {"/proc/" + std::to_string(told.at(0).integer()) + "/fd/" + std::to_string(told.at(1).integer()), type, size};
}

void Proxy::pack(Parcel& parcel) const {
  Handle::pack(parcel);
  std::string path;
  detail::encode(path, path_);
  Travel<std::string>::pack(parcel, path);
}
Proxy Proxy::unpack(ParcelReader& reader) {
  auto [client, object] = unpack_handle(reader);
  Proxy p(std::move(client), object);
  p.path_ = detail::decode(Travel<std::string>::unpack(reader)).list();
  return p;
}

LockResult LockProxy::acquire(std::optional<std::chrono::nanoseconds> timeout) const {
  switch (call("acquire", {seconds(timeout)}).integer()) {
    case 0: return LockResult::acquired;
    case 1: return LockResult::owner_died;
    default: return LockResult::timed_out;
  }
}

std::optional<Data> QueueProxy::get(std::chrono::nanoseconds timeout) const {
  Data item = call("get", {seconds(timeout)});
  if (item.is_null()) return std::nullopt;
  return std::move(item.list().at(0));
}
bool QueueProxy::full() const {
  const std::int64_t most = call("maxsize").integer();
  return most > 0 && call("qsize").integer() >= most;
}

/* The client */

ManagerClient::ManagerClient(const std::string& address, const std::string& certificates) : state_(detail::ClientState::of(address, certificates)) { (void)stats(); }

const std::string& ManagerClient::address() const { return state_->address(); }
pid_t ManagerClient::server_pid() const { return state_->server_pid(); }
bool ManagerClient::is_local() const { return state_->is_local(); }

std::uint64_t ManagerClient::make(const std::string& kind, const std::string& name, Data::List args) const {
  return state_->call(Data(), {}, "make", {kind, name.empty() ? Data() : Data(name), std::move(args)}).as<std::uint64_t>();
}
void ManagerClient::remove(const detail::Handle& object) const { state_->call(Data(), {}, "remove", {object.object()}); }
Data ManagerClient::stats() const { return state_->call(Data(), {}, "stats", {}); }

std::vector<std::pair<std::string, std::string>> ManagerClient::names() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Data& each : state_->call(Data(), {}, "names", {}).list()) all.emplace_back(each.list().at(0).text(), each.list().at(1).text());
  return all;
}

std::vector<Data> ManagerClient::together(const char* verb, const std::function<void(Transaction&)>& calls) const {
  Transaction t;
  calls(t);
  Data results = state_->call(Data(), {}, verb, {Data(std::move(t.calls_))});
  if (std::string_view(verb) == "transaction") return std::move(results.list());
  std::vector<Data> all;
  for (Data& each : results.list()) {
    if (!each.list().at(0).boolean()) throw ManagerError("", each.list().at(1).text());
    all.push_back(std::move(each.list().at(1)));
  }
  return all;
}

void ManagerClient::pack(Parcel& parcel) const {
  Travel<std::string>::pack(parcel, state_->address());
  Travel<std::string>::pack(parcel, state_->certificates());
}
ManagerClient ManagerClient::unpack(ParcelReader& reader) {
  const std::string address = Travel<std::string>::unpack(reader), certificates = Travel<std::string>::unpack(reader);
  return ManagerClient(detail::ClientState::of(address, certificates));
}

}  // namespace cadre
