/* For tests whose processes are copies of the test program. */
#include <gtest/gtest.h>

#include <cadre/pool/program.hpp>

int main(int argc, char** argv) {
  cadre::init(argc, argv);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
