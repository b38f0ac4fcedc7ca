/* Any bytes as a message to a manager: refused with an Error, or a value that, written again, says the same; and as a call of data: done and taken back, or refused, with nothing changed. */
#include <cstdlib>
#include <string>

#include <cadre/manager/encoding.hpp>
#include <cadre/manager/verbs.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cadre;
  Data value;
  try {
    value = detail::decode({reinterpret_cast<const char*>(data), size});
  } catch (const Error&) {
    return 0;
  }
  std::string again;
  detail::encode(again, value);
  if (detail::decode(again).repr() != value.repr()) std::abort();
  if (value.kind() != Data::Kind::list) return 0;
  Data::List& call = value.list();
  if (call.size() != 3 || call[0].kind() != Data::Kind::list || call[1].kind() != Data::Kind::text || call[2].kind() != Data::Kind::list) return 0;
  Data root = Data::Dict{{"a", Data::List{3, "x", Data::List{1, 2}, 2.5}}, {"b", Data::Dict{{1, "one"}, {"c", nullptr}}}, {"d", Data(std::vector<std::int16_t>{1, 2, 3})}, {"n", 5}};
  const std::string before = root.repr();
  detail::Undo undo;
  try {
    (void)detail::apply(root, call[0].list(), call[1].text(), call[2].list(), &undo);
  } catch (const Error&) {
    undo.roll_back();
    if (root.repr() != before) std::abort();
    return 0;
  }
  undo.roll_back();
  if (root.repr() != before) std::abort();
  return 0;
}
