#include "store/run_shared.h"
#include "store/verify_int.h"

#include <stdio.h>
#include <stdlib.h>

static void value_finding(const struct section_check *check, const struct run *run, const struct chunk *chunk,
                          const char *what)
{
    char column[160];
    if (chunk->property > PROPERTY_ID_MAX) {
        snprintf(column, sizeof column, "core stream %08x", chunk->property);
    } else {
        struct str name = check->project && chunk->property < check->project->property_count
                              ? names_text(check->project->properties, chunk->property)
                              : STR("?");
        snprintf(column, sizeof column, "property %u \"%.*s\"", chunk->property,
                 (int)(name.size < 100 ? name.size : 100), name.data);
    }
    section_finding(check, run->event->table.offset, "event %u, %s: %s", run->event->event_id, column, what);
}

/* The counts of rows by entry that the dictionary tells are those of the rows. */
static void verify_counts(const struct section_check *check, struct run *run, const struct run_column *column,
                          const uint32_t *counted, uint32_t dict_count)
{
    uint32_t *told, count;
    if (chunk_dictionary_counts(&column->chunk, column->dictionary.bytes, run->event->rows, check->verify->arena, &told,
                                &count) != STATUS_OK ||
        count != dict_count || memcmp(told, counted, count * sizeof *told) != 0)
        value_finding(check, run, &column->chunk, "the dictionary tells other numbers of rows than there are");
}

/* Dictionary entries ascend, so that no two are the same. */
static void verify_dictionary(const struct section_check *check, struct run *run, const struct run_column *column,
                              const struct vector *vector)
{
    const struct chunk *chunk = &column->chunk;
    for (uint32_t i = 2; i < vector->dict_count; i++) {
        if (value_cmp(vector->values[i - 1], vector->values[i]) < 0) continue;
        value_finding(check, run, chunk, "the dictionary does not ascend");
        return;
    }
    if (chunk->distinct != vector->dict_count - 1)
        value_finding(check, run, chunk, "the dictionary has more or less entries than there are distinct values");
}

/* Exceptions are told in the order of their items, each once. */
static void verify_exceptions(const struct section_check *check, struct run *run, struct run_column *column)
{
    const struct chunk *chunk = &column->chunk;
    struct error error = ERROR_INIT;
    uint32_t next = chunk_exception_items(chunk);
    if (!chunk->exceptions) return;
    for (uint32_t v = 0; v < run_vectors(run); v++) {
        const struct chunk_exceptions *exceptions;
        if (run_shared_exceptions(run, column, v, &error, &exceptions) != STATUS_OK) {
            value_finding(check, run, chunk, error.primary);
            return;
        }
        if (exceptions->first != next) break;
        next += exceptions->count;
    }
    if (next != chunk->items) value_finding(check, run, chunk, "its exceptions are not told one after the other");
}

static void verify_column(const struct section_check *check, struct run *run, struct run_column *column)
{
    const struct chunk *chunk = &column->chunk;
    struct error error = ERROR_INIT;
    struct vector vector;
    uint64_t present = 0;
    uint16_t types = 0;
    uint32_t *counted = NULL, dict_count = 0;
    for (uint32_t v = 0; v < run_vectors(run); v++) {
        if (run_read(run, column, v, &error, &vector) != STATUS_OK) {
            value_finding(check, run, chunk, error.primary);
            free(counted);
            return;
        }
        if (v == 0 && vector.kind == VECTOR_DICT) {
            verify_dictionary(check, run, column, &vector);
            dict_count = vector.dict_count;
            counted = calloc(dict_count ? dict_count : 1, sizeof *counted);
            if (!counted) abort();
        }
        for (uint32_t i = 0; i < vector.count; i++) {
            struct value value = vector_at(&vector, i);
            if (counted) counted[vector.codes[i]]++;
            if (value.type == VALUE_ABSENT) continue;
            types |= (uint16_t)(1u << value.type);
            present++;
        }
    }
    verify_exceptions(check, run, column);
    if (counted) verify_counts(check, run, column, counted, dict_count);
    free(counted);
    if (present != chunk->present) value_finding(check, run, chunk, "more or fewer rows have it than the table says");
    if (types != (chunk->types & ~(1u << VALUE_ABSENT)))
        value_finding(check, run, chunk, "its values are of other types than the table says");
    check->verify->report.values += present;
}

/* Every event that came with an insert id can be found again as a duplicate: the section's filter has its key. */
static void verify_insert_ids(const struct section_check *check, struct run *run)
{
    const struct section *section = check->at->section;
    struct run_column *column = run_column(run, CORE_INSERT);
    struct error error = ERROR_INIT;
    struct vector vector;
    int64_t times[VECTOR_ROWS_MAX], ids[VECTOR_ROWS_MAX];
    if (!column) {
        section_finding(check, run->event->table.offset, "event %u has no insert ids", run->event->event_id);
        return;
    }
    for (uint32_t v = 0; v < run_vectors(run); v++) {
        if (run_read(run, column, v, &error, &vector) != STATUS_OK ||
            run_read_times(run, v, &error, times) != STATUS_OK ||
            run_read_ints(run, CORE_ID, v, &error, ids) != STATUS_OK) {
            value_finding(check, run, &column->chunk, error.primary);
            return;
        }
        for (uint32_t i = 0; i < vector.count; i++) {
            struct value insert = vector_at(&vector, i);
            if (insert.type == VALUE_INT) continue;
            if (insert.type != VALUE_STRING) {
                value_finding(check, run, &column->chunk, "an insert id is neither a text nor a number of ours");
                return;
            }
            uint64_t key = dedup_key(run->event->event_id, (uint32_t)ids[i], times[i], value_text(insert));
            if (!section_filter_has(section, key)) {
                value_finding(check, run, &column->chunk, "the filter lacks a key: a duplicate would not be noticed");
                return;
            }
        }
    }
}

void verify_values(const struct section_check *check, struct run *run)
{
    for (uint32_t c = 0; c < run->column_count; c++) {
        if (run->columns[c].chunk.property <= PROPERTY_ID_MAX) verify_column(check, run, &run->columns[c]);
    }
    verify_insert_ids(check, run);
}
