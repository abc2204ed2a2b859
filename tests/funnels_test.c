/*
 * Funnels: the engine against the slow reference (tests/reference/funnel.c). The same histories are lived through by
 * both, the same random funnels asked of both, and every answer must be equal to the last count and millisecond.
 *
 * CAIRN_SEEDS is the number of histories, CAIRN_SEED the first: CAIRN_SEED=17 CAIRN_SEEDS=1 repeats one that failed. A
 * failing case is made small before it is shown.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "differential/funnels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS 40
#define ASKED 40 /* of a history */
#define SHOWN 8000

struct counts {
    unsigned asked, refused, empty, converted;
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

static void complain(uint64_t seed, struct history *history, struct asked_funnel *asked)
{
    struct world w;
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    fprintf(stderr, "seed %" PRIu64 " fails, looking for a small case of it: ", seed);
    funnel_plan_print(stderr, &asked->plan);
    funnel_shrink(history, asked);
    fprintf(stderr, "seed %" PRIu64 ", made small:\n", seed);
    history_print(stderr, history);
    funnel_plan_print(stderr, &asked->plan);
    world_init(&w, history);
    if (funnel_answers_agree(w.native, w.naive, &asked->plan, &first, &second))
        fprintf(stderr, "the small case does not fail by itself\n");
    show_answer(w.native, &first);
    show_answer(w.naive, &second);
    world_fini(&w);
    buf_fini(&first);
    buf_fini(&second);
}

static bool ask(struct world *w, const struct funnel_plan *plan, struct counts *counts)
{
    struct buf first = BUF_INIT((size_t)1 << 28), second = BUF_INIT((size_t)1 << 28);
    bool agree = funnel_answers_agree(w->native, w->naive, plan, &first, &second);
    struct funnel_result result;
    struct plan_limits limits = {
        .memory_bytes_max = (size_t)256 << 20, .buckets_max = 100000, .deadline_ns = INT64_MAX};
    counts->asked++;
    counts->refused += str_starts(buf_str(&second), STR("an expression"));
    if (w->native->funnel(w->native, plan, &limits, NULL, &result) == STATUS_OK) {
        bool any = false, converted = false;
        for (uint32_t b = 0; b < result.bucket_count; b++) {
            any |= funnel_cell_at(&result, result.overall, b, 0)->count > 0;
            converted |= funnel_cell_at(&result, result.overall, b, result.step_count - 1)->count > 0;
        }
        counts->empty += !any;
        counts->converted += converted && result.step_count > 1;
        funnel_result_free(&result);
    }
    buf_fini(&first);
    buf_fini(&second);
    return agree;
}

/* What must change no answer. */
static void disturb(struct world *w, struct generator *g)
{
    switch (generate_below(g, 5)) {
    case 0: world_flush(w); break;
    case 1: world_reopen(w); break;
    case 2: world_compact(w); break;
    default: break;
    }
}

static bool live_through(uint64_t seed, struct counts *counts)
{
    struct generator g = generator_of(seed);
    struct history history;
    struct world w;
    bool agree = true;
    funnel_history_init(&history, &g, seed % 16 == 5);
    world_init(&w, &history);
    for (unsigned i = 0; i < ASKED && agree; i++) {
        struct asked_funnel asked;
        if (i == ASKED / 2) disturb(&w, &g);
        asked_funnel_init(&asked, &g, &history.place);
        agree = ask(&w, &asked.plan, counts);
        if (!agree) complain(seed, &history, &asked);
        asked_funnel_fini(&asked);
    }
    world_fini(&w);
    history_fini(&history);
    return agree;
}

static void engine_and_reference_agree(void **state)
{
    (void)state;
    uint64_t first = from_environment("CAIRN_SEED", 1), count = from_environment("CAIRN_SEEDS", SEEDS);
    struct counts counts = {0};
    bool agree = true;
    for (uint64_t seed = first; seed < first + count && agree; seed++) agree = live_through(seed, &counts);
    print_message("%u funnels, of which %u were refused, %u had no entries, %u were gone through\n", counts.asked,
                  counts.refused, counts.empty, counts.converted);
    assert_true(agree);
    /* a test that asks about nothing shows nothing */
    assert_true(count < SEEDS || (counts.refused < counts.asked / 3 && counts.converted > counts.asked / 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(engine_and_reference_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
