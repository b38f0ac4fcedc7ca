# What an install holds: the libraries, their headers under include/cadre/ as in the tree, the program, a CMake package (find_package(cadre),
# then link cadre::cadre) and a pkg-config file for kernels in C.
include(CMakePackageConfigHelpers)

set(cadre_package ${CMAKE_INSTALL_LIBDIR}/cmake/cadre)

install(TARGETS cadre_shm cadre_sync cadre_plugin cadre_kernels cadre_pool cadre_logging cadre_talk cadre_sockets cadre_manager cadre_engine cadre_tasks cadre_compare cadre_all EXPORT cadreTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(folder shm sync kernels pool logging talk sockets manager engine tasks compare)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cadre
    FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h" PATTERN "*.f90" PATTERN builtin EXCLUDE)
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/cadre.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cadre)
install(TARGETS ${CADRE_PROGRAM} cadre_manager_program EXPORT cadreTargets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(EXPORT cadreTargets NAMESPACE cadre:: DESTINATION ${cadre_package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/cadreConfig.cmake.in ${PROJECT_BINARY_DIR}/cadreConfig.cmake
  INSTALL_DESTINATION ${cadre_package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cadreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cadreConfig.cmake ${PROJECT_BINARY_DIR}/cadreConfigVersion.cmake
  ${CMAKE_CURRENT_LIST_DIR}/CadreAddKernel.cmake DESTINATION ${cadre_package})

cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE cadre_pc_lib)
# Paths relative to the file itself: an install may be moved, or made with cmake --install --prefix.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig OUTPUT_VARIABLE cadre_pc_include)
configure_file(${CMAKE_CURRENT_LIST_DIR}/cadre.pc.in ${PROJECT_BINARY_DIR}/cadre.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cadre.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
