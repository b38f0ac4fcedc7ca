#pragma once
/* Types of a program's own that its manager holds: made and called through proxies, with plain data.

     class Counter {
      public:
       explicit Counter(int start) : n_(start) {}
       int add(int k) { return n_ += k; }
     ...
     void types(cadre::TypeRegistry& r) { r.type<Counter, int>("Counter").method("add", &Counter::add); }

     cadre::Manager manager(types);
     cadre::ObjectProxy c = manager.object("Counter", {10});
     c.call("add", {5}).as<int>();                      // 15

   The methods run in the server, one call after the other, while everybody else waits: they should be short. What one throws is thrown again at the caller. */
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <cadre/manager/data.hpp>

namespace cadre {

class TypeRegistry {
 public:
  using Method = std::function<Data(void* object, Data::List& args)>;
  struct Type {
    std::function<std::shared_ptr<void>(Data::List& args)> make;
    std::map<std::string, Method, std::less<>> methods;
  };

  template <class T>
  class TypeOf {
   public:
    explicit TypeOf(Type& type) : type_(type) {}
    /** Arguments as Data::as<> gives them; the result is a Data, or what makes one, or void. */
    template <class R, class... Args>
    TypeOf& method(const std::string& name, R (T::*f)(Args...)) {
      return add<R, Args...>(name, f);
    }
    template <class R, class... Args>
    TypeOf& method(const std::string& name, R (T::*f)(Args...) const) {
      return add<R, Args...>(name, f);
    }

   private:
    template <class R, class... Args, class F>
    TypeOf& add(const std::string& name, F f) {
      type_.methods[name] = [f, name](void* object, Data::List& args) { return invoke<R, Args...>(f, *static_cast<T*>(object), name, args, std::index_sequence_for<Args...>()); };
      return *this;
    }
    template <class R, class... Args, class F, std::size_t... I>
    static Data invoke(F f, T& object, const std::string& name, Data::List& args, std::index_sequence<I...>) {
      require_count(name, args, sizeof...(Args));
      if constexpr (std::is_void_v<R>) {
        (object.*f)(args[I].template as<std::decay_t<Args>>()...);
        return {};
      } else {
        return Data((object.*f)(args[I].template as<std::decay_t<Args>>()...));
      }
    }
    Type& type_;
  };

  /** A type whose constructor takes Args. */
  template <class T, class... Args>
  TypeOf<T> type(const std::string& name) {
    Type& added = types_[name];
    added.make = [name](Data::List& args) { return construct<T, Args...>(name, args, std::index_sequence_for<Args...>()); };
    return TypeOf<T>(added);
  }
  /** nullptr: no such type. */
  const Type* find(std::string_view name) const {
    const auto found = types_.find(name);
    return found == types_.end() ? nullptr : &found->second;
  }

 private:
  template <class T, class... Args, std::size_t... I>
  static std::shared_ptr<void> construct(const std::string& name, Data::List& args, std::index_sequence<I...>) {
    require_count(name, args, sizeof...(Args));
    return std::make_shared<T>(args[I].template as<std::decay_t<Args>>()...);
  }
  static void require_count(const std::string& name, const Data::List& args, std::size_t n) {
    if (args.size() != n) throw Error("TypeError: " + name + " takes " + std::to_string(n) + " arguments, not " + std::to_string(args.size()));
  }
  std::map<std::string, Type, std::less<>> types_;
};

}  // namespace cadre
