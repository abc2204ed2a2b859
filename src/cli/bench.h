#pragma once
/*
 * What the subcommands of `cairn bench` share: a data directory opened without a server, and the loader.
 */
#include "cli/command.h"
#include "os/fs.h"
#include "query/backend.h"
#include "query/funnel.h"
#include "store/store.h"

#define BENCH_PROJECT 1 /* where bench load puts its events */

int bench_generate_run(int argc, char **argv);
int bench_load_run(int argc, char **argv);
int bench_import_run(int argc, char **argv);
int bench_query_run(int argc, char **argv);
int bench_open_run(int argc, char **argv);
int bench_self_run(int argc, char **argv);
int bench_profiles_run(int argc, char **argv);
int bench_identity_run(int argc, char **argv);

/* ---- An engine without a server ---- */

struct bench_engine {
    struct os_lock *lock;
    struct os_fs *fs;
    struct store *store;
    struct executor *executor;
    struct store_report report;
};
/* Takes the lock of the directory, which is made when `create`, and recovers. Queries run on `threads` threads. The
 * engine gets the shares of `memory_bytes` that a server with this memory.max would give it; 0: half of the
 * machine's. */
enum status bench_engine_open(const char *directory, bool create, unsigned threads, uint64_t memory_bytes,
                              struct error *error, struct bench_engine *engine) MUST_USE;
/* --memory SIZE of the subcommands: a server option's notation. False after having said what is wrong. */
bool bench_memory_parse(const char *command, const char *text, uint64_t *ret_bytes);
/* Calls measure() with a directory made for it inside `parent` (NULL: $TMPDIR, or the system's), and removes that
 * again. Returns the command's exit code, after having said what went wrong. */
int bench_in_temporary(const char *command, const char *parent,
                       enum status (*measure)(const char *directory, const void *context, struct error *error),
                       const void *context);
/* Also after a failure of bench_engine_open. */
void bench_engine_close(struct bench_engine *engine);
/* Waits until everything is in sorted files and merged as far as it will be. */
enum status bench_settle(struct store *store, struct error *error) MUST_USE;

/* ---- Time ---- */

struct bench_clock {
    int64_t wall_ns;
    double user_s, system_s; /* CPU of the whole process */
};
struct bench_clock bench_clock(void);
/* Since `start`, in seconds. */
double bench_wall(const struct bench_clock *start);
double bench_cpu(const struct bench_clock *start);
/* Of this process, from the kernel; 0 where it does not tell. */
uint64_t bench_bytes_written(void);  /* handed to disks */
uint64_t bench_bytes_resident(void); /* now */
/* Of all files below a data directory; of its sections, deletes and catalog only. */
uint64_t bench_bytes_on_disk(const char *directory);
uint64_t bench_bytes_of_sections(const char *directory);

/* ---- Loading: text lines in, acknowledged events out ---- */

/* Lines go to `threads` threads, which do with up to BATCH lines at a time what the server does with a request of as
 * many events: parse, check, normalise, encode, append to the log, wait (not each for itself) for the disk. */
struct bench_loader;
#define BENCH_BATCH_DEFAULT 2000

struct bench_loaded {
    uint64_t lines, bytes, stored, refused;
    char reason[256]; /* of a refused line */
};
/* The loader belongs to one thread. */
enum status bench_loader_new(struct store *store, unsigned threads, size_t batch, struct error *error,
                             struct bench_loader **ret_loader) MUST_USE;
/* Whole lines, copied. Waits while too much is in flight. */
enum status bench_loader_feed(struct bench_loader *loader, struct str lines, struct error *error) MUST_USE;
/* All lines of a file or pipe. Returns when the last of them has been read; a failure may also show in
 * bench_loader_finish. */
enum status bench_loader_read(struct bench_loader *loader, int descriptor, const char *name,
                              struct error *error) MUST_USE;
/* Waits until everything is on disk, and frees the loader, whatever is returned. */
enum status bench_loader_finish(struct bench_loader *loader, struct error *error,
                                struct bench_loaded *ret_loaded) MUST_USE;

/* ---- Questions ---- */

/* A plan from its JSON (the help of `cairn bench query` describes it). Its strings lie in the arena or in `question`.
 * INVALID names the member that is wrong. */
enum status bench_plan(struct arena *arena, const struct json *question, struct error *error,
                       struct plan *ret_plan) MUST_USE;
/* The same of a question whose kind is funnel; bench_is_funnel tells. */
bool bench_is_funnel(const struct json *question);
enum status bench_funnel_plan(struct arena *arena, const struct json *question, struct error *error,
                              struct funnel_plan *ret_plan) MUST_USE;
/* Rows of [bucket, "step", number]. */
enum status bench_funnel_answer(struct executor *executor, const struct funnel_plan *plan, struct error *error,
                                struct buf *answer) MUST_USE;
/* Runs it once and writes the answer as JSON to `answer`, in a form that does not depend on who answers: rows of
 * [bucket, label, number] without empty cells, of [label, number], or of events; or just [events, sum of their times in
 * s] for exports, whose events are written as JSON lines and thrown away. */
enum status bench_answer(struct executor *executor, const struct plan *plan, struct error *error,
                         struct buf *answer) MUST_USE;
