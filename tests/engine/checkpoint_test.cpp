/* The text of a journal: what is written is read again, to the last bit; anything else is refused, whatever it is. */
#include <cadre/engine/checkpoint.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace cadre {
namespace {

JournalText sample() {
  JournalText t;
  t.id = "0123456789abcdef";
  t.boot = "a boot";
  t.arena_base = 0x200000000000;
  t.arena_size = std::uint64_t{1} << 40;
  t.machine = {{"the machine type", "x86_64"}};
  t.job = {{"--chunk", "0"}, {"step 1", "sum, x /data/\xff\xfe.npy"}};
  t.inputs = {{"input /data/x.npy", "8 bytes"}};
  Checkpoint& c = t.checkpoint;
  c.generation = 7;
  c.step = 2;
  c.pass = 1;
  c.bytes = std::numeric_limits<std::uint64_t>::max();
  c.outputs.push_back({.file = {"/data/y.npy", "/data/.y.npy.0123456789abcdef.tmp", 1, 2}, .mapped = true, .array = {.type = DType::f32, .shape = {4, 2}}});
  c.outputs.push_back({.file = {.path = "/data/z.npy"}, .mapped = false, .array = {.type = DType::u8, .shape = {100}, .extent = {0x200000000000 + (64 << 20), 128}}});
  c.arrays.push_back({.name = "share", .type = DType::f64, .shape = {3}, .extent = {0x200000000000 + (80 << 20), 64}, .offset = 40});
  c.digested.push_back({.type = DType::f32, .shape = {4, 2}, .output = 0});
  c.previous = {.type = DType::u8, .shape = {16}, .extent = {0x200000000000 + (90 << 20), 16}};
  c.report.job = "fares";
  c.report.backend = Backend::processes;
  c.report.isa = Isa::v3;
  c.report.seconds = 0.1;
  StepReport step{.kernel = "moments", .elements = 5, .chunks = 2, .seconds = 1.5};
  step.result = {{"mean", {}, std::vector<double>{std::nan("")}},
                 {"counts", {2}, std::vector<std::uint64_t>{1, std::numeric_limits<std::uint64_t>::max()}},
                 {"low", {1, 2}, std::vector<std::int64_t>{-1, std::numeric_limits<std::int64_t>::min()}},
                 {"edge", {2}, std::vector<double>{-0.0, -std::numeric_limits<double>::infinity()}}};
  c.report.steps = {step};
  c.told = step;
  c.report.faults.poison.push_back({.index = 3, .value = "-1.0", .signal = "SIGSEGV", .attempts = 3, .peak_rss = 9, .stack = {"f (f.cpp:1)"}});
  return t;
}

JournalText parse(const std::string& text) { return parse_journal({reinterpret_cast<const std::byte*>(text.data()), text.size()}, "j/journal"); }

std::string refusal(const std::string& text) {
  try {
    parse(text);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(JournalText, WhatIsWrittenIsReadAgain) {
  const std::string text = to_text(sample());
  const JournalText t = parse(text);
  EXPECT_EQ(to_text(t), text);
  EXPECT_EQ(t.job[1].is, sample().job[1].is);
  EXPECT_EQ(t.checkpoint.arrays.at(0).offset, 40u);
  const auto& results = t.checkpoint.told.result;
  EXPECT_TRUE(std::isnan(std::get<std::vector<double>>(results[0].values)[0]));
  EXPECT_EQ(std::get<std::vector<std::uint64_t>>(results[1].values)[1], std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(std::get<std::vector<std::int64_t>>(results[2].values)[1], std::numeric_limits<std::int64_t>::min());
  EXPECT_TRUE(std::signbit(std::get<std::vector<double>>(results[3].values)[0]));
}

TEST(JournalText, FaultF5_EveryFlippedBitAndEveryCutIsRefused) {
  const std::string text = to_text(sample());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] = static_cast<char>(flipped[at] ^ 1 << at % 8);
    EXPECT_NE(refusal(flipped), "") << at;
    EXPECT_NE(refusal(text.substr(0, at)), "") << at;
  }
  EXPECT_NE(refusal(text + "x"), "");
}

TEST(JournalText, FaultF5_ReasonsAreTold) {
  const std::string text = to_text(sample());
  EXPECT_EQ(refusal("PK..."), "j/journal: is not a journal of cadre, or its first bytes are damaged");
  EXPECT_EQ(refusal("cadre journal 2" + text.substr(15)), "j/journal: the journal is of version 2; this program reads version 1: carry on with the program that began it");
  EXPECT_NE(refusal(text.substr(0, text.size() - 10)).find("is truncated: it has"), std::string::npos);
  std::string damaged = text;
  damaged[text.size() / 2] ^= 1;
  EXPECT_NE(refusal(damaged).find("is damaged: its checksum"), std::string::npos);
}

TEST(JournalText, FaultF5_WhatCanNotBeIsRefusedBehindARightChecksumToo) {
  const auto refused = [](auto change) {
    JournalText t = sample();
    change(t);
    return refusal(to_text(t));
  };
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.arrays[0].extent.address = 0x1000; }).find("an array outside its memory"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.arrays[0].extent.bytes = t.arena_size; }).find("an array outside its memory"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.arrays[0].shape = {4}; }).find("reaches beyond its memory"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.arrays[0].shape = {std::int64_t{1} << 62}; }).find("more elements than memory has addresses"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.digested[0].output = 1; }).find("an output that is not there"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.outputs[0].file.temporary = "/etc/passwd"; }).find("is not this journal's"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.arena_size = 4097; }).find("memory where none can be"), std::string::npos);
  EXPECT_NE(refused([](JournalText& t) { t.checkpoint.told.result[1].shape = {3}; }).find("whose shape is not that of its values"), std::string::npos);
}

// Where a text stands its bytes may, as whole numbers of 0 to 255.
TEST(JournalText, FaultF5_TextsOfNumbersThatAreNoBytesAreRefused) {
  const std::string text = to_text(sample()), body = text.substr(text.find('\n') + 1), machine = "\"" + sample().machine.at(0).is + "\"";
  const auto reason = [&](const std::string& instead) -> std::string {
    std::string changed = body;
    changed.replace(changed.find(machine), machine.size(), instead);
    try {
      return parse_journal_body(changed, "j").machine.at(0).is;
    } catch (const Error& e) {
      return e.what();
    }
  };
  EXPECT_EQ(reason("[120, 255]"), "x\xff");
  EXPECT_EQ(reason("[120, 256]"), "j: the journal is damaged: a number is out of range");
  EXPECT_EQ(reason("[-1]"), "j: the journal is damaged: a number is out of range");
  EXPECT_EQ(reason("[1843720.5]"), "j: the journal is damaged: a number is not whole");
  EXPECT_EQ(reason("[\"x\"]"), "j: the journal is damaged: a number is not whole");
}

// The body without the checksum's protection: either it is refused or it makes sense.
TEST(JournalText, RandomChangesOfTheBodyAreRefusedOrHarmless) {
  const std::string text = to_text(sample()), body = text.substr(text.find('\n') + 1);
  std::mt19937 random(3);
  int read = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string changed = body;
    for (int n = static_cast<int>(random() % 4); n >= 0; --n) {
      const std::size_t at = random() % changed.size();
      switch (random() % 3) {
        case 0: changed[at] = static_cast<char>(random()); break;
        case 1: changed.erase(at, random() % 8); break;
        default: changed.insert(at, std::to_string(random()));
      }
    }
    try {
      const JournalText t = parse_journal_body(changed, "j");
      EXPECT_LE(extents_of(t.checkpoint).size(), 3u);
      ++read;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("j: the journal is damaged: "), std::string::npos) << e.what();
    }
  }
  EXPECT_GT(read, 0);
}

TEST(JournalFacts, TheFirstDifferenceIsTold) {
  EXPECT_EQ(difference({{"a", "1"}}, {{"a", "1"}}), "");
  EXPECT_EQ(difference({{"a", "1"}}, {{"a", "2"}}), "a was 1 and is now 2");
  EXPECT_EQ(difference({{"a", "1"}}, {}), "a (1) is missing");
  EXPECT_EQ(difference({}, {{"a", "1"}}), "a (1) was not there");
}

}  // namespace
}  // namespace cadre
