# Warnings, hardening and sanitizers, carried by the interface target cairn_flags.
add_library(cairn_flags INTERFACE)
target_compile_definitions(cairn_flags INTERFACE _GNU_SOURCE)
target_compile_options(cairn_flags INTERFACE
  -Wall -Wextra -Wformat=2 -Wshadow -Wpointer-arith -Wcast-qual -Wundef -Wvla -Wnull-dereference
  -fno-strict-aliasing -fno-omit-frame-pointer
  $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes -Wold-style-definition -Wmissing-prototypes -Wimplicit-fallthrough
    -Werror=implicit-function-declaration -Werror=int-conversion -Werror=incompatible-pointer-types>
  $<$<COMPILE_LANG_AND_ID:C,GNU>:-Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wjump-misses-init>)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # gcc cannot know that `return error_set(...)` never returns STATUS_OK, and warns about outputs that are used after
  # TRY(f(&out)); from 13 on also about their members. What is really uninitialised, clang finds. Texts that are cut to their
  # place by snprintf are meant to be.
  target_compile_options(cairn_flags INTERFACE -Wno-maybe-uninitialized -Wno-format-truncation)
  if(CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
    target_compile_options(cairn_flags INTERFACE -Wno-null-dereference)
  endif()
endif()
if(CAIRN_WERROR)
  target_compile_options(cairn_flags INTERFACE -Werror)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  # x86-64-v2 (SSE4.2, POPCNT): every server CPU since 2009. Kernel files say themselves (cmake/multiversion.cmake): what
  # stands here comes behind a target's own options, and the last one counts.
  target_compile_options(cairn_flags INTERFACE $<$<NOT:$<BOOL:$<TARGET_PROPERTY:CAIRN_LEVEL>>>:-march=x86-64-v2>)
endif()
if(CAIRN_SANITIZE)
  target_compile_options(cairn_flags INTERFACE -fsanitize=${CAIRN_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(cairn_flags INTERFACE -fsanitize=${CAIRN_SANITIZE})
else()
  # Level 3 also checks sizes that are known only at run time; older clang stops at 2.
  set(fortify $<IF:$<C_COMPILER_ID:GNU>,3,2>)
  target_compile_options(cairn_flags INTERFACE
    -fstack-protector-strong -fstack-clash-protection
    $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify}>
    $<$<COMPILE_LANGUAGE:CXX>:-D_GLIBCXX_ASSERTIONS>)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    target_compile_options(cairn_flags INTERFACE -fcf-protection=full)
  endif()
  target_link_options(cairn_flags INTERFACE -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
if(CAIRN_FUZZ)
  target_compile_options(cairn_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  # CMake's own -flto links on one core and warns about it.
  foreach(language C CXX)
    set(CMAKE_${language}_COMPILE_OPTIONS_IPO -flto=auto -fno-fat-lto-objects)
    set(CMAKE_${language}_LINK_OPTIONS_IPO -flto=auto)
  endforeach()
endif()
