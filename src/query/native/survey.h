#pragma once
/*
 * One segmentation under way on the event store: what segment.c, prepare.c, cells.c, people.c and numbers.c share. The
 * essay is in segment.c.
 */
#include "base/exact_sum.h"
#include "query/bins.h"
#include "query/buckets.h"
#include "query/native/columns.h"
#include "query/native/labels.h"
#include "query/native/native.h"
#include "query/native/parallel.h"

#define VECTORS_PER_TASK 64

/* How a term of `where` is decided in one run. */
enum term_form {
    TERM_ALWAYS,
    TERM_TABLE,   /* by the code of a column */
    TERM_COMPARE, /* a numeric column with a bound */
    TERM_EVAL     /* row by row */
};
struct bound_term {
    enum term_form form;
    uint32_t property;
    const struct joined_column *profile; /* TABLE: whose codes they are, instead of the property's; else NULL */
    uint32_t code_count;
    const uint8_t *keep; /* TABLE */
};

/* Where labels, or the numbers to be measured, come from in one run. */
enum source_form {
    SOURCE_NONE,
    SOURCE_ONE,
    SOURCE_TABLE,
    SOURCE_NUMBERS,
    SOURCE_ROWS,
    SOURCE_PAIR /* of labels of two expressions, row by row: crossed.c */
};
struct bound_labels {
    enum source_form form;
    uint32_t property, code_count;
    const struct joined_column *profile; /* as in bound_term */
    bool binned;                         /* TABLE: codes of ranges of the numbers of the property: bin_codes.c */
    const struct bound_labels *paired;   /* TABLE: of two expressions; their codes make one: crossed.c */
    const uint16_t *folded;              /* of those: code -> label, which are fewer; NULL: the codes themselves */
    uint32_t folded_count;               /* labels, and one more for all others */
    uint32_t label;                      /* ONE */
    const uint32_t *labels;              /* TABLE: by code */
    const uint32_t *all_rows;            /* TABLE: rows per code, NULL: not known */
};
struct bound_numbers {
    enum source_form form;
    uint32_t property, code_count;
    const struct joined_column *profile; /* as in bound_term */
    double number;                       /* ONE */
    const double *numbers;               /* TABLE: by code */
};

/* A run as this query sees it: made by survey_prepare, then only read. */
struct bound {
    struct scan_run run;
    bool never;                   /* no row can count */
    bool in_range;                /* all rows lie in the range */
    bool everything;              /* and every term is ALWAYS */
    bool one_bucket;              /* all in `bucket` */
    bool known;                   /* counted without reading rows */
    bool ascends;                 /* its buckets come in the order of time: no clocks set back */
    bool alone;                   /* and none of its buckets is shared */
    bool mostly_shared;           /* more than half of them are */
    bool plain;                   /* only the time of a row decides where it counts: people_shared.c */
    bool holds_moved;             /* persons who are others now ... */
    bool moved_known;             /* ... whose it is now was told by the list of persons */
    size_t first_edge, last_edge; /* between which its rows lie: survey->edges; SIZE_MAX: before the first */
    uint32_t bucket;
    struct bound_term *terms;
    struct bound_labels labels;
    struct bound_labels *sides; /* with a second expression: the labels of `on` and of `by` */
    struct bound_numbers numbers;
};

/* An entry of a table that remembers, for an `on` that reads one numeric column, the label of a number. */
struct number_label {
    uint64_t bits;
    uint32_t label; /* LABEL_UNKNOWN: free */
};
#define NUMBER_LABELS 16384

struct percentile_value {
    uint32_t cell;
    double number;
};

/* What one participant of the pool has to itself. */
struct worker {
    struct survey *survey;
    struct error error;
    struct arena *arena; /* kept for the whole query */
    struct arena *sums;  /* wide parts of sums */
    struct scan *scan;
    const struct bound *open;         /* the run in `scan` */
    bool tables_ready;                /* for it: minute_buckets, code_cells */
    struct narrow *narrow;            /* narrow.h */
    struct labelled_worker *labelled; /* people_labels.c */
    struct expr_state **term_states, *on_state, *by_state, *of_state;
    struct columns **term_columns, *on_columns, *by_columns, *of_columns;
    struct label_list list, by_list;
    struct bin_codes *bin_codes;        /* bin_codes.c */
    struct number_label *number_labels; /* number_labels.c */
    struct integer_labels *integer_labels;
    /* minute of the section's window -> bucket, for the section with number minutes_section */
    uint16_t *minute_buckets;
    size_t minute_capacity;
    uint32_t minutes_section;
    int64_t minutes_from, minutes_count; /* count 0: the section is too wide, or has odd edges: by milliseconds */
    uint32_t *code_cells;                /* of the open run: code -> first cell of its label */
    uint32_t code_cells_capacity;
    /* the vector at hand */
    uint32_t vector, rows;
    uint32_t cells[VECTOR_ROWS_MAX];
    uint16_t cell_rows[VECTOR_ROWS_MAX];
    double numbers_buffer[VECTOR_ROWS_MAX];
    uint32_t profile_codes[JOINED_CODES_ROOM];
    const double *numbers;
    const uint32_t *persons;
    const uint8_t *starts;
    struct scan_segments segments;
    bool visited;       /* by count_change, in the vector at hand */
    uint32_t last_cell; /* of the person at hand, while a run that is alone is read */
    uint32_t *changes;  /* CHANGE_TABLES × cells and one more; of changes_max rows at most */
    uint32_t changes_max;
    uint32_t person_base; /* of the range in which users are counted */
    uint64_t *bits;       /* cells × persons */
    size_t words;         /* of a cell's row */
    /* of the section with number places_section: see people_times.c */
    uint32_t *place_rows, places_section;
    size_t place_capacity;
    unsigned place_shift;
    uint32_t first_place, place_count;
    uint64_t *set; /* or: a hash set of cell and person */
    size_t set_capacity, set_count;
    /* results of this worker */
    uint64_t *counts, *users;
    uint64_t *totals; /* events per label, from 1 */
    uint32_t total_capacity;
    struct exact_sum *exact;
    double *extremes;
    uint64_t *number_counts;
    struct extent extent; /* of the numbers that count, where survey->ret_extent */
    struct percentile_value *values;
    size_t value_count, value_capacity;
    struct decimals *decimals; /* decimals.h; NULL unless numbers are measured */
    uint64_t *moved;           /* people.c: cell and person of rows that belong to somebody else now */
    size_t moved_count, moved_capacity;
};

/* Labels that are known before rows are read. Their numbers are slots; with a second expression, the slot of a pair is
 * label · by_count + label of `by`. */
struct fixed_labels {
    const struct str *labels, *by;
    size_t count, by_count;
    const struct bins *bins; /* instead of `labels` */
};

struct survey {
    struct native *native;
    const struct plan *plan;
    const struct plan_limits *limits;
    struct error *error;
    struct pool *pool;
    struct snapshot *snapshot;
    struct arena *arena; /* not to be used by tasks */
    struct buckets *buckets;
    int64_t from_ms, to_ms; /* runs without rows in between are not looked at */
    const struct bucket_edge *edges;
    size_t edge_count;
    bool whole_minutes, whole_quarters; /* all edges are */
    uint64_t edge_unit; /* minutes: edges are multiples of it apart; 0: there is one, or no whole minutes */
    uint32_t bucket_count;
    const char *where_name; /* what errors of the terms say that they are in */
    const struct expr_term *terms;
    size_t term_count;
    const char *const *term_names; /* what errors call each of them; NULL: where_name */
    const struct expr *on, *by, *of;
    struct profile_join profiles;
    /* What reads one property of profiles alone is decided once for all runs: form TABLE, or EVAL and ROWS. By term;
     * NULL when nothing is read of profiles. */
    struct bound_term *profile_terms;
    struct bound_labels profile_labels;
    struct bound_numbers profile_numbers;
    struct bound *runs;
    size_t run_count;
    uint64_t row_count;
    const struct fixed_labels *fixed; /* NULL: they are found */
    struct labels labels, by_labels;
    bool row_labels; /* some run gives labels row by row: they are not all known beforehand */
    uint32_t *slots; /* label -> slot; NULL: label numbers are slots */
    uint32_t slot_count;
    uint32_t cell_count; /* slots × buckets; the cell behind them takes what does not count */
    bool users;          /* the measure needs people */
    struct worker *workers;
    unsigned worker_count;
    size_t worker_bytes_max;
    /* of the task lists */
    struct slice *slices;
    uint32_t *task_slices; /* task -> its first slice */
    uint32_t task_count;
    /* rows whose persons were merged into others since they were sorted */
    uint8_t *shared;    /* bucket: a person may have rows of several runs in it */
    uint16_t *unshared; /* the same turned round, for mask_kernels.h; also for none: 1 */
    uint8_t *marked;    /* bucket: people are marked by bits in it */
    uint64_t *moved_bits;
    uint64_t *moved; /* person · 2^32 + cell, ascending */
    size_t moved_count;
    uint32_t range_count;
    uint64_t range_persons;
    struct labelled *labelled; /* people_labels.c */
    bool use_set;
    bool count_rows_too;       /* the pass that counts people counts rows as well */
    struct ranks *ranks;       /* ranks.c: percentiles are counted */
    struct extent *ret_extent; /* extent.c: this is all that is wanted */
    /* results */
    uint64_t *counts, *people;
    struct exact_sum *exact;
    double *extremes;
    uint64_t *number_counts;
};

/* Rows [first, first + count) of vectors of a run. */
struct slice {
    uint32_t run, from_vector, to_vector;
};

/* --- segment.c --- */
/* Answers a plan of kind SEGMENT or TOP_VALUES without bin_count and `by`, or with what `fixed` says of them, from a
 * snapshot. Or finds the least and greatest number of `of` instead, when ret_extent is not NULL; of lists, of their
 * items. */
enum status survey_run(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                       const struct plan_limits *limits, const struct fixed_labels *fixed, struct error *error,
                       struct segmentation *ret_result, struct extent *ret_extent) MUST_USE;
enum status survey_out_of_memory(struct survey *survey, struct error *error);
/* CANCELLED when the query is to end. Cheap. */
enum status survey_interrupted(struct survey *survey, struct error *error) MUST_USE;
/* The same at the beginning of a task, which counts as progress. */
enum status survey_begin_task(struct survey *survey, struct worker *worker, uint32_t index) MUST_USE;

/* --- prepare.c --- */
enum status survey_prepare(struct survey *survey) MUST_USE;
/* What an expression of one column comes to for each of these values: whether a term keeps them, their labels, their
 * numbers. NULL when that cannot be told beforehand. */
const uint8_t *worker_keep_values(struct worker *worker, size_t term, const struct value *values, uint32_t count);
const uint32_t *worker_label_values(struct worker *worker, struct expr_state *state, struct labels *labels,
                                    const struct value *values, uint32_t count);
const double *worker_number_values(struct worker *worker, const struct value *values, uint32_t count);
/* What an expression of these columns has to read in the run that is open in the worker's scan. */
struct worker_input {
    enum { INPUT_CONSTANT, INPUT_CODES, INPUT_NUMBERS, INPUT_ROWS } kind;
    uint32_t property;
    struct scan_column column; /* CODES */
    struct vector *constants;  /* CONSTANT: of each column */
};
enum status worker_find_input(struct worker *worker, const struct scan_run *run, struct columns *columns,
                              struct worker_input *ret) MUST_USE;
/* How a term is decided in that run; *ret_never: it is not true, and evaluating it raises no error. */
enum status worker_bind_term(struct worker *worker, const struct scan_run *run, size_t index,
                             struct bound_term *ret_term, bool *ret_never) MUST_USE;
/* Makes the worker read this run: without the tables that cells.c needs, and with them. */
enum status worker_open_run(struct worker *worker, const struct bound *bound) MUST_USE;
enum status worker_open(struct worker *worker, const struct bound *bound) MUST_USE;

/* --- prepare_profiles.c --- */
/* Loads what is read of profiles, and fills survey->profile_terms and so on; before survey_prepare. */
enum status survey_prepare_profiles(struct survey *survey) MUST_USE;
/* The codes of the rows of the vector at hand: of a column of the run, or of profiles (NULL: of the run). Good until
 * the next call. Those of 16 bits are below code_count. */
enum status worker_codes(struct worker *worker, uint32_t property, const struct joined_column *profile,
                         const uint32_t **ret_codes) MUST_USE;
enum status worker_codes16(struct worker *worker, uint32_t property, const struct joined_column *profile,
                           uint32_t code_count, uint16_t ret_codes[VECTOR_ROWS_MAX]) MUST_USE;

/* --- bin_codes.c --- */
/* Labels of a column of numbers that are ranges of them, if `on` is such and there are not too many. LIMIT when the
 * arena is exhausted. */
bool bin_codes_fit(const struct survey *survey);
enum status bin_codes_bind(struct survey *survey, struct arena *arena, struct bound_labels *labels) MUST_USE;
/* The codes of labels by TABLE, as worker_codes and worker_codes16 would give them. */
enum status worker_label_codes(struct worker *worker, const struct bound_labels *labels,
                               const uint32_t **ret_codes) MUST_USE;
enum status worker_label_codes16(struct worker *worker, const struct bound_labels *labels,
                                 uint16_t ret_codes[VECTOR_ROWS_MAX]) MUST_USE;
void bin_codes_free(struct worker *worker);

/* --- cells.c --- */
/* Called with what counts in a vector: item i is row rows[i] (rows NULL: row from + i) and goes to cells[i]. Cells at
 * or above survey->cell_count do not count. */
typedef enum status (*cells_fn)(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                                uint32_t count);
/* Rows [from, to) of the vector. */
enum status worker_cells(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, cells_fn each) MUST_USE;
/* The same with labels instead of cells, for the first pass. */
enum status worker_labels(struct worker *worker, uint32_t vector, uint32_t from, uint32_t to, cells_fn each) MUST_USE;

/* Keeps the rows of [from, to) of the vector at hand for which a term is true. */
enum status worker_apply_term(struct worker *worker, size_t term, uint32_t from, uint32_t to, uint8_t *keep) MUST_USE;

/* --- crossed.c --- */
/* The labels of a run, from its sides. LIMIT when the arena is exhausted. */
enum status crossed_bind(const struct survey *survey, struct arena *arena, struct bound *bound) MUST_USE;
/* The codes of paired labels. */
enum status worker_pair_codes(struct worker *worker, const struct bound_labels *labels,
                              uint16_t ret_codes[VECTOR_ROWS_MAX]) MUST_USE;
/* The cells of rows of the vector at hand that are kept, in a run whose labels are PAIR. */
enum status worker_cross(struct worker *worker, uint32_t from, uint32_t to, const uint32_t *buckets,
                         const uint8_t *keep, cells_fn each) MUST_USE;
/* A plan with `by`: the top labels of either expression, then the pairs of these. */
enum status survey_run_crossed(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                               const struct plan_limits *limits, struct error *error,
                               struct segmentation *ret_result) MUST_USE;

/* --- extent.c --- */
/* A number of a row that counts. */
static inline void extent_add(struct extent *extent, double number)
{
    if (!extent->any || number < extent->min) extent->min = number;
    if (!extent->any || number > extent->max) extent->max = number;
    extent->any = true;
    if (number != floor(number)) extent->fractional = true;
}
/* What one value adds: a number, or the numbers of a list. */
void extent_add_value(struct extent *extent, struct value value);
/* Takes a whole vector without reading its rows; false in *ret_done where that is not possible. */
enum status worker_extent_of_vector(struct worker *worker, const struct bound *bound, uint32_t vector,
                                    bool *ret_done) MUST_USE;
/* A plan with bin_count: the ranges of its numbers, then how many events have them. */
enum status survey_run_binned(struct native *native, struct snapshot *snapshot, const struct plan *plan,
                              const struct plan_limits *limits, struct error *error,
                              struct segmentation *ret_result) MUST_USE;

/* --- number_labels.c --- */
/* Labels of an `on` that reads one column of numbers, of the rows of [from, to) that are kept. *ret_done is false when
 * the vector must be evaluated row by row: a list or an error came out, or integers that doubles do not hold. */
enum status worker_number_labels(struct worker *worker, uint32_t from, uint32_t to, const uint8_t *keep,
                                 uint32_t *labels, bool *ret_done) MUST_USE;
/* Counts the `left` rows that narrow_vector has selected by number; *ret_done is false when that is not possible. */
enum status worker_count_number_labels(struct worker *worker, uint32_t left, bool *ret_done) MUST_USE;
/* Adds them to worker->totals; to be called when all rows are counted. */
enum status worker_flush_number_labels(struct worker *worker) MUST_USE;
void worker_free_number_labels(struct worker *worker);

/* --- choose.c --- */
/* A label that occurs. */
struct ranked {
    uint64_t total;
    struct str text;
    uint32_t label, slot;
};
/* A first pass that counts labels, and gives slots to the `limit` ones with most events: they are put into *ret_ranked,
 * most events first. *ret_count is how many labels there are, `limit` or not. */
enum status survey_choose_labels(struct survey *survey, struct ranked **ret_ranked, uint32_t *ret_count) MUST_USE;
/* When every label has a slot: the totals are known after counting only. */
enum status survey_rank_counted(struct survey *survey, struct ranked **ret_ranked, uint32_t *ret_count) MUST_USE;
/* Room for `count` totals. */
enum status worker_need_totals(struct worker *worker, uint32_t count) MUST_USE;

/* --- segment.c --- */
/* A survey for anything that counts rows by edges. survey_init takes what outlives it; then whoever makes it sets
 * `snapshot` (which stays his), from_ms, to_ms, `edges`, edge_count and bucket_count, and calls survey_begin, which
 * compiles, lists runs, makes workers and prepares. survey_fini takes the status of it all: what a worker reported
 * becomes the error. */
void survey_init(struct survey *survey, struct native *native, const struct plan *plan,
                 const struct plan_limits *limits, struct error *error);
enum status survey_begin(struct survey *survey) MUST_USE;
void survey_fini(struct survey *survey, enum status status);
/* Until there are `count` of them, with what the survey's expressions need. */
enum status survey_make_workers(struct survey *survey, unsigned count) MUST_USE;
void survey_free_worker(struct survey *survey, struct worker *worker);
/* Counts what it is called with. */
enum status worker_count(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                         uint32_t count) MUST_USE;

/* --- people.c --- */
/* Fills survey->people; and counts rows, too, where survey->count_rows_too. */
enum status survey_count_people(struct survey *survey) MUST_USE;

/* --- numbers.c --- */
/* When the cells are known: makes the workers ready. */
enum status survey_prepare_numbers(struct survey *survey) MUST_USE;
void worker_free_numbers(struct worker *worker);
/* To be called before worker_cells of a vector. */
enum status worker_read_numbers(struct worker *worker, uint32_t vector) MUST_USE;
enum status worker_measure(struct worker *worker, const uint16_t *rows, const uint32_t *cells, uint32_t from,
                           uint32_t count) MUST_USE;
/* The same for the vector that narrow_vector has selected rows of. */
enum status worker_measure_narrow(struct worker *worker, uint32_t left) MUST_USE;
/* Completes the worker's own results, counts as well. */
enum status worker_finish_numbers(struct worker *worker) MUST_USE;
enum status survey_merge_numbers(struct survey *survey) MUST_USE;
double survey_number(const struct survey *survey, uint64_t cell);
