#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <cadre/manager/data.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

#include <cadre/shm/memory.hpp>

namespace cadre {

/* Arrays */

NumberArray::NumberArray(DType type, std::uint64_t size, bool shared) : type_(type), size_(size) {
  if (size > std::numeric_limits<std::int64_t>::max() / size_of(type)) throw Error("an array of " + std::to_string(size) + " numbers has more bytes than there can be");
  if (!shared) {
    data_ = new std::byte[std::max<std::size_t>(size_bytes(), 1)]();
    return;
  }
  require_memory(size_bytes(), "an array of " + std::to_string(size) + " " + name_of(type));
  fd_ = memfd_create("cadre-manager-array", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd_ < 0) throw_errno("make a file for an array that processes share", errno, Error::Kind::failed);
  const std::size_t bytes = std::max<std::size_t>(size_bytes(), 1);
  void* const at = ftruncate(fd_, static_cast<off_t>(bytes)) == 0 ? mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0) : MAP_FAILED;
  if (at == MAP_FAILED) {
    const int error = errno;
    ::close(fd_);
    throw_errno("map an array of " + human_bytes(bytes), error, Error::Kind::failed);
  }
  fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);  // nobody who maps it can make the others' accesses fail
  data_ = static_cast<std::byte*>(at);
}

NumberArray::NumberArray(const NumberArray& other) : NumberArray(other.type_, other.size_) { std::memcpy(data_, other.data_, size_bytes()); }
NumberArray::NumberArray(NumberArray&& other) noexcept
    : type_(other.type_), size_(std::exchange(other.size_, 0)), data_(std::exchange(other.data_, nullptr)), fd_(std::exchange(other.fd_, -1)) {}
NumberArray& NumberArray::operator=(NumberArray other) noexcept {
  std::swap(type_, other.type_);
  std::swap(size_, other.size_);
  std::swap(data_, other.data_);
  std::swap(fd_, other.fd_);
  return *this;
}
NumberArray::~NumberArray() { release(); }

void NumberArray::release() noexcept {
  if (fd_ >= 0) {
    munmap(data_, std::max<std::size_t>(size_bytes(), 1));
    ::close(fd_);
  } else {
    delete[] data_;
  }
}

int NumberArray::share() {
  if (fd_ < 0) {
    NumberArray shared(type_, size_, true);
    std::memcpy(shared.data_, data_, size_bytes());
    *this = std::move(shared);
  }
  return fd_;
}

bool NumberArray::operator==(const NumberArray& other) const {
  if (type_ == other.type_ && type_ > DType::f32) return size_ == other.size_ && std::memcmp(data_, other.data_, size_bytes()) == 0;
  if (size_ != other.size_) return false;
  for (std::uint64_t i = 0; i < size_; ++i)
    if (!(at(i) == other.at(i))) return false;
  return true;
}

namespace {

/** Calls f with a null pointer of the element type. */
template <class F>
auto with_type(DType type, F f) {
  switch (type) {
    case DType::f64: return f(static_cast<double*>(nullptr));
    case DType::f32: return f(static_cast<float*>(nullptr));
    case DType::i8: return f(static_cast<std::int8_t*>(nullptr));
    case DType::i16: return f(static_cast<std::int16_t*>(nullptr));
    case DType::i32: return f(static_cast<std::int32_t*>(nullptr));
    case DType::i64: return f(static_cast<std::int64_t*>(nullptr));
    case DType::u8: return f(static_cast<std::uint8_t*>(nullptr));
    case DType::u16: return f(static_cast<std::uint16_t*>(nullptr));
    case DType::u32: return f(static_cast<std::uint32_t*>(nullptr));
    default: return f(static_cast<std::uint64_t*>(nullptr));
  }
}

}  // namespace

Data NumberArray::at(std::uint64_t i) const {
  if (i >= size_) throw Error("IndexError: an array of " + std::to_string(size_) + " has no element " + std::to_string(i));
  return with_type(type_, [&]<class T>(T*) {
    T value;
    std::memcpy(&value, data_ + i * sizeof(T), sizeof(T));
    return Data(value);
  });
}

void NumberArray::set(std::uint64_t i, const Data& value) {
  if (i >= size_) throw Error("IndexError: an array of " + std::to_string(size_) + " has no element " + std::to_string(i));
  with_type(type_, [&]<class T>(T*) {
    const T number = value.as<T>();
    std::memcpy(data_ + i * sizeof(T), &number, sizeof(T));
  });
}

/* Values */

Data::Data(const Data& other) {
  if (const auto* array = std::get_if<std::unique_ptr<NumberArray>>(&other.v_))
    v_ = std::make_unique<NumberArray>(**array);
  else
    std::visit(
        [this](const auto& v) {
          if constexpr (std::is_copy_constructible_v<std::remove_cvref_t<decltype(v)>>) v_ = v;
        },
        other.v_);
}

Data::Data(Data&&) noexcept = default;
Data& Data::operator=(Data other) noexcept {
  v_ = std::move(other.v_);
  return *this;
}
Data::~Data() = default;

void Data::assign_array(DType type, const void* numbers, std::uint64_t size) {
  auto array = std::make_unique<NumberArray>(type, size);
  if (size) std::memcpy(array->bytes(), numbers, array->size_bytes());
  v_ = std::move(array);
}

const char* Data::type_name() const noexcept {
  constexpr const char* names[] = {"NoneType", "bool", "int", "float", "str", "bytes", "list", "dict", "array"};
  return names[v_.index()];
}

void Data::wrong(const char* wanted) const { throw Error(std::string("TypeError: a value of type ") + type_name() + " is no " + wanted); }

bool Data::boolean() const {
  if (const auto* b = std::get_if<bool>(&v_)) return *b;
  wrong("bool");
}
std::int64_t Data::integer() const {
  if (const auto* i = std::get_if<std::int64_t>(&v_)) return *i;
  if (const auto* b = std::get_if<bool>(&v_)) return *b;
  wrong("int");
}
double Data::real() const {
  if (const auto* d = std::get_if<double>(&v_)) return *d;
  if (const auto* i = std::get_if<std::int64_t>(&v_)) return static_cast<double>(*i);
  if (const auto* b = std::get_if<bool>(&v_)) return *b;
  wrong("float");
}
const std::string& Data::text() const {
  if (const auto* s = std::get_if<std::string>(&v_)) return *s;
  wrong("str");
}
const std::string& Data::bytes() const {
  if (const auto* b = std::get_if<Bytes>(&v_)) return b->bytes;
  wrong("bytes");
}
const Data::List& Data::list() const {
  if (const auto* l = std::get_if<List>(&v_)) return *l;
  wrong("list");
}
Data::List& Data::list() { return const_cast<List&>(std::as_const(*this).list()); }
const Data::Dict& Data::dict() const {
  if (const auto* d = std::get_if<Dict>(&v_)) return *d;
  wrong("dict");
}
Data::Dict& Data::dict() { return const_cast<Dict&>(std::as_const(*this).dict()); }
const NumberArray& Data::array() const {
  if (const auto* a = std::get_if<std::unique_ptr<NumberArray>>(&v_); a && *a) return **a;
  wrong("array");
}
NumberArray& Data::array() { return const_cast<NumberArray&>(std::as_const(*this).array()); }

namespace {

/** -1, 0, 1; 2 where one is NaN. Exact, unlike a conversion of large integers. */
int compare_numbers(const Data& a, const Data& b) {
  if (a.kind() != Data::Kind::real && b.kind() != Data::Kind::real) return a.integer() < b.integer() ? -1 : a.integer() > b.integer();
  if (a.kind() == Data::Kind::real && b.kind() == Data::Kind::real) {
    const double x = a.real(), y = b.real();
    return std::isnan(x) || std::isnan(y) ? 2 : x < y ? -1 : x > y;
  }
  if (a.kind() != Data::Kind::real) {
    const int other = compare_numbers(b, a);
    return other == 2 ? 2 : -other;
  }
  const double x = a.real();
  const std::int64_t i = b.integer();
  if (std::isnan(x)) return 2;
  if (x >= 0x1p63) return 1;
  if (x < -0x1p63) return -1;
  const double whole = std::floor(x);
  const auto w = static_cast<std::int64_t>(whole);
  return w < i ? -1 : w > i ? 1 : x > whole;
}

}  // namespace

bool Data::operator==(const Data& other) const {
  if (is_number() && other.is_number()) return compare_numbers(*this, other) == 0;
  if (v_.index() != other.v_.index()) return false;
  switch (kind()) {
    case Kind::text: return text() == other.text();
    case Kind::bytes: return bytes() == other.bytes();
    case Kind::list: return list() == other.list();
    case Kind::dict: return dict() == other.dict();
    case Kind::array: return array() == other.array();
    default: return true;  // null
  }
}

bool Data::less(const Data& other) const {
  if (is_number() && other.is_number()) return compare_numbers(*this, other) == -1;
  if (kind() == Kind::text && other.kind() == Kind::text) return text() < other.text();
  if (kind() == Kind::bytes && other.kind() == Kind::bytes) return bytes() < other.bytes();
  if (kind() == Kind::list && other.kind() == Kind::list) {
    const List &a = list(), &b = other.list();
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
      if (!(a[i] == b[i])) return a[i].less(b[i]);
    return a.size() < b.size();
  }
  throw Error(std::string("TypeError: '<' not supported between instances of '") + type_name() + "' and '" + other.type_name() + "'");
}

namespace {

void quote(std::string& out, std::string_view text) {
  const char mark = text.find('\'') != text.npos && text.find('"') == text.npos ? '"' : '\'';
  out += mark;
  for (const char c : text) {
    if (c == '\\' || c == mark) out += '\\', out += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\t') out += "\\t";
    else if (c == '\r') out += "\\r";
    else if (static_cast<unsigned char>(c) < 32 || c == 127) {
      constexpr char hex[] = "0123456789abcdef";
      out += "\\x";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[c & 15];
    } else out += c;
  }
  out += mark;
}

void print_real(std::string& out, double v) {
  if (std::isnan(v) || std::isinf(v)) {
    out += std::isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
    return;
  }
  char room[40];
  const bool plain = v == 0 || (std::fabs(v) >= 1e-4 && std::fabs(v) < 1e16);  // as Python chooses
  const auto end = std::to_chars(room, room + sizeof room, v, plain ? std::chars_format::fixed : std::chars_format::scientific);
  const std::string_view text(room, static_cast<std::size_t>(end.ptr - room));
  out += text;
  if (plain && text.find('.') == text.npos) out += ".0";
}

void print(std::string& out, const Data& d) {
  switch (d.kind()) {
    case Data::Kind::null: out += "None"; break;
    case Data::Kind::boolean: out += d.boolean() ? "True" : "False"; break;
    case Data::Kind::integer: out += std::to_string(d.integer()); break;
    case Data::Kind::real: print_real(out, d.real()); break;
    case Data::Kind::text: quote(out, d.text()); break;
    case Data::Kind::bytes: out += 'b', quote(out, d.bytes()); break;
    case Data::Kind::list: {
      out += '[';
      const char* between = "";
      for (const Data& each : d.list()) out += between, print(out, each), between = ", ";
      out += ']';
      break;
    }
    case Data::Kind::dict: {
      out += '{';
      const char* between = "";
      d.dict().each([&](const Data& key, const Data& value) { out += between, print(out, key), out += ": ", print(out, value), between = ", "; });
      out += '}';
      break;
    }
    case Data::Kind::array: {
      const NumberArray& a = d.array();
      out += std::string("array(") + name_of(a.type()) + ", [";
      for (std::uint64_t i = 0; i < a.size(); ++i) {
        if (i == 1000) {  // more than anybody reads
          out += ", ...";
          break;
        }
        if (i) out += ", ";
        if (a.type() == DType::u64)
          out += std::to_string(a.numbers<std::uint64_t>()[i]);
        else
          print(out, a.at(i));
      }
      out += "])";
      break;
    }
  }
}

/** Another one in each process: what clients send can not be made to collide. */
std::uint64_t seed() {
  static const std::uint64_t drawn = [] {
    std::uint64_t s = 0;
    if (getrandom(&s, sizeof s, 0) != sizeof s) s = reinterpret_cast<std::uintptr_t>(&s);
    return s;
  }();
  return drawn;
}

std::uint64_t hash_of(const Data& key) {
  switch (key.kind()) {
    case Data::Kind::null: return XXH3_64bits_withSeed("", 0, seed() + 1);
    case Data::Kind::text: return XXH3_64bits_withSeed(key.text().data(), key.text().size(), seed());
    case Data::Kind::bytes: return XXH3_64bits_withSeed(key.bytes().data(), key.bytes().size(), seed() + 2);
    case Data::Kind::boolean:
    case Data::Kind::integer:
    case Data::Kind::real: {
      const double x = key.kind() == Data::Kind::real ? key.real() : 0;
      std::uint64_t bits;
      if (key.kind() != Data::Kind::real)
        bits = static_cast<std::uint64_t>(key.integer());
      else if (x >= -0x1p63 && x < 0x1p63 && std::floor(x) == x)
        bits = static_cast<std::uint64_t>(static_cast<std::int64_t>(x));  // the same key as the integer
      else
        bits = std::bit_cast<std::uint64_t>(x);
      return XXH3_64bits_withSeed(&bits, sizeof bits, seed() + 3);
    }
    default: throw Error(std::string("TypeError: a value of type ") + key.type_name() + " can be no key: keys are None, bools, numbers, text and bytes");
  }
}

}  // namespace

std::string Data::repr() const {
  std::string out;
  print(out, *this);
  return out;
}

/* Dicts: entries in order, and beside them a table of places in it, open addressing, at most two thirds full. What is erased leaves a hole in both until the table is
   made anew. */
struct DataDict::Table {
  static constexpr std::uint32_t kFree = 0xffffffff, kErased = 0xfffffffe;
  struct Entry {
    std::pair<Data, Data> item;
    std::uint64_t hash = 0;
    bool there = true;
  };
  std::vector<Entry> entries;
  std::vector<std::uint32_t> places;
  std::size_t live = 0, used = 0;  // used: places that are not free

  /** The place of the key, or nothing. */
  std::uint32_t* place_of(const Data& key, std::uint64_t hash) {
    if (places.empty()) return nullptr;
    for (std::size_t mask = places.size() - 1, at = hash & mask;; at = (at + 1) & mask) {
      if (places[at] == kFree) return nullptr;
      if (places[at] != kErased && entries[places[at]].hash == hash && entries[places[at]].item.first == key) return &places[at];
    }
  }
  void put_place(std::uint64_t hash, std::uint32_t entry) {
    const std::size_t mask = places.size() - 1;
    std::size_t at = hash & mask;
    while (places[at] != kFree) at = (at + 1) & mask;
    places[at] = entry;
    ++used;
  }
  void rebuild() {
    std::size_t size = 8;
    while (size < (live + 1) * 3) size *= 2;
    if (live != entries.size()) {
      std::size_t to = 0;
      for (std::size_t from = 0; from < entries.size(); ++from)
        if (entries[from].there) {
          if (to != from) entries[to] = std::move(entries[from]);
          ++to;
        }
      entries.resize(to);
    }
    places.assign(size, kFree);
    used = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) put_place(entries[i].hash, static_cast<std::uint32_t>(i));
  }
};

DataDict::DataDict() : table_(std::make_unique<Table>()) {}
DataDict::DataDict(std::initializer_list<std::pair<Data, Data>> items) : DataDict() {
  for (const auto& [key, value] : items) set(key, value);
}
DataDict::DataDict(const DataDict& other) : table_(std::make_unique<Table>(*other.table_)) {}
DataDict::DataDict(DataDict&& other) noexcept : table_(std::move(other.table_)) { other.table_ = std::make_unique<Table>(); }
DataDict& DataDict::operator=(DataDict other) noexcept {
  std::swap(table_, other.table_);
  return *this;
}
DataDict::~DataDict() = default;

std::size_t DataDict::size() const noexcept { return table_->live; }
std::size_t DataDict::entries() const { return table_->entries.size(); }
const std::pair<Data, Data>* DataDict::entry(std::size_t i) const { return table_->entries[i].there ? &table_->entries[i].item : nullptr; }

Data* DataDict::find(const Data& key) {
  const std::uint32_t* const place = table_->place_of(key, hash_of(key));
  return place ? &table_->entries[*place].item.second : nullptr;
}
const Data& DataDict::at(const Data& key) const {
  if (const Data* found = find(key)) return *found;
  throw Error("KeyError: " + key.repr());
}
void DataDict::set(Data key, Data value) {
  Table& t = *table_;
  const std::uint64_t hash = hash_of(key);
  if (const std::uint32_t* const place = t.place_of(key, hash)) {
    t.entries[*place].item.second = std::move(value);
    return;
  }
  if ((t.used + 1) * 3 > t.places.size() * 2) t.rebuild();
  if (t.entries.size() >= Table::kErased) throw Error("a dict has at most 4,294,967,294 keys", Error::Kind::failed);
  t.entries.push_back({{std::move(key), std::move(value)}, hash});
  t.put_place(hash, static_cast<std::uint32_t>(t.entries.size() - 1));
  ++t.live;
}
bool DataDict::erase(const Data& key) {
  Table& t = *table_;
  std::uint32_t* const place = t.place_of(key, hash_of(key));
  if (!place) return false;
  Table::Entry& e = t.entries[*place];
  e.item = {};
  e.there = false;
  *place = Table::kErased;
  --t.live;
  while (!t.entries.empty() && !t.entries.back().there) t.entries.pop_back();
  return true;
}
void DataDict::clear() { *table_ = {}; }
const std::pair<Data, Data>* DataDict::last() const { return table_->entries.empty() ? nullptr : &table_->entries.back().item; }

bool DataDict::operator==(const DataDict& other) const {
  if (size() != other.size()) return false;
  bool same = true;
  each([&](const Data& key, const Data& value) {
    if (!same) return;
    const Data* const found = other.find(key);
    same = found && *found == value;
  });
  return same;
}

}  // namespace cadre
