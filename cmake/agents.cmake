# The rules for User-Agents (src/enrich/agent_rules.h): Debian's package uap-core, as a C array.
find_file(UAP_CORE_REGEXES regexes.yaml PATHS /usr/share/uap-core NO_DEFAULT_PATH)
if(NOT UAP_CORE_REGEXES)
  message(FATAL_ERROR "uap-core's regexes.yaml not found: run script/bootstrap")
endif()
set(agent_data ${CMAKE_BINARY_DIR}/generated/agent_data.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${UAP_CORE_REGEXES})
if(NOT EXISTS ${agent_data} OR ${UAP_CORE_REGEXES} IS_NEWER_THAN ${agent_data})
  file(READ ${UAP_CORE_REGEXES} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  file(WRITE ${agent_data} "/* Made by cmake/agents.cmake from ${UAP_CORE_REGEXES}. */
#include \"enrich/agent_rules.h\"
static const unsigned char bytes[] = {${bytes}};
struct str agent_rules_data(void)
{
    return str_from((const char *)bytes, sizeof bytes);
}
")
endif()
