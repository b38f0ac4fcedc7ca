# cadre_library(NAME SOURCES ... DEPENDS ...): the target cadre_NAME, known as cadre::NAME, of one folder of the tree.
add_library(cadre_flags INTERFACE)
target_compile_options(cadre_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX,C>:-Wall -Wextra -Wno-missing-field-initializers>)
if(CADRE_SANITIZE)
  target_compile_options(cadre_flags INTERFACE -fsanitize=${CADRE_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cadre_flags INTERFACE -fsanitize=${CADRE_SANITIZE})
endif()
# Compiled as Cadre's own code is, for what stands outside the libraries (programs, tests, benches).
function(cadre_own target)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:cadre_flags>)
endfunction()

function(cadre_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPENDS;PRIVATE")
  add_library(cadre_${name} STATIC ${ARG_SOURCES})
  add_library(cadre::${name} ALIAS cadre_${name})
  set_target_properties(cadre_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(cadre_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(cadre_${name} PUBLIC cxx_std_20)
  target_link_libraries(cadre_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE} $<BUILD_INTERFACE:cadre_flags>)
endfunction()
