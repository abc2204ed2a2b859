/*
 * One pass over the "$user" rows of the shadow.
 *
 * 1. Runs are described: what is stored as a dictionary, or as one value, gives its values codes at once, so that rows
 *    need a look-up by code and no comparison of values. What is stored otherwise (numbers, texts that hardly repeat)
 *    gets codes row by row. Then there is an upper bound of the codes, which says how wide they are.
 * 2. Rows, in tasks: the shadow's id number, the project's id with that text (profile_ids.h), its person, and whether
 *    it is the id that is shown for the person: a person has one such id, an id has one live row, so no two rows go to
 *    one place of the arrays, and tasks need no order.
 * 3. Persons whose numbers were taken away by links get the codes of those who they are now, as far back as the runs
 *    of the query need: so who reads rows looks codes up by the numbers that are stored, without resolving them.
 *
 * Events of nobody (person 0) have code 0: undefined.
 */
#include "query/native/profile_join.h"

#include "os/thread.h"
#include "query/native/pair_kernels.h"
#include "query/native/profile_ids.h"
#include "store/interner.h"

#include <stdatomic.h>
#include <stdlib.h>

#define VECTORS_PER_TASK 16u
#define OWN_DICT         ((uint64_t)1 << 63) /* where the store's numbers of dictionaries do not get to */

_Static_assert(JOINED_CODES_ROOM >= VECTOR_ROWS_MAX + EXPAND_PAD, "room for what is written behind the last row");

void profile_join_init(struct profile_join *profiles, size_t bytes_max)
{
    *profiles = (struct profile_join){.arena = arena_new(bytes_max), .bytes_max = bytes_max};
}

void profile_join_fini(struct profile_join *profiles)
{
    for (size_t i = 0; i < profiles->count; i++) free(profiles->columns[i]->codes);
    arena_free(profiles->arena);
    *profiles = (struct profile_join){.arena = NULL};
}

static struct joined_column *find_column(const struct profile_join *profiles, struct str name)
{
    for (size_t i = 0; i < profiles->count; i++) {
        if (str_eq(profiles->columns[i]->name, name)) return profiles->columns[i];
    }
    return NULL;
}

const struct joined_column *profile_join_column(const struct profile_join *profiles, struct str name)
{
    return find_column(profiles, name);
}

enum status profile_join_want_name(struct profile_join *profiles, struct str name)
{
    static const struct value absent = {.type = VALUE_ABSENT};
    if (find_column(profiles, name)) return STATUS_OK;
    if (profiles->count == profiles->capacity) {
        size_t capacity = profiles->capacity ? profiles->capacity * 2 : 4, each = sizeof *profiles->columns;
        struct joined_column **grown =
            arena_realloc(profiles->arena, profiles->columns, profiles->capacity * each, capacity * each);
        if (!grown) return STATUS_LIMIT;
        profiles->columns = grown;
        profiles->capacity = capacity;
    }
    struct joined_column *column = arena_new_array(profiles->arena, struct joined_column, 1);
    if (!column) return STATUS_LIMIT;
    *column = (struct joined_column){
        .name = arena_str(profiles->arena, name), .values = &absent, .value_count = 1, .code_bytes = 1};
    if (!column->name.data) return STATUS_LIMIT;
    profiles->columns[profiles->count++] = column;
    return STATUS_OK;
}

enum status profile_join_want(struct profile_join *profiles, const struct expr *expr)
{
    size_t count;
    const struct expr_column *columns = expr_columns(expr, &count);
    for (size_t i = 0; i < count; i++) {
        if (columns[i].root == EXPR_USER) TRY(profile_join_want_name(profiles, columns[i].name));
    }
    return STATUS_OK;
}

/* --- loading --- */

/* A column as a run of the shadow has it. */
struct piece {
    enum scan_form form;
    uint32_t *remap; /* CODES: code of the run -> code; CONST: [0] */
};
struct profile_run {
    struct scan_run run;
    struct piece *pieces;
};
struct loading {
    struct profile_join *profiles;
    const struct snapshot *events; /* NULL: codes are by the shadow's ids */
    struct snapshot *shadow;
    struct str event;  /* of the rows */
    struct pool *pool; /* NULL: the caller alone */
    unsigned slots;
    const struct plan_limits *limits;
    const struct profile_ids *ids;
    uint32_t *properties; /* of the columns, in the shadow */
    struct interner *interners;
    struct profile_run *runs;
    size_t run_count;
    struct task {
        uint32_t run, from, to; /* vectors */
    } * tasks;
    uint32_t task_count;
    struct os_mutex lock; /* the arena, the interners */
    struct participant {
        struct scan *scan;
        uint32_t run; /* that is open */
        struct error error;
    } * participants;
};

static enum status out_of_memory(const struct profile_join *profiles, struct error *error)
{
    error_set(error, STATUS_LIMIT, "the profiles need more than %zu bytes of memory", profiles->bytes_max);
    error_hint(error, "use fewer properties of user[…], or raise query.memory_max");
    return STATUS_LIMIT;
}

/* The lock is held. */
static enum status intern(struct loading *loading, size_t column, struct value value, uint32_t *ret_code)
{
    struct interner *interner = &loading->interners[column];
    uint32_t before = interner->count;
    *ret_code = 0;
    if (value.type == VALUE_ABSENT) return STATUS_OK;
    TRY(interner_code(interner, loading->profiles->arena, value, ret_code));
    if (interner->count == before || value.type < VALUE_STRING) return STATUS_OK;
    struct str copy = arena_str(loading->profiles->arena, value_text(value));
    interner->entries[before].data = copy.data;
    return copy.data ? STATUS_OK : STATUS_LIMIT;
}

static enum status intern_many(struct loading *loading, size_t column, const struct vector *values, uint32_t *ret_codes)
{
    enum status status = STATUS_OK;
    os_mutex_lock(&loading->lock);
    for (uint32_t i = 0; i < values->count && status == STATUS_OK; i++)
        status = intern(loading, column, vector_at(values, i), &ret_codes[i]);
    os_mutex_unlock(&loading->lock);
    return status;
}

static enum status participate(struct loading *loading, unsigned slot, uint32_t run, struct participant **ret)
{
    struct participant *own = *ret = &loading->participants[slot];
    struct scan_options options = {.memory_bytes_max = loading->profiles->bytes_max};
    TRY(native_interrupted(loading->limits, &own->error));
    if (own->scan && own->run == run) return STATUS_OK;
    if (!own->scan) TRY(scan_new(loading->shadow, &options, &own->error, &own->scan));
    own->run = UINT32_MAX;
    TRY(scan_open(own->scan, &loading->runs[run].run, &own->error));
    own->run = run;
    return STATUS_OK;
}

static enum status describe_task(void *ctx, unsigned slot, uint32_t index)
{
    struct loading *loading = ctx;
    struct participant *own;
    TRY(participate(loading, slot, index, &own));
    for (size_t c = 0; c < loading->profiles->count; c++) {
        struct piece *piece = &loading->runs[index].pieces[c];
        struct scan_column column;
        TRY(scan_column(own->scan, loading->properties[c], &own->error, &column));
        piece->form = column.form;
        if (column.form != SCAN_CODES && column.form != SCAN_CONST) continue;
        os_mutex_lock(&loading->lock);
        piece->remap = arena_alloc(loading->profiles->arena, column.value_count * sizeof *piece->remap);
        os_mutex_unlock(&loading->lock);
        struct vector values = {.kind = VECTOR_FLAT, .count = column.value_count, .values = column.values};
        if (!piece->remap || intern_many(loading, c, &values, piece->remap) != STATUS_OK)
            return out_of_memory(loading->profiles, &own->error);
    }
    return STATUS_OK;
}

/* The persons whose profiles the rows of the vector are; 0: nobody's. */
static enum status find_persons(const struct loading *loading, struct participant *own, uint32_t vector,
                                uint32_t *ret_rows, uint32_t *ret_persons)
{
    const struct snapshot *events = loading->events;
    const uint32_t *profiles;
    const uint8_t *live;
    TRY(scan_vector(own->scan, vector, &own->error, ret_rows));
    TRY(scan_stored_persons(own->scan, &own->error, &profiles));
    TRY(scan_live(own->scan, &own->error, &live));
    for (uint32_t i = 0; i < *ret_rows && !events; i++) ret_persons[i] = live[i] ? profiles[i] : 0;
    for (uint32_t i = 0; i < *ret_rows && events; i++) {
        uint32_t id = live[i] && profiles[i] ? profile_ids_at(loading->ids, events, loading->shadow, profiles[i]) : 0;
        uint32_t person = id ? snapshot_person(events, id) : 0;
        ret_persons[i] = person && snapshot_person_id(events, person) == id ? person : 0;
    }
    return STATUS_OK;
}

static void put(const struct joined_column *column, uint32_t person, uint32_t code)
{
    switch (column->code_bytes) {
    case 1: ((uint8_t *)column->codes)[person] = (uint8_t)code; break;
    case 2: ((uint16_t *)column->codes)[person] = (uint16_t)code; break;
    default: ((uint32_t *)column->codes)[person] = code;
    }
}

static enum status load_column(struct loading *loading, struct participant *own, const struct piece *piece, size_t c,
                               const uint32_t *persons, uint32_t rows)
{
    const struct joined_column *column = loading->profiles->columns[c];
    uint32_t property = loading->properties[c], own_codes[VECTOR_ROWS_MAX];
    const uint32_t *codes;
    switch (piece->form) {
    case SCAN_ABSENT: return STATUS_OK;
    case SCAN_CONST:
        for (uint32_t i = 0; i < rows; i++) {
            if (persons[i]) put(column, persons[i], piece->remap[0]);
        }
        return STATUS_OK;
    case SCAN_CODES:
        TRY(scan_codes(own->scan, property, &own->error, &codes));
        for (uint32_t i = 0; i < rows; i++) {
            if (persons[i]) put(column, persons[i], piece->remap[codes[i]]);
        }
        return STATUS_OK;
    default: break;
    }
    struct vector values;
    TRY(scan_property(own->scan, property, &own->error, &values));
    values.count = rows;
    if (intern_many(loading, c, &values, own_codes) != STATUS_OK) return out_of_memory(loading->profiles, &own->error);
    for (uint32_t i = 0; i < rows; i++) {
        if (persons[i]) put(column, persons[i], own_codes[i]);
    }
    return STATUS_OK;
}

static enum status load_task(void *ctx, unsigned slot, uint32_t index)
{
    struct loading *loading = ctx;
    const struct task *task = &loading->tasks[index];
    struct participant *own;
    uint32_t persons[VECTOR_ROWS_MAX], rows;
    TRY(participate(loading, slot, task->run, &own));
    for (uint32_t v = task->from; v < task->to; v++) {
        TRY(find_persons(loading, own, v, &rows, persons));
        for (size_t c = 0; c < loading->profiles->count; c++)
            TRY(load_column(loading, own, &loading->runs[task->run].pieces[c], c, persons, rows));
    }
    return STATUS_OK;
}

/* --- around them --- */

static enum status find_runs(struct loading *loading, struct error *error)
{
    struct profile_join *profiles = loading->profiles;
    uint32_t event = snapshot_event_id(loading->shadow, loading->event);
    struct scan_options options = {.events = &event, .event_count = 1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct scan_run *runs;
    if (event == EVENT_ID_NONE) return STATUS_OK;
    if (scan_list(loading->shadow, &options, profiles->arena, error, &runs, &loading->run_count) != STATUS_OK)
        return out_of_memory(profiles, error);
    uint64_t tasks = 0;
    loading->runs = arena_new_array(profiles->arena, struct profile_run, loading->run_count + 1);
    for (size_t i = 0; i < loading->run_count && loading->runs; i++) {
        loading->runs[i].run = runs[i];
        loading->runs[i].pieces = arena_new_array(profiles->arena, struct piece, profiles->count);
        if (!loading->runs[i].pieces) return out_of_memory(profiles, error);
        tasks += runs[i].vectors / VECTORS_PER_TASK + 1;
    }
    loading->tasks = arena_alloc(profiles->arena, tasks * sizeof *loading->tasks);
    loading->properties = arena_new_array(profiles->arena, uint32_t, profiles->count);
    loading->interners = arena_new_array(profiles->arena, struct interner, profiles->count);
    if (!loading->runs || !loading->tasks || !loading->properties || !loading->interners)
        return out_of_memory(profiles, error);
    for (uint32_t i = 0; i < loading->run_count; i++) {
        for (uint32_t from = 0; from < runs[i].vectors; from += VECTORS_PER_TASK) {
            uint32_t to = runs[i].vectors - from < VECTORS_PER_TASK ? runs[i].vectors : from + VECTORS_PER_TASK;
            loading->tasks[loading->task_count++] = (struct task){i, from, to};
        }
    }
    for (size_t c = 0; c < profiles->count; c++)
        loading->properties[c] = snapshot_property_id(loading->shadow, profiles->columns[c]->name);
    return STATUS_OK;
}

/* The highest number that has a code. */
static uint32_t persons_max(const struct loading *loading)
{
    return snapshot_id_count(loading->events ? loading->events : loading->shadow);
}

/* Room for the codes, by the values that there can be. */
static enum status make_codes(struct loading *loading, size_t c, struct error *error)
{
    struct profile_join *profiles = loading->profiles;
    struct joined_column *column = profiles->columns[c];
    uint64_t codes = (uint64_t)loading->interners[c].count + 1;
    for (size_t i = 0; i < loading->run_count; i++) {
        enum scan_form form = loading->runs[i].pieces[c].form;
        if (form == SCAN_NUMBERS || form == SCAN_VALUES) codes += loading->runs[i].run.rows;
    }
    column->code_bytes = codes <= (uint32_t)UINT8_MAX + 1 ? 1 : codes <= (uint32_t)UINT16_MAX + 1 ? 2 : 4;
    size_t bytes = ((size_t)persons_max(loading) + 1) * column->code_bytes;
    if (codes > UINT32_MAX || bytes > profiles->bytes_max - profiles->code_bytes) return out_of_memory(profiles, error);
    column->codes = calloc(1, bytes);
    if (!column->codes) return out_of_memory(profiles, error);
    profiles->code_bytes += bytes;
    return STATUS_OK;
}

static enum status take_values(struct loading *loading, size_t c, struct error *error)
{
    static _Atomic uint64_t next_dict_id = 1;
    struct joined_column *column = loading->profiles->columns[c];
    const struct interner *interner = &loading->interners[c];
    struct value *values = arena_alloc(loading->profiles->arena, ((size_t)interner->count + 1) * sizeof *values);
    if (!values) return out_of_memory(loading->profiles, error);
    values[0] = value_absent();
    if (interner->count) memcpy(values + 1, interner->entries, interner->count * sizeof *values);
    column->values = values;
    column->value_count = interner->count + 1;
    column->dict_id = OWN_DICT | atomic_fetch_add(&next_dict_id, 1);
    return STATUS_OK;
}

static enum status follow_links(const struct loading *loading, uint32_t links_from, struct error *error)
{
    uint64_t *moved;
    TRY(snapshot_moved(loading->events, links_from, error, &moved));
    size_t words = moved ? (size_t)snapshot_id_count(loading->events) / 64 + 1 : 0;
    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = moved[w]; left; left &= left - 1) {
            uint32_t number = (uint32_t)(w * 64) + (uint32_t)__builtin_ctzll(left);
            uint32_t person = snapshot_person(loading->events, number);
            for (size_t c = 0; c < loading->profiles->count; c++) {
                const struct joined_column *column = loading->profiles->columns[c];
                if (person != number) put(column, number, joined_code(column, person));
            }
        }
    }
    free(moved);
    return STATUS_OK;
}

/* What a task said, if it was one that failed. */
static enum status run_tasks(struct loading *loading, uint32_t count, enum status (*task)(void *, unsigned, uint32_t),
                             struct error *error)
{
    enum status status = STATUS_OK;
    if (loading->pool) status = pool_run(loading->pool, count, task, loading);
    for (uint32_t i = 0; !loading->pool && i < count && status == STATUS_OK; i++) status = task(loading, 0, i);
    for (unsigned i = 0; i < loading->slots && status != STATUS_OK; i++) {
        if (loading->participants[i].error.status != status) continue;
        if (error) *error = loading->participants[i].error;
        break;
    }
    return status;
}

/* When the runs are known. */
static enum status load(struct loading *loading, struct error *error)
{
    struct profile_join *profiles = loading->profiles;
    loading->slots = loading->pool ? pool_slots(loading->pool) : 1;
    loading->participants = arena_new_array(profiles->arena, struct participant, loading->slots);
    if (!loading->participants) return out_of_memory(profiles, error);
    os_mutex_init(&loading->lock, "profiles");
    enum status status = run_tasks(loading, (uint32_t)loading->run_count, describe_task, error);
    for (size_t c = 0; c < profiles->count && status == STATUS_OK; c++) status = make_codes(loading, c, error);
    if (status == STATUS_OK) status = run_tasks(loading, loading->task_count, load_task, error);
    for (size_t c = 0; c < profiles->count && status == STATUS_OK; c++) status = take_values(loading, c, error);
    for (unsigned i = 0; i < loading->slots; i++) scan_free(loading->participants[i].scan);
    os_mutex_destroy(&loading->lock);
    return status;
}

static enum status load_users(struct loading *loading, struct native *native, uint64_t project, uint32_t links_from,
                              struct error *error)
{
    struct profile_ids *ids;
    TRY(find_runs(loading, error));
    if (!loading->run_count || !snapshot_id_count(loading->events)) return STATUS_OK;
    TRY(profile_ids_get(native->profile_ids, native->pool, loading->events, loading->shadow, project, loading->limits,
                        loading->profiles->bytes_max, error, &ids));
    loading->ids = ids;
    enum status status = load(loading, error);
    profile_ids_unref(ids);
    return status == STATUS_OK ? follow_links(loading, links_from, error) : status;
}

enum status profile_join_load(struct profile_join *profiles, struct native *native, const struct snapshot *events,
                              uint64_t project, uint32_t links_from, const struct plan_limits *limits,
                              struct error *error)
{
    struct loading loading = {.profiles = profiles,
                              .events = events,
                              .event = STR(PROFILE_USER_EVENT),
                              .pool = native->pool,
                              .limits = limits};
    if (profiles->count == 0) return STATUS_OK;
    plan_reads_profiles(limits);
    TRY(store_snapshot(native->store, store_profiles_of(project), error, &loading.shadow));
    enum status status = load_users(&loading, native, project, links_from, error);
    snapshot_free(loading.shadow);
    return status;
}

enum status profile_join_load_rows(struct profile_join *profiles, struct snapshot *shadow, struct str event,
                                   const struct plan_limits *limits, struct error *error)
{
    struct loading loading = {.profiles = profiles, .shadow = shadow, .event = event, .limits = limits};
    if (profiles->count == 0) return STATUS_OK;
    TRY(find_runs(&loading, error));
    return loading.run_count ? load(&loading, error) : STATUS_OK;
}

/* Rows under a number that may be those of several people by now. */
static enum status replace_mixed(const struct joined_column *column, struct scan *scan,
                                 const struct scan_segments *segments, struct error *error, uint32_t *codes)
{
    const struct snapshot *snapshot = scan_snapshot(scan);
    const uint32_t *persons = NULL;
    for (uint32_t s = 0; s < segments->count; s++) {
        if (!snapshot_is_mixed(snapshot, segments->persons[s])) continue;
        if (!persons) TRY(scan_persons(scan, error, &persons));
        for (uint32_t row = s ? segments->ends[s - 1] : 0; row < segments->ends[s]; row++)
            codes[row] = joined_code(column, persons[row]);
    }
    return STATUS_OK;
}

enum status joined_codes(const struct joined_column *column, struct scan *scan, struct error *error,
                         uint32_t ret_codes[JOINED_CODES_ROOM])
{
    const struct pair_kernels *kernels = CPU_SELECT(pair_kernels);
    uint32_t codes[VECTOR_ROWS_MAX + EXPAND_PAD];
    struct scan_segments segments;
    TRY(scan_segments(scan, error, &segments));
    for (uint32_t s = 0; s < segments.count; s++) codes[s] = joined_code(column, segments.persons[s]);
    for (uint32_t s = segments.count; s < segments.count + EXPAND_PAD; s++) codes[s] = 0;
    kernels->expand(codes, segments.ends, segments.count, ret_codes);
    return snapshot_any_mixed(scan_snapshot(scan)) ? replace_mixed(column, scan, &segments, error, ret_codes)
                                                   : STATUS_OK;
}
