#pragma once
/*
 * One pass over the profiles of a plan: which rows of the shadow project they are. What is done with them (listing,
 * numbers, properties, revenue) is the visitor's. The essay is in profile_pass.c.
 */
#include "query/native/profile_columns.h"
#include "query/native/select.h"

struct behavior_counts;
struct profile_pass;

/* What one participant of the pool has to itself. */
struct pass_worker {
    struct profile_pass *pass;
    struct error error;
    struct arena *arena; /* until the pass ends; what grows with the profiles is had from profile_pass_keep */
    struct scan *scan;
    const struct scan_run *run; /* that is open */
    struct pass_term *terms;    /* bound to it */
    struct arena *run_arena;    /* of the open run */
    struct expr_state **states;
    struct profile_columns **columns;
    struct expr_state *value_state; /* of the pass's `value` */
    struct profile_columns *value_columns;
    void *visitor; /* the visitor's own; starts as NULL */
};

/* The vector at hand, of which `left` rows are profiles of the plan: those whose keep is 1. */
struct pass_vector {
    uint32_t run, index; /* pass->runs[run], vector */
    uint32_t first_row;  /* of the run */
    uint32_t rows, left;
    const uint8_t *keep;
    const uint32_t *ids; /* of the shadow */
};

struct profile_pass {
    struct native *native;
    const struct profile_plan *plan;
    struct plan rows_plan; /* the shadow's rows of this kind of profile */
    struct str event;
    struct selection selection; /* of the shadow */
    struct snapshot *project;
    bool everybody_visible;
    uint64_t *hidden; /* bit by id of the shadow; NULL: is to be found out row by row */
    struct behavior_counts *behaviors;
    const struct expr_term *terms;
    const char **term_names;        /* the parameter that each is of */
    size_t where_count, term_count; /* all of the first must hold; of the others, those of the search, one */
    const struct expr *value;       /* that the visitor wants of each profile, or NULL */
    const char *value_name;
    uint32_t *ids; /* BY_IDS: of the shadow, ascending, each once */
    size_t id_count;
    struct scan_run *runs;
    uint32_t run_count;
    uint64_t row_count;
    struct pass_task *tasks;
    uint32_t task_count;
    struct pass_worker *workers;
    unsigned worker_count;
    size_t kept_bytes, kept_bytes_max; /* by visitors, of all workers together */
};

/* The plan must outlive the pass. What failed half-way is torn down. `error` is not NULL. */
enum status profile_pass_init(struct profile_pass *pass, struct native *native, const struct profile_plan *plan,
                              const struct plan_limits *limits, struct error *error) MUST_USE;
/* Before the run: an expression of which profile_pass_values gives the values. */
enum status profile_pass_want(struct profile_pass *pass, const char *parameter, struct str text,
                              struct error *error) MUST_USE;
void profile_pass_fini(struct profile_pass *pass);

/* A visitor is called for the vectors that have profiles of the plan, by several threads at a time and in any order;
 * each call has the index of its task, which ascends through the rows of the runs. */
typedef enum status (*pass_fn)(void *ctx, struct pass_worker *worker, uint32_t task, const struct pass_vector *vector);
enum status profile_pass_run(struct profile_pass *pass, pass_fn visit, void *ctx, struct error *error) MUST_USE;

/* Memory for a visitor, good until the pass ends; not initialised. NULL when all visitors together keep too much. */
void *profile_pass_keep(struct pass_worker *worker, size_t size) MUST_USE;
/* What results may take that are made of it. */
size_t profile_pass_result_bytes(const struct plan_limits *limits);
/* The wanted values of the kept rows of the vector; good until the next call. */
enum status profile_pass_values(struct pass_worker *worker, const struct pass_vector *vector,
                                struct vector *ret_values) MUST_USE;
/* The most vectors that a task has, and so calls of the visitor for it. */
#define PASS_TASK_VECTORS 16
