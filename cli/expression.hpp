#pragma once
/* Expressions as kernels: "y = a*sqrt(x) + log1p(x)" becomes the source of a map in C++.

     expression  = [ name "=" ] choice
     choice      = either [ "?" choice ":" choice ]
     either      = both { ("or" | "||") both }            both = not { ("and" | "&&") not }        not = ("not" | "!") not | comparison
     comparison  = sum [ ("<" | "<=" | ">" | ">=" | "==" | "!=") sum ]
     sum         = product { ("+" | "-") product }        product = sign { ("*" | "/") sign }
     sign        = ("-" | "+") sign | power               power = atom [ "**" sign ]
     atom        = number | name | name "(" choice { "," choice } ")" | "(" choice ")"

   All is computed in float64. Functions: those of kernels/math.hpp; where(c, a, b), which computes both. Constants: pi, e, inf, nan. A comparison in
   arithmetic is 1 or 0. */
#include <string>
#include <vector>

namespace cadre::cli {

struct Expression {
  std::string output;               // "out" where the text names none
  std::vector<std::string> inputs;  // names that are not parameters, in the order in which they appear
  std::string source;               // C++, for build_plugin
};

/** Throws Error with the place: what can not be read, unknown functions with the nearest name. `params`: names that are parameters. */
Expression parse_expression(const std::string& text, const std::vector<std::string>& params);

}  // namespace cadre::cli
