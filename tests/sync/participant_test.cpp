/* Who is alive: a pid alone would not tell. */
#include <cadre/sync/participant.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cadre/shm/arena.hpp>
#include <cadre/sync/value.hpp>

#include "../support/child.hpp"
#include "../support/methods.hpp"

namespace cadre {
namespace {

class ParticipantTest : public testing::LeakCheck {};

TEST_F(ParticipantTest, AForkedChildIsAnotherOne) {
  const Participant me = participant();
  EXPECT_NE(me, kNobody);
  EXPECT_EQ(me, participant());
  EXPECT_TRUE(is_alive(me));
  EXPECT_EQ(testing::in_child([me] { return participant() != me && is_alive(me) && is_alive(participant()) ? 0 : 1; }), "exit 0");
}

TEST_F(ParticipantTest, AZombieIsDead) {
  SharedValue<Participant> child(kNobody);
  const pid_t pid = fork();
  if (pid == 0) {
    child.value() = participant();
    _exit(0);
  }
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  EXPECT_NE(child.value(), kNobody);
  EXPECT_FALSE(is_alive(child.value()));
  waitpid(pid, nullptr, 0);
  EXPECT_FALSE(is_alive(child.value()));
}

TEST_F(ParticipantTest, AReusedPidIsNotTheOldProcess) {
  // What a process that had this one's pid before would have left: the same pid, an earlier start.
  const Participant me = participant();
  auto* const who = reinterpret_cast<std::atomic<std::uint64_t>*>(Arena::instance().base() + 16 * (me % (1u << 14)));
  const std::uint64_t now = who->load();
  EXPECT_EQ(testing::in_child([=] {
              who->store(now - 1);
              const bool alive = is_alive(me);
              who->store(now);
              return alive ? 1 : is_alive(me) ? 0 : 2;
            }),
            "exit 0");
}

TEST_F(ParticipantTest, WhoLeavesInOrderIsGoneAtOnce) {
  SharedValue<Participant> child(kNobody);
  EXPECT_EQ(testing::in_child([&] {
              child.value() = participant();
              leave_participants();
              return is_alive(child.value()) ? 1 : 0;
            }),
            "exit 0");
}

TEST_F(ParticipantTest, ThousandsOfProcessesOneAfterTheOtherAreNeverMistaken) {
  SharedValue<Participant> child(kNobody);
  std::vector<Participant> before;
  for (int i = 0; i < 300; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      child.value() = participant();
      leave_participants();  // so that the entry is used again and again
      _exit(0);
    }
    waitpid(pid, nullptr, 0);
    for (const Participant p : before) ASSERT_NE(p, child.value());
    before.push_back(child.value());
  }
}

}  // namespace
}  // namespace cadre
