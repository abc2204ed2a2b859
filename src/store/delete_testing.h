#pragma once
/*
 * For the tests of deletes: what should be there, kept the slow and obvious way, and the records that bring it about.
 * Every event has a property "n", its number in the model.
 */
#include "base/hash.h"
#include "store/delete_record.h"
#include "store/ids.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>

#define MODEL_EVENTS 3
#define MODEL_IDS    12
#define MODEL_ROWS   20000
#define MODEL_T0     1700000000000LL
#define MODEL_SPAN   (40LL * 86400000)

struct model_row {
    uint8_t event;
    bool live, has_insert;
    uint32_t who; /* 0: nobody */
    uint32_t insert;
    int64_t time_ms;
};

struct model {
    uint64_t random;
    uint32_t row_count, who_count;
    struct model_row rows[MODEL_ROWS];
    uint32_t current[MODEL_IDS];      /* who has the text now; 0: nobody had it, or they are forgotten */
    uint32_t cluster[MODEL_ROWS * 2]; /* of each `who`, the number of one of its people */
    uint8_t text[MODEL_ROWS * 2];
};

static inline uint64_t model_random(struct model *model, uint64_t below)
{
    model->random = hash_u64(model->random, 1);
    return model->random % below;
}

/* Links whatever comes as a pair, shown as the user. */
static inline unsigned model_link(struct id_graph *graph, const struct link_request *request)
{
    return id_graph_link(graph, request->device, request->user, request->user, NULL) == STATUS_OK ? 0 : 1;
}

static inline struct str model_id(char out[16], unsigned id)
{
    snprintf(out, 16, "id-%u", id);
    return str_of(out);
}
static inline struct str model_event(char out[16], unsigned event)
{
    snprintf(out, 16, "event-%u", event);
    return str_of(out);
}

static inline uint32_t model_who(struct model *model, unsigned id)
{
    if (!model->current[id]) {
        model->current[id] = ++model->who_count;
        model->cluster[model->who_count] = model->who_count;
        model->text[model->who_count] = (uint8_t)id;
    }
    return model->current[id];
}

/* Appends `count` events to a record of one batch, and to the model. */
static inline struct buf model_events(struct model *model, uint64_t project, unsigned count)
{
    struct batch batch;
    struct buf record;
    batch_init(&batch, 1 << 22);
    batch_begin(&batch, project, MODEL_T0, IDENTITY_SIMPLIFIED, 0);
    while (count-- && model->row_count < MODEL_ROWS) {
        char name[16], id_text[16], device_text[16], insert_text[16];
        struct model_row row = {.event = (uint8_t)model_random(model, MODEL_EVENTS), .live = true};
        unsigned id = (unsigned)model_random(model, MODEL_IDS + 1), device = MODEL_IDS;
        if (id < MODEL_IDS && model_random(model, 40) == 0) device = (unsigned)model_random(model, MODEL_IDS);
        if (device == id) device = MODEL_IDS;
        row.time_ms = MODEL_T0 - (int64_t)model_random(model, MODEL_SPAN / 1000) * 1000;
        row.has_insert = model_random(model, 3) > 0;
        row.insert = (uint32_t)model_random(model, 50);
        if (row.has_insert) row.time_ms = MODEL_T0 - (int64_t)row.insert * 86400000 / 2; /* so that some repeat */
        if (id < MODEL_IDS) row.who = model_who(model, id);
        if (device < MODEL_IDS) {
            uint32_t other = model->cluster[model_who(model, device)], to = model->cluster[row.who];
            for (uint32_t i = 1; i <= model->who_count; i++) {
                if (model->cluster[i] == other) model->cluster[i] = to;
            }
        }
        for (uint32_t i = 0; row.has_insert && i < model->row_count; i++) {
            struct model_row *old = &model->rows[i];
            if (old->has_insert && old->event == row.event && old->who == row.who && old->time_ms == row.time_ms &&
                old->insert == row.insert)
                old->live = false;
        }
        snprintf(insert_text, sizeof insert_text, "i-%u", row.insert);
        batch_event(&batch, model_event(name, row.event), row.time_ms,
                    id < MODEL_IDS ? model_id(id_text, id) : STR_NULL,
                    device < MODEL_IDS ? model_id(device_text, device) : STR_NULL,
                    row.has_insert ? str_of(insert_text) : STR_NULL);
        struct json n = json_int(model->row_count);
        if (batch_property(&batch, STR("n"), &n) != STATUS_OK) abort();
        batch_event_end(&batch);
        model->rows[model->row_count++] = row;
    }
    if (batch_finish(&batch, &record) != STATUS_OK) abort();
    batch_fini(&batch);
    return record;
}

/* One or two people at random, with all they have. *ret_rows: how many rows that takes. */
static inline struct buf model_delete_person(struct model *model, uint64_t project, uint64_t request,
                                             uint64_t *ret_rows)
{
    struct buf record = BUF_INIT(1 << 20);
    char texts[2][16];
    unsigned picks[2] = {(unsigned)model_random(model, MODEL_IDS), (unsigned)model_random(model, MODEL_IDS)};
    struct str ids[2] = {model_id(texts[0], picks[0]), model_id(texts[1], picks[1])};
    size_t count = 1 + model_random(model, 2);
    *ret_rows = 0;
    for (size_t p = 0; p < count; p++) {
        uint32_t cluster = model->current[picks[p]] ? model->cluster[model->current[picks[p]]] : 0;
        if (!cluster) continue;
        for (uint32_t i = 0; i < model->row_count; i++) {
            struct model_row *row = &model->rows[i];
            if (!row->live || !row->who || model->cluster[row->who] != cluster) continue;
            row->live = false;
            (*ret_rows)++;
        }
        for (unsigned i = 0; i < MODEL_IDS; i++) {
            if (model->current[i] && model->cluster[model->current[i]] == cluster) model->current[i] = 0;
        }
    }
    if (record_delete_person(&record, project, request, ids, count) != STATUS_OK) abort();
    return record;
}

static inline struct buf model_delete_before(struct model *model, uint64_t project, uint64_t request,
                                             uint64_t *ret_rows)
{
    struct buf record = BUF_INIT(1 << 20);
    int64_t before_ms = MODEL_T0 - MODEL_SPAN / 2 - (int64_t)model_random(model, MODEL_SPAN / 2);
    *ret_rows = 0;
    for (uint32_t i = 0; i < model->row_count; i++) {
        struct model_row *row = &model->rows[i];
        if (!row->live || row->time_ms >= before_ms) continue;
        row->live = false;
        (*ret_rows)++;
    }
    if (record_delete_before(&record, project, request, before_ms) != STATUS_OK) abort();
    return record;
}

/* Calls each(ctx, n, key, person) for every row that counts. */
static inline enum status model_read(struct snapshot *snapshot, struct error *error,
                                     void (*each)(void *ctx, uint32_t n, const struct row_key *key, uint32_t person),
                                     void *ctx)
{
    struct scan *scan;
    struct scan_run run;
    struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    uint32_t property = snapshot_property_id(snapshot, STR("n"));
    TRY(scan_new(snapshot, &options, error, &scan));
    enum status status;
    while ((status = scan_next(scan, error, &run)) == STATUS_OK) {
        for (uint32_t v = 0; v < run.vectors && status == STATUS_OK; v++) {
            uint32_t rows = 0;
            const uint8_t *live = NULL;
            const uint32_t *persons = NULL, *ids = NULL;
            const int64_t *times = NULL;
            struct vector inserts, numbers;
            status = scan_vector(scan, v, error, &rows);
            if (status == STATUS_OK) status = scan_live(scan, error, &live);
            if (status == STATUS_OK) status = scan_times(scan, error, &times);
            if (status == STATUS_OK) status = scan_ids(scan, error, &ids);
            if (status == STATUS_OK) status = scan_persons(scan, error, &persons);
            if (status == STATUS_OK) status = scan_insert_ids(scan, error, &inserts);
            if (status == STATUS_OK) status = scan_property(scan, property, error, &numbers);
            for (uint32_t i = 0; i < rows && status == STATUS_OK; i++) {
                struct value insert = vector_at(&inserts, i);
                bool text = insert.type == VALUE_STRING;
                char room[ID_TEXT_ROOM];
                struct row_key key = {.event = snapshot_event_name(snapshot, run.event_id),
                                      .id = snapshot_id_text(snapshot, ids[i], room),
                                      .time_ms = times[i],
                                      .insert_id = text ? value_text(insert) : STR_NULL,
                                      .number = text ? 0 : (uint64_t)insert.integer};
                if (live[i]) each(ctx, (uint32_t)vector_at(&numbers, i).integer, &key, persons[i]);
            }
        }
        if (status != STATUS_OK) break;
    }
    scan_free(scan);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

struct model_pick {
    struct model *model;
    struct row_keys keys;
    unsigned by;
    uint64_t rows;
};
static inline void model_pick_row(void *ctx, uint32_t n, const struct row_key *key, uint32_t person)
{
    struct model_pick *pick = ctx;
    (void)person;
    if (n % pick->by) return;
    row_keys_add(&pick->keys, key);
    pick->rows += pick->model->rows[n].live;
    pick->model->rows[n].live = false;
}
/* The rows of the snapshot of which n is a multiple of `by`, by key. An empty record when they cannot be read; the
 * model is not good then. */
static inline struct buf model_delete_rows(struct model *model, struct snapshot *snapshot, uint64_t project,
                                           uint64_t request, unsigned by, uint64_t *ret_rows)
{
    struct model_pick pick = {.model = model, .by = by};
    struct error error = ERROR_INIT;
    struct buf record;
    row_keys_init(&pick.keys);
    enum status status = model_read(snapshot, &error, model_pick_row, &pick);
    if (row_keys_finish(&pick.keys, project, request, &record) != STATUS_OK) abort();
    if (status != STATUS_OK) buf_reset(&record);
    row_keys_fini(&pick.keys);
    *ret_rows = pick.rows;
    return record;
}

struct model_check {
    const struct model *model;
    char *text;
    size_t text_size;
    uint32_t found;
    bool differs;
    uint32_t *person_of_cluster, *seen;
};
static inline void model_check_row(void *ctx, uint32_t n, const struct row_key *key, uint32_t person)
{
    struct model_check *check = ctx;
    const struct model *model = check->model;
    if (check->differs) return;
    char name[16], id[16] = "", insert[16];
    const char *wrong = NULL;
    const struct model_row *row = n < model->row_count ? &model->rows[n] : NULL;
    if (!row) {
        wrong = "was never sent";
    } else {
        uint32_t cluster = model->cluster[row->who];
        if (row->who) (void)model_id(id, model->text[row->who]);
        snprintf(insert, sizeof insert, "i-%u", row->insert);
        if (!row->live)
            wrong = "is there, but was deleted or replaced";
        else if (check->seen[n]++)
            wrong = "is there twice";
        else if (!str_eq(key->event, model_event(name, row->event)) || !str_eq(key->id, str_of(id)) ||
                 key->time_ms != row->time_ms ||
                 (row->has_insert ? !key->insert_id.data || !str_eq(key->insert_id, str_of(insert))
                                  : key->insert_id.data != NULL))
            wrong = "has another key";
        else if ((person == 0) != (row->who == 0))
            wrong = "is somebody else's";
        else if (row->who && check->person_of_cluster[cluster] && check->person_of_cluster[cluster] != person)
            wrong = "is not of the same person as others of its cluster";
        if (row->who) check->person_of_cluster[cluster] = person;
    }
    check->found++;
    if (!wrong) return;
    check->differs = true;
    snprintf(check->text, check->text_size, "event %u %s", n, wrong);
}
/* Says what is wrong with the snapshot; false when it is the model. */
static inline bool model_differs(const struct model *model, struct snapshot *snapshot, char *text, size_t text_size)
{
    struct model_check check = {.model = model, .text = text, .text_size = text_size};
    struct error error = ERROR_INIT;
    check.person_of_cluster = calloc(MODEL_ROWS * 2, sizeof *check.person_of_cluster);
    check.seen = calloc(MODEL_ROWS, sizeof *check.seen);
    if (!check.person_of_cluster || !check.seen) abort();
    if (model_read(snapshot, &error, model_check_row, &check) != STATUS_OK) {
        check.differs = true;
        snprintf(text, text_size, "cannot read: %s", error.primary);
    }
    uint32_t live = 0;
    for (uint32_t i = 0; i < model->row_count; i++) {
        live += model->rows[i].live;
        if (check.differs || !model->rows[i].live || check.seen[i]) continue;
        check.differs = true;
        snprintf(text, text_size, "event %u is missing", i);
    }
    if (!check.differs && live != check.found) {
        check.differs = true;
        snprintf(text, text_size, "%u events instead of %u", check.found, live);
    }
    free(check.person_of_cluster);
    free(check.seen);
    return check.differs;
}
