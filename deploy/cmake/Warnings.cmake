# The warnings and hardening of every target: link against errand_flags.
add_library(errand_flags INTERFACE)
target_include_directories(errand_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(errand_flags INTERFACE
    _POSIX_C_SOURCE=200809L _FILE_OFFSET_BITS=64 ERRAND_VERSION="${PROJECT_VERSION}")
target_compile_options(errand_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wundef -Wformat=2 -Wstrict-prototypes
    -Wmissing-prototypes -Wold-style-definition -Wwrite-strings -Wpointer-arith -Wcast-qual
    -Wconversion -Wno-sign-conversion -Wimplicit-fallthrough -fno-common
    "SHELL:-include ${CMAKE_SOURCE_DIR}/common/banned.h"
    -ffunction-sections -fdata-sections -fstack-protector-strong -ffile-prefix-map=${CMAKE_SOURCE_DIR}=.
    $<$<C_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond -Wduplicated-branches>
    # What is shipped is stripped and unwinds nothing: 86 KB of the executor.
    $<$<CONFIG:Release>:-fno-asynchronous-unwind-tables>
    $<$<CONFIG:Release,RelWithDebInfo>:-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2>)
target_link_options(errand_flags INTERFACE -Wl,-z,relro,-z,now)

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()
# Without -DNDEBUG: asserts stay on.
set(CMAKE_C_FLAGS_RELEASE "-g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-g")
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
