#include "base/cpu.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __x86_64__
#include <cpuid.h>

/* "Intel 64 and IA-32 Architectures Software Developer's Manual", CPUID and XGETBV; the levels are those of the x86-64
 * psABI, section "Micro-Architecture Levels". The compiler's own test knows some of the features only, and a level may
 * be used only when all are there (virtual machines hide single ones). */
static bool has(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

static enum cpu_level detect(void)
{
    uint32_t a, b, c, d, extended, state, state_high;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return CPU_PLAIN;
    /* FMA, MOVBE, OSXSAVE, AVX, F16C */
    if (!has(c, 1u << 12 | 1u << 22 | 1u << 27 | 1u << 28 | 1u << 29)) return CPU_PLAIN;
    __asm__ volatile("xgetbv" : "=a"(state), "=d"(state_high) : "c"(0));
    if (!has(state, 6)) return CPU_PLAIN; /* the operating system keeps the YMM registers */
    if (!__get_cpuid(0x80000001, &a, &b, &extended, &d) || !has(extended, 1u << 5)) return CPU_PLAIN; /* LZCNT */
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return CPU_PLAIN;
    if (!has(b, 1u << 3 | 1u << 5 | 1u << 8)) return CPU_PLAIN; /* BMI1, AVX2, BMI2 */
    /* AVX512F, DQ, CD, BW, VL; opmask and ZMM registers kept */
    return has(b, 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31) && has(state, 0xE6) ? CPU_V4 : CPU_V3;
}
#else
static enum cpu_level detect(void)
{
    return CPU_PLAIN;
}
#endif

enum cpu_level cpu_level(void)
{
    static _Atomic int known = -1; /* every thread finds the same */
    int level = atomic_load_explicit(&known, memory_order_relaxed);
    if (level < 0) {
        level = (int)detect();
        atomic_store_explicit(&known, level, memory_order_relaxed);
    }
    return (enum cpu_level)level;
}

const char *cpu_level_name(enum cpu_level level)
{
#ifdef __x86_64__
    return level == CPU_V4 ? "x86-64-v4" : level == CPU_V3 ? "x86-64-v3" : "x86-64-v2";
#else
    return level == CPU_PLAIN ? "baseline" : "unknown";
#endif
}
