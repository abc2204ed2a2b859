/*
 * The engine against the slow reference evaluator (tests/reference): the same events go to both, the same plans of
 * every kind are given to both through the interface of executors, and every answer must be equal: labels, their order,
 * all cells, all events, and whether there is an answer at all.
 *
 * Each seed is a data set of its own in a store of its own, with deletes, flushes, compactions and reopenings between
 * the batches. CAIRN_SEEDS is the number of seeds, CAIRN_SEED the first: CAIRN_SEED=17 CAIRN_SEEDS=1 repeats one that
 * failed. A failing case is made small before it is shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "differential/answer.h"
#include "differential/shrink.h"

#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS  40
#define MEMORY ((size_t)256 << 20)
#define SHOWN  8000 /* bytes of an answer */

struct counts {
    unsigned asked, refused, empty, unsupported, kinds[PLAN_FREQUENCY + 1];
};

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void show_answer(const struct executor *executor, const struct buf *answer)
{
    fprintf(stderr, "%s: %.*s\n", executor->name, (int)(answer->size > SHOWN ? SHOWN : answer->size), answer->data);
}

static void complain(uint64_t seed, struct history *history, struct plan plan)
{
    struct world w;
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    fprintf(stderr, "seed %" PRIu64 " fails, looking for a small case of it: ", seed);
    plan_print(stderr, &plan);
    shrink(history, &plan);
    fprintf(stderr, "seed %" PRIu64 ", made small:\n", seed);
    history_print(stderr, history);
    plan_print(stderr, &plan);
    world_init(&w, history);
    bool agree = answers_agree(w.native, w.naive, &plan, UINT64_MAX, &first, &second);
    show_answer(w.native, &first);
    show_answer(w.naive, &second);
    /* Then it needs what was done in the middle of the questions, or reading in pieces. */
    if (agree) fprintf(stderr, "the small case does not fail by itself\n");
    world_fini(&w);
    buf_fini(&first);
    buf_fini(&second);
}

/* True when the answers agree. */
static bool ask(struct world *w, const struct plan *plan, uint64_t piece, struct counts *counts)
{
    struct error error;
    if (w->native->capable(w->native, plan, &error) == STATUS_UNSUPPORTED) {
        counts->unsupported++;
        return true;
    }
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    bool agree = answers_agree(w->native, w->naive, plan, piece, &first, &second);
    counts->asked++;
    counts->kinds[plan->kind]++;
    counts->refused += str_starts(buf_str(&second), STR("an expression"));
    counts->empty += str_starts(buf_str(&second), STR("0 "));
    buf_fini(&first);
    buf_fini(&second);
    return agree;
}

/* What must change no answer. */
static void disturb(struct world *w, struct generator *g)
{
    switch (generate_below(g, 6)) {
    case 0: world_flush(w); break;
    case 1: world_reopen(w); break;
    case 2: world_compact(w); break;
    default: break;
    }
}

/* False at the first plan that fails. */
static bool live_through(uint64_t seed, struct counts *counts)
{
    struct generator g = generator_of(seed);
    struct history history;
    struct world w;
    bool large = seed % 16 == 5, agree = true;
    unsigned wanted = large ? 30 : 100;
    history_init(&history, &g, large);
    world_init(&w, &history);
    for (unsigned i = 0; i < wanted && agree; i++) {
        struct asked asked;
        if (i == wanted / 2) disturb(&w, &g);
        asked_init(&asked, &g, &history.place);
        agree = ask(&w, &asked.plan, 1 + generate_below(&g, 9), counts);
        if (!agree) complain(seed, &history, asked.plan);
        asked_fini(&asked);
    }
    world_fini(&w);
    history_fini(&history);
    return agree;
}

/* Random data, random plans. */
static void engine_and_reference_agree(void **state)
{
    (void)state;
    uint64_t first = from_environment("CAIRN_SEED", 1), count = from_environment("CAIRN_SEEDS", SEEDS);
    struct counts counts = {0};
    bool agree = true;
    for (uint64_t seed = first; seed < first + count && agree; seed++) agree = live_through(seed, &counts);
    print_message(
        "%u plans (%u segmentations, %u of top values, %u of properties, %u feeds, %u exports, %u of retention, "
        "%u of frequency), of which %u were refused, %u were about nothing; %u more were not supported\n",
        counts.asked, counts.kinds[PLAN_SEGMENT], counts.kinds[PLAN_TOP_VALUES], counts.kinds[PLAN_PROPERTIES],
        counts.kinds[PLAN_FEED], counts.kinds[PLAN_EXPORT], counts.kinds[PLAN_RETENTION], counts.kinds[PLAN_FREQUENCY],
        counts.refused, counts.empty, counts.unsupported);
    assert_true(agree);
    assert_int_equal(counts.unsupported, 0);
    assert_true(counts.refused < counts.asked / 2);
}

/* --- the golden cases --------------------------------------------------------------------------------- */

/* What stands behind %join: the property and its table. */
static void read_join(struct arena *arena, struct str rest, struct test_join *join)
{
    struct str property;
    struct json table;
    assert_true(str_next_part(&rest, ' ', &property));
    assert_int_equal(json_parse(arena, rest, NULL, NULL, &table), STATUS_OK);
    test_join_init(join, arena, property, &table);
}

/* One file of tests/golden/expr; cases of formulas and of profiles are not the reference's. */
static unsigned golden_file(const char *path, unsigned *failures)
{
    static char text[4 << 20], zone[64];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    struct str rest = {text, fread(text, 1, sizeof text, file)}, line;
    fclose(file);
    bool other = false, bare = false, joined = false;
    struct arena *tables = arena_new(MEMORY);
    struct test_join join;
    unsigned cases = 0, number = 0;
    snprintf(zone, sizeof zone, "UTC");
    while (str_next_part(&rest, '\n', &line)) {
        number++;
        if (line.size == 0 || line.data[0] == '#') continue;
        if (line.data[0] == '%') {
            if (str_is(line, "%plain")) {
                other = bare = joined = false;
                snprintf(zone, sizeof zone, "UTC");
            } else if (str_is(line, "%bare"))
                bare = true;
            else if (str_starts(line, STR("%join "))) {
                read_join(tables, str_slice(line, 6, line.size), &join);
                joined = true;
            } else if (str_starts(line, STR("%zone ")))
                snprintf(zone, sizeof zone, "%.*s", (int)line.size - 6, line.data + 6);
            else
                other = true;
            continue;
        }
        size_t one = str_find(line, STR(" :: "), 0), two = str_find(line, STR(" :: "), one + 4);
        struct str expression = str_slice(line, 0, one),
                   expected = str_slice(line, (two == SIZE_MAX ? one : two) + 4, line.size);
        struct arena *arena = arena_new(MEMORY);
        struct json row = JSON_OBJECT_EMPTY, wanted;
        if (two != SIZE_MAX)
            assert_int_equal(json_parse(arena, str_slice(line, one + 4, two), NULL, NULL, &row), STATUS_OK);
        bool limits = str_find(expected, STR("nested"), 0) != SIZE_MAX;
        if (!other && !limits && !json_member(&row, "@behaviors")) {
            struct buf buf = BUF_INIT(1 << 20);
            if (json_parse(arena, expected, NULL, NULL, &wanted) == STATUS_OK) {
                json_write(&buf, &wanted);
                expected = buf_str(&buf);
            }
            if (str_starts(expected, STR("error "))) expected = STR("error");
            struct str got = reference_evaluate(arena, expression, &row, zone, INT64_C(1709249400000), bare,
                                                joined ? &join.base : NULL);
            if (!str_eq(got, expected)) {
                print_error("%s:%u: " STR_FMT ": expected " STR_FMT ", got " STR_FMT "\n", path, number,
                            STR_ARG(expression), STR_ARG(expected), STR_ARG(got));
                ++*failures;
            }
            cases++;
            buf_fini(&buf);
        }
        arena_free(arena);
    }
    arena_free(tables);
    return cases;
}

/* The reference itself gives what the golden cases of the language say. */
static void reference_passes_golden_cases(void **state)
{
    (void)state;
    glob_t found;
    unsigned cases = 0, failures = 0;
    assert_int_equal(glob(CAIRN_SOURCE_DIR "/tests/golden/expr/*.txt", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) cases += golden_file(found.gl_pathv[i], &failures);
    globfree(&found);
    assert_int_equal(failures, 0);
    assert_true(cases > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_passes_golden_cases),
        cmocka_unit_test(engine_and_reference_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
