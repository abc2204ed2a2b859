#include "cli/bench.h"

#include "base/number.h"
#include "identity/identity.h"
#include "profile/update.h"
#include "os/clock.h"
#include "os/machine.h"
#include "server/memory.h"
#include "server/options.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening the engine as the server does, and the meters of process and machine. */

enum status bench_engine_open(const char *directory, bool create, unsigned threads, uint64_t memory_bytes,
                              struct error *error, struct bench_engine *engine)
{
    *engine = (struct bench_engine){.lock = NULL};
    os_return_freed_memory();
    if (create) TRY(os_make_directories(directory, error));
    TRY(os_lock_acquire(directory, error, &engine->lock));
    TRY(os_posix_new(directory, error, &engine->fs));
    struct store_options options;
    store_options_defaults(&options);
    options.fs = engine->fs;
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    struct memory_shares shares = memory_share_out(memory_bytes ? memory_bytes : os_memory_bytes() / 2, 1, threads);
    options.memory_bytes_max = shares.events_bytes;
    options.cache_bytes = shares.cache_bytes;
    options.compact_memory_bytes = shares.compact_bytes;
    options.queue_bytes_max = shares.queue_bytes;
    TRY(store_open(&options, error, &engine->report, &engine->store));
    engine->executor = executor_native_new_threads(engine->store, threads);
    return STATUS_OK;
}

bool bench_memory_parse(const char *command, const char *text, uint64_t *ret_bytes)
{
    struct error error = ERROR_INIT;
    struct options *options = options_new();
    if (!options) return false;
    enum status status = options_set(options, OPTION_SOURCE_FLAG, STR("memory.max"), str_of(text), &error);
    if (status == STATUS_OK) status = options_finish(options, &error);
    *ret_bytes = options->memory_max_bytes;
    options_free(options);
    if (status != STATUS_OK) (void)command_failed(command, &error);
    return status == STATUS_OK;
}

void bench_engine_close(struct bench_engine *engine)
{
    executor_free(engine->executor);
    if (engine->store) store_close(engine->store);
    os_fs_free(engine->fs);
    if (engine->lock) os_lock_release(engine->lock);
    *engine = (struct bench_engine){.lock = NULL};
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *at)
{
    (void)info;
    (void)type;
    (void)at;
    return remove(path);
}

int bench_in_temporary(const char *command, const char *parent,
                       enum status (*measure)(const char *directory, const void *context, struct error *error),
                       const void *context)
{
    char directory[4096];
    struct error error = ERROR_INIT;
    if (!parent) parent = getenv("TMPDIR");
    if (!parent || !parent[0]) parent = "/tmp";
    if (snprintf(directory, sizeof directory, "%s/cairn-bench-XXXXXX", parent) >= (int)sizeof directory)
        return command_usage(command, "the path \"%s\" is too long", parent);
    if (!mkdtemp(directory)) {
        error_set(&error, STATUS_IO, "cannot make a directory in %s: %s", parent, strerror(errno));
        return command_failed(command, &error);
    }
    enum status status = measure(directory, context, &error);
    int removed = nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (status != STATUS_OK) return command_failed(command, &error);
    if (removed == 0) return command_finish_output();
    fprintf(stderr, "%s: cannot remove %s: %s\n", command, directory, strerror(errno));
    return EXIT_FAILED;
}

enum status bench_settle(struct store *store, struct error *error)
{
    return store_compact_wait(store, error);
}

struct bench_clock bench_clock(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (struct bench_clock){
        .wall_ns = os_monotonic_ns(),
        .user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
        .system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
    };
}

double bench_wall(const struct bench_clock *start)
{
    return (double)(os_monotonic_ns() - start->wall_ns) / 1e9;
}

double bench_cpu(const struct bench_clock *start)
{
    struct bench_clock now = bench_clock();
    return now.user_s - start->user_s + now.system_s - start->system_s;
}

/* The number behind `name` in a file of /proc. */
static uint64_t proc_number(const char *path, const char *name)
{
    char line[256];
    unsigned long long number = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) number = strtoull(line + strlen(name), NULL, 10);
    fclose(file);
    return number;
}

uint64_t bench_bytes_written(void)
{
    return proc_number("/proc/self/io", "write_bytes:");
}

uint64_t bench_bytes_resident(void)
{
    return proc_number("/proc/self/status", "VmRSS:") * 1024;
}

/* A data directory is two levels deep; deeper ones are left out, so the recursion ends. */
static uint64_t bytes_below(const char *directory, unsigned depth)
{
    uint64_t sum = 0;
    DIR *list = opendir(directory);
    if (!list) return 0;
    for (struct dirent *entry; (entry = readdir(list));) {
        char path[4096];
        struct stat info;
        if (entry->d_name[0] == '.') continue;
        if (snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >= (int)sizeof path) continue;
        if (lstat(path, &info) != 0) continue;
        if (S_ISREG(info.st_mode)) sum += (uint64_t)info.st_size;
        if (S_ISDIR(info.st_mode) && depth > 0) sum += bytes_below(path, depth - 1);
    }
    closedir(list);
    return sum;
}

uint64_t bench_bytes_on_disk(const char *directory)
{
    return bytes_below(directory, 4);
}

uint64_t bench_bytes_of_sections(const char *directory)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s/events", directory) >= (int)sizeof path) return 0;
    return bytes_below(path, 1);
}
