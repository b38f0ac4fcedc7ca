# cadre_add_kernel(NAME SOURCE... [FLAGS FLAG...]): a plug-in NAME.so, made by `cadre build` for several CPU levels from C++, C or Fortran, as part of
# the target NAME (in "all"). FLAGS go to the compiler and the linker: FLAGS -lgsl -lgslcblas. The target's property CADRE_PLUGIN is the library's path.
function(cadre_add_kernel name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "" "" "FLAGS")
  set(library ${CMAKE_CURRENT_BINARY_DIR}/${name}.so)
  set(sources)
  foreach(source ${ARG_UNPARSED_ARGUMENTS})
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    list(APPEND sources ${source})
  endforeach()
  if(NOT sources)
    message(FATAL_ERROR "cadre_add_kernel(${name}): no sources")
  endif()
  set(flags)
  if(ARG_FLAGS)
    set(flags -- ${ARG_FLAGS})
  endif()
  # Always asked: the program knows by the contents of all files, included ones too, whether anything has changed.
  add_custom_target(${name} ALL
    COMMAND cadre::program build ${sources} -o ${library} ${flags}
    BYPRODUCTS ${library} SOURCES ${sources} COMMENT "Building the kernel ${name}" VERBATIM COMMAND_EXPAND_LISTS)
  set_target_properties(${name} PROPERTIES CADRE_PLUGIN ${library})
endfunction()
