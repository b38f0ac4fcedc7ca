#include "expression.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <map>
#include <set>

#include <cadre/kernels/registry.hpp>
#include <cadre/shm/error.hpp>

namespace cadre::cli {
namespace {

constexpr std::size_t kLongest = 4096;
constexpr int kDeepest = 100;

/** Name -> number of arguments. */
const std::map<std::string, int> kFunctions = {
    {"exp", 1}, {"exp2", 1}, {"exp10", 1}, {"expm1", 1}, {"log", 1}, {"log2", 1}, {"log10", 1}, {"log1p", 1}, {"sin", 1}, {"cos", 1},
    {"tan", 1}, {"asin", 1}, {"acos", 1}, {"atan", 1}, {"arcsin", 1}, {"arccos", 1}, {"arctan", 1}, {"sinh", 1}, {"cosh", 1}, {"tanh", 1},
    {"asinh", 1}, {"acosh", 1}, {"atanh", 1}, {"arcsinh", 1}, {"arccosh", 1}, {"arctanh", 1}, {"cbrt", 1}, {"erf", 1}, {"erfc", 1}, {"tgamma", 1},
    {"lgamma", 1}, {"sqrt", 1}, {"abs", 1}, {"floor", 1}, {"ceil", 1}, {"trunc", 1}, {"rint", 1}, {"sign", 1}, {"square", 1},
    {"pow", 2}, {"atan2", 2}, {"arctan2", 2}, {"hypot", 2}, {"min", 2}, {"max", 2}, {"minimum", 2}, {"maximum", 2}, {"clip", 3}, {"where", 3}};

/** What C++ would take for something else. */
const std::set<std::string> kReserved = {
    "alignas", "alignof", "asm", "auto", "bool", "break", "case", "catch", "char", "class", "const", "continue", "default", "delete", "do", "double",
    "else", "enum", "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable", "namespace",
    "new", "noexcept", "nullptr", "operator", "private", "protected", "public", "register", "requires", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "template", "this", "throw", "true", "try", "typedef", "typeid", "typename", "union", "unsigned", "using",
    "virtual", "void", "volatile", "while", "cadre", "linux", "unix", "stdin", "stdout", "stderr", "NULL", "EOF", "concept", "constexpr", "consteval", "constinit"};

/** C++ for a part of the expression. */
struct Code {
  std::string text;
  bool truth = false;  // a bool rather than a double
};
std::string real(const Code& c) { return c.truth ? "double(" + c.text + ")" : c.text; }
std::string truth(const Code& c) { return c.truth ? c.text : "(" + c.text + " != 0.0)"; }

class Parser {
 public:
  Parser(const std::string& text, const std::vector<std::string>& params) : text_(text), params_(params.begin(), params.end()) {}

  Expression parse() {
    if (text_.size() > kLongest) throw Error("--expr: the expression has " + std::to_string(text_.size()) + " characters, at most " + std::to_string(kLongest) + " are possible");
    Expression e;
    e.output = "out";
    next();
    if (is_name() && text_.find_first_not_of(" \t", at_) != std::string::npos && equals_follows()) {
      e.output = check_name(token_);
      next();
      next();
    }
    const Code code = choice();
    if (!token_.empty()) fail("an operator or the end is expected");
    e.inputs = inputs_;
    if (inputs_.empty()) throw Error("--expr " + text_ + ": no array is in it; name at least one, and give it with --in NAME=FILE.npy");
    if (inputs_.size() > 8) throw Error("--expr: " + std::to_string(inputs_.size()) + " arrays, at most 8 are possible");
    if (params_.size() > 16) throw Error("--expr: " + std::to_string(params_.size()) + " parameters, at most 16 are possible");
    for (const std::string& p : params_)
      if (!used_.contains(p)) throw Error("--param " + p + ": the expression " + text_ + " does not use it");
    std::string arguments, doc;
    for (const std::string& name : inputs_) arguments += (arguments.empty() ? "double " : ", double ") + name;
    for (const std::string& name : params_) arguments += ", double " + name + " = 0";
    for (const char c : text_) doc += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c == '\n' || c == '\t' ? ' ' : c);
    e.source = "#include <cadre/kernels/plugin.hpp>\nstatic inline double cadre_square(double v) { return v * v; }\n"
               "CADRE_MAP_TO(expression, " + e.output + ", (" + arguments + "), " + real(code) + ", \"" + doc + "\")\n";
    return e;
  }

 private:
  [[noreturn]] void fail(const std::string& what) {
    throw Error("--expr " + text_ + ": " + what + (token_.empty() ? " at the end" : " at " + token_ + " (character " + std::to_string(begin_ + 1) + ")"));
  }
  bool is_name() const { return !token_.empty() && (std::isalpha(static_cast<unsigned char>(token_[0])) || token_[0] == '_'); }
  bool equals_follows() const {
    const std::size_t at = text_.find_first_not_of(" \t", at_);
    return at != std::string::npos && text_[at] == '=' && (at + 1 >= text_.size() || text_[at + 1] != '=');
  }
  std::string check_name(const std::string& name) {
    if (kReserved.contains(name) || name.size() > 64 || name.starts_with("__")) throw Error("--expr " + text_ + ": " + name + " can not be a name here: give it another");
    return name;
  }

  void next() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    begin_ = at_;
    token_.clear();
    if (at_ >= text_.size()) return;
    const auto word = [&](std::size_t i) { return i < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[i])) || text_[i] == '_'); };
    const char c = text_[at_];
    if (std::isdigit(static_cast<unsigned char>(c)) || (c == '.' && at_ + 1 < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_ + 1])))) {
      char* end = nullptr;
      std::strtod(text_.c_str() + at_, &end);
      at_ = static_cast<std::size_t>(end - text_.c_str());
      token_ = text_.substr(begin_, at_ - begin_);
      if (word(at_)) fail("this is not a number");
      return;
    }
    if (word(at_)) {
      while (word(at_)) ++at_;
      token_ = text_.substr(begin_, at_ - begin_);
      return;
    }
    for (const char* two : {"**", "<=", ">=", "==", "!=", "&&", "||"})
      if (text_.compare(at_, 2, two) == 0) {
        token_ = two;
        at_ += 2;
        return;
      }
    token_ = std::string(1, c);
    ++at_;
    if (std::string("+-*/()<>,?:!=").find(c) == std::string::npos) fail(c == '^' ? "powers are written **" : "this character has no meaning here");
  }
  bool take(const char* token) {
    if (token_ != token) return false;
    next();
    return true;
  }
  void expect(const char* token) {
    if (!take(token)) fail(std::string("\"") + token + "\" is expected");
  }

  Code choice() {
    const Depth guard(*this);
    const Code condition = either();
    if (!take("?")) return condition;
    const Code yes = choice();
    expect(":");
    const Code no = choice();
    return {"cadre::where(" + truth(condition) + ", " + real(yes) + ", " + real(no) + ")"};
  }
  Code either() {
    Code left = both();
    while (take("or") || take("||")) left = {"(bool(int(" + truth(left) + ") | int(" + truth(both()) + ")))", true};
    return left;
  }
  Code both() {
    Code left = negation();
    while (take("and") || take("&&")) left = {"(bool(int(" + truth(left) + ") & int(" + truth(negation()) + ")))", true};
    return left;
  }
  Code negation() {
    const Depth guard(*this);
    if (take("not") || take("!")) return {"(!" + truth(negation()) + ")", true};
    return comparison();
  }
  Code comparison() {
    const Code left = sum();
    for (const char* op : {"<=", ">=", "==", "!=", "<", ">"})
      if (take(op)) return {"(" + real(left) + " " + op + " " + real(sum()) + ")", true};
    return left;
  }
  Code sum() {
    Code left = product();
    for (;;) {
      const std::string op = token_;
      if (!take("+") && !take("-")) return left;
      left = {"(" + real(left) + " " + op + " " + real(product()) + ")"};
    }
  }
  Code product() {
    Code left = sign();
    for (;;) {
      const std::string op = token_;
      if (!take("*") && !take("/")) return left;
      left = {"(" + real(left) + " " + op + " " + real(sign()) + ")"};
    }
  }
  Code sign() {
    const Depth guard(*this);
    if (take("-")) return {"(-" + real(sign()) + ")"};
    if (take("+")) return {real(sign())};
    return power();
  }
  // As NumPy: a square and a square root are what they are called.
  Code power() {
    const Code base = atom();
    if (!take("**")) return base;
    const std::string exponent = real(sign());
    if (exponent == "2.0") return {"cadre_square(" + real(base) + ")"};
    if (exponent == "0.5") return {"cadre::sqrt(" + real(base) + ")"};
    return {"cadre::pow(" + real(base) + ", " + exponent + ")"};
  }
  Code atom() {
    const Depth guard(*this);
    if (take("(")) {
      const Code inner = choice();
      expect(")");
      return inner;
    }
    if (!token_.empty() && (std::isdigit(static_cast<unsigned char>(token_[0])) || token_[0] == '.')) {
      std::string number = token_;
      next();
      if (number.find_first_of(".eExXpP") == std::string::npos) number += ".0";
      return {number};
    }
    if (!is_name()) fail("a number, a name or \"(\" is expected");
    const std::string name = token_;
    const std::size_t begin = begin_;
    next();
    if (token_ == "(") return call(name, begin);
    if (params_.contains(name)) {
      used_.insert(name);
      return {check_name(name)};
    }
    static const std::map<std::string, std::string> constants = {{"pi", "3.141592653589793"}, {"e", "2.718281828459045"}, {"inf", "__builtin_inf()"}, {"nan", "__builtin_nan(\"\")"}};
    if (const auto at = constants.find(name); at != constants.end()) return {at->second};
    if (std::find(inputs_.begin(), inputs_.end(), name) == inputs_.end()) inputs_.push_back(check_name(name));
    return {name};
  }
  Code call(std::string name, std::size_t begin) {
    const auto function = kFunctions.find(name);
    if (function == kFunctions.end()) {
      std::vector<std::string> names;
      for (const auto& [n, count] : kFunctions) names.push_back(n);
      const std::string near = nearest_name(name, names);
      throw Error("--expr " + text_ + ": there is no function " + name + " (character " + std::to_string(begin + 1) + ")" + (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    expect("(");
    std::vector<Code> given;
    if (token_ != ")") do given.push_back(choice());
      while (take(","));
    expect(")");
    if (static_cast<int>(given.size()) != function->second)
      throw Error("--expr " + text_ + ": " + name + " takes " + std::to_string(function->second) + " argument" + (function->second == 1 ? "" : "s") + ", not " + std::to_string(given.size()));
    if (name.starts_with("arc")) name = "a" + name.substr(3);
    if (name == "minimum" || name == "maximum") name = name.substr(0, 3);
    std::string text = (name == "square" ? "cadre_square(" : "cadre::" + name + "(");
    for (std::size_t i = 0; i < given.size(); ++i) text += (i ? ", " : "") + (name == "where" && i == 0 ? truth(given[i]) : real(given[i]));
    return {text + ")"};
  }

  struct Depth {
    Parser& parser;
    explicit Depth(Parser& p) : parser(p) {
      if (++p.depth_ > kDeepest) throw Error("--expr: the expression is nested more than " + std::to_string(kDeepest) + " deep");
    }
    ~Depth() { --parser.depth_; }
  };

  const std::string text_;
  const std::set<std::string> params_;
  std::set<std::string> used_;
  std::vector<std::string> inputs_;
  std::string token_;
  std::size_t at_ = 0, begin_ = 0;
  int depth_ = 0;
};

}  // namespace

Expression parse_expression(const std::string& text, const std::vector<std::string>& params) { return Parser(text, params).parse(); }

}  // namespace cadre::cli
