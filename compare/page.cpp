#include <cadre/compare/page.hpp>

#include <string_view>

#include <cadre/compare/text_report.hpp>

// Both files become part of the program, so that an install needs neither.
#define CADRE_INCLUDE_FILE(name, path)                                                                 \
  asm(".section .rodata\n.global cadre_" name "\ncadre_" name ":\n.incbin \"" path "\"\n"              \
      ".global cadre_" name "_end\ncadre_" name "_end:\n.byte 0\n.previous\n")
CADRE_INCLUDE_FILE("page_template", CADRE_PAGE_TEMPLATE);
CADRE_INCLUDE_FILE("page_library", CADRE_PAGE_LIBRARY);
extern "C" const char cadre_page_template[], cadre_page_template_end[], cadre_page_library[], cadre_page_library_end[];

namespace cadre::compare {
namespace {

std::string escaped(std::string_view text) {
  std::string all;
  for (const char c : text) all += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  return all;
}

/** JSON that may stand in a script element: nothing in it ends the element. */
std::string in_script(const std::string& json) {
  std::string all;
  all.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    all += json[i];
    if (json[i] == '<') all.replace(all.size() - 1, 1, "\\u003c");
  }
  return all;
}

}  // namespace

std::string to_page(const Comparison& comparison) {
  const std::string_view page(cadre_page_template, static_cast<std::size_t>(cadre_page_template_end - cadre_page_template));
  const std::string_view library(cadre_page_library, static_cast<std::size_t>(cadre_page_library_end - cadre_page_library));
  std::string all;
  std::size_t at = 0;
  const auto fill = [&](std::string_view mark, std::string_view with) {
    const std::size_t place = page.find(mark, at);
    all.append(page.substr(at, place - at)).append(with);
    at = place + mark.size();
  };
  fill("@TITLE@", escaped(comparison.job + ": processes or threads?"));
  fill("@DATA@", in_script(to_json(comparison)));
  fill("@LIBRARY@", library);
  return all.append(page.substr(at));
}

}  // namespace cadre::compare
