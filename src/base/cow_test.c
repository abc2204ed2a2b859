/* The copy-on-write array: pictures keep what they saw while the owner goes on, against plain copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cow.h"

#include <stdlib.h>
#include <string.h>

#define STEPS         20000
#define PICTURES      8
#define SIZE_MAX_HERE 6000

static uint32_t random_next(uint32_t *state)
{
    return *state = *state * 1664525u + 1013904223u;
}

/* Random pushes, sets, pictures taken and dropped: every picture equals the copy made with it, to its end. */
static void pictures_do_not_change(void **state)
{
    (void)state;
    struct cow32 array = {0}, pictures[PICTURES] = {{0}};
    uint32_t *model = calloc(SIZE_MAX_HERE, sizeof *model), *copies[PICTURES] = {NULL};
    uint32_t seed = 42;
    for (int step = 0; step < STEPS; step++) {
        uint32_t choice = random_next(&seed) >> 16;
        if (choice % 4 == 0 && array.count < SIZE_MAX_HERE) {
            model[array.count] = choice;
            assert_int_equal(cow32_push(&array, choice), STATUS_OK);
        } else if (array.count && choice % 4 < 3) {
            uint32_t index = (random_next(&seed) >> 8) % array.count;
            model[index] = choice;
            assert_int_equal(cow32_set(&array, index, choice), STATUS_OK);
        } else if (choice % 64 == 3) {
            uint32_t slot = (random_next(&seed) >> 8) % PICTURES;
            for (uint32_t i = 0; i < pictures[slot].count; i++)
                assert_int_equal(cow32_get(&pictures[slot], i), copies[slot][i]);
            cow32_fini(&pictures[slot]);
            free(copies[slot]);
            pictures[slot] = cow32_share(&array);
            copies[slot] = malloc((array.count + 1) * sizeof **copies);
            memcpy(copies[slot], model, array.count * sizeof **copies);
        }
    }
    for (uint32_t i = 0; i < array.count; i++) assert_int_equal(cow32_get(&array, i), model[i]);
    cow32_fini(&array); /* pictures outlive the owner */
    for (int slot = 0; slot < PICTURES; slot++) {
        for (uint32_t i = 0; i < pictures[slot].count; i++)
            assert_int_equal(cow32_get(&pictures[slot], i), copies[slot][i]);
        cow32_fini(&pictures[slot]);
        free(copies[slot]);
    }
    free(model);
}

/* Rows of numbers pushed at once, between single ones and with a picture held, at the edges of pages. */
static void extending_is_pushing(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 1, 2, COW_PAGE - 1, COW_PAGE, COW_PAGE + 1, 3 * COW_PAGE + 5};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (size_t before = 0; before < sizeof sizes / sizeof *sizes; before++) {
            struct cow32 one = {0}, other = {0};
            for (uint32_t i = 0; i < sizes[before]; i++) {
                assert_int_equal(cow32_push(&one, i * 3), STATUS_OK);
                assert_int_equal(cow32_push(&other, i * 3), STATUS_OK);
            }
            struct cow32 picture = cow32_share(&one);
            for (uint32_t i = 0; i < sizes[s]; i++) assert_int_equal(cow32_push(&other, 7 + i * 2), STATUS_OK);
            assert_int_equal(cow32_extend(&one, sizes[s], 7, 2), STATUS_OK);
            assert_int_equal(cow32_extend(&one, 2, 5, 0), STATUS_OK);
            assert_int_equal(cow32_push(&other, 5), STATUS_OK);
            assert_int_equal(cow32_push(&other, 5), STATUS_OK);
            assert_int_equal(one.count, other.count);
            for (uint32_t i = 0; i < one.count; i++) assert_int_equal(cow32_get(&one, i), cow32_get(&other, i));
            assert_int_equal(picture.count, sizes[before]);
            for (uint32_t i = 0; i < picture.count; i++) assert_int_equal(cow32_get(&picture, i), i * 3);
            cow32_fini(&picture);
            cow32_fini(&one);
            cow32_fini(&other);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pictures_do_not_change), cmocka_unit_test(extending_is_pushing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
