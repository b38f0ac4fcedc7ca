/* The verbs of dicts, lists, arrays and numbers, beside Python's own: what Python prints for the same calls is computed by Python. */
#include <cadre/manager/verbs.hpp>

#include <algorithm>
#include <cstdio>
#include <tuple>

#include <gtest/gtest.h>

#include <cadre/manager/encoding.hpp>

#include "../support/child.hpp"

namespace cadre::detail {
namespace {

using List = Data::List;
using Dict = Data::Dict;
using cadre::testing::error_of;

struct Place {
  Data root;
  Data ask(const List& path, const char* verb, List args = {}) { return apply(root, path, verb, args, nullptr); }
  std::string told(const List& path, const char* verb, List args = {}) {
    try {
      return ask(path, verb, std::move(args)).repr();
    } catch (const Error& e) {
      const std::string what = e.what();
      return what.substr(0, what.find(':'));  // the exception's name
    }
  }
};

/** What Python prints: one line for each expression on `m`, its value or the name of its exception, and then m. */
std::vector<std::string> python(const std::string& start, const std::vector<std::string>& lines) {
  std::string program = "m = " + start + "\ndef slice_to(a, b, v): m[a:b] = v\ndef drop(s): del m[s]\ndef put(k, v): m[k] = v\n";
  for (const std::string& line : lines) program += "try: print(repr(" + line + "))\nexcept Exception as e: print(type(e).__name__)\n";
  program += "print(repr(m))\n";
  std::string quoted;
  for (const char c : program) c == '\'' ? quoted += "'\\''" : quoted += c;
  FILE* out = popen((CADRE_PYTHON " -c '" + quoted + "'").c_str(), "r");
  std::vector<std::string> told;
  char line[4096];
  while (out && fgets(line, sizeof line, out)) told.emplace_back(std::string(line).substr(0, std::string(line).find('\n')));
  EXPECT_EQ(pclose(out), 0);
  return told;
}

struct Step {
  const char* python;
  const char* verb;
  List args;
};
void expect_as_python(Data start, const std::vector<Step>& steps) {
  std::vector<std::string> lines;
  for (const Step& s : steps) lines.emplace_back(s.python);
  const std::vector<std::string> expected = python(start.repr(), lines);
  Place place{std::move(start)};
  ASSERT_EQ(expected.size(), steps.size() + 1);
  for (std::size_t i = 0; i < steps.size(); ++i) EXPECT_EQ(place.told({}, steps[i].verb, steps[i].args), expected[i]) << steps[i].python;
  EXPECT_EQ(place.root.repr(), expected.back());
}

TEST(Verbs, OfListsAreAsPythonsAre) {
  expect_as_python(List{3, 1.5, "b", List{1, 2}, true},
                   {{"m.append(7)", "append", {7}},
                    {"m.extend([8, 'x'])", "extend", {Data(List{8, "x"})}},
                    {"m.insert(-1, None)", "insert", {-1, nullptr}},
                    {"m.insert(100, b'z')", "insert", {100, Bytes{"z"}}},
                    {"m.pop()", "pop", {}},
                    {"m.pop(0)", "pop", {0}},
                    {"m.pop(99)", "pop", {99}},
                    {"m.remove('b')", "remove", {"b"}},
                    {"m.remove('nothing')", "remove", {"nothing"}},
                    {"m.index(1)", "index", {1}},
                    {"m.index(1, 3)", "index", {1, 3}},
                    {"m.count(1)", "count", {1}},
                    {"m[-2]", "get", {-2}},
                    {"m[50]", "get", {50}},
                    {"m[1:4]", "slice", {1, 4}},
                    {"m[::-1]", "slice", {nullptr, nullptr, -1}},
                    {"m[-1:0:-2]", "slice", {-1, 0, -2}},
                    {"m[::0]", "slice", {nullptr, nullptr, 0}},
                    {"slice_to(1, 3, [10, 11, 12])", "set_slice", {1, 3, List{10, 11, 12}}},
                    {"drop(slice(0, None, 2))", "del_slice", {0, nullptr, 2}},
                    {"m.reverse()", "reverse", {}},
                    {"m.sort()", "sort", {}},
                    {"7 in m", "contains", {7}},
                    {"len(m)", "len", {}},
                    {"m.clear()", "clear", {}},
                    {"m.pop()", "pop", {}},
                    {"m.extend([3, 1, True, 2.5, -4])", "extend", {Data(List{3, 1, true, 2.5, -4})}},
                    {"m.sort()", "sort", {}},
                    {"m.sort(reverse=True)", "sort", {true}}});
}

TEST(Verbs, OfDictsAreAsPythonsAre) {
  expect_as_python(Dict{{"a", 1}, {2, "two"}, {nullptr, 0.5}},
                   {{"m.get('a')", "get", {"a"}},
                    {"m.get('b')", "get", {"b"}},
                    {"m.get('b', 9)", "get", {"b", 9}},
                    {"put(2.0, 'zwei')", "set", {2.0, "zwei"}},
                    {"put(True, 'yes')", "set", {true, "yes"}},
                    {"put(1, 'one')", "set", {1, "one"}},
                    {"put([1], 0)", "set", {List{1}, 0}},
                    {"m.setdefault('c', [1])", "setdefault", {"c", List{1}}},
                    {"m.setdefault('c', 2)", "setdefault", {"c", 2}},
                    {"m.pop('a')", "pop", {"a"}},
                    {"m.pop('a')", "pop", {"a"}},
                    {"m.pop('a', 'none')", "pop", {"a", "none"}},
                    {"list(m.keys())", "keys", {}},
                    {"list(m.values())", "values", {}},
                    {"'c' in m", "contains", {"c"}},
                    {"m.update({'x': 1e300, 'y': -0.0, 'z': 12345678.0})", "update", {Dict{{"x", 1e300}, {"y", -0.0}, {"z", 12345678.0}}}},
                    {"len(m)", "len", {}},
                    {"drop('x')", "del", {"x"}},
                    {"drop('x')", "del", {"x"}}});
}

TEST(Verbs, GoToTheBottomOfWhatIsNested) {
  Place m{Dict{{"a", Dict{{"b", List{1, List{2, 3}}}}}}};
  m.ask({"a", "b"}, "append", {4});
  m.ask({"a", "b", 1, -1}, "assign", {30});
  m.ask({"a", "c"}, "assign", {Dict{}});
  m.ask({"a", "c", "d"}, "add", {1, 10});
  EXPECT_EQ(m.root.repr(), "{'a': {'b': [1, [2, 30], 4], 'c': {'d': 11}}}");
  EXPECT_EQ(m.ask({"a", "b", 9}, "exists").boolean(), false);
  m.ask({"a", "b", 0}, "delete");
  EXPECT_EQ(m.root.repr(), "{'a': {'b': [[2, 30], 4], 'c': {'d': 11}}}");
  EXPECT_EQ(error_of([&] { m.ask({"a", "x", "y"}, "append", {1}); }), "KeyError: 'x' (at ['a'])");
  EXPECT_EQ(error_of([&] { m.ask({"a", "b", 5}, "value"); }), "IndexError: a list of 2 has no element 5 (at ['a']['b'])");
  EXPECT_EQ(error_of([&] { m.ask({"a", "b"}, "update", {Dict{}}); }), "AttributeError: a value of type list has no update (at ['a']['b'])");
  EXPECT_EQ(error_of([&] { m.ask({"a", "b", 1}, "append", {1}); }), "AttributeError: a value of type int has no append (at ['a']['b'][1])");
}

TEST(Verbs, OfArraysKeepTheirType) {
  Place a{Data(std::vector<std::int16_t>{1, 2, 3, 4})};
  a.ask({1}, "assign", {20});
  a.ask({1}, "add", {5});
  a.ask({}, "write", {2, Data(std::vector<std::int16_t>{-1, -2})});
  EXPECT_EQ(a.ask({}, "slice", {nullptr, nullptr, -1}).repr(), "array(int16, [-2, -1, 25, 1])");
  EXPECT_NE(error_of([&] { a.ask({0}, "assign", {70'000}); }).find("does not fit"), std::string::npos);
  EXPECT_NE(error_of([&] { a.ask({}, "write", {3, Data(std::vector<std::int16_t>{1, 2})}); }).find("do not fit into an array of 4"), std::string::npos);
  EXPECT_NE(error_of([&] { a.ask({}, "write", {0, Data(std::vector<double>{1})}); }).find("TypeError"), std::string::npos);
  EXPECT_EQ(a.ask({-1}, "value").integer(), -2);
}

TEST(Verbs, WhatATransactionChangedIsTakenBackWholly) {
  const Data before = Dict{{"list", List{3, 1, 2}}, {"dict", Dict{{"x", 1}, {"y", 2}}}, {"array", Data(std::vector<int>{1, 2, 3})}, {"n", 5}};
  const std::vector<std::tuple<List, const char*, List>> changes{
      {{"list"}, "append", {4}},      {{"list"}, "sort", {}},       {{"list"}, "pop", {0}},        {{"list"}, "insert", {1, 9}}, {{"list"}, "reverse", {}},     {{"list"}, "set_slice", {0, 2, List{7}}},
      {{"list"}, "del_slice", {0, 1}}, {{"list"}, "extend", List{Data(List{5, 6})}}, {{"list"}, "clear", {}}, {{"dict"}, "pop", {"x"}},     {{"dict"}, "set", {"z", 1}},   {{"dict"}, "set", {"y", 7}},
      {{"dict"}, "popitem", {}},      {{"dict"}, "update", {Dict{{"q", 1}, {"y", 0}}}}, {{"dict"}, "setdefault", {"w", 1}}, {{"dict"}, "clear", {}}, {{"array"}, "write", {0, Data(std::vector<int>{8, 9})}}, {{"array"}, "fill", {4}},
      {{"array", 1}, "add", {1}},     {{"n"}, "add", {1}},          {{"n"}, "assign", {"text"}},   {{"m"}, "add", {1, 1}},       {{"n"}, "delete", {}},         {{"n"}, "compare_and_set", {nullptr, 6}},
      {{}, "assign", {0}}};
  Place all{before};
  Undo undo_all;
  for (const auto& [path, verb, args] : changes) {
    Place one{before};
    Undo undo;
    List copy = args;
    (void)apply(one.root, path, verb, copy, &undo);
    undo.roll_back();
    EXPECT_EQ(one.root.repr(), before.repr()) << verb;
    copy = args;
    (void)apply(all.root, path, verb, copy, &undo_all);
  }
  EXPECT_EQ(all.root.repr(), "0");
  undo_all.roll_back();
  EXPECT_EQ(all.root.repr(), before.repr());
}

TEST(Encoding, GivesBackWhatItWasGiven) {
  List all{nullptr, true, false, 0, -1, INT64_MAX, INT64_MIN, 0.1, -0.0, 1e300, "", "text\n'\"", Bytes{std::string("\0\xff", 2)}, List{}, Dict{}, Dict{{"k", List{1, Dict{{2, 3}}}}}, Data(std::vector<float>{1.5f}), Data(std::vector<std::uint64_t>{~0ull})};
  std::string bytes;
  encode(bytes, all);
  EXPECT_EQ(decode(bytes).repr(), Data(all).repr());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_THROW((void)decode(std::string_view(bytes).substr(0, n)), Error) << n;
  EXPECT_THROW((void)decode(bytes + "x"), Error);
}

TEST(Encoding, RefusesWhatIsNestedTooDeepOrSaysMoreThanThereIs) {
  Data deep = 1;
  for (int i = 0; i < kMostNested; ++i) deep = List{std::move(deep)};
  std::string bytes;
  encode(bytes, deep);
  EXPECT_EQ(decode(bytes).repr(), deep.repr());
  EXPECT_NE(error_of([&] { encode(bytes, List{deep}); }).find("nested more than 100 deep"), std::string::npos);
  EXPECT_NE(error_of([&] { (void)decode(std::string(200, '\7') + "\1"); }).find("too short"), std::string::npos);
  EXPECT_NE(error_of([] {
              std::string many;
              for (int i = 0; i < 150; ++i) many += "\7\1";
              (void)decode(many + std::string(1, '\0'));
            }).find("nested more than 100 deep"),
            std::string::npos);
  EXPECT_THROW((void)decode(std::string_view("\x09\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12)), Error);
  EXPECT_THROW((void)decode("\x05\xff\xff\xff\xff\x7f"), Error);
  EXPECT_THROW((void)decode("\x0a"), Error);
}

TEST(DataDict, HoldsWhatAMapHolds) {
  Dict dict;
  std::vector<std::int64_t> order;
  std::uint64_t state = 1;
  for (int i = 0; i < 20'000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto key = static_cast<std::int64_t>(state >> 55);
    const auto there = std::find(order.begin(), order.end(), key);
    if (state >> 20 & 1) {
      dict.set(key, i);
      if (there == order.end()) order.push_back(key);
    } else {
      EXPECT_EQ(dict.erase(key), there != order.end());
      if (there != order.end()) order.erase(there);
    }
    ASSERT_EQ(dict.size(), order.size());
  }
  std::vector<std::int64_t> found;
  dict.each([&](const Data& key, const Data&) { found.push_back(key.integer()); });
  EXPECT_EQ(found, order);
  for (const std::int64_t key : order) EXPECT_NE(dict.find(key), nullptr);
}

}  // namespace
}  // namespace cadre::detail
