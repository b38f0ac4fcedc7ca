#pragma once
/* The built-in kernels, one line per source file. A file defines `const cadre_kernel NAME_kernel` for each of its names. */
#include <cadre/kernels/kernel.h>

#define CADRE_BUILTIN_KERNELS(X)                  \
  X(add) X(multiply) X(divide) X(axpy)            /* arithmetic.cpp */ \
  X(sqrt) X(exp) X(log)                           /* transcendental.cpp */ \
  X(clip)                                         /* clip.cpp */ \
  X(standardize)                                  /* standardize.cpp */ \
  X(black_scholes)                                /* black_scholes.cpp */ \
  X(take)                                         /* take.cpp */ \
  X(matmul)                                       /* matmul.cpp */ \
  X(sum)                                          /* sum.cpp */ \
  X(min) X(max)                                   /* extremes.cpp */ \
  X(moments)                                      /* moments.cpp */ \
  X(dot) X(norm)                                  /* products.cpp */ \
  X(histogram)                                    /* histogram.cpp */ \
  X(histogram2d)                                  /* histogram2d.cpp */ \
  X(bincount)                                     /* bincount.cpp */ \
  X(group_sum)                                    /* group_sum.cpp */ \
  X(covariance)                                   /* covariance.cpp */ \
  X(kmeans) X(kmeans_step)                        /* kmeans.cpp */ \
  X(subtract) X(abs) X(scale) X(polynomial)       /* elementary.cpp */ \
  X(argmin) X(argmax)                             /* argextremes.cpp */ \
  X(quantiles)                                    /* quantiles.cpp */ \
  X(mandelbrot)                                   /* mandelbrot.cpp */ \
  X(two_point_counts)                             /* two_point_counts.cpp */ \
  X(monte_carlo_option)                           /* monte_carlo_option.cpp */ \
  X(fft_rows)                                     /* fft_rows.cpp */ \
  X(topk)                                         /* topk.cpp */ \
  X(spmv)                                         /* spmv.cpp */ \
  X(sort)                                         /* sort.cpp */ \
  X(cumsum)                                       /* cumsum.cpp */ \
  X(linear_regression)                            /* linear_regression.cpp */ \
  X(pca)                                          /* pca.cpp */ \
  X(stencil2d)                                    /* stencil2d.cpp */ \
  X(pairwise_distances)                           /* pairwise_distances.cpp */

namespace cadre::builtin {
#define CADRE_DECLARE(name) extern const cadre_kernel name##_kernel;
CADRE_BUILTIN_KERNELS(CADRE_DECLARE)
#undef CADRE_DECLARE
}  // namespace cadre::builtin
