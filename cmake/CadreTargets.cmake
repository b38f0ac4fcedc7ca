# The flags that Cadre's own code is compiled with. They are copied onto the targets, not linked to them, so that an install exports none.
add_library(cadre_flags INTERFACE)
target_compile_options(cadre_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX,C>:-Wall -Wextra -Wno-missing-field-initializers>
  $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wno-unknown-pragmas -Wno-bitwise-conditional-parentheses>)
if(CADRE_SANITIZE)
  target_compile_options(cadre_flags INTERFACE -fsanitize=${CADRE_SANITIZE} -fno-omit-frame-pointer)
  if(CADRE_SANITIZE MATCHES undefined)  # half of the time to compile; a null pointer stops under AddressSanitizer anyway
    target_compile_options(cadre_flags INTERFACE -fno-sanitize=null,vptr,alignment)
  endif()
  target_link_options(cadre_flags INTERFACE -fsanitize=${CADRE_SANITIZE})
endif()

# cadre_own(TARGET [LIBRARY] [COLD]): compiled as Cadre's own code is. COLD: without a loop whose time counts, and optimised no more than is soon done.
# Under sanitizers nothing but the kernels is optimised, which takes two thirds of the time and hides nothing; in the libraries alignment is checked,
# for what is laid out in shared memory.
function(cadre_own target)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "LIBRARY;COLD" "" "")
  target_compile_options(${target} PRIVATE $<TARGET_PROPERTY:cadre_flags,INTERFACE_COMPILE_OPTIONS>)
  if(CADRE_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  elseif(ARG_COLD)  # with -O1 GCC 12 takes members of an empty std::optional for read
    target_compile_options(${target} PRIVATE $<$<NOT:$<CONFIG:Debug>>:-O1> $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  endif()
  if(ARG_LIBRARY AND CADRE_SANITIZE MATCHES undefined)
    target_compile_options(${target} PRIVATE -fsanitize=alignment)
  endif()
  target_link_options(${target} PRIVATE $<TARGET_PROPERTY:cadre_flags,INTERFACE_LINK_OPTIONS>)
endfunction()

# cadre_library(NAME SOURCES ... DEPENDS ... PRIVATE ...): the target cadre_NAME, known as cadre::NAME, of one folder of the tree.
# DEPENDS: what its headers need too; PRIVATE: what only its sources need.
function(cadre_library name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "SOURCES;DEPENDS;PRIVATE")
  add_library(cadre_${name} STATIC ${ARG_SOURCES})
  add_library(cadre::${name} ALIAS cadre_${name})
  set_target_properties(cadre_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(cadre_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(cadre_${name} PUBLIC cxx_std_20)
  target_link_libraries(cadre_${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE})
  cadre_own(cadre_${name} LIBRARY)
  if(CADRE_SANITIZE)  # what is not optimised takes the compiler most of its time to read
    set_target_properties(cadre_${name} PROPERTIES UNITY_BUILD ${CADRE_JOIN} UNITY_BUILD_BATCH_SIZE 8)
    target_compile_options(cadre_${name} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)  # takes joined sources for headers
  endif()
endfunction()
