/* The promises of the arena: the budget is never passed, clean-ups run newest first, growing keeps the content. */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

/* Shows alignment to 16 bytes, also of empty allocations, and that no two overlap: each keeps its own pattern. */
static void test_alloc(void **state)
{
    (void)state;
    unsigned char *blocks[200];
    size_t sizes[200];
    for (size_t i = 0; i < 200; i++) {
        sizes[i] = i * 37 % 300;
        blocks[i] = arena_alloc(arena, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)i, sizes[i]);
    }
    for (size_t i = 0; i < 200; i++) {
        for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(blocks[i][k], i);
        assert_true(i == 0 || blocks[i] != blocks[i - 1]);
    }
}

/* Shows that the budget bounds everything together, that a refusal changes nothing, and that a reset gives it back. */
static void test_budget(void **state)
{
    (void)state;
    struct arena *small = arena_new(64 << 10);
    size_t total = 0, used;
    while (used = arena_used(small), arena_alloc(small, 1000)) total += 1000;
    assert_int_equal(arena_used(small), used);
    assert_true(total <= 64 << 10);
    assert_true(total >= 48 << 10);
    assert_null(arena_alloc(small, SIZE_MAX));
    assert_null(arena_alloc(small, SIZE_MAX - 8));
    assert_null(arena_calloc(small, SIZE_MAX / 4, 8));
    arena_reset(small);
    assert_int_equal(arena_used(small), 0);
    assert_non_null(arena_alloc(small, 32 << 10));
    arena_free(small);

    struct arena *none = arena_new(0);
    assert_null(arena_alloc(none, 1));
    assert_null(arena_str(none, STR("a")).data);
    arena_free(none);
}

/* Shows that one allocation may take the budget to its last multiple of 16. */
static void test_budget_exact(void **state)
{
    (void)state;
    struct arena *exact = arena_new(10000);
    assert_null(arena_alloc(exact, 10001));
    assert_non_null(arena_alloc(exact, 9984));
    assert_null(arena_alloc(exact, 17));
    arena_free(exact);
}

static char order[8];
static void note(void *object)
{
    strcat(order, object);
}
static char name_a[] = "a", name_b[] = "b", name_c[] = "c";

/* Shows that clean-ups run newest first, once, on reset and on free. */
static void test_cleanups(void **state)
{
    (void)state;
    struct arena *local = arena_new(1 << 16);
    order[0] = 0;
    assert_true(arena_on_reset(local, note, name_a));
    assert_true(arena_on_reset(local, note, name_b));
    arena_reset(local);
    assert_string_equal(order, "ba");
    arena_reset(local);
    assert_string_equal(order, "ba");
    assert_true(arena_on_reset(local, note, name_c));
    arena_free(local);
    assert_string_equal(order, "bac");

    struct arena *none = arena_new(0);
    assert_false(arena_on_reset(none, note, name_a));
    arena_free(none);
    assert_string_equal(order, "bac");
    arena_free(NULL);
}

/* Shows that the newest block grows in place, an older one is copied, and that both keep their bytes. */
static void test_grow(void **state)
{
    (void)state;
    char *first = arena_alloc(arena, 24);
    memset(first, 'x', 24);
    assert_ptr_equal(arena_realloc(arena, first, 24, 100), first);
    assert_ptr_equal(arena_realloc(arena, first, 100, 20), first);
    memset(first, 'x', 100);
    char *second = arena_alloc(arena, 8);
    char *moved = arena_realloc(arena, first, 100, 200);
    assert_ptr_not_equal(moved, first);
    for (int i = 0; i < 100; i++) assert_int_equal(moved[i], 'x');
    assert_non_null(second);
    char *far = arena_realloc(arena, moved, 200, 300 << 10); /* beyond the chunk */
    assert_non_null(far);
    for (int i = 0; i < 100; i++) assert_int_equal(far[i], 'x');
    assert_null(arena_realloc(arena, far, 300 << 10, 2 << 20));
    assert_int_equal(far[99], 'x');
    assert_null(arena_realloc(arena, far, 300 << 10, SIZE_MAX));
    assert_non_null(arena_realloc(arena, NULL, 0, 10));
}

/* Shows that growing step by step, as a text does, keeps every byte written so far. */
static void test_grow_often(void **state)
{
    (void)state;
    unsigned char *data = NULL;
    size_t size = 0;
    for (size_t step = 1; step < 400; step++) {
        data = arena_realloc(arena, data, size, size + step);
        assert_non_null(data);
        memset(data + size, (int)step, step);
        size += step;
        if (step % 50 == 0) assert_non_null(arena_alloc(arena, 1));
    }
    size_t at = 0;
    for (size_t step = 1; step < 400; step++) {
        for (size_t k = 0; k < step; k++) assert_int_equal(data[at++], (unsigned char)step);
    }
}

/* Shows that copies of strings are NUL-terminated without counting it and that printf texts fit exactly. */
static void test_strings(void **state)
{
    (void)state;
    struct str copy = arena_str(arena, STR("a\0b"));
    assert_int_equal(copy.size, 3);
    assert_memory_equal(copy.data, "a\0b", 4);
    assert_string_equal(arena_cstr(arena, STR_NULL), "");
    struct str text = arena_printf(arena, "%s-%05d", "number", 42);
    assert_int_equal(text.size, 12);
    assert_string_equal(text.data, "number-00042");
    assert_int_equal(arena_printf(arena, "%s", "").size, 0);
    assert_non_null(arena_printf(arena, "%s", "").data);
    int *zeros = arena_new_array(arena, int, 100);
    for (int i = 0; i < 100; i++) assert_int_equal(zeros[i], 0);
}

/* Shows that a rewind gives back what came after the mark, in the same chunk and in new ones, and keeps what was before
 * it; also from the very beginning. */
static void test_rewind(void **state)
{
    (void)state;
    struct arena *own = arena_new(64 << 10);
    struct arena_mark start = arena_mark_set(own);
    for (int round = 0; round < 20; round++) {
        unsigned char *kept = arena_alloc(own, 1000);
        assert_non_null(kept);
        memset(kept, 0x5A, 1000);
        struct arena_mark mark = arena_mark_set(own);
        size_t used = arena_used(own);
        for (int i = 0; i < 100; i++) {
            void *first = arena_alloc(own, 100), *second = arena_alloc(own, 20000);
            assert_non_null(first);
            assert_non_null(second);
            memset(second, i, 20000);
            arena_rewind(own, mark);
            assert_int_equal(arena_used(own), used);
        }
        for (size_t i = 0; i < 1000; i++) assert_int_equal(kept[i], 0x5A);
        arena_rewind(own, start);
        assert_int_equal(arena_used(own), 0);
    }
    arena_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alloc, setup, teardown),
        cmocka_unit_test(test_rewind),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_budget_exact),
        cmocka_unit_test(test_cleanups),
        cmocka_unit_test_setup_teardown(test_grow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grow_often, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strings, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
