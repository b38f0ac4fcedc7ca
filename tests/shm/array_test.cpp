#include <limits>
#include <type_traits>

#include <cadre/shm/array.hpp>
#include <cadre/shm/eigen.hpp>

#include "../support/child.hpp"
#include "../support/leak_check.hpp"

namespace {

using namespace cadre;
using cadre::testing::error_of;

class ArrayTest : public cadre::testing::LeakCheck {};

template <class T>
Array<T> make(Shape shape) {
  auto storage = allocate_storage(elements_of(shape, sizeof(T)) * sizeof(T));
  T* const data = reinterpret_cast<T*>(storage->data());
  return {std::move(storage), data, std::move(shape)};
}

static_assert(std::is_convertible_v<Array<double>, Array<const double>> && !std::is_convertible_v<Array<const double>, Array<double>>);
static_assert(std::is_same_v<decltype(std::declval<Array<const float>>()[0]), const float&>);

TEST_F(ArrayTest, KeepsItsMemoryAliveAsLongAsAViewOfItLives) {
  const std::size_t before = Arena::instance().in_use();
  Array<const double> view;
  {
    Array<double> x = make<double>({1000});
    x[999] = 4.5;
    view = x;
  }
  EXPECT_EQ(view[999], 4.5);
  EXPECT_EQ(Arena::instance().in_use(), before + 8000);
  view = {};
  EXPECT_EQ(Arena::instance().in_use(), before);
}

TEST_F(ArrayTest, TwoDimensionsLieRowByRow) {
  Array<int> x = make<int>({3, 4});
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<int>(i);
  EXPECT_EQ(x(2, 1), 9);
  EXPECT_EQ(x.span().size(), 12u);
  EXPECT_EQ(&*x.span().begin(), x.data());
}

TEST_F(ArrayTest, EigenSeesTheSameMemory) {
  Array<double> x = make<double>({2, 3});
  for (std::size_t i = 0; i < 6; ++i) x[i] = static_cast<double>(i);
  EXPECT_EQ(eigen_matrix(x)(1, 0), 3.0);
  eigen_vector(x) += 1.0;
  EXPECT_EQ(x[5], 6.0);
  const Array<const double> readable = x;
  EXPECT_EQ(eigen_matrix(readable).sum(), 21.0);
  static_assert(std::is_const_v<std::remove_pointer_t<decltype(eigen_vector(readable).data())>>);
  EXPECT_EQ(error_of([] { eigen_matrix(Array<double>()); }), "a matrix view needs two dimensions, not the shape (0,)");
}

TEST_F(ArrayTest, AnyArrayGivesOnlyItsOwnTypeAndOnlyWhatMayBeWritten) {
  const AnyArray any = make<double>({7});
  EXPECT_EQ(any.bytes(), 56u);
  EXPECT_EQ(any.as<double>().size(), 7u);
  EXPECT_EQ(error_of([&] { any.as<float>(); }), "the array holds float64, not float32");
  const AnyArray read_only = Array<const double>(any.as<double>());
  EXPECT_EQ(read_only.as<const double>().size(), 7u);
  EXPECT_EQ(error_of([&] { read_only.as<double>(); }), "the array may only be read: take it as<const T>()");
}

TEST(Shape, IsWrittenAsPythonWritesIt) {
  EXPECT_EQ(to_string({}), "()");
  EXPECT_EQ(to_string({5}), "(5,)");
  EXPECT_EQ(to_string({200000, 8}), "(200000, 8)");
}

TEST(Shape, CountsItsElementsWithinSixtyThreeBits) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(elements_of({}), 1u);
  EXPECT_EQ(elements_of({3, 0, 5}), 0u);
  EXPECT_EQ(elements_of({kMost}), static_cast<std::uint64_t>(kMost));
  EXPECT_EQ(elements_of({kMost / 8}, 8), static_cast<std::uint64_t>(kMost / 8));
  EXPECT_EQ(error_of([] { elements_of({kMost / 8 + 1}, 8); }), "the shape (1152921504606846976,) has more elements than memory has addresses");
  EXPECT_NE(error_of([] { elements_of({kMost, 2}); }), "nothing was thrown");
  EXPECT_NE(error_of([] { elements_of({0, kMost, kMost}); }), "nothing was thrown");
  EXPECT_EQ(error_of([] { elements_of({3, -1}); }), "the shape (3, -1) has a negative extent");
}

}  // namespace
