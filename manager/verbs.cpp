#include <cadre/manager/verbs.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <span>
#include <unordered_map>

namespace cadre::detail {

namespace {

using List = Data::List;
using Kind = Data::Kind;

/** An index as Python counts, from the end where it is negative. */
std::size_t place_in(std::int64_t i, std::size_t size, const char* what) {
  const auto n = static_cast<std::int64_t>(size);
  if (i < -n || i >= n) throw Error(std::string("IndexError: a ") + what + " of " + std::to_string(size) + " has no element " + std::to_string(i));
  return static_cast<std::size_t>(i < 0 ? i + n : i);
}

Data* find(Data& root, std::span<const Data> path) {
  Data* at = &root;
  for (const Data& step : path) {
    if (at->kind() == Kind::dict) {
      at = at->dict().find(step);
      if (!at) return nullptr;
    } else if (at->kind() == Kind::list) {
      const auto n = static_cast<std::int64_t>(at->list().size());
      const std::int64_t i = step.integer();
      if (i < -n || i >= n) return nullptr;
      at = &at->list()[static_cast<std::size_t>(i < 0 ? i + n : i)];
    } else {
      throw Error(std::string("TypeError: a value of type ") + at->type_name() + " has nothing at " + step.repr());
    }
  }
  return at;
}

Data& resolve(Data& root, const List& path, std::size_t steps) {
  if (Data* found = find(root, std::span(path).first(steps))) return *found;
  std::size_t missing = 0;  // the first step that leads nowhere
  while (find(root, std::span(path).first(missing + 1))) ++missing;
  const List before(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(missing));
  const Data& container = *find(root, before);
  if (container.kind() == Kind::list) throw Error("IndexError: a list of " + std::to_string(container.list().size()) + " has no element " + path[missing].repr() + (before.empty() ? "" : " (at " + text_of_path(before) + ")"));
  throw Error("KeyError: " + path[missing].repr() + (before.empty() ? "" : " (at " + text_of_path(before) + ")"));
}

struct Call {
  Data& root;
  const List& path;
  std::string_view verb;
  List& args;
  Undo* undo;
  Data* node = nullptr;

  std::size_t count() const { return args.size(); }
  Data& arg(std::size_t i) const {
    if (i >= args.size()) throw Error("TypeError: " + std::string(verb) + " takes more than " + std::to_string(args.size()) + " arguments");
    return args[i];
  }
  /** An argument that may be left out: null, or missing. */
  std::int64_t integer_or(std::size_t i, std::int64_t otherwise) const { return i < args.size() && !args[i].is_null() ? args[i].integer() : otherwise; }
  template <class F>
  void on_undo(F f) const {
    if (undo) undo->add(root, [p = path, f = std::move(f)](Data& r) mutable { f(*find(r, p)); });
  }
  void snapshot() const {
    if (undo) on_undo([copy = *node](Data& n) mutable { n = std::move(copy); });
  }
  List& list() const { return node->list(); }
  Data::Dict& dict() const { return node->dict(); }
  NumberArray& array() const { return node->array(); }
};

/* start:stop:step, as Python's slices are. */
struct Slice {
  std::int64_t start, stop, step, count;
  Slice(const Call& c, std::size_t at, std::size_t size) {
    const auto n = static_cast<std::int64_t>(size);
    step = c.integer_or(at + 2, 1);
    if (step == 0) throw Error("ValueError: slice step cannot be zero");
    const auto clamp = [&](std::int64_t i) {
      if (i < 0) return i + n < 0 ? (step < 0 ? -1 : 0) : i + n;
      return i >= n ? (step < 0 ? n - 1 : n) : i;
    };
    const auto given = [&](std::size_t i) { return i < c.count() && !c.args[i].is_null(); };
    start = given(at) ? clamp(c.args[at].integer()) : step < 0 ? n - 1 : 0;
    stop = given(at + 1) ? clamp(c.args[at + 1].integer()) : step < 0 ? -1 : n;
    const std::int64_t span = step < 0 ? start - stop : stop - start;
    const std::uint64_t stride = step < 0 ? -static_cast<std::uint64_t>(step) : static_cast<std::uint64_t>(step);
    count = span <= 0 ? 0 : static_cast<std::int64_t>((static_cast<std::uint64_t>(span) - 1) / stride + 1);
  }
};

void set_item(const Call& c, Data& container, const List& path_of_container, const Data& key, Data value) {
  const auto undo = [&](auto f) {
    if (c.undo) c.undo->add(c.root, [p = path_of_container, f = std::move(f)](Data& r) mutable { f(*find(r, p)); });
  };
  if (container.kind() == Kind::dict) {
    Data* const old = container.dict().find(key);
    if (c.undo && old)
      undo([key, v = std::move(*old)](Data& n) mutable { n.dict().set(std::move(key), std::move(v)); });
    else if (c.undo)
      undo([key](Data& n) { n.dict().erase(key); });
    container.dict().set(key, std::move(value));
  } else if (container.kind() == Kind::list) {
    const std::size_t i = place_in(key.integer(), container.list().size(), "list");
    if (c.undo) undo([i, v = std::move(container.list()[i])](Data& n) mutable { n.list()[i] = std::move(v); });
    container.list()[i] = std::move(value);
  } else if (container.kind() == Kind::array) {
    const std::size_t i = place_in(key.integer(), container.array().size(), "array");
    if (c.undo) undo([i, v = container.array().at(i)](Data& n) { n.array().set(i, v); });
    container.array().set(i, value);
  } else {
    throw Error(std::string("TypeError: a value of type ") + container.type_name() + " does not take items");
  }
}

/** Numbers, text, bytes and lists, as + adds them. */
Data sum(const Data& a, const Data& b) {
  if (a.is_number() && b.is_number()) {
    if (a.kind() == Kind::real || b.kind() == Kind::real) return a.real() + b.real();
    std::int64_t s;
    if (__builtin_add_overflow(a.integer(), b.integer(), &s)) throw Error("OverflowError: " + a.repr() + " + " + b.repr() + " has more than 63 bits");
    return s;
  }
  if (a.kind() == Kind::text && b.kind() == Kind::text) return a.text() + b.text();
  if (a.kind() == Kind::bytes && b.kind() == Kind::bytes) return Bytes{a.bytes() + b.bytes()};
  if (a.kind() == Kind::list && b.kind() == Kind::list) {
    List all = a.list();
    all.insert(all.end(), b.list().begin(), b.list().end());
    return all;
  }
  throw Error(std::string("TypeError: unsupported operand types for +: '") + a.type_name() + "' and '" + b.type_name() + "'");
}

/* Verbs of places: whatever is there, or not yet. */

Data assign(const Call& c, Data value) {
  if (c.path.empty()) {
    if (c.undo) c.undo->add(c.root, [old = std::move(c.root)](Data& r) mutable { r = std::move(old); });
    c.root = std::move(value);
    return {};
  }
  const List above(c.path.begin(), c.path.end() - 1);
  set_item(c, resolve(c.root, c.path, above.size()), above, c.path.back(), std::move(value));
  return {};
}

/** What is at the path, which may be an element of an array. */
Data value_at(const Call& c, bool& there) {
  there = true;
  if (!c.path.empty()) {
    Data* const above = find(c.root, std::span(c.path).first(c.path.size() - 1));
    if (above && above->kind() == Kind::array) return above->array().at(place_in(c.path.back().integer(), above->array().size(), "array"));
  }
  Data* const found = find(c.root, c.path);
  there = found;
  return found ? *found : Data();
}

using Verb = Data (*)(const Call&);
using Table = std::unordered_map<std::string_view, Verb>;

const Table& place_verbs() {
  static const Table table{
      {"value",
       [](const Call& c) {
         bool there;
         Data v = value_at(c, there);
         if (!there) (void)resolve(c.root, c.path, c.path.size());
         return v;
       }},
      {"assign", [](const Call& c) { return assign(c, std::move(c.arg(0))); }},
      {"exists",
       [](const Call& c) {
         bool there;
         (void)value_at(c, there);
         return Data(there);
       }},
      {"compare_and_set",
       [](const Call& c) {
         bool there;
         if (!(value_at(c, there) == c.arg(0))) return Data(false);  // what is not there is None
         assign(c, std::move(c.arg(1)));
         return Data(true);
       }},
      {"require",
       [](const Call& c) {
         bool there;
         const Data now = value_at(c, there);
         if (!(now == c.arg(0))) throw Error("RequirementError: " + (c.path.empty() ? "the value" : text_of_path(c.path)) + " is " + now.repr() + ", not " + c.arg(0).repr());
         return Data();
       }},
      {"add",
       [](const Call& c) {
         bool there;
         const Data now = value_at(c, there);
         if (!there && c.count() < 2) (void)resolve(c.root, c.path, c.path.size());
         Data result = sum(there ? now : c.arg(1), c.arg(0));
         assign(c, result);
         return result;
       }},
      {"delete",
       [](const Call& c) {
         if (c.path.empty()) throw Error("TypeError: an object is removed by its manager's remove(), not deleted from itself");
         const List above(c.path.begin(), c.path.end() - 1);
         (void)resolve(c.root, c.path, c.path.size());
         List args{c.path.back()};
         return apply(c.root, above, "del", args, c.undo);
       }},
  };
  return table;
}

Data keys_of(const Call& c) {
  List all;
  all.reserve(c.dict().size());
  c.dict().each([&](const Data& key, const Data&) { all.push_back(key); });
  return all;
}

const Table& dict_verbs() {
  static const Table table{
      {"len", [](const Call& c) { return Data(c.dict().size()); }},
      {"contains", [](const Call& c) { return Data(c.dict().find(c.arg(0)) != nullptr); }},
      {"get",
       [](const Call& c) {
         if (const Data* found = c.dict().find(c.arg(0))) return *found;
         return c.count() > 1 ? std::move(c.args[1]) : Data();
       }},
      {"get_many",
       [](const Call& c) {
         List all;
         all.reserve(c.arg(0).list().size());
         for (const Data& key : c.arg(0).list()) {
           const Data* const found = c.dict().find(key);
           all.push_back(found ? *found : Data());
         }
         return Data(std::move(all));
       }},
      {"set",
       [](const Call& c) {
         set_item(c, *c.node, c.path, c.arg(0), std::move(c.arg(1)));
         return Data();
       }},
      {"setdefault",
       [](const Call& c) {
         if (const Data* found = c.dict().find(c.arg(0))) return *found;
         Data value = c.count() > 1 ? c.args[1] : Data();
         set_item(c, *c.node, c.path, c.arg(0), value);
         return value;
       }},
      {"pop",
       [](const Call& c) {
         Data* const found = c.dict().find(c.arg(0));
         if (!found && c.count() > 1) return std::move(c.args[1]);
         if (!found) throw Error("KeyError: " + c.arg(0).repr());
         c.snapshot();
         Data value = std::move(*found);
         c.dict().erase(c.arg(0));
         return value;
       }},
      {"popitem",
       [](const Call& c) {
         const auto* last = c.dict().last();
         if (!last) throw Error("KeyError: popitem(): dictionary is empty");
         List item{last->first, last->second};
         c.on_undo([item](Data& n) { n.dict().set(item[0], item[1]); });
         c.dict().erase(item[0]);
         return Data(std::move(item));
       }},
      {"del",
       [](const Call& c) {
         if (!c.dict().find(c.arg(0))) throw Error("KeyError: " + c.arg(0).repr());
         c.snapshot();
         c.dict().erase(c.arg(0));
         return Data();
       }},
      {"keys", keys_of},
      {"values",
       [](const Call& c) {
         List all;
         all.reserve(c.dict().size());
         c.dict().each([&](const Data&, const Data& value) { all.push_back(value); });
         return Data(std::move(all));
       }},
      {"items",
       [](const Call& c) {
         List all;
         all.reserve(c.dict().size());
         c.dict().each([&](const Data& key, const Data& value) { all.push_back(List{key, value}); });
         return Data(std::move(all));
       }},
      {"update",
       [](const Call& c) {
         c.arg(0).dict().each([&](const Data& key, const Data& value) { set_item(c, *c.node, c.path, key, value); });
         return Data();
       }},
      {"clear",
       [](const Call& c) {
         c.on_undo([before = std::move(c.dict())](Data& n) mutable { n.dict() = std::move(before); });
         c.dict().clear();
         return Data();
       }},
  };
  return table;
}

Data remove_at(const Call& c, std::size_t i) {
  Data value = std::move(c.list()[i]);
  c.on_undo([i, value](Data& n) { n.list().insert(n.list().begin() + static_cast<std::ptrdiff_t>(i), value); });
  c.list().erase(c.list().begin() + static_cast<std::ptrdiff_t>(i));
  return value;
}

/** Merge sort that may throw from a comparison with nothing lost: the order is found first. */
void sort(List& list, bool reverse) {
  std::vector<std::size_t> order(list.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return reverse ? list[b].less(list[a]) : list[a].less(list[b]); });
  List sorted;
  sorted.reserve(list.size());
  for (const std::size_t i : order) sorted.push_back(std::move(list[i]));
  list = std::move(sorted);
}

const Table& list_verbs() {
  static const Table table{
      {"len", [](const Call& c) { return Data(c.list().size()); }},
      {"contains", [](const Call& c) { return Data(std::find(c.list().begin(), c.list().end(), c.arg(0)) != c.list().end()); }},
      {"get", [](const Call& c) { return c.list()[place_in(c.arg(0).integer(), c.list().size(), "list")]; }},
      {"set",
       [](const Call& c) {
         set_item(c, *c.node, c.path, c.arg(0), std::move(c.arg(1)));
         return Data();
       }},
      {"append",
       [](const Call& c) {
         c.list().push_back(std::move(c.arg(0)));
         c.on_undo([](Data& n) { n.list().pop_back(); });
         return Data();
       }},
      {"extend",
       [](const Call& c) {
         List& more = c.arg(0).list();
         const std::size_t before = c.list().size();
         std::move(more.begin(), more.end(), std::back_inserter(c.list()));
         c.on_undo([before](Data& n) { n.list().resize(before); });
         return Data();
       }},
      {"insert",
       [](const Call& c) {
         const auto n = static_cast<std::int64_t>(c.list().size());
         std::int64_t i = c.arg(0).integer();
         i = std::clamp(i < 0 ? i + n : i, std::int64_t{0}, n);
         c.list().insert(c.list().begin() + i, std::move(c.arg(1)));
         c.on_undo([i](Data& at) { at.list().erase(at.list().begin() + i); });
         return Data();
       }},
      {"pop",
       [](const Call& c) {
         if (c.list().empty()) throw Error("IndexError: pop from empty list");
         return remove_at(c, place_in(c.integer_or(0, -1), c.list().size(), "list"));
       }},
      {"del",
       [](const Call& c) {
         remove_at(c, place_in(c.arg(0).integer(), c.list().size(), "list"));
         return Data();
       }},
      {"remove",
       [](const Call& c) {
         const auto found = std::find(c.list().begin(), c.list().end(), c.arg(0));
         if (found == c.list().end()) throw Error("ValueError: list.remove(x): x not in list");
         remove_at(c, static_cast<std::size_t>(found - c.list().begin()));
         return Data();
       }},
      {"index",
       [](const Call& c) {
         List range{c.count() > 1 ? c.args[1] : Data(), c.count() > 2 ? c.args[2] : Data()};
         Call bounds{c.root, c.path, c.verb, range, nullptr};
         const Slice s(bounds, 0, c.list().size());
         for (std::int64_t i = s.start; i < s.stop; ++i)
           if (c.list()[static_cast<std::size_t>(i)] == c.arg(0)) return Data(i);
         throw Error("ValueError: " + c.arg(0).repr() + " is not in list");
       }},
      {"count", [](const Call& c) { return Data(std::count(c.list().begin(), c.list().end(), c.arg(0))); }},
      {"reverse",
       [](const Call& c) {
         std::reverse(c.list().begin(), c.list().end());
         c.on_undo([](Data& n) { std::reverse(n.list().begin(), n.list().end()); });
         return Data();
       }},
      {"sort",
       [](const Call& c) {
         List before = c.undo ? c.list() : List();
         sort(c.list(), c.count() > 0 && c.args[0].boolean());
         c.on_undo([before = std::move(before)](Data& n) mutable { n.list() = std::move(before); });
         return Data();
       }},
      {"clear",
       [](const Call& c) {
         c.on_undo([before = std::move(c.list())](Data& n) mutable { n.list() = std::move(before); });
         c.list().clear();
         return Data();
       }},
      {"slice",
       [](const Call& c) {
         const Slice s(c, 0, c.list().size());
         List piece;
         piece.reserve(static_cast<std::size_t>(s.count));
         for (std::int64_t k = 0, i = s.start; k < s.count; ++k, i += s.step) piece.push_back(c.list()[static_cast<std::size_t>(i)]);
         return Data(std::move(piece));
       }},
      {"set_slice",  // start, stop, values
       [](const Call& c) {
         List& values = c.arg(2).list();
         List bounds{c.args[0], c.args[1]};
         Call limits{c.root, c.path, c.verb, bounds, nullptr};
         const Slice s(limits, 0, c.list().size());
         c.snapshot();
         const auto at = c.list().begin() + s.start;
         const auto after = c.list().erase(at, at + s.count);
         c.list().insert(after, std::make_move_iterator(values.begin()), std::make_move_iterator(values.end()));
         return Data();
       }},
      {"del_slice",
       [](const Call& c) {
         const Slice s(c, 0, c.list().size());
         c.snapshot();
         std::vector<bool> gone(c.list().size());
         for (std::int64_t k = 0, i = s.start; k < s.count; ++k, i += s.step) gone[static_cast<std::size_t>(i)] = true;
         List left;
         for (std::size_t i = 0; i < gone.size(); ++i)
           if (!gone[i]) left.push_back(std::move(c.list()[i]));
         c.list() = std::move(left);
         return Data();
       }},
  };
  return table;
}

const Table& array_verbs() {
  static const Table table{
      {"len", [](const Call& c) { return Data(c.array().size()); }},
      {"get", [](const Call& c) { return c.array().at(place_in(c.arg(0).integer(), c.array().size(), "array")); }},
      {"set",
       [](const Call& c) {
         set_item(c, *c.node, c.path, c.arg(0), std::move(c.arg(1)));
         return Data();
       }},
      {"slice",
       [](const Call& c) {
         const NumberArray& a = c.array();
         const Slice s(c, 0, a.size());
         NumberArray piece(a.type(), static_cast<std::uint64_t>(s.count));
         const std::size_t item = size_of(a.type());
         if (s.step == 1 && s.count)
           std::memcpy(piece.bytes(), a.bytes() + static_cast<std::size_t>(s.start) * item, static_cast<std::size_t>(s.count) * item);
         else
           for (std::int64_t k = 0, i = s.start; k < s.count; ++k, i += s.step)
             std::memcpy(piece.bytes() + static_cast<std::size_t>(k) * item, a.bytes() + static_cast<std::size_t>(i) * item, item);
         return Data(std::move(piece));
       }},
      {"write",  // begin, numbers
       [](const Call& c) {
         NumberArray& a = c.array();
         const NumberArray& from = c.arg(1).array();
         const std::int64_t at = c.arg(0).integer();
         if (from.type() != a.type()) throw Error(std::string("TypeError: numbers of ") + name_of(from.type()) + " into an array of " + name_of(a.type()));
         if (at < 0 || static_cast<std::uint64_t>(at) > a.size() || from.size() > a.size() - static_cast<std::uint64_t>(at))
           throw Error("IndexError: " + std::to_string(from.size()) + " numbers from " + std::to_string(at) + " on do not fit into an array of " + std::to_string(a.size()));
         std::byte* const to = a.bytes() + static_cast<std::size_t>(at) * size_of(a.type());
         if (c.undo) {
           NumberArray before(a.type(), from.size());
           std::memcpy(before.bytes(), to, before.size_bytes());
           c.on_undo([at, before](Data& n) { std::memcpy(n.array().bytes() + static_cast<std::size_t>(at) * size_of(before.type()), before.bytes(), before.size_bytes()); });
         }
         std::memcpy(to, from.bytes(), from.size_bytes());
         return Data();
       }},
      {"fill",
       [](const Call& c) {
         NumberArray filled(c.array().type(), std::min<std::uint64_t>(c.array().size(), 1));
         if (filled.size() == 0) return Data();
         filled.set(0, c.arg(0));
         if (c.undo) c.on_undo([before = NumberArray(c.array())](Data& n) { std::memcpy(n.array().bytes(), before.bytes(), before.size_bytes()); });
         const std::size_t item = size_of(filled.type());
         for (std::uint64_t i = 0; i < c.array().size(); ++i) std::memcpy(c.array().bytes() + i * item, filled.bytes(), item);
         return Data();
       }},
      {"shape", [](const Call& c) { return Data(List{name_of(c.array().type()), c.array().size()}); }},
      {"share",
       [](const Call& c) {
         NumberArray& a = c.array();
         const int fd = a.share();
         return Data(List{static_cast<int>(getpid()), fd, static_cast<int>(a.type()), a.size()});
       }},
  };
  return table;
}

/** Of numbers, text and the like, and of all. */
const Table& value_verbs() {
  static const Table table{
      {"len",
       [](const Call& c) {
         if (c.node->kind() == Kind::bytes) return Data(c.node->bytes().size());
         return Data(c.node->text().size());
       }},
      {"repr", [](const Call& c) { return Data(c.node->repr()); }},
      {"type", [](const Call& c) { return Data(c.node->type_name()); }},
      {"equals", [](const Call& c) { return Data(*c.node == c.arg(0)); }},
  };
  return table;
}

}  // namespace

std::string text_of_path(const List& path) {
  std::string text;
  for (const Data& step : path) text += "[" + step.repr() + "]";
  return text;
}

Data apply(Data& root, const List& path, std::string_view verb, List& args, Undo* undo) {
  Call c{root, path, verb, args, undo};
  if (const auto found = place_verbs().find(verb); found != place_verbs().end()) return found->second(c);
  c.node = &resolve(root, path, path.size());
  const Kind kind = c.node->kind();
  const Table& own = kind == Kind::dict ? dict_verbs() : kind == Kind::list ? list_verbs() : kind == Kind::array ? array_verbs() : value_verbs();
  if (const auto found = own.find(verb); found != own.end()) return found->second(c);
  if (const auto found = value_verbs().find(verb); found != value_verbs().end() && verb != "len") return found->second(c);
  throw Error(std::string("AttributeError: a value of type ") + c.node->type_name() + " has no " + std::string(verb) + (path.empty() ? "" : " (at " + text_of_path(path) + ")"));
}

}  // namespace cadre::detail
