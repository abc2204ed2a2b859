#pragma once
/*
 * Which instructions this machine has, and how a file of kernels that is compiled once per level gets picked.
 *
 * A kernel file (named in cmake/multiversion.cmake) is plain C that the compiler turns into vector instructions. On
 * x86-64 it is compiled for the levels of the psABI: v2 (the least we run on: SSE4.2), v3 (AVX2) and v4 (AVX-512); on
 * other machines once. It calls what it exports CPU_NAME(x), which appends the level's suffix, and usually exports one
 * constant table of functions:
 *
 *     const struct unpack_table CPU_NAME(unpack_table) = {...};    // in the kernel file
 *     CPU_DECLARE(const struct unpack_table, unpack_table);        // in its header
 *     const struct unpack_table *table = CPU_SELECT(unpack_table); // where it is used; cheap, but keep it out of loops
 */

enum cpu_level { CPU_PLAIN, CPU_V3, CPU_V4 };

/* The highest level that the machine and the operating system support. Any thread. */
enum cpu_level cpu_level(void);
const char *cpu_level_name(enum cpu_level level);

/* A level that is not compiled for what it stands for would go unnoticed otherwise. */
#if (defined CPU_LEVEL_v3 && !defined __AVX2__) || (defined CPU_LEVEL_v4 && !defined __AVX512BW__)
#error "this file must be compiled for its CPU level"
#endif

#define CPU_PASTE_(name, suffix) name##suffix
#define CPU_PASTE(name, suffix)  CPU_PASTE_(name, suffix)
#ifdef CPU_SUFFIX
#define CPU_NAME(name) CPU_PASTE(name, CPU_SUFFIX)
#endif

#ifdef __x86_64__
#define CPU_DECLARE(type, name) extern type name##_plain, name##_v3, name##_v4
#define CPU_AT(name, level)     ((level) == CPU_V4 ? &name##_v4 : (level) == CPU_V3 ? &name##_v3 : &name##_plain)
#else
#define CPU_DECLARE(type, name) extern type name##_plain
#define CPU_AT(name, level)     ((void)(level), &name##_plain)
#endif
#define CPU_SELECT(name) CPU_AT(name, cpu_level())
