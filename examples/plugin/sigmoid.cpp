#include <cadre/kernels/plugin.hpp>
CADRE_MAP(sigmoid, (double x, double slope = 1.0), 1.0 / (1.0 + cadre::exp(-slope * x)), "Logistic curve.")
