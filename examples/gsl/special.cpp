// Special functions of the GNU Scientific Library (Debian: libgsl-dev), which knows nothing of Cadre, over whole arrays.
//
//   cadre build special.cpp -- -lgsl -lgslcblas
//   cadre run bessel_j --plugin ./special.so --in x.npy --param n=1 --out y.npy
#include <cadre/kernels/plugin.hpp>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_sf.h>

namespace {

// The library's default is to abort. Out of its domain a function gives NaN, as NumPy's do.
[[maybe_unused]] const auto no_abort = gsl_set_error_handler_off();

}  // namespace

CADRE_MAP(bessel_j, (double x, int64_t n = 0), gsl_sf_bessel_Jn(int(n), x), "Bessel function of the first kind, J_n(x).")
CADRE_MAP(airy_ai, (double x), gsl_sf_airy_Ai(x, GSL_PREC_DOUBLE), "Airy function Ai(x).")
CADRE_MAP(debye_3, (double x), gsl_sf_debye_3(x), "Debye function D_3(x), of the heat capacity of solids.")
CADRE_MAP(hurwitz_zeta, (double s, double q = 1), gsl_sf_hzeta(s, q), "Hurwitz zeta function, sum over k of (k + q)^-s.")
CADRE_MAP(dilogarithm, (double x), gsl_sf_dilog(x), "Real part of the dilogarithm Li_2(x).")
