# Third-party libraries. The executor links them statically, the controller as the system has them, but for libarchive.
find_package(PkgConfig REQUIRED)

# What common uses is linked by name, not by file: -static then finds the .a, all else the .so.
function(library_by_name module name)
    pkg_check_modules(${module} REQUIRED ${name})
    string(REGEX REPLACE "^lib" "" short ${name})
    add_library(${short}_by_name INTERFACE)
    target_include_directories(${short}_by_name SYSTEM INTERFACE ${${module}_INCLUDE_DIRS})
    target_link_directories(${short}_by_name INTERFACE ${${module}_LIBRARY_DIRS})
    target_link_libraries(${short}_by_name INTERFACE ${short})
endfunction()
library_by_name(LIBARCHIVE libarchive)
library_by_name(NETTLE nettle)

# Debian's libarchive.so brings libxml2, ICU and ten more along, which take longer to load (2 ms) than errand to run. A
# program with the property LEAN_ARCHIVE takes what common/tar.c needs out of libarchive.a. Its tar writers refer to a
# function that shares its file with the table of every format; it is for kinds of file that are never written. With it
# out of the way libarchive.a needs zstd and nettle alone.
set(lean "$<BOOL:$<TARGET_PROPERTY:LEAN_ARCHIVE>>")
set_target_properties(archive_by_name PROPERTIES
    INTERFACE_LINK_LIBRARIES "$<IF:${lean},-l:libarchive.a,archive>;$<${lean}:zstd>;$<${lean}:nettle>"
    INTERFACE_LINK_OPTIONS
        "$<${lean}:-Wl,--gc-sections,--defsym=__archive_write_entry_filetype_unsupported=abort>")
define_property(TARGET PROPERTY LEAN_ARCHIVE BRIEF_DOCS "link libarchive statically, without its other formats")
pkg_check_modules(CURL REQUIRED libcurl>=7.85)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto>=3.0)
pkg_check_modules(SSH2 REQUIRED IMPORTED_TARGET libssh2>=1.10)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)

if(NOT EXISTS ${ERRAND_CJSON_DIR}/cJSON.c)
    message(FATAL_ERROR "cJSON's sources are not in ${ERRAND_CJSON_DIR}: run ./dev build, or set ERRAND_CJSON_DIR")
endif()
add_library(cjson STATIC ${ERRAND_CJSON_DIR}/cJSON.c)
target_include_directories(cjson SYSTEM PUBLIC ${ERRAND_CJSON_DIR})
target_compile_options(cjson PRIVATE -O2 -w)
