/*
 * A section as a damaged file might hold it, behind the checksums: u32 offset and u32 size of the directory, then the
 * section's bytes (in RAM, where references are not verified again). Everything in it is read, looked up and merged:
 * errors are fine, wild reads are not.
 */
#include "store/ids.h"
#include "store/merge.h"
#include "store/run.h"
#include "store/statistics.h"
#include "store/store.h"

#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define IDS 64

static void read_run(const struct section *section, const struct section_event *event, struct arena *arena)
{
    struct error error;
    struct run run;
    arena_reset(arena);
    if (run_open(&run, section, event, arena, &error) != STATUS_OK) return;
    struct pinned pinned;
    struct scan_quarter *quarters;
    size_t quarter_count;
    if (section_fetch(section, event->statistics, &error, &pinned) == STATUS_OK) {
        if (statistics_read(pinned.bytes, section->window_log2, event->rows, arena, &quarters, &quarter_count) ==
            STATUS_OK) {
            uint64_t rows = 0;
            for (size_t q = 0; q < quarter_count; q++) rows += quarters[q].rows;
            if (rows != event->rows) __builtin_trap();
        }
        pinned_release(&pinned);
    }
    uint32_t vectors = run_vectors(&run) < 40 ? run_vectors(&run) : 40;
    for (uint32_t v = 0; v < vectors; v++) {
        int64_t times[VECTOR_ROWS_MAX];
        uint32_t persons[VECTOR_ROWS_MAX];
        (void)!run_read_persons(&run, v, &error, persons);
        (void)!run_read_times(&run, v, &error, times);
        for (uint32_t c = 0; c < run.column_count; c++) {
            struct vector vector;
            uint64_t hash = 0;
            if (run_read(&run, &run.columns[c], v, &error, &vector) != STATUS_OK) continue;
            for (uint32_t i = 0; i < vector.count; i++) {
                struct value value = vector_at(&vector, i);
                hash ^= value_hash(value);
                if (value.type == VALUE_LIST || value.type == VALUE_OBJECT) {
                    struct value_iter iter = value_iter(value);
                    struct str key;
                    struct value item;
                    while (value_next(&iter, &key, &item)) hash ^= value_hash(item);
                }
            }
            if (hash == 1) fputc(' ', stderr); /* the hash is needed */
        }
    }
    for (uint32_t c = 0; c < run.column_count; c++) {
        uint32_t *counts, count;
        if (run.columns[c].chunk.encoding == CHUNK_DICT && run.columns[c].dictionary.bytes.data)
            (void)!chunk_dictionary_counts(&run.columns[c].chunk, run.columns[c].dictionary.bytes, event->rows, arena,
                                           &counts, &count);
    }
    run_close(&run);
    uint32_t persons[] = {0, 1, 2, 7, 1000}, row;
    for (int64_t time = event->time_min_ms, step = 0; step < 4; step++, time += (int64_t)1 << step * 8) {
        if (run_probe(section, event->event_id, persons, 5, 1, time, STR("i1"), &error, &row) == STATUS_OK &&
            row >= section->rows)
            __builtin_trap();
        if (time > ((int64_t)1 << 60)) break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error;
    struct reader reader = reader_of(str_from(data, size));
    struct section_ref directory = {.offset = read_u32(&reader), .size = read_u32(&reader)};
    if (reader.failed || size > 1 << 16) return 0;
    struct buf image = BUF_INIT(1 << 20);
    buf_str_add(&image, read_bytes(&reader, reader_left(&reader)));
    struct section *section;
    if (section_open_image(&image, directory, 1, &error, &section) != STATUS_OK) return 0;
    struct arena *arena = arena_new(64 << 20);
    for (uint32_t e = 0; e < section->event_count && e < 8; e++) read_run(section, &section->events[e], arena);
    arena_free(arena);
    for (uint32_t i = 0; i < 70000; i += 1 + i * 3) {
        (void)section_has_person(section, i);
        (void)section_filter_has(section, i * 0x9E3779B97F4A7C15u);
    }
    if (section->rows < 100000) {
        struct id_graph *graph = id_graph_new();
        for (int i = 0; i < IDS; i++) {
            char text[16];
            uint32_t id;
            snprintf(text, sizeof text, "u%d", i);
            if (id_graph_intern(graph, str_of(text), &id) != STATUS_OK) __builtin_trap();
        }
        struct id_view *ids = id_graph_view(graph);
        struct version_section inputs[] = {{section, NULL}, {section, NULL}};
        for (int split = 0; split < 2; split++) {
            struct merge_job job = {.inputs = inputs,
                                    .input_count = 2,
                                    .ids = ids,
                                    .split = split,
                                    .outputs_max = 8,
                                    .memory_bytes_max = 64 << 20};
            struct merge_output *outputs;
            size_t count;
            if (merge_sections(&job, &error, &outputs, &count) != STATUS_OK) continue;
            merge_outputs_free(outputs, count);
        }
        id_view_unref(ids);
        id_graph_free(graph);
    }
    section_unref(section);
    return 0;
}
