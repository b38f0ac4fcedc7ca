#include <cadre/compare/page.hpp>

#include <string_view>

#include <cadre/compare/included_file.hpp>
#include <cadre/compare/text_report.hpp>

CADRE_INCLUDE_FILE(page_template, CADRE_PAGE_TEMPLATE);
CADRE_INCLUDE_FILE(page_library, CADRE_PAGE_LIBRARY);

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

std::string page_of(const std::string& title, const std::string& json) {
  const std::string_view page = included_page_template();
  std::string all;
  std::size_t at = 0;
  const auto fill = [&](std::string_view mark, std::string_view with) {
    const std::size_t place = page.find(mark, at);
    all.append(page.substr(at, place - at)).append(with);
    at = place + mark.size();
  };
  fill("@TITLE@", escaped(title));
  fill("@DATA@", in_script(json));
  fill("@LIBRARY@", included_page_library());
  return all.append(page.substr(at));
}

}  // namespace

std::string to_page(const Comparison& comparison) { return page_of(comparison.job + ": processes or threads?", to_json(comparison)); }
std::string to_page(const std::vector<SuiteEntry>& suite) { return page_of("Processes or threads?", to_json(suite)); }

}  // namespace cadre::compare
