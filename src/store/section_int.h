#pragma once
/* What section.c (reading) and section_build.c (writing) share. */
#include "store/section.h"

#define SECTION_DIRECTORY_MAGIC   0x44434553u
#define SECTION_DIRECTORY_VERSION 3
