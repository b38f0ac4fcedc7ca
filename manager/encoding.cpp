#include <cadre/manager/encoding.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace cadre::detail {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

namespace {

enum Tag : unsigned char { kNull, kFalse, kTrue, kInteger, kReal, kText, kBytes, kList, kDict, kArray };

void put_size(std::string& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out += static_cast<char>(n | 0x80);
  out += static_cast<char>(n);
}
void put_block(std::string& out, Tag tag, std::string_view bytes) {
  out += static_cast<char>(tag);
  put_size(out, bytes.size());
  out += bytes;
}

[[noreturn]] void too_deep() { throw Error("lists and dicts are nested more than " + std::to_string(kMostNested) + " deep"); }
[[noreturn]] void too_many() { throw Error("a message has more than " + std::to_string(kMostValues) + " values: send it in pieces, or numbers as an array"); }

struct Writer {
  std::string& out;
  std::size_t values = 0;

  void write(const Data& d, int depth) {
    if (++values > kMostValues) too_many();
    switch (d.kind()) {
      case Data::Kind::null: out += static_cast<char>(kNull); break;
      case Data::Kind::boolean: out += static_cast<char>(d.boolean() ? kTrue : kFalse); break;
      case Data::Kind::integer: {
        const auto v = static_cast<std::uint64_t>(d.integer());
        out += static_cast<char>(kInteger);
        put_size(out, (v << 1) ^ (d.integer() < 0 ? ~std::uint64_t{0} : 0));
        break;
      }
      case Data::Kind::real: {
        const auto bits = std::bit_cast<std::array<char, 8>>(d.real());
        out += static_cast<char>(kReal);
        out.append(bits.data(), bits.size());
        break;
      }
      case Data::Kind::text: put_block(out, kText, d.text()); break;
      case Data::Kind::bytes: put_block(out, kBytes, d.bytes()); break;
      case Data::Kind::list:
        if (depth == kMostNested) too_deep();
        out += static_cast<char>(kList);
        put_size(out, d.list().size());
        for (const Data& each : d.list()) write(each, depth + 1);
        break;
      case Data::Kind::dict:
        if (depth == kMostNested) too_deep();
        out += static_cast<char>(kDict);
        put_size(out, d.dict().size());
        d.dict().each([&](const Data& key, const Data& value) {
          write(key, depth + 1);
          write(value, depth + 1);
        });
        break;
      case Data::Kind::array:
        out += static_cast<char>(kArray);
        out += static_cast<char>(d.array().type());
        put_size(out, d.array().size());
        out.append(reinterpret_cast<const char*>(d.array().bytes()), d.array().size_bytes());
        break;
    }
  }
};

struct Reader {
  std::string_view left;
  std::size_t values = 0;

  std::string_view take(std::uint64_t n) {
    if (n > left.size()) throw Error("a message ends in the middle of a value");
    const std::string_view taken = left.substr(0, n);
    left.remove_prefix(n);
    return taken;
  }
  std::uint64_t take_size() {
    std::uint64_t n = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      if (shift == 63 && byte > 1) throw Error("a number in a message has more than 64 bits");
      n |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return n;
    }
  }
  /** Of a sequence whose elements have `each` bytes at least. */
  std::uint64_t take_count(std::size_t each) {
    const std::uint64_t n = take_size();
    if (n > left.size() / each) throw Error("a message says that " + std::to_string(n) + " values follow, and is too short for them");
    return n;
  }

  Data read(int depth) {
    if (++values > kMostValues) too_many();
    const auto tag = static_cast<unsigned char>(take(1)[0]);
    switch (tag) {
      case kNull: return {};
      case kFalse: return false;
      case kTrue: return true;
      case kInteger: {
        const std::uint64_t v = take_size();
        return static_cast<std::int64_t>((v >> 1) ^ (v & 1 ? ~std::uint64_t{0} : 0));
      }
      case kReal: {
        std::array<char, 8> bits;
        std::memcpy(bits.data(), take(8).data(), 8);
        return std::bit_cast<double>(bits);
      }
      case kText: return std::string(take(take_size()));
      case kBytes: return Bytes{std::string(take(take_size()))};
      case kList: {
        if (depth == kMostNested) too_deep();
        const std::uint64_t n = take_count(1);
        if (n > kMostValues) too_many();
        Data::List list;
        list.reserve(std::min<std::uint64_t>(n, 1024));  // not more than has been seen
        for (std::uint64_t i = 0; i < n; ++i) list.push_back(read(depth + 1));
        return list;
      }
      case kDict: {
        if (depth == kMostNested) too_deep();
        Data::Dict dict;
        for (std::uint64_t n = take_count(2); n > 0; --n) {
          Data key = read(depth + 1);
          dict.set(std::move(key), read(depth + 1));
        }
        return dict;
      }
      case kArray: {
        const auto type = static_cast<unsigned char>(take(1)[0]);
        if (type > static_cast<unsigned char>(DType::u64)) throw Error("a message has an array of the element type " + std::to_string(type) + ", which there is not");
        const std::size_t item = size_of(static_cast<DType>(type));
        const std::uint64_t n = take_count(item);
        NumberArray array(static_cast<DType>(type), n);
        if (n) std::memcpy(array.bytes(), take(n * item).data(), n * item);
        return array;
      }
      default: throw Error("a message has a value of the kind " + std::to_string(tag) + ", which there is not");
    }
  }
};

}  // namespace

void encode(std::string& out, const Data& value) { Writer{out}.write(value, 0); }

Data decode(std::string_view bytes) {
  Reader reader{bytes};
  Data value = reader.read(0);
  if (!reader.left.empty()) throw Error("a message goes on after its value");
  return value;
}

}  // namespace cadre::detail
