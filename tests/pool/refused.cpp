/* What the compiler must refuse, and say why (tests/pool/CMakeLists.txt has what): each by the name of a macro. With none of them it compiles. */
#include <cadre/pool/process.hpp>

#include <memory>
#include <mutex>
#include <string>

void use_pointer(std::unique_ptr<int>& p) { cadre::exit(*p); }
void use_mutex(std::mutex& m) { m.lock(); }
void use_number(int n) { cadre::exit(n); }

int main() {
  const std::string text = "captured";
#if defined(ARGUMENT_THAT_CAN_NOT_BE_COPIED)
  cadre::Process p(cadre::ProcessOptions{.start = cadre::StartMethod::spawn}, use_pointer, std::make_unique<int>(3));
#elif defined(ARGUMENT_OF_THIS_PROCESS_ALONE)
  cadre::Process p(use_mutex, std::mutex());
#elif defined(CAPTURE_THAT_IS_NOT_BYTES)
  cadre::Process p([text] { cadre::exit(static_cast<int>(text.size())); });
#else
  cadre::Process p(use_number, 3);
#endif
  p.start();
}
