/*
 * The engine's answers about profiles against those of a slow and obvious model: random profiles of users and groups,
 * links between ids, deletes, flushes, compactions and reopenings, and then random questions of every kind. Lists are
 * read in pieces, some of them after everything has changed: they must not.
 *
 * CAIRN_SEEDS is the number of worlds, CAIRN_SEED the first.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/civil.h"
#include "profiles/question.h"
#include "reference/exact.h"

#define SEEDS     14
#define STEPS     60
#define QUESTIONS 60

static const struct plan_limits limits = {
    .memory_bytes_max = (size_t)256 << 20, .buckets_max = 1000, .deadline_ns = INT64_MAX};

static struct counts {
    unsigned lists, refused, empty, sorted, numbers, ids, hidden;
} counts;

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* --- lists --- */

struct line_sink {
    struct profile_sink base;
    struct buf text;
    uint64_t rows;
};

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void write_sorted(struct arena *arena, struct buf *out, const struct str *names, const struct json *values,
                         size_t count)
{
    struct str *lines = arena_new_array(arena, struct str, count + 1);
    for (size_t i = 0; i < count; i++) {
        struct buf line = BUF_INIT(1 << 22);
        json_write_str(&line, names[i]);
        buf_byte(&line, ':');
        json_write(&line, &values[i]);
        lines[i] = arena_str(arena, buf_str(&line));
        buf_fini(&line);
    }
    if (count) qsort(lines, count, sizeof *lines, by_text);
    for (size_t i = 0; i < count; i++) {
        buf_byte(out, ' ');
        buf_str_add(out, lines[i]);
    }
    buf_byte(out, '\n');
}

static enum status take(struct profile_sink *base, const struct listed_profile *row, struct error *unused)
{
    struct line_sink *sink = (struct line_sink *)base;
    struct arena *arena = arena_new((size_t)64 << 20);
    struct str *names = arena_new_array(arena, struct str, row->property_count + 1);
    struct json *values = arena_new_array(arena, struct json, row->property_count + 1);
    (void)unused;
    for (size_t i = 0; i < row->property_count; i++) {
        names[i] = row->properties[i].name->text;
        assert_int_equal(value_to_json(arena, row->properties[i].value, &values[i]), STATUS_OK);
    }
    buf_printf(&sink->text, STR_FMT " @%" PRId64, STR_ARG(row->id), row->received_ms);
    write_sorted(arena, &sink->text, names, values, row->property_count);
    sink->rows++;
    arena_free(arena);
    return STATUS_OK;
}

/* The model's values as they come back: through the encoding, where one number has one form and one key one value. */
static struct json stored(struct arena *arena, const struct json *json)
{
    struct buf bytes = BUF_INIT(1 << 22);
    struct value value;
    struct json back;
    assert_int_equal(value_encode_json(&bytes, json), STATUS_OK);
    struct reader reader = reader_of(arena_str(arena, buf_str(&bytes)));
    assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    assert_int_equal(value_to_json(arena, value, &back), STATUS_OK);
    buf_fini(&bytes);
    return back;
}

static void write_expected(const struct model_profile **profiles, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new((size_t)64 << 20);
        size_t property_count = profiles[i]->properties.object.count;
        struct str *names = arena_new_array(arena, struct str, property_count + 1);
        struct json *values = arena_new_array(arena, struct json, property_count + 1);
        for (size_t p = 0; p < property_count; p++) {
            names[p] = profiles[i]->properties.object.members[p].key;
            values[p] = stored(arena, &profiles[i]->properties.object.members[p].value);
        }
        buf_printf(out, STR_FMT " @%" PRId64, STR_ARG(profiles[i]->id), profiles[i]->received_ms);
        write_sorted(arena, out, names, values, property_count);
        arena_free(arena);
    }
}

static bool same(const struct question *q, const char *what, const struct buf *got, const struct buf *expected)
{
    if (str_eq(buf_str(got), buf_str(expected))) return true;
    fprintf(stderr, "%s differ\n", what);
    question_print(q);
    fprintf(stderr, "engine:\n%.*s\nmodel:\n%.*s\n", (int)got->size, got->data, (int)expected->size, expected->data);
    return false;
}

static bool check_list(const struct question *q, struct world *w)
{
    struct error error = ERROR_INIT;
    struct profile_list *list;
    size_t count;
    struct generator *g = &w->generator;
    struct line_sink sink = {.base.row = take, .text = BUF_INIT((size_t)1 << 28)};
    struct buf expected = BUF_INIT((size_t)1 << 28);
    const struct model_profile **profiles = question_list(q, w, &count);
    enum status status = w->native->profiles->list(w->native, &q->plan, &limits, &error, &list);
    counts.lists++;
    if (!profiles || status != STATUS_OK) {
        counts.refused++;
        if (!profiles && status == STATUS_INVALID) return true;
        fprintf(stderr, "the engine says %s: %s; the model %s\n", status_name(status), error.primary,
                profiles ? "answers" : "refuses");
        question_print(q);
        if (status == STATUS_OK) profile_list_free(list);
        return false;
    }
    counts.empty += count == 0;
    counts.sorted += count > 1 && q->sort.data;
    counts.ids += count && q->plan.by_ids;
    write_expected(profiles, count, &expected);
    /* the list is from before whatever comes now */
    if (generate_once_in(g, 3)) world_change(w);
    if (generate_once_in(g, 10)) assert_int_equal(store_compact_wait(w->store, &error), STATUS_OK);
    for (uint64_t from = 0, piece; from <= list->count; from += piece) {
        piece = 1 + generate_below(g, 9);
        assert_int_equal(profile_list_read(list, from, piece, &limits, &sink.base, &error), STATUS_OK);
        assert_int_equal(sink.rows, from + piece < list->count ? from + piece : list->count);
    }
    bool agree = list->count == count && same(q, "lists", &sink.text, &expected);
    profile_list_free(list);
    buf_fini(&sink.text);
    buf_fini(&expected);
    return agree;
}

/* --- numbers --- */

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool near(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b)) || (!isfinite(a) && !isfinite(b));
}

static bool check_numbers(const struct question *q, struct world *w)
{
    struct error error = ERROR_INIT;
    struct profile_numbers numbers;
    double list[64], percentile = 1 + generate_below(&w->generator, 100);
    size_t count, numeric = 0;
    struct profile_plan plan = q->plan;
    struct question plain = *q;
    plain.sort = plan.sort = STR_NULL;
    const struct model_profile **profiles = question_list(&plain, w, &count);
    bool refused = !profiles || !reference_accepts(w->arena, q->of, WORLD_NOW_MS, true);
    for (size_t i = 0; i < count && !refused; i++) {
        struct str text = question_value(q, w, q->of, profiles[i]);
        struct json value;
        if (str_is(text, "error")) refused = true;
        if (refused || json_parse(w->arena, text, NULL, NULL, &value) != STATUS_OK || !json_is_number(&value)) continue;
        if (isfinite(json_double(&value))) list[numeric++] = json_double(&value) + 0.0;
    }
    enum status status =
        w->native->profiles->numbers(w->native, &plan, q->native_of, percentile, &limits, &error, &numbers);
    if (refused || status != STATUS_OK) return refused && status == STATUS_INVALID;
    if (numbers.profiles != count || numbers.count != numeric) return false;
    counts.numbers += numeric > 0;
    if (!numeric) return true;
    qsort(list, numeric, sizeof *list, by_number);
    static struct ref_exact sum;
    long double squares = 0, away = 0;
    sum = (struct ref_exact){.count = 0};
    for (size_t i = 0; i < numeric; i++) ref_exact_add(&sum, list[i]);
    for (size_t i = 0; i < numeric; i++) squares += (long double)list[i] * list[i];
    double mean = ref_exact_divided(&sum, numeric);
    for (size_t i = 0; i < numeric; i++) away += ((long double)list[i] - mean) * (list[i] - mean);
    return numbers.min == list[0] && numbers.max == list[numeric - 1] && numbers.mean == mean &&
           near(numbers.sum_of_squares, (double)squares) && near(numbers.variance, (double)(away / numeric)) &&
           numbers.percentile == list[plan_percentile_rank(percentile, numeric) - 1];
}

/* --- properties --- */

static enum property_type type_of(const struct json *v)
{
    int64_t ms;
    bool zone;
    switch (v->type) {
    case JSON_BOOL: return PROPERTY_BOOLEAN;
    case JSON_STRING:
        return v->string.size >= 10 && v->string.data[4] == '-' && civil_parse_datetime(v->string, &ms, &zone)
                   ? PROPERTY_DATETIME
                   : PROPERTY_STRING;
    case JSON_ARRAY: return PROPERTY_LIST;
    case JSON_OBJECT: return PROPERTY_OBJECT;
    default: return PROPERTY_NUMBER;
    }
}

static bool check_properties(const struct question *q, struct world *w)
{
    struct error error = ERROR_INIT;
    struct profile_properties properties;
    struct profile_plan plan = q->plan;
    struct question plain = *q;
    size_t count;
    uint64_t all = 0, found = 0;
    plain.sort = plan.sort = STR_NULL;
    const struct model_profile **profiles = question_list(&plain, w, &count);
    enum status status = w->native->profiles->properties(w->native, &plan, &limits, &error, &properties);
    if (!profiles || status != STATUS_OK) return !profiles && status == STATUS_INVALID;
    bool agree = true;
    for (size_t p = 0; p < properties.count; p++) {
        uint64_t by_type[PROPERTY_TYPES] = {0};
        for (size_t i = 0; i < count; i++) {
            const struct json *v = json_get(&profiles[i]->properties, properties.items[p].name);
            if (v && v->type != JSON_NULL) by_type[type_of(v)]++;
        }
        agree &= memcmp(by_type, properties.items[p].counts, sizeof by_type) == 0;
        agree &= p == 0 || properties.items[p].count <= properties.items[p - 1].count;
        found += properties.items[p].count;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t m = 0; m < profiles[i]->properties.object.count; m++)
            all += profiles[i]->properties.object.members[m].value.type != JSON_NULL;
    }
    arena_free(properties.arena);
    return agree && all == found;
}

/* --- revenue --- */

static bool check_revenue(const struct question *q, struct world *w)
{
    struct error error = ERROR_INIT;
    struct profile_revenue revenue;
    struct profile_plan plan = q->plan;
    struct question plain = *q;
    int64_t first = civil_to_days(2024, 3, 4), last = first + 9;
    double amounts[10] = {0}, all = 0;
    uint64_t payers[10] = {0}, all_payers = 0;
    size_t count;
    plain.sort = plan.sort = STR_NULL;
    const struct model_profile **profiles = question_list(&plain, w, &count);
    enum status status = w->native->profiles->revenue(w->native, &plan, &(struct revenue_plan){first, last, UNIT_DAY},
                                                      &limits, &error, &revenue);
    if (!profiles || status != STATUS_OK) return !profiles && status == STATUS_INVALID;
    for (size_t i = 0; i < count; i++) {
        const struct json *list = json_get(&profiles[i]->properties, STR("$transactions"));
        bool paid[10] = {false}, any = false;
        for (size_t t = 0; list && t < list->array.count; t++) {
            const struct json *time = json_get(&list->array.items[t], STR("$time"));
            int64_t ms;
            bool zone;
            if (!time || !civil_parse_datetime(time->string, &ms, &zone)) continue;
            int64_t day = floor_div(timezone_to_local_ms(plan.zone, ms), DAY_MS);
            if (day < first || day > last) continue;
            double amount = json_double(json_get(&list->array.items[t], STR("$amount")));
            amounts[day - first] += amount;
            all += amount;
            any = paid[day - first] = true;
        }
        for (int day = 0; day < 10; day++) payers[day] += paid[day];
        all_payers += any;
    }
    bool agree = revenue.profiles == count && revenue.bucket_count == 10 && revenue.overall.amount == all &&
                 revenue.overall.payers == all_payers;
    for (int day = 0; agree && day < 10; day++)
        agree = revenue.buckets[day].amount == amounts[day] && revenue.buckets[day].payers == payers[day];
    arena_free(revenue.arena);
    return agree;
}

/* --- all of it --- */

static bool live_through(uint64_t seed)
{
    struct world w;
    world_init(&w, seed);
    bool agree = true;
    for (int i = 0; i < STEPS; i++) world_step(&w);
    for (int i = 0; i < QUESTIONS && agree; i++) {
        struct question q;
        question_init(&q, &w);
        const char *failed = NULL;
        if (!check_numbers(&q, &w)) failed = "numbers";
        if (!check_properties(&q, &w)) failed = "properties";
        if (!check_revenue(&q, &w)) failed = "revenue";
        if (failed) {
            fprintf(stderr, "%s differ\n", failed);
            question_print(&q);
        }
        agree = !failed && check_list(&q, &w);
        if (generate_once_in(&w.generator, 3)) world_step(&w);
    }
    for (int i = 0; i < WORLD_DEVICES; i++) counts.hidden += w.owners[i] >= 0;
    world_fini(&w);
    if (!agree) fprintf(stderr, "seed %" PRIu64 "\n", seed);
    return agree;
}

static void engine_and_model_agree(void **state)
{
    (void)state;
    uint64_t first = from_environment("CAIRN_SEED", 1), seeds = from_environment("CAIRN_SEEDS", SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) assert_true(live_through(seed));
    print_message("%u lists: %u refused, %u empty, %u sorted, %u by ids; %u with numbers; %u devices of users\n",
                  counts.lists, counts.refused, counts.empty, counts.sorted, counts.ids, counts.numbers, counts.hidden);
    if (seeds < SEEDS) return;
    assert_in_range(counts.refused, 1, counts.lists / 2);
    assert_in_range(counts.empty, 1, counts.lists / 3 * 2);
    assert_true(counts.sorted > 100 && counts.ids > 20 && counts.numbers > 100 && counts.hidden > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engine_and_model_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
