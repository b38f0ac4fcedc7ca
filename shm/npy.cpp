#include <cadre/shm/npy.hpp>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

namespace cadre {
namespace {

constexpr std::size_t kMostHeader = 64 * 1024, kMostDimensions = 32;  // NumPy's own limit of dimensions
constexpr std::string_view kMagic = "\x93NUMPY";

[[noreturn]] void refuse(const std::string& name, const std::string& why) { throw Error(name + ": " + why); }

/* The header's text, a Python literal: {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }. Keys in any order. */
class Literal {
 public:
  Literal(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) malformed(std::string("'") + c + "' is expected");
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') malformed("a string is expected");
    const std::size_t first = ++at_;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] == '\\' || text_[at_] == '\n') malformed("a plain string is expected");
      ++at_;
    }
    if (at_ == text_.size()) malformed("a string does not end");
    return text_.substr(first, at_++ - first);
  }
  bool boolean() {
    const std::string_view w = word();
    if (w != "True" && w != "False") malformed("True or False is expected");
    return w == "True";
  }
  Shape shape() {
    expect('(');
    Shape shape;
    bool comma = false;
    while (!accept(')')) {
      if (!shape.empty() && !comma) malformed("',' or ')' is expected");
      shape.push_back(extent());
      if (shape.size() > kMostDimensions) refuse(name_, "the shape has more than 32 dimensions, as many as NumPy knows");
      comma = accept(',');
    }
    if (shape.size() == 1 && !comma) malformed("the shape is a number in brackets, not a tuple: '(n,)' is expected");
    return shape;
  }
  void end() {
    skip_space();
    if (at_ != text_.size()) malformed("nothing more is expected");
  }
  [[noreturn]] void malformed(const std::string& what) const {
    refuse(name_, "the .npy header is malformed: " + what + " at character " + std::to_string(at_) + "; write the file with numpy.save");
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || (text_[at_] >= '\t' && text_[at_] <= '\r'))) ++at_;
  }
  std::string_view word() {
    skip_space();
    const std::size_t first = at_;
    while (at_ < text_.size() && ((text_[at_] | 32) >= 'a' && (text_[at_] | 32) <= 'z')) ++at_;
    return text_.substr(first, at_ - first);
  }
  std::int64_t extent() {
    if (peek() == '-') refuse(name_, "the shape has a negative extent");
    const char* const end = text_.data() + text_.size();
    std::int64_t value = 0;
    const auto [stop, error] = std::from_chars(text_.data() + at_, end, value);
    if (error == std::errc::result_out_of_range) refuse(name_, "the shape has an extent that does not fit in 63 bits");
    if (error != std::errc()) malformed("a number is expected");
    at_ = static_cast<std::size_t>(stop - text_.data());
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote its long integers
    return value;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

/* What NumPy calls a type that kernels do not take, and what to do about it; nothing when the letter is unknown. */
std::optional<std::string> refused_type(char kind, int bytes) {
  const auto of = [](const char* what, const char* instead) { return std::string(what) + " elements are not supported: " + instead; };
  switch (kind) {
    case '?': case 'b': return of("bool", "convert with x.astype('uint8')");
    case 'c': return of(bytes == 8 ? "complex64" : bytes == 16 ? "complex128" : "complex", "save x.real and x.imag");
    case 'O': return of("object", "save an array of numbers");
    case 'U': return of("unicode string", "save an array of numbers");
    case 'S': case 'a': return of("byte string", "save an array of numbers");
    case 'V': return of("raw (void)", "save an array of numbers");
    case 'M': return of("datetime64", "convert with x.astype('int64')");
    case 'm': return of("timedelta64", "convert with x.astype('int64')");
    case 'f': if (bytes == 2) return of("float16", "convert with x.astype('float32')");
      if (bytes > 8) return of(bytes == 16 ? "float128" : "long double", "convert with x.astype('float64')");
      return std::nullopt;
    default: return std::nullopt;
  }
}

std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 40)) out += c >= ' ' && c < '\x7f' ? c : '?';
  return out + (text.size() > 40 ? "...'" : "'");
}

DType parse_descr(std::string_view descr, const std::string& name) {
  std::string_view rest = descr;
  char order = '=';
  if (!rest.empty() && std::string_view("<>|=").find(rest[0]) != std::string_view::npos) {
    order = rest[0];
    rest.remove_prefix(1);
  }
  const char kind = rest.empty() ? '\0' : rest[0];
  if (!rest.empty()) rest.remove_prefix(1);
  int bytes = 0;
  const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), bytes);
  const bool sized = error == std::errc() && stop == rest.data() + rest.size() && rest[0] != '-';
  if (sized || rest.empty() || kind == 'M' || kind == 'm')
    if (const auto why = refused_type(kind, sized ? bytes : 0)) refuse(name, *why + " (descr " + quoted(descr) + ")");
  if (sized)
    for (const DType type : {DType::f64, DType::f32, DType::i8, DType::i16, DType::i32, DType::i64, DType::u8, DType::u16, DType::u32, DType::u64})
      if (kind == npy_descr(type)[1] && bytes == static_cast<int>(size_of(type))) {
        if (order == '>' && bytes > 1)
          refuse(name, std::string("big-endian ") + name_of(type) + " is not supported: convert with x.astype('" + npy_descr(type) + "') (descr " + quoted(descr) + ")");
        return type;
      }
  refuse(name, "the element type " + quoted(descr) + " is not known; float32, float64 and integers of 8 to 64 bits are");
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> bytes, const std::string& name) {
  const auto* const raw = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto little = [&](std::size_t at, int count) {
    std::size_t value = 0;
    while (count--) value = value << 8 | raw[at + count];
    return value;
  };
  if (bytes.size() < 8 || std::memcmp(raw, kMagic.data(), kMagic.size()) != 0) refuse(name, "not a .npy file (it does not begin with \\x93NUMPY); write it with numpy.save");
  const int major = raw[6], minor = raw[7];
  if (major < 1 || major > 3 || minor != 0)
    refuse(name, "version " + std::to_string(major) + "." + std::to_string(minor) + " of the .npy format is not known; 1.0, 2.0 and 3.0 are");
  const std::size_t preamble = major == 1 ? 10 : 12;
  if (bytes.size() < preamble) refuse(name, "the file ends inside its .npy header");
  const std::size_t length = little(8, major == 1 ? 2 : 4);
  if (length > kMostHeader - preamble) refuse(name, "the .npy header claims " + std::to_string(length) + " bytes; more than 64 KiB is refused");
  if (bytes.size() - preamble < length) refuse(name, "the file ends inside its .npy header");

  NpyHeader header;
  Literal in({reinterpret_cast<const char*>(raw) + preamble, length}, name);
  std::optional<std::string_view> descr;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
  in.expect('{');
  bool comma = true;
  while (!in.accept('}')) {
    if (!comma) in.malformed("',' or '}' is expected");
    const std::string_view key = in.string();
    in.expect(':');
    if (key == "descr" && !descr) {
      if (in.peek() == '[' || in.peek() == '(') refuse(name, "structured elements are not supported: save each field as an array of its own");
      descr = in.string();
    } else if (key == "fortran_order" && !fortran) {
      fortran = in.boolean();
    } else if (key == "shape" && !shape) {
      shape = in.shape();
    } else {
      refuse(name, "the .npy header has the key " + quoted(key) + (key == "descr" || key == "fortran_order" || key == "shape" ? " twice" : ", which is not known"));
    }
    comma = in.accept(',');
  }
  in.end();
  if (!descr || !fortran || !shape) refuse(name, std::string("the .npy header lacks '") + (!descr ? "descr" : !fortran ? "fortran_order" : "shape") + "'");

  header.type = parse_descr(*descr, name);
  header.shape = std::move(*shape);
  try {
    elements_of(header.shape, size_of(header.type));
  } catch (const Error& error) {
    refuse(name, error.what());
  }
  const bool empty = std::find(header.shape.begin(), header.shape.end(), 0) != header.shape.end();
  header.fortran_order = *fortran && !empty && std::count_if(header.shape.begin(), header.shape.end(), [](std::int64_t n) { return n > 1; }) > 1;
  header.data_offset = preamble + length;
  if (!empty && header.data_offset % size_of(header.type) != 0)
    refuse(name, "the data begin at byte " + std::to_string(header.data_offset) + ", where no " + name_of(header.type) + " can lie; write the file with numpy.save");
  return header;
}

std::string make_npy_header(DType type, const Shape& shape) {
  std::string header(kMagic);
  header += {'\x01', '\x00', '\x00', '\x00'};
  header += std::string("{'descr': '") + npy_descr(type) + "', 'fortran_order': False, 'shape': " + to_string(shape) + ", }";
  header.append((64 - (header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  const std::size_t length = header.size() - 10;
  header[8] = static_cast<char>(length & 0xff);
  header[9] = static_cast<char>(length >> 8);
  return header;
}

}  // namespace cadre
