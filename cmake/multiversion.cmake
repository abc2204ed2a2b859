# Kernel files: plain C, compiled once per CPU level and picked at run time (src/base/cpu.h). Sources are found by name
# everywhere else; these must be named, because they are left out of their room's ordinary sources.
set(cairn_multiversion_files
  src/ingest/express_read.c
  src/store/spread.c
  src/store/unpack.c
  src/query/native/journey_kernels.c
  src/query/native/cohort_kernels.c
  src/query/native/kernels.c
  src/query/native/mask_kernels.c
  src/query/native/pair_kernels.c
  src/query/native/number_kernels.c)

# Adds `file` to the library `target` in every version. Always with -O3: what is tested is what runs.
function(cairn_multiversion target file)
  get_filename_component(name ${file} NAME_WE)
  set(levels plain)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    list(APPEND levels v3 v4)
  endif()
  foreach(level IN LISTS levels)
    set(object ${target}_${name}_${level})
    add_library(${object} OBJECT ${file})
    target_include_directories(${object} PRIVATE src)
    target_link_libraries(${object} PRIVATE cairn_flags)
    target_compile_definitions(${object} PRIVATE CPU_SUFFIX=_${level})
    target_compile_options(${object} PRIVATE -O3)
    if(NOT level STREQUAL plain)
      set_target_properties(${object} PROPERTIES CAIRN_LEVEL ${level})
      target_compile_options(${object} PRIVATE -march=x86-64-${level})
      target_compile_definitions(${object} PRIVATE CPU_LEVEL_${level})
    endif()
    if(level STREQUAL v4)
      target_compile_options(${object} PRIVATE -mprefer-vector-width=512)
    endif()
    target_sources(${target} PRIVATE $<TARGET_OBJECTS:${object}>)
  endforeach()
endfunction()
