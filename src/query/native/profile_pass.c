/*
 * The rows of one kind of profile are one run in each section of the shadow project. They are cut into tasks of a few
 * vectors; a thread that takes one asks, row by row but in loops over columns: is it live, is it one of the ids that
 * are asked for, do the terms of `where` and `search` hold, and at last, is it hidden.
 *
 * Terms. As in a segmentation (prepare.c): a term over one column that has a dictionary in this run is decided once for
 * every entry, a comparison of a numeric column with a number is a loop over numbers, the rest is evaluated for the
 * rows that are left. What goes wrong in an entry that no row may use is answered by falling back to rows.
 *
 * Hidden rows. A row is hidden when its id is known to the project, as another id of a person who is shown under a
 * different one. Only links do that, each to one id at most. With fewer links than profiles it is cheapest to go
 * through the ids of the project that are not the shown ones, and look each up in the shadow, which gives a set of
 * hidden rows before the pass; with more, each row that is left is looked up in the project.
 *
 * Which ids. For few ids, rows are sought by the order in which they are stored; only their vectors are read.
 *
 * Memory. Of the limit, an eighth is the pass's own (which ids, what is hidden, behaviours), an eighth is for decoding,
 * and of the rest one half is for what visitors keep until the pass ends, the other for what they make of it. What is
 * kept is counted for all threads together, because which of them finds how much is chance.
 */
#include "query/native/profile_pass.h"

#include "base/json.h"
#include "query/native/behaviors.h"
#include "store/profiles.h"

#include <stdlib.h>

#define EXPR_BUDGET_MIN     ((size_t)4 << 20)
#define HIDDEN_IDS_PER_TASK 65536

struct pass_task {
    uint32_t run, from, to; /* vectors */
};

enum term_form { TERM_ALWAYS, TERM_NEVER, TERM_TABLE, TERM_COMPARE, TERM_EVAL };
struct pass_term {
    enum term_form form;
    uint32_t property;
    const uint8_t *keep; /* TABLE: by code */
};

static enum status out_of_memory(const struct profile_pass *pass, struct error *error)
{
    return selection_out_of_memory(&pass->selection, error);
}

/* --- expressions --- */

static struct expr_options options_of(const struct profile_pass *pass)
{
    return (struct expr_options){.zone = pass->plan->zone, .now_ms = pass->plan->now_ms, .profiles = true};
}

static enum status add_terms(struct profile_pass *pass, const char *parameter, struct str text, struct error *error)
{
    struct expr_options options = options_of(pass);
    const struct expr_term *terms;
    size_t count;
    if (!text.data) return STATUS_OK;
    TRY(native_expression(parameter, expr_compile_terms(pass->selection.arena, text, &options, error, &terms, &count),
                          error));
    size_t all = pass->term_count + count;
    struct expr_term *joined = arena_new_array(pass->selection.arena, struct expr_term, all + 1);
    const char **names = arena_new_array(pass->selection.arena, const char *, all + 1);
    if (!joined || !names) return out_of_memory(pass, error);
    for (size_t i = 0; i < all; i++) {
        joined[i] = i < pass->term_count ? pass->terms[i] : terms[i - pass->term_count];
        names[i] = i < pass->term_count ? pass->term_names[i] : parameter;
    }
    pass->terms = joined;
    pass->term_names = names;
    pass->term_count = all;
    return STATUS_OK;
}

/* Where a text is looked for, each an expression of its own: a row needs one of them. Of the places that no profile has
 * nothing is evaluated, and of those with few values not every row. */
static enum status add_search(struct profile_pass *pass, struct error *error)
{
    static const char *const names[] = {"$name", "$first_name", "$last_name", "$email", "$username", "$distinct_id"};
    struct buf text = BUF_INIT((size_t)1 << 20);
    enum status status = STATUS_OK;
    pass->where_count = pass->term_count;
    if (!pass->plan->search.data) return STATUS_OK;
    for (size_t i = 0; i < sizeof names / sizeof *names && status == STATUS_OK; i++) {
        buf_reset(&text);
        buf_lit(&text, "lower(");
        json_write_str(&text, pass->plan->search);
        buf_printf(&text, ") in lower(string(properties[\"%s\"]))", names[i]);
        status = buf_status(&text) == STATUS_OK ? add_terms(pass, "search", buf_str(&text), error)
                                                : error_set(error, STATUS_LIMIT, "search is too long");
    }
    buf_fini(&text);
    return status;
}

enum status profile_pass_want(struct profile_pass *pass, const char *parameter, struct str text, struct error *error)
{
    struct expr_options options = options_of(pass);
    options.bare_name_is_property = true;
    pass->value_name = parameter;
    return native_expression(parameter, expr_compile(pass->selection.arena, text, &options, error, &pass->value),
                             error);
}

/* --- which ids --- */

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The id of the shadow under which the profile of an id is. */
static uint32_t profile_id(const struct profile_pass *pass, struct str text)
{
    char room[ID_TEXT_ROOM];
    uint32_t id = pass->plan->group_key.data ? 0 : snapshot_id(pass->project, text);
    uint32_t target = snapshot_stands_for(pass->project, id); /* in the legacy mode; else they are one person already */
    if (snapshot_person(pass->project, target)) id = target;
    if (id)
        text = snapshot_id_text(pass->project, snapshot_person_id(pass->project, snapshot_person(pass->project, id)),
                                room);
    return snapshot_id(pass->selection.snapshot, text);
}

static enum status find_ids(struct profile_pass *pass, struct error *error)
{
    if (!pass->plan->by_ids) return STATUS_OK;
    pass->ids = arena_new_array(pass->selection.arena, uint32_t, pass->plan->id_count + 1);
    if (!pass->ids) return out_of_memory(pass, error);
    for (size_t i = 0; i < pass->plan->id_count; i++) {
        uint32_t id = pass->plan->ids[i].size ? profile_id(pass, pass->plan->ids[i]) : 0;
        if (id) pass->ids[pass->id_count++] = id;
    }
    if (pass->id_count) qsort(pass->ids, pass->id_count, sizeof *pass->ids, by_number);
    size_t each = 0;
    for (size_t i = 0; i < pass->id_count; i++) {
        if (i == 0 || pass->ids[i] != pass->ids[i - 1]) pass->ids[each++] = pass->ids[i];
    }
    pass->id_count = each;
    return STATUS_OK;
}

static void keep_ids(const struct profile_pass *pass, const uint32_t *ids, uint32_t rows, uint8_t *keep)
{
    size_t low = 0, high = pass->id_count;
    while (rows && low < high) { /* the first wanted one that may be here: rows are in the order of ids */
        size_t middle = low + (high - low) / 2;
        if (pass->ids[middle] < ids[0])
            low = middle + 1;
        else
            high = middle;
    }
    for (uint32_t i = 0; i < rows; i++) {
        while (low < pass->id_count && pass->ids[low] < ids[i]) low++;
        if (low == pass->id_count || pass->ids[low] != ids[i]) keep[i] = 0;
    }
}

/* --- hidden rows --- */

static bool is_hidden(const struct profile_pass *pass, uint32_t shadow_id)
{
    char room[ID_TEXT_ROOM];
    uint32_t id = snapshot_id(pass->project, snapshot_id_text(pass->selection.snapshot, shadow_id, room));
    return id && snapshot_person_id(pass->project, snapshot_person(pass->project, id)) != id;
}

static enum status mark_hidden(void *ctx, unsigned slot, uint32_t index)
{
    const struct profile_pass *pass = ctx;
    uint64_t from = (uint64_t)index * HIDDEN_IDS_PER_TASK + 1, to = from + HIDDEN_IDS_PER_TASK;
    uint64_t last = snapshot_id_count(pass->project);
    char room[ID_TEXT_ROOM];
    (void)slot;
    for (uint64_t id = from; id < to && id <= last; id++) {
        uint32_t person = snapshot_person(pass->project, (uint32_t)id);
        if (!person || snapshot_person_id(pass->project, person) == id) continue;
        struct str text = snapshot_id_text(pass->project, (uint32_t)id, room);
        uint32_t shadow_id = text.size ? snapshot_id(pass->selection.snapshot, text) : 0;
        if (shadow_id)
            (void)__atomic_fetch_or(&pass->hidden[shadow_id / 64], UINT64_C(1) << shadow_id % 64, __ATOMIC_RELAXED);
    }
    return STATUS_OK;
}

static enum status find_hidden(struct profile_pass *pass, struct error *error)
{
    uint32_t links = snapshot_link_count(pass->project), ids = snapshot_id_count(pass->project);
    pass->everybody_visible = pass->plan->group_key.data || pass->plan->by_ids || links == 0;
    if (pass->everybody_visible || links > pass->row_count) return STATUS_OK;
    size_t words = (size_t)snapshot_id_count(pass->selection.snapshot) / 64 + 1;
    pass->hidden = arena_new_array(pass->selection.arena, uint64_t, words);
    if (!pass->hidden) return out_of_memory(pass, error);
    return pool_run(pass->native->pool, ids / HIDDEN_IDS_PER_TASK + 1, mark_hidden, pass);
}

/* --- making one --- */

/* The vectors in which rows of the wanted ids are. */
static enum status cut_by_ids(struct profile_pass *pass, uint32_t run, struct error *error)
{
    struct scan *scan;
    TRY(selection_scan(&pass->selection, error, &scan));
    enum status status = scan_open(scan, &pass->runs[run], error);
    uint32_t next = 0; /* vectors below are tasks, or hold none */
    for (size_t i = 0; i < pass->id_count && status == STATUS_OK; i++) {
        uint32_t from = 0, to = 0;
        status = scan_seek_person(scan, pass->ids[i], error, &from);
        if (status == STATUS_OK) status = scan_seek_person(scan, pass->ids[i] + 1, error, &to);
        if (status != STATUS_OK || from >= to) continue;
        for (uint32_t vector = from / VECTOR_ROWS_MAX; vector <= (to - 1) / VECTOR_ROWS_MAX; vector++) {
            if (vector < next) continue;
            pass->tasks[pass->task_count++] = (struct pass_task){run, vector, vector + 1};
            next = vector + 1;
        }
    }
    scan_free(scan);
    return status;
}

static enum status cut_runs(struct profile_pass *pass, struct error *error)
{
    size_t run_count;
    uint64_t vectors = 0, rows = 0;
    TRY(selection_runs(&pass->selection, error, &pass->runs, &run_count));
    pass->run_count = (uint32_t)run_count;
    for (uint32_t i = 0; i < pass->run_count; i++) {
        vectors += pass->runs[i].vectors;
        rows += pass->runs[i].rows - pass->runs[i].deleted;
    }
    pass->row_count = rows;
    /* seeking takes a little of a vector's reading */
    bool seek = pass->plan->by_ids && pass->id_count < vectors;
    uint64_t tasks = seek ? vectors : vectors / PASS_TASK_VECTORS + run_count;
    pass->tasks = arena_new_array(pass->selection.arena, struct pass_task, (size_t)tasks + 1);
    if (!pass->tasks || tasks > UINT32_MAX) return out_of_memory(pass, error);
    for (uint32_t run = 0; run < pass->run_count; run++) {
        if (seek) {
            TRY(cut_by_ids(pass, run, error));
            continue;
        }
        for (uint32_t from = 0; from < pass->runs[run].vectors; from += PASS_TASK_VECTORS) {
            uint32_t to = from + PASS_TASK_VECTORS;
            if (to > pass->runs[run].vectors) to = pass->runs[run].vectors;
            pass->tasks[pass->task_count++] = (struct pass_task){run, from, to};
        }
    }
    return STATUS_OK;
}

static enum status prepare(struct profile_pass *pass, const struct plan_limits *limits, struct error *error)
{
    const struct profile_plan *plan = pass->plan;
    pass->event = STR(PROFILE_USER_EVENT);
    if (plan->group_key.data)
        pass->event = arena_printf(pass->selection.arena, "%s" STR_FMT, PROFILE_GROUP_PREFIX, STR_ARG(plan->group_key));
    uint32_t *event = arena_new_array(pass->selection.arena, uint32_t, 1);
    pass->worker_count = pool_slots(pass->native->pool);
    pass->workers = arena_new_array(pass->selection.arena, struct pass_worker, pass->worker_count);
    if (!pass->event.data || !event || !pass->workers) return out_of_memory(pass, error);
    *event = snapshot_event_id(pass->selection.snapshot, pass->event);
    pass->selection.events = event;
    pass->selection.event_count = *event != EVENT_ID_NONE;
    pass->selection.share_bytes_max = limits->memory_bytes_max / 8 / pass->worker_count;
    TRY(find_ids(pass, error));
    TRY(cut_runs(pass, error));
    if (plan->behavior_count)
        TRY(behavior_counts_new(pass->native, plan, pass->project, pass->selection.snapshot, limits,
                                pass->selection.arena, error, &pass->behaviors));
    TRY(add_terms(pass, "where", plan->where, error));
    TRY(add_search(pass, error));
    return find_hidden(pass, error);
}

enum status profile_pass_init(struct profile_pass *pass, struct native *native, const struct profile_plan *plan,
                              const struct plan_limits *limits, struct error *error)
{
    struct plan_limits own = *limits;
    own.memory_bytes_max /= 8;
    plan_reads_profiles(limits);
    *pass = (struct profile_pass){.native = native, .plan = plan};
    /* all rows have the same time; the day around it in any zone */
    pass->rows_plan = (struct plan){.kind = PLAN_EXPORT,
                                    .project = store_profiles_of(plan->project),
                                    .zone = timezone_utc(),
                                    .from_day = -1,
                                    .to_day = 1,
                                    .events = &pass->event,
                                    .event_count = 1,
                                    .now_ms = plan->now_ms};
    TRY(selection_init(&pass->selection, native, &pass->rows_plan, &own, error));
    pass->selection.limits = *limits;
    pass->kept_bytes_max = profile_pass_result_bytes(limits);
    enum status status = store_snapshot(native->store, plan->project, error, &pass->project);
    if (status == STATUS_OK) status = prepare(pass, limits, error);
    if (status == STATUS_LIMIT && !error->hint[0]) out_of_memory(pass, error);
    if (status != STATUS_OK) profile_pass_fini(pass);
    return status;
}

void profile_pass_fini(struct profile_pass *pass)
{
    for (unsigned i = 0; pass->workers && i < pass->worker_count; i++) {
        struct pass_worker *worker = &pass->workers[i];
        for (size_t t = 0; worker->states && t < pass->term_count; t++) expr_state_free(worker->states[t]);
        expr_state_free(worker->value_state);
        scan_free(worker->scan);
        arena_free(worker->run_arena);
        arena_free(worker->arena);
    }
    snapshot_free(pass->project);
    selection_fini(&pass->selection);
    *pass = (struct profile_pass){0};
}

/* --- workers --- */

static enum status worker_ready(struct profile_pass *pass, struct pass_worker *worker)
{
    struct error *error = &worker->error;
    size_t share = pass->selection.share_bytes_max, budget = share / 4 > EXPR_BUDGET_MIN ? share / 4 : EXPR_BUDGET_MIN;
    if (worker->scan) return STATUS_OK;
    worker->pass = pass;
    worker->arena = arena_new(pass->kept_bytes_max + share);
    worker->run_arena = arena_new(share);
    worker->terms = arena_new_array(worker->arena, struct pass_term, pass->term_count + 1);
    worker->states = arena_new_array(worker->arena, struct expr_state *, pass->term_count + 1);
    worker->columns = arena_new_array(worker->arena, struct profile_columns *, pass->term_count + 1);
    if (!worker->terms || !worker->states || !worker->columns) return out_of_memory(pass, error);
    for (size_t i = 0; i < pass->term_count; i++) {
        TRY(profile_columns_new(worker->arena, pass->terms[i].expr, pass->selection.snapshot, pass->plan,
                                pass->behaviors, error, &worker->columns[i]));
        worker->states[i] = expr_state_new(pass->terms[i].expr, budget);
        native_watch(worker->states[i], &pass->selection.limits);
    }
    if (pass->value) {
        TRY(profile_columns_new(worker->arena, pass->value, pass->selection.snapshot, pass->plan, pass->behaviors,
                                error, &worker->value_columns));
        worker->value_state = expr_state_new(pass->value, budget);
        native_watch(worker->value_state, &pass->selection.limits);
    }
    return selection_scan(&pass->selection, error, &worker->scan);
}

/* Every entry of the dictionary, whether the term is true for it. */
static const uint8_t *decide_entries(struct pass_worker *worker, size_t term, const struct scan_column *column)
{
    struct error ignored = ERROR_INIT;
    uint8_t *keep = arena_alloc(worker->run_arena, column->value_count);
    if (!keep) return NULL;
    memset(keep, 1, column->value_count);
    for (uint32_t from = 0, count; from < column->value_count; from += count) {
        count = column->value_count - from < VECTOR_ROWS_MAX ? column->value_count - from : VECTOR_ROWS_MAX;
        struct vector vector = {.kind = VECTOR_FLAT, .count = count, .values = column->values + from};
        if (selection_interrupted(&worker->pass->selection, &ignored) != STATUS_OK) return NULL; /* seen again */
        if (expr_filter(worker->states[term], &vector, count, &ignored, keep + from) != STATUS_OK) return NULL;
    }
    return keep;
}

static enum status bind_term(struct pass_worker *worker, size_t index)
{
    const struct expr_term *term = &worker->pass->terms[index];
    struct pass_term *bound = &worker->terms[index];
    struct scan_column column;
    struct error ignored = ERROR_INIT;
    size_t count = profile_columns_count(worker->columns[index]);
    uint8_t keep = 1;
    *bound = (struct pass_term){.form = TERM_EVAL};
    if (count > 1) return STATUS_OK;
    struct vector constant = {0};
    if (count) {
        TRY(profile_columns_describe(worker->columns[index], 0, worker->scan, &worker->error, &column,
                                     &bound->property));
        constant = (struct vector){.kind = VECTOR_CONST, .count = 1, .values = column.values};
    }
    if (!count || column.form == SCAN_CONST) {
        if (expr_filter(worker->states[index], &constant, 1, &ignored, &keep) == STATUS_OK)
            bound->form = keep ? TERM_ALWAYS : TERM_NEVER;
    } else if (column.form == SCAN_CODES) {
        bound->keep = decide_entries(worker, index, &column);
        if (bound->keep) bound->form = TERM_TABLE;
    } else if (column.form == SCAN_NUMBERS && term->comparison != EXPR_NO_COMPARISON) {
        bound->form = TERM_COMPARE;
    }
    return STATUS_OK;
}

static enum status open_run(struct pass_worker *worker, const struct scan_run *run)
{
    if (worker->run == run) return STATUS_OK;
    worker->run = NULL;
    TRY(scan_open(worker->scan, run, &worker->error));
    arena_reset(worker->run_arena);
    for (size_t i = 0; i < worker->pass->term_count; i++) TRY(bind_term(worker, i));
    worker->run = run;
    return STATUS_OK;
}

static void compare(const struct expr_term *term, const double *numbers, uint32_t rows, uint8_t *keep)
{
    double bound = term->bound;
    /* NaN, where a row has no number, compares false with everything */
    switch (term->comparison) {
    case EXPR_LESS:
        for (uint32_t i = 0; i < rows; i++) keep[i] &= numbers[i] < bound;
        break;
    case EXPR_LESS_EQUAL:
        for (uint32_t i = 0; i < rows; i++) keep[i] &= numbers[i] <= bound;
        break;
    case EXPR_GREATER:
        for (uint32_t i = 0; i < rows; i++) keep[i] &= numbers[i] > bound;
        break;
    case EXPR_GREATER_EQUAL:
        for (uint32_t i = 0; i < rows; i++) keep[i] &= numbers[i] >= bound;
        break;
    default:
        for (uint32_t i = 0; i < rows; i++) keep[i] &= numbers[i] == bound;
    }
}

static enum status apply_term(struct pass_worker *worker, size_t index, uint32_t rows, uint8_t *keep)
{
    const struct profile_pass *pass = worker->pass;
    const struct pass_term *term = &worker->terms[index];
    const struct vector *vectors;
    const uint32_t *codes;
    const double *numbers;
    switch (term->form) {
    case TERM_ALWAYS: return STATUS_OK;
    case TERM_NEVER: memset(keep, 0, rows); return STATUS_OK;
    case TERM_TABLE:
        TRY(scan_codes(worker->scan, term->property, &worker->error, &codes));
        for (uint32_t i = 0; i < rows; i++) keep[i] &= term->keep[codes[i]];
        return STATUS_OK;
    case TERM_COMPARE:
        TRY(scan_numbers(worker->scan, term->property, &worker->error, &numbers));
        compare(&pass->terms[index], numbers, rows, keep);
        return STATUS_OK;
    case TERM_EVAL: break;
    }
    TRY(selection_interrupted(&pass->selection, &worker->error)); /* an expression may take its time */
    TRY(profile_columns_read(worker->columns[index], worker->scan, rows, keep, &worker->error, &vectors));
    return native_expression(pass->term_names[index],
                             expr_filter(worker->states[index], vectors, rows, &worker->error, keep), &worker->error);
}

static uint32_t count_kept(const uint8_t *keep, uint32_t rows)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < rows; i++) count += keep[i];
    return count;
}

static void keep_visible(const struct profile_pass *pass, const uint32_t *ids, uint32_t rows, uint8_t *keep)
{
    if (pass->hidden) {
        for (uint32_t i = 0; i < rows; i++) keep[i] &= !(pass->hidden[ids[i] / 64] >> ids[i] % 64 & 1);
        return;
    }
    snapshot_expect_id_texts(pass->selection.snapshot, ids, rows);
    for (uint32_t i = 0; i < rows; i++) {
        if (keep[i] && is_hidden(pass, ids[i])) keep[i] = 0;
    }
}

/* Rows in which any of the search's terms is true. */
static enum status keep_found(struct pass_worker *worker, uint32_t rows, uint8_t *keep)
{
    uint8_t found[VECTOR_ROWS_MAX] = {0}, some[VECTOR_ROWS_MAX];
    for (size_t i = worker->pass->where_count; i < worker->pass->term_count; i++) {
        if (worker->terms[i].form == TERM_NEVER) continue;
        for (uint32_t row = 0; row < rows; row++) some[row] = keep[row] & !found[row];
        TRY(apply_term(worker, i, rows, some));
        for (uint32_t row = 0; row < rows; row++) found[row] |= some[row];
    }
    memcpy(keep, found, rows);
    return STATUS_OK;
}

/* `left` rows are kept so far. */
static enum status keep_terms(struct pass_worker *worker, uint32_t rows, uint8_t *keep, uint32_t left,
                              uint32_t *ret_left)
{
    for (size_t i = 0; i < worker->pass->where_count && left; i++) {
        if (worker->terms[i].form == TERM_ALWAYS) continue;
        TRY(apply_term(worker, i, rows, keep));
        left = count_kept(keep, rows);
    }
    if (left && worker->pass->plan->search.data) {
        TRY(keep_found(worker, rows, keep));
        left = count_kept(keep, rows);
    }
    *ret_left = left;
    return STATUS_OK;
}

static enum status keep_rows(struct pass_worker *worker, const struct scan_run *run, uint32_t rows, uint8_t *keep,
                             const uint32_t **ret_ids, uint32_t *ret_left)
{
    const struct profile_pass *pass = worker->pass;
    struct error *error = &worker->error;
    const uint8_t *live;
    memset(keep, 1, rows);
    TRY(scan_stored_persons(worker->scan, error, ret_ids));
    if (run->deleted) {
        TRY(scan_live(worker->scan, error, &live));
        for (uint32_t i = 0; i < rows; i++) keep[i] &= live[i];
    }
    if (pass->plan->by_ids) keep_ids(pass, *ret_ids, rows, keep);
    uint32_t left = count_kept(keep, rows);
    if (left && !pass->everybody_visible && pass->hidden) {
        keep_visible(pass, *ret_ids, rows, keep);
        left = count_kept(keep, rows);
    }
    if (!left || pass->everybody_visible || pass->hidden) return keep_terms(worker, rows, keep, left, ret_left);
    /* Looking up what is hidden is left to the end, when few rows are. But a hidden profile is nobody's, so what is
     * wrong with it must not be told: then the other way round. */
    uint8_t before[VECTOR_ROWS_MAX];
    memcpy(before, keep, rows);
    enum status status = keep_terms(worker, rows, keep, left, ret_left);
    if (status != STATUS_OK && status != STATUS_INVALID) return status;
    if (status == STATUS_INVALID) memcpy(keep, before, rows);
    keep_visible(pass, *ret_ids, rows, keep);
    *ret_left = count_kept(keep, rows);
    return status == STATUS_OK ? STATUS_OK : keep_terms(worker, rows, keep, *ret_left, ret_left);
}

void *profile_pass_keep(struct pass_worker *worker, size_t size)
{
    struct profile_pass *pass = worker->pass;
    size = (size + 15) & ~(size_t)15; /* as an arena gives it */
    size_t before = __atomic_fetch_add(&pass->kept_bytes, size, __ATOMIC_RELAXED);
    if (before > pass->kept_bytes_max || size > pass->kept_bytes_max - before) return NULL;
    return arena_alloc(worker->arena, size);
}

size_t profile_pass_result_bytes(const struct plan_limits *limits)
{
    return limits->memory_bytes_max / 8 * 3;
}

static uint64_t task_rows(const struct profile_pass *pass, uint32_t index)
{
    const struct pass_task *task = &pass->tasks[index];
    uint64_t end = (uint64_t)task->to * VECTOR_ROWS_MAX, rows = pass->runs[task->run].rows;
    return (end < rows ? end : rows) - (uint64_t)task->from * VECTOR_ROWS_MAX;
}

struct running {
    struct profile_pass *pass;
    pass_fn visit;
    void *ctx;
};

static enum status run_task(void *ctx, unsigned slot, uint32_t index)
{
    struct running *running = ctx;
    struct profile_pass *pass = running->pass;
    struct pass_worker *worker = &pass->workers[slot];
    const struct pass_task *task = &pass->tasks[index];
    const struct scan_run *run = &pass->runs[task->run];
    uint8_t keep[VECTOR_ROWS_MAX];
    TRY(worker_ready(pass, worker));
    TRY(selection_interrupted(&pass->selection, &worker->error));
    TRY(open_run(worker, run));
    for (uint32_t v = task->from; v < task->to; v++) {
        struct pass_vector vector = {.run = task->run, .index = v, .first_row = v * VECTOR_ROWS_MAX, .keep = keep};
        TRY(scan_vector(worker->scan, v, &worker->error, &vector.rows));
        TRY(keep_rows(worker, run, vector.rows, keep, &vector.ids, &vector.left));
        if (vector.left) TRY(running->visit(running->ctx, worker, index, &vector));
    }
    plan_passed_rows(&pass->selection.limits, task_rows(pass, index));
    return STATUS_OK;
}

enum status profile_pass_run(struct profile_pass *pass, pass_fn visit, void *ctx, struct error *error)
{
    struct running running = {pass, visit, ctx};
    for (unsigned i = 0; i < pass->worker_count; i++) pass->workers[i].error = ERROR_INIT;
    for (uint32_t i = 0; i < pass->task_count; i++) plan_expects_rows(&pass->selection.limits, task_rows(pass, i));
    enum status status = pool_run(pass->native->pool, pass->task_count, run_task, &running);
    /* of several failures the first one's status is returned; any of its kind tells why */
    for (unsigned i = 0; i < pass->worker_count && status != STATUS_OK; i++) {
        if (pass->workers[i].error.status == status) *error = pass->workers[i].error;
    }
    /* the store does not know whose budget it is */
    if (status == STATUS_LIMIT && !error->hint[0]) out_of_memory(pass, error);
    return status;
}

enum status profile_pass_values(struct pass_worker *worker, const struct pass_vector *vector, struct vector *ret_values)
{
    const struct profile_pass *pass = worker->pass;
    const struct vector *vectors;
    TRY(selection_interrupted(&pass->selection, &worker->error));
    TRY(profile_columns_read(worker->value_columns, worker->scan, vector->rows, vector->keep, &worker->error,
                             &vectors));
    return native_expression(
        pass->value_name,
        expr_eval_kept(worker->value_state, vectors, vector->rows, vector->keep, &worker->error, ret_values),
        &worker->error);
}
