# Third-party libraries. The executor links them statically, the controller as the system has them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBARCHIVE REQUIRED IMPORTED_TARGET libarchive)
pkg_check_modules(NETTLE REQUIRED IMPORTED_TARGET nettle)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)

if(NOT EXISTS ${ERRAND_CJSON_DIR}/cJSON.c)
    message(FATAL_ERROR "cJSON's sources are not in ${ERRAND_CJSON_DIR}: run ./dev build, or set ERRAND_CJSON_DIR")
endif()
add_library(cjson STATIC ${ERRAND_CJSON_DIR}/cJSON.c)
target_include_directories(cjson SYSTEM PUBLIC ${ERRAND_CJSON_DIR})
target_compile_options(cjson PRIVATE -O2 -w)
