/*
 * Which properties profiles have, how many have each, and of which type its values are. Every column of the vectors is
 * looked at; of a dictionary, each entry once for a run.
 */
#include "base/civil.h"
#include "query/native/profile_pass.h"
#include "query/native/profiles.h"

#include <stdlib.h>

#define NO_VALUE PROPERTY_TYPES

/* Of one worker: how many values of each type, by property; and of a dictionary's entries, their types. */
struct tally {
    uint64_t (*counts)[PROPERTY_TYPES + 1];
    uint8_t *types;
    uint32_t types_capacity;
    uint64_t types_of; /* dict_id; 0: none */
};

static bool is_datetime(struct str text)
{
    int64_t ms;
    bool zone;
    return text.size >= 10 && text.data[4] == '-' && civil_parse_datetime(text, &ms, &zone);
}

static uint8_t type_of(struct value v)
{
    switch (v.type) {
    case VALUE_BOOL: return PROPERTY_BOOLEAN;
    case VALUE_INT:
    case VALUE_DOUBLE:
    case VALUE_BIGNUM: return PROPERTY_NUMBER;
    case VALUE_STRING: return is_datetime(value_text(v)) ? PROPERTY_DATETIME : PROPERTY_STRING;
    case VALUE_LIST: return PROPERTY_LIST;
    case VALUE_OBJECT: return PROPERTY_OBJECT;
    default: return NO_VALUE;
    }
}

static struct tally *tally_of(struct pass_worker *worker)
{
    uint32_t count = snapshot_property_count(worker->pass->selection.snapshot);
    if (worker->visitor) return worker->visitor;
    struct tally *tally = arena_new_array(worker->arena, struct tally, 1);
    if (!tally) return NULL;
    tally->counts = arena_calloc(worker->arena, (size_t)count + 1, sizeof *tally->counts);
    if (!tally->counts) return NULL;
    worker->visitor = tally;
    return tally;
}

/* The types of a dictionary's entries. */
static const uint8_t *entry_types(struct tally *tally, struct pass_worker *worker, const struct vector *v)
{
    if (tally->types_of == v->dict_id) return tally->types;
    if (v->dict_count > tally->types_capacity) {
        uint8_t *grown = arena_alloc(worker->arena, (size_t)v->dict_count * 2);
        if (!grown) return NULL;
        tally->types = grown;
        tally->types_capacity = v->dict_count * 2;
    }
    for (uint32_t i = 0; i < v->dict_count; i++) tally->types[i] = type_of(v->values[i]);
    tally->types_of = v->dict_id;
    return tally->types;
}

static enum status tally_column(struct tally *tally, struct pass_worker *worker, uint32_t property,
                                const struct pass_vector *vector)
{
    struct vector v;
    uint64_t *counts = tally->counts[property];
    TRY(scan_property(worker->scan, property, &worker->error, &v));
    if (v.kind == VECTOR_CONST) {
        counts[type_of(v.values[0])] += vector->left;
    } else if (v.kind == VECTOR_FLAT || v.dict_count > 4 * VECTOR_ROWS_MAX) {
        for (uint32_t row = 0; row < vector->rows; row++) {
            if (vector->keep[row]) counts[type_of(vector_at(&v, row))]++;
        }
    } else {
        const uint8_t *types = entry_types(tally, worker, &v);
        if (!types) return selection_out_of_memory(&worker->pass->selection, &worker->error);
        for (uint32_t row = 0; row < vector->rows; row++) {
            if (vector->keep[row]) counts[types[v.codes[row]]]++;
        }
    }
    return STATUS_OK;
}

static enum status survey(void *ctx, struct pass_worker *worker, uint32_t task, const struct pass_vector *vector)
{
    struct tally *tally = tally_of(worker);
    uint32_t property_count = snapshot_property_count(worker->pass->selection.snapshot);
    const uint32_t *properties;
    size_t count;
    (void)ctx, (void)task;
    if (!tally) return selection_out_of_memory(&worker->pass->selection, &worker->error);
    TRY(scan_properties(worker->scan, &worker->error, &properties, &count));
    for (size_t i = 0; i < count; i++) {
        if (properties[i] < property_count) TRY(tally_column(tally, worker, properties[i], vector));
    }
    return STATUS_OK;
}

static int by_count(const void *a, const void *b)
{
    const struct surveyed_property *x = a, *y = b;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static enum status add_up(const struct profile_pass *pass, struct error *error, struct profile_properties *ret)
{
    uint32_t property_count = snapshot_property_count(pass->selection.snapshot);
    ret->items = arena_new_array(ret->arena, struct surveyed_property, (size_t)property_count + 1);
    if (!ret->items) return selection_out_of_memory(&pass->selection, error);
    for (uint32_t p = 0; p < property_count; p++) {
        struct surveyed_property *item = &ret->items[ret->count];
        *item = (struct surveyed_property){0};
        for (unsigned i = 0; i < pass->worker_count; i++) {
            const struct tally *tally = pass->workers[i].visitor;
            for (int type = 0; tally && type < PROPERTY_TYPES; type++) {
                item->counts[type] += tally->counts[p][type];
                item->count += tally->counts[p][type];
            }
        }
        if (!item->count) continue;
        item->name = arena_str(ret->arena, snapshot_property_name(pass->selection.snapshot, p));
        if (!item->name.data) return selection_out_of_memory(&pass->selection, error);
        ret->count++;
    }
    if (ret->count) qsort(ret->items, ret->count, sizeof *ret->items, by_count);
    return STATUS_OK;
}

enum status native_profile_properties(struct executor *executor, const struct profile_plan *plan,
                                      const struct plan_limits *limits, struct error *error,
                                      struct profile_properties *ret_properties)
{
    struct profile_pass pass;
    struct error local;
    if (!error) error = &local;
    TRY(profile_pass_init(&pass, (struct native *)executor, plan, limits, error));
    struct profile_properties properties = {.arena = arena_new(profile_pass_result_bytes(limits))};
    enum status status = profile_pass_run(&pass, survey, NULL, error);
    if (status == STATUS_OK) status = add_up(&pass, error, &properties);
    profile_pass_fini(&pass);
    if (status == STATUS_OK)
        *ret_properties = properties;
    else
        arena_free(properties.arena);
    return status;
}
