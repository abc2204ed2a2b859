#pragma once
/* What the machine has, or the container that the process runs in. Any thread; asked anew each time. */
#include <stdint.h>

unsigned os_cores(void); /* usable ones, at least 1 */
/* Bytes of memory: the machine's, or less where a control group (cgroup 2, memory.max of it or of one above it) allows
 * less. */
uint64_t os_memory_bytes(void);
/* For a process that promises to stay within an amount of memory, at its start: the allocator gives back to the system
 * what is freed, instead of keeping what a busy moment needed. */
void os_return_freed_memory(void);
