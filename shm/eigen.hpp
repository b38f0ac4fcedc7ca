#pragma once
/* Arrays seen by Eigen, nothing copied: eigen_vector(x) of any array, flattened; eigen_matrix(X) of a two-dimensional one. The view does
   not keep the memory alive: the array must outlive it. Data in mapped files are aligned to their element only, so the maps claim no more. */
#include <type_traits>

#include <Eigen/Core>

#include <cadre/shm/array.hpp>

namespace cadre {

/* What a map of T looks into: const where T is, as Eigen spells it. */
template <class T, class Plain>
using EigenView = Eigen::Map<std::conditional_t<std::is_const_v<T>, const Plain, Plain>>;

template <class T>
using EigenVector = EigenView<T, Eigen::Array<std::remove_cv_t<T>, Eigen::Dynamic, 1>>;
template <class T>
using EigenMatrix = EigenView<T, Eigen::Matrix<std::remove_cv_t<T>, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

template <class T>
EigenVector<T> eigen_vector(const Array<T>& array) {
  return {array.data(), static_cast<Eigen::Index>(array.size())};
}

/** Throws Error unless the array has two dimensions. */
template <class T>
EigenMatrix<T> eigen_matrix(const Array<T>& array) {
  if (array.shape().size() != 2) throw Error("a matrix view needs two dimensions, not the shape " + to_string(array.shape()));
  return {array.data(), static_cast<Eigen::Index>(array.shape()[0]), static_cast<Eigen::Index>(array.shape()[1])};
}

}  // namespace cadre
