/*
 * Both hash tables against a model that cannot be wrong: a plain array over a small space of keys. Thousands of random
 * operations with a fixed seed, so that growth, removal inside probe runs and reinsertion all happen; after every
 * hundred the whole content is compared. The maximum and the odd keys (empty, NULL, 0, all ones) have tests of their
 * own.
 */
#include "base/map.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define KEYS 700

struct model {
    bool there[KEYS];
    uint64_t value[KEYS];
    size_t count;
};

static uint64_t random_state;
static uint64_t next_random(void)
{
    return hash_u64(random_state++, 7);
}

static void strmap_compare(const struct strmap *map, const struct model *model, char keys[KEYS][8])
{
    size_t cursor = 0, seen = 0;
    struct str key;
    uint64_t value;
    while (strmap_next(map, &cursor, &key, &value)) {
        size_t i = (size_t)strtoul(key.data + 1, NULL, 10);
        assert_true(i < KEYS && model->there[i]);
        assert_true(value == model->value[i]);
        seen++;
    }
    assert_int_equal(seen, model->count);
    assert_int_equal(map->count, model->count);
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t *found = strmap_get(map, str_of(keys[i]));
        assert_int_equal(found != NULL, model->there[i]);
        if (found) assert_true(*found == model->value[i]);
    }
}

/* Shows that strmap agrees with the model after every operation's answer and in its content. */
static void test_strmap_model(void **state)
{
    (void)state;
    static char keys[KEYS][8];
    static struct model model;
    for (size_t i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "k%zu", i);
    struct strmap map = STRMAP_INIT(SIZE_MAX);
    random_state = 1;
    for (int step = 0; step < 20000; step++) {
        size_t i = next_random() % KEYS;
        /* The map fills and empties in turns. */
        if (next_random() % 100 < (step / 3000 % 2 ? 35u : 65u)) {
            uint64_t value = next_random();
            assert_int_equal(strmap_put(&map, str_of(keys[i]), value), STATUS_OK);
            model.count += !model.there[i];
            model.there[i] = true;
            model.value[i] = value;
        } else {
            assert_int_equal(strmap_remove(&map, str_of(keys[i])), model.there[i]);
            model.count -= model.there[i];
            model.there[i] = false;
        }
        if (step % 100 == 0) strmap_compare(&map, &model, keys);
    }
    strmap_compare(&map, &model, keys);
    strmap_fini(&map);
}

static void u64map_compare(const struct u64map *map, const struct model *model)
{
    size_t cursor = 0, seen = 0;
    uint64_t key, value;
    while (u64map_next(map, &cursor, &key, &value)) {
        assert_true(key % 3 == 0 && key / 3 < KEYS && model->there[key / 3]);
        assert_true(value == model->value[key / 3]);
        seen++;
    }
    assert_int_equal(seen, model->count);
    assert_int_equal(map->count, model->count);
    for (size_t i = 0; i < KEYS; i++) {
        uint64_t *found = u64map_get(map, i * 3);
        assert_int_equal(found != NULL, model->there[i]);
        if (found) assert_true(*found == model->value[i]);
    }
}

/* Shows the same for u64map, with u64map_at as a third way to write. */
static void test_u64map_model(void **state)
{
    (void)state;
    static struct model model;
    struct u64map map = U64MAP_INIT(SIZE_MAX);
    random_state = 2;
    for (int step = 0; step < 20000; step++) {
        size_t i = next_random() % KEYS;
        uint64_t value = next_random(), choice = next_random() % 100;
        uint64_t filling = step / 3000 % 2 ? 35 : 65;
        if (choice < filling / 2) {
            assert_int_equal(u64map_put(&map, i * 3, value), STATUS_OK);
            model.count += !model.there[i];
            model.there[i] = true;
            model.value[i] = value;
        } else if (choice < filling) {
            bool added = model.there[i]; /* the wrong answer */
            uint64_t *place = u64map_at(&map, i * 3, 5, &added);
            assert_non_null(place);
            assert_int_equal(added, !model.there[i]);
            assert_true(*place == (added ? 5 : model.value[i]));
            *place += value;
            model.count += added;
            model.value[i] = *place;
            model.there[i] = true;
        } else {
            assert_int_equal(u64map_remove(&map, i * 3), model.there[i]);
            model.count -= model.there[i];
            model.there[i] = false;
        }
        if (step % 100 == 0) u64map_compare(&map, &model);
    }
    u64map_compare(&map, &model);
    u64map_clear(&map);
    memset(&model, 0, sizeof model);
    u64map_compare(&map, &model);
    u64map_fini(&map);
}

/* Shows that the maximum refuses a new key, still lets a known one be overwritten, and that nothing changed. */
static void test_maximum(void **state)
{
    (void)state;
    struct strmap strings = STRMAP_INIT(2);
    assert_int_equal(strmap_put(&strings, STR("a"), 1), STATUS_OK);
    assert_int_equal(strmap_put(&strings, STR("b"), 2), STATUS_OK);
    assert_int_equal(strmap_put(&strings, STR("c"), 3), STATUS_LIMIT);
    assert_int_equal(strmap_put(&strings, STR("b"), 4), STATUS_OK);
    assert_null(strmap_get(&strings, STR("c")));
    assert_int_equal(*strmap_get(&strings, STR("b")), 4);
    assert_true(strmap_remove(&strings, STR("a")));
    assert_int_equal(strmap_put(&strings, STR("c"), 3), STATUS_OK);
    strmap_fini(&strings);

    struct u64map numbers = U64MAP_INIT(1);
    assert_int_equal(u64map_put(&numbers, 10, 1), STATUS_OK);
    assert_int_equal(u64map_put(&numbers, 11, 1), STATUS_LIMIT);
    assert_null(u64map_at(&numbers, 12, 0, NULL));
    assert_int_equal(u64map_put(&numbers, 10, 2), STATUS_OK);
    assert_int_equal(*u64map_get(&numbers, 10), 2);
    assert_int_equal(numbers.count, 1);
    u64map_fini(&numbers);
}

/* Shows the keys that an implementation may use as marks: empty and NULL strings, 0 and all ones; and empty maps. */
static void test_odd_keys(void **state)
{
    (void)state;
    struct strmap strings = STRMAP_INIT(10);
    assert_null(strmap_get(&strings, STR("a")));
    assert_false(strmap_remove(&strings, STR("a")));
    assert_int_equal(strmap_put(&strings, STR_NULL, 7), STATUS_OK);
    assert_int_equal(*strmap_get(&strings, STR("")), 7);
    assert_int_equal(strmap_put(&strings, STR("\0"), 8), STATUS_OK);
    assert_int_equal(strings.count, 2);
    assert_true(strmap_remove(&strings, STR("")));
    assert_null(strmap_get(&strings, STR_NULL));
    assert_int_equal(*strmap_get(&strings, STR("\0")), 8);
    strmap_fini(&strings);

    struct u64map numbers = U64MAP_INIT(10);
    assert_null(u64map_get(&numbers, 0));
    assert_false(u64map_remove(&numbers, 0));
    assert_int_equal(u64map_put(&numbers, 0, 1), STATUS_OK);
    assert_int_equal(u64map_put(&numbers, UINT64_MAX, 2), STATUS_OK);
    assert_int_equal(*u64map_get(&numbers, 0), 1);
    assert_int_equal(*u64map_get(&numbers, UINT64_MAX), 2);
    u64map_fini(&numbers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strmap_model),
        cmocka_unit_test(test_u64map_model),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_odd_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
