/* What the disk does to the store. */
#include "simulation/world.h"

#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 512

/* Something that the store sees as an error: it must cope, and go on when it is over. */
void faults_plan(struct world *w)
{
    static const char *const parts[] = {NULL, NULL, "wal", "events", "MANIFEST"};
    const char *part = parts[draw(w, 5)];
    uint64_t nth = 1 + draw(w, 15), times = 1 + draw(w, 4);
    const struct swarm *s = &w->swarm;
    w->report->counts.faults++;
    switch (draw(w, 8)) {
    case 0:
        if (s->errors) sim_fail(w->disk, SIM_WRITE, SIM_ERROR, nth, times, part);
        break;
    case 1:
        if (s->errors) sim_fail(w->disk, SIM_WRITE, SIM_SHORT, nth, times, part);
        break;
    case 2:
        if (s->errors) sim_fail(w->disk, SIM_SYNC, SIM_ERROR, nth, times, part);
        break;
    case 3:
        if (s->drops) sim_fail(w->disk, SIM_SYNC, SIM_DROP, nth, times, part);
        break;
    case 4:
        if (s->directory_errors) sim_fail(w->disk, SIM_SYNC_DIR, SIM_ERROR, 1 + draw(w, 3), times, NULL);
        break;
    case 5:
        if (s->directory_errors) sim_fail(w->disk, SIM_RENAME, SIM_ERROR, 1 + draw(w, 3), times, NULL);
        break;
    case 6:
        if (s->directory_errors) sim_fail(w->disk, SIM_UNLINK, SIM_ERROR, 1 + draw(w, 3), times, NULL);
        break;
    default:
        if (s->no_space) sim_space(w->disk, sim_used(w->disk) + draw(w, 200000));
    }
}

/* Something that the store is told nothing of: one write is lost, lands elsewhere or is changed on its way. */
void faults_plan_silent(struct world *w)
{
    static const enum sim_fault kinds[] = {SIM_LOST, SIM_MISDIRECT, SIM_FLIP};
    static const char *const parts[] = {"wal", "events", "MANIFEST", NULL};
    sim_fail(w->disk, SIM_WRITE, kinds[draw(w, 3)], 1 + draw(w, 25), 1, parts[draw(w, 4)]);
    w->report->counts.silent++;
}

struct files {
    const char *directory;
    char names[FILES_MAX][80];
    size_t count;
};

static void note_file(void *ctx, const char *name)
{
    struct files *files = ctx;
    if (files->count == FILES_MAX) return;
    snprintf(files->names[files->count++], sizeof files->names[0], "%s%s%s", files->directory,
             files->directory[0] ? "/" : "", name);
}

bool faults_damage(struct world *w, struct damage *ret_damage)
{
    static const char *const directories[] = {"events", "events", "wal", ""};
    struct files *files = calloc(1, sizeof *files);
    if (!files) abort();
    files->directory = directories[draw(w, 4)];
    struct error error;
    struct os_file *file;
    uint64_t size = 0;
    bool done = false;
    if (os_list(sim_fs(w->disk), files->directory, note_file, files, &error) == STATUS_OK && files->count) {
        const char *name = files->names[draw(w, files->count)];
        if (os_open(sim_fs(w->disk), name, OS_READ, &error, &file) == STATUS_OK) {
            if (os_size(file, &size, &error) != STATUS_OK) size = 0;
            os_close(file);
        }
        snprintf(ret_damage->name, sizeof ret_damage->name, "%s", name);
        ret_damage->offset = size ? draw(w, size) : 0;
        ret_damage->mask = (unsigned char)(1u << draw(w, 8));
        done = size && sim_flip(w->disk, name, ret_damage->offset, ret_damage->mask);
    }
    free(files);
    return done;
}
