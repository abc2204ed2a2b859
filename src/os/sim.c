#include "os/sim.h"

#include "base/hash.h"
#include "os/scheduler.h"
#include "os/sim_threads.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define SECTOR         512u
#define NAME_MAX_BYTES 128

/* A noted change of a file: `size` bytes at `offset` (data NULL: zeros), or its end set to `offset`. */
struct change {
    bool truncate;
    uint64_t offset, size;
    char *data;
};

struct bytes {
    char *data;
    uint64_t size, capacity;
};

struct inode {
    struct inode *next;
    struct bytes cache, platter;
    struct change *changes;
    size_t count, capacity;
    unsigned handles;
    bool directory, reached;
};

struct entry {
    char name[NAME_MAX_BYTES];
    struct inode *inode;
};

struct entries {
    struct entry *list;
    size_t count, capacity;
};

/* A noted change of a directory: `from` goes away (when set), `to` comes to be `inode` (when set). */
struct name_change {
    char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];
    struct inode *inode;
};

struct plan {
    bool on;
    enum sim_fault fault;
    uint64_t first, last; /* matching calls, counted from 1 */
    uint64_t seen;
    char part[32];
};

struct sim {
    struct os_fs base;
    pthread_mutex_t lock;
    uint64_t random;
    struct inode *inodes;
    struct entries seen, durable;
    struct name_change *names;
    size_t name_count, name_capacity;
    struct plan plans[SIM_CALLS];
    uint64_t calls[SIM_CALLS], changes, halt_at, space;
    bool halted, lies;
};

struct sim_file {
    struct os_file base;
    struct inode *inode;
    bool writable;
    char name[NAME_MAX_BYTES];
};

static void *need(void *memory)
{
    if (!memory) abort();
    return memory;
}

static uint64_t next_random(struct sim *sim)
{
    uint64_t z = sim->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* --- bytes and names --- */

static void resize(struct bytes *bytes, uint64_t size)
{
    if (size > bytes->capacity) {
        uint64_t capacity = size < 4096 ? 4096 : size + size / 2;
        bytes->data = need(realloc(bytes->data, capacity));
        bytes->capacity = capacity;
    }
    if (size > bytes->size) memset(bytes->data + bytes->size, 0, size - bytes->size);
    bytes->size = size;
}

static void put(struct bytes *bytes, uint64_t offset, const char *data, uint64_t size)
{
    if (size == 0) return;
    if (offset + size > bytes->size) resize(bytes, offset + size);
    if (data)
        memcpy(bytes->data + offset, data, size);
    else
        memset(bytes->data + offset, 0, size);
}

static struct entry *lookup(struct entries *entries, const char *name)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->list[i].name, name) == 0) return &entries->list[i];
    }
    return NULL;
}

static void set_name(struct entries *entries, const char *name, struct inode *inode)
{
    struct entry *entry = lookup(entries, name);
    if (!entry) {
        if (entries->count == entries->capacity) {
            entries->capacity = entries->capacity ? entries->capacity * 2 : 16;
            entries->list = need(realloc(entries->list, entries->capacity * sizeof *entries->list));
        }
        entry = &entries->list[entries->count++];
        snprintf(entry->name, sizeof entry->name, "%s", name);
    }
    entry->inode = inode;
}

static void drop_name(struct entries *entries, const char *name)
{
    struct entry *entry = lookup(entries, name);
    if (entry) *entry = entries->list[--entries->count];
}

static void copy_names(struct entries *to, const struct entries *from)
{
    to->count = 0;
    for (size_t i = 0; i < from->count; i++) set_name(to, from->list[i].name, from->list[i].inode);
}

/* Size of the directory part of a name, without the slash. */
static size_t parent_size(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? (size_t)(slash - name) : 0;
}

static bool is_in(const char *name, const char *directory)
{
    size_t size = strlen(directory);
    return parent_size(name) == size && memcmp(name, directory, size) == 0;
}

static void apply_name(struct entries *entries, const struct name_change *change)
{
    if (change->from[0]) drop_name(entries, change->from);
    /* When the renames that led to the old name were lost, a file still has one name only. */
    for (size_t i = entries->count; change->from[0] && change->to[0] && i-- > 0;) {
        if (entries->list[i].inode == change->inode) entries->list[i] = entries->list[--entries->count];
    }
    if (change->to[0]) set_name(entries, change->to, change->inode);
}

static void note_name(struct sim *sim, const char *from, const char *to, struct inode *inode)
{
    if (sim->name_count == sim->name_capacity) {
        sim->name_capacity = sim->name_capacity ? sim->name_capacity * 2 : 16;
        sim->names = need(realloc(sim->names, sim->name_capacity * sizeof *sim->names));
    }
    struct name_change *change = &sim->names[sim->name_count++];
    snprintf(change->from, sizeof change->from, "%s", from);
    snprintf(change->to, sizeof change->to, "%s", to);
    change->inode = inode;
    apply_name(&sim->seen, change);
}

static void note_change(struct inode *inode, struct change change)
{
    if (inode->count == inode->capacity) {
        inode->capacity = inode->capacity ? inode->capacity * 2 : 8;
        inode->changes = need(realloc(inode->changes, inode->capacity * sizeof *inode->changes));
    }
    inode->changes[inode->count++] = change;
}

static void forget_changes(struct inode *inode)
{
    for (size_t i = 0; i < inode->count; i++) free(inode->changes[i].data);
    inode->count = 0;
}

/* Carries noted changes to the platter: all, or a random subset of their sectors. */
static void carry(struct sim *sim, struct inode *inode, bool all)
{
    /* Sometimes nearly everything, sometimes nearly nothing survives: a fair coin per sector would hardly ever give
     * either. */
    unsigned odds = all ? 256 : (unsigned)(next_random(sim) % 5) * 64;
    for (size_t i = 0; i < inode->count; i++) {
        const struct change *change = &inode->changes[i];
        if (change->truncate) {
            if (all || next_random(sim) % 256 < odds) resize(&inode->platter, change->offset);
            continue;
        }
        if (all) {
            put(&inode->platter, change->offset, change->data, change->size);
            continue;
        }
        for (uint64_t at = 0; at < change->size;) {
            uint64_t piece = SECTOR - (change->offset + at) % SECTOR;
            if (piece > change->size - at) piece = change->size - at;
            if (next_random(sim) % 256 < odds)
                put(&inode->platter, change->offset + at, change->data ? change->data + at : NULL, piece);
            at += piece;
        }
    }
    forget_changes(inode);
}

/* --- faults --- */

static enum status failure(struct error *error, const char *what, const char *name)
{
    return error_set(error, STATUS_IO, "cannot %s file \"%s\" (simulated)", what, name);
}

static enum status no_space(struct error *error, const char *name)
{
    error_set(error, STATUS_UNAVAILABLE, "cannot write file \"%s\"", name);
    error_hint(error, "free some space on the disk of the data directory");
    return STATUS_UNAVAILABLE;
}

/* Counts the call; says whether it misbehaves. */
static bool misbehaves(struct sim *sim, enum sim_call call, const char *name, enum sim_fault *ret_fault)
{
    struct plan *plan = &sim->plans[call];
    sim->calls[call]++;
    if (!plan->on || !strstr(name, plan->part)) return false;
    plan->seen++;
    *ret_fault = plan->fault;
    return plan->seen >= plan->first && plan->seen <= plan->last;
}

/* Counts a change; false when the power is off. */
static bool powered(struct sim *sim)
{
    sim->changes++;
    if (sim->halt_at && sim->changes >= sim->halt_at) sim->halted = true;
    return !sim->halted;
}

static uint64_t used(struct sim *sim)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < sim->seen.count; i++) bytes += sim->seen.list[i].inode->cache.size;
    return bytes;
}

static bool has_space(struct sim *sim, const struct inode *inode, uint64_t end)
{
    return sim->space == UINT64_MAX || end <= inode->cache.size || used(sim) + end - inode->cache.size <= sim->space;
}

/* --- the operations, with the lock held --- */

static enum status open_locked(struct sim *sim, const char *name, unsigned flags, struct error *error,
                               struct os_file **ret_file)
{
    enum sim_fault fault;
    struct entry *entry = lookup(&sim->seen, name);
    bool fails = misbehaves(sim, SIM_OPEN, name, &fault);
    if (sim->halted || fails) return failure(error, "open", name);
    if (entry && entry->inode->directory) return failure(error, "open", name);
    if (entry && (flags & OS_EXCLUSIVE)) return error_set(error, STATUS_CONFLICT, "file \"%s\" exists", name);
    struct inode *inode = entry ? entry->inode : NULL;
    if (!inode) {
        char parent[NAME_MAX_BYTES];
        snprintf(parent, sizeof parent, "%.*s", (int)parent_size(name), name);
        if (!(flags & OS_CREATE) || (parent[0] && !lookup(&sim->seen, parent)))
            return error_set(error, STATUS_NOT_FOUND, "cannot open file \"%s\"", name);
        if (!powered(sim)) return failure(error, "open", name);
        inode = need(calloc(1, sizeof *inode));
        inode->next = sim->inodes;
        sim->inodes = inode;
        note_name(sim, "", name, inode);
    }
    struct sim_file *file = need(calloc(1, sizeof *file));
    file->base.fs = &sim->base;
    file->inode = inode;
    file->writable = (flags & OS_WRITE) != 0;
    snprintf(file->name, sizeof file->name, "%s", name);
    inode->handles++;
    *ret_file = &file->base;
    return STATUS_OK;
}

static enum status pread_locked(struct sim *sim, struct sim_file *file, void *data, size_t size, uint64_t offset,
                                struct error *error)
{
    enum sim_fault fault = SIM_ERROR;
    bool fails = misbehaves(sim, SIM_READ, file->name, &fault);
    if (sim->halted || (fails && fault != SIM_FLIP)) return failure(error, "read", file->name);
    const struct bytes *cache = &file->inode->cache;
    if (offset > cache->size || size > cache->size - offset)
        return error_set(error, STATUS_CORRUPT, "file \"%s\" ends before byte %llu", file->name,
                         (unsigned long long)(offset + size));
    if (size) memcpy(data, cache->data + offset, size);
    if (fails && size) {
        uint64_t bit = next_random(sim) % (size * 8);
        ((unsigned char *)data)[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    return STATUS_OK;
}

static enum status pwrite_locked(struct sim *sim, struct sim_file *file, const char *data, size_t size, uint64_t offset,
                                 struct error *error)
{
    enum sim_fault fault = SIM_ERROR;
    struct inode *inode = file->inode;
    bool fails = misbehaves(sim, SIM_WRITE, file->name, &fault);
    bool power = powered(sim);
    if (!power) { /* the power went off somewhere inside this write */
        if (sim->changes != sim->halt_at || size == 0) return failure(error, "write", file->name);
        fails = true;
        fault = SIM_SHORT;
    }
    if (!file->writable || (fails && fault == SIM_ERROR)) return failure(error, "write", file->name);
    if (!has_space(sim, inode, offset + size)) return no_space(error, file->name);
    if (size == 0) return STATUS_OK;
    uint64_t written = fails && fault == SIM_SHORT ? next_random(sim) % size : size;
    if (fails && fault == SIM_MISDIRECT) {
        uint64_t sectors = inode->cache.size / SECTOR + 1;
        offset = (offset / SECTOR + 1 + next_random(sim) % sectors) % (sectors + 1) * SECTOR;
    }
    char *copy = need(malloc(size));
    memcpy(copy, data, size);
    if (fails && fault == SIM_FLIP) {
        uint64_t bit = next_random(sim) % (size * 8);
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
    }
    put(&inode->cache, offset, copy, written);
    if (written && !(fails && fault == SIM_LOST))
        note_change(inode, (struct change){.offset = offset, .size = written, .data = copy});
    else
        free(copy);
    return fails && fault == SIM_SHORT ? failure(error, "write", file->name) : STATUS_OK;
}

static enum status sync_locked(struct sim *sim, struct sim_file *file, struct error *error)
{
    enum sim_fault fault = SIM_ERROR;
    bool fails = misbehaves(sim, SIM_SYNC, file->name, &fault);
    if (!powered(sim)) return failure(error, "sync", file->name);
    if (fails && fault == SIM_DROP) carry(sim, file->inode, false);
    if (fails) return failure(error, "sync", file->name);
    if (!sim->lies) carry(sim, file->inode, true);
    return STATUS_OK;
}

static enum status truncate_locked(struct sim *sim, struct sim_file *file, uint64_t size, struct error *error)
{
    if (!powered(sim) || !file->writable) return failure(error, "truncate", file->name);
    if (!has_space(sim, file->inode, size)) return no_space(error, file->name);
    resize(&file->inode->cache, size);
    note_change(file->inode, (struct change){.truncate = true, .offset = size});
    return STATUS_OK;
}

static enum status allocate_locked(struct sim *sim, struct sim_file *file, uint64_t size, struct error *error)
{
    enum sim_fault fault;
    bool fails = misbehaves(sim, SIM_ALLOCATE, file->name, &fault);
    if (!powered(sim) || !file->writable || fails) return failure(error, "allocate", file->name);
    if (!has_space(sim, file->inode, size)) return no_space(error, file->name);
    put(&file->inode->cache, 0, NULL, size);
    note_change(file->inode, (struct change){.size = size});
    return STATUS_OK;
}

static enum status rename_locked(struct sim *sim, const char *from, const char *to, struct error *error)
{
    enum sim_fault fault;
    bool fails = misbehaves(sim, SIM_RENAME, to, &fault);
    if (!powered(sim) || fails) return failure(error, "rename", from);
    struct entry *entry = lookup(&sim->seen, from);
    if (!entry) return error_set(error, STATUS_NOT_FOUND, "cannot rename file \"%s\"", from);
    note_name(sim, from, to, entry->inode);
    return STATUS_OK;
}

static enum status unlink_locked(struct sim *sim, const char *name, struct error *error)
{
    enum sim_fault fault;
    bool fails = misbehaves(sim, SIM_UNLINK, name, &fault);
    if (!powered(sim) || fails) return failure(error, "remove", name);
    if (!lookup(&sim->seen, name)) return error_set(error, STATUS_NOT_FOUND, "cannot remove file \"%s\"", name);
    note_name(sim, name, "", NULL);
    return STATUS_OK;
}

static enum status mkdir_locked(struct sim *sim, const char *name, struct error *error)
{
    if (sim->halted) return failure(error, "create", name);
    if (lookup(&sim->seen, name)) return STATUS_OK;
    if (!powered(sim)) return failure(error, "create", name);
    struct inode *inode = need(calloc(1, sizeof *inode));
    inode->directory = true;
    inode->next = sim->inodes;
    sim->inodes = inode;
    note_name(sim, "", name, inode);
    return STATUS_OK;
}

static enum status rmdir_locked(struct sim *sim, const char *name, struct error *error)
{
    for (size_t i = 0; i < sim->seen.count; i++) {
        if (is_in(sim->seen.list[i].name, name))
            return error_set(error, STATUS_CONFLICT, "cannot remove file \"%s\"", name);
    }
    return unlink_locked(sim, name, error);
}

static enum status sync_dir_locked(struct sim *sim, const char *name, struct error *error)
{
    enum sim_fault fault;
    bool fails = misbehaves(sim, SIM_SYNC_DIR, name, &fault);
    if (!powered(sim) || fails) return failure(error, "sync", name);
    if (name[0] && !lookup(&sim->seen, name)) return error_set(error, STATUS_NOT_FOUND, "no directory \"%s\"", name);
    if (sim->lies) return STATUS_OK;
    size_t left = 0;
    for (size_t i = 0; i < sim->name_count; i++) {
        const struct name_change *change = &sim->names[i];
        if (is_in(change->to[0] ? change->to : change->from, name))
            apply_name(&sim->durable, change);
        else
            sim->names[left++] = *change;
    }
    sim->name_count = left;
    return STATUS_OK;
}

/* --- the table --- */

/* Simulated threads take turns before and after every call; what was called with what is part of their trace. */
static void begin(struct sim *sim, unsigned call, const char *name, uint64_t detail, bool slow)
{
    if (OS_SIMULATED) sim_threads_note(hash_bytes(name, strlen(name), detail * 16 + call));
    sim_threads_disk_call(slow);
    pthread_mutex_lock(&sim->lock);
}

static enum status end(struct sim *sim, enum status status)
{
    pthread_mutex_unlock(&sim->lock);
    sim_threads_note(status);
    sim_threads_disk_call(false);
    return status;
}

static const char *name_of(const struct os_file *file)
{
    return ((const struct sim_file *)file)->name;
}

static enum status sim_open(struct os_fs *fs, const char *name, unsigned flags, struct error *error,
                            struct os_file **ret_file)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_OPEN, name, flags, false);
    return end(sim, open_locked(sim, name, flags, error, ret_file));
}
static void sim_close(struct os_file *file)
{
    struct sim *sim = (struct sim *)file->fs;
    pthread_mutex_lock(&sim->lock);
    ((struct sim_file *)file)->inode->handles--;
    pthread_mutex_unlock(&sim->lock);
    free(file);
}
static enum status sim_pread(struct os_file *file, void *data, size_t size, uint64_t offset, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    begin(sim, SIM_READ, name_of(file), offset, false);
    return end(sim, pread_locked(sim, (struct sim_file *)file, data, size, offset, error));
}
static enum status sim_pwrite(struct os_file *file, const void *data, size_t size, uint64_t offset, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    begin(sim, SIM_WRITE, name_of(file), OS_SIMULATED ? hash_bytes(data, size, offset) : 0, false);
    return end(sim, pwrite_locked(sim, (struct sim_file *)file, data, size, offset, error));
}
static enum status sim_sync(struct os_file *file, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    begin(sim, SIM_SYNC, name_of(file), 0, true);
    return end(sim, sync_locked(sim, (struct sim_file *)file, error));
}
static enum status sim_size(struct os_file *file, uint64_t *ret_size, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    pthread_mutex_lock(&sim->lock);
    bool halted = sim->halted;
    if (!halted) *ret_size = ((struct sim_file *)file)->inode->cache.size;
    pthread_mutex_unlock(&sim->lock);
    return halted ? failure(error, "stat", ((struct sim_file *)file)->name) : STATUS_OK;
}
static enum status sim_truncate(struct os_file *file, uint64_t size, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    begin(sim, SIM_CALLS, name_of(file), size, false);
    return end(sim, truncate_locked(sim, (struct sim_file *)file, size, error));
}
static enum status sim_allocate(struct os_file *file, uint64_t size, struct error *error)
{
    struct sim *sim = (struct sim *)file->fs;
    begin(sim, SIM_ALLOCATE, name_of(file), size, true);
    return end(sim, allocate_locked(sim, (struct sim_file *)file, size, error));
}
static enum status sim_rename(struct os_fs *fs, const char *from, const char *to, struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_RENAME, to, hash_bytes(from, strlen(from), 0), false);
    return end(sim, rename_locked(sim, from, to, error));
}
static enum status sim_unlink(struct os_fs *fs, const char *name, struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_UNLINK, name, 0, false);
    return end(sim, unlink_locked(sim, name, error));
}
static enum status sim_mkdir(struct os_fs *fs, const char *name, struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_CALLS, name, 0, false);
    return end(sim, mkdir_locked(sim, name, error));
}
static enum status sim_rmdir(struct os_fs *fs, const char *name, struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_UNLINK, name, 0, false);
    return end(sim, rmdir_locked(sim, name, error));
}
static enum status sim_sync_dir(struct os_fs *fs, const char *name, struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    begin(sim, SIM_SYNC_DIR, name, 0, true);
    return end(sim, sync_dir_locked(sim, name, error));
}
static enum status sim_list(struct os_fs *fs, const char *name, void (*each)(void *, const char *), void *ctx,
                            struct error *error)
{
    struct sim *sim = (struct sim *)fs;
    struct entries copy = {0};
    pthread_mutex_lock(&sim->lock);
    bool fails = sim->halted || (name[0] && !lookup(&sim->seen, name));
    if (!fails) copy_names(&copy, &sim->seen);
    pthread_mutex_unlock(&sim->lock);
    size_t skip = name[0] ? strlen(name) + 1 : 0;
    for (size_t i = 0; i < copy.count; i++) {
        if (is_in(copy.list[i].name, name)) each(ctx, copy.list[i].name + skip);
    }
    free(copy.list);
    return fails ? failure(error, "list", name) : STATUS_OK;
}

static void free_inode(struct inode *inode)
{
    assert(inode->handles == 0);
    forget_changes(inode);
    free(inode->changes);
    free(inode->cache.data);
    free(inode->platter.data);
    free(inode);
}

static void sim_free(struct os_fs *fs)
{
    struct sim *sim = (struct sim *)fs;
    while (sim->inodes) {
        struct inode *inode = sim->inodes;
        sim->inodes = inode->next;
        free_inode(inode);
    }
    free(sim->seen.list);
    free(sim->durable.list);
    free(sim->names);
    pthread_mutex_destroy(&sim->lock);
    free(sim);
}

struct sim *sim_new(uint64_t seed)
{
    static const struct os_fs_ops ops = {
        .open = sim_open,
        .close = sim_close,
        .pread = sim_pread,
        .pwrite = sim_pwrite,
        .sync = sim_sync,
        .size = sim_size,
        .truncate = sim_truncate,
        .allocate = sim_allocate,
        .rename = sim_rename,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .rmdir = sim_rmdir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .free = sim_free,
    };
    struct sim *sim = need(calloc(1, sizeof *sim));
    if (pthread_mutex_init(&sim->lock, NULL) != 0) abort();
    sim->base.ops = &ops;
    sim->random = seed;
    sim->space = UINT64_MAX;
    return sim;
}

struct os_fs *sim_fs(struct sim *sim)
{
    return &sim->base;
}

/* --- steering --- */

void sim_fail(struct sim *sim, enum sim_call call, enum sim_fault fault, uint64_t nth, uint64_t times, const char *part)
{
    pthread_mutex_lock(&sim->lock);
    struct plan *plan = &sim->plans[call];
    *plan = (struct plan){.on = times > 0, .fault = fault, .first = nth, .last = nth + times - 1};
    snprintf(plan->part, sizeof plan->part, "%s", part ? part : "");
    pthread_mutex_unlock(&sim->lock);
}

static void heal(struct sim *sim)
{
    memset(sim->plans, 0, sizeof sim->plans);
    sim->space = UINT64_MAX;
    sim->halted = sim->lies = false;
    sim->halt_at = 0;
}

void sim_heal(struct sim *sim)
{
    pthread_mutex_lock(&sim->lock);
    heal(sim);
    pthread_mutex_unlock(&sim->lock);
}

void sim_space(struct sim *sim, uint64_t bytes)
{
    pthread_mutex_lock(&sim->lock);
    sim->space = bytes;
    pthread_mutex_unlock(&sim->lock);
}

uint64_t sim_used(struct sim *sim)
{
    pthread_mutex_lock(&sim->lock);
    uint64_t bytes = used(sim);
    pthread_mutex_unlock(&sim->lock);
    return bytes;
}

void sim_lie(struct sim *sim, bool lies)
{
    pthread_mutex_lock(&sim->lock);
    sim->lies = lies;
    pthread_mutex_unlock(&sim->lock);
}

uint64_t sim_faults(struct sim *sim, enum sim_call call)
{
    pthread_mutex_lock(&sim->lock);
    const struct plan *plan = &sim->plans[call];
    uint64_t count = !plan->on || plan->seen < plan->first ? 0
                     : plan->seen > plan->last             ? plan->last - plan->first + 1
                                                           : plan->seen - plan->first + 1;
    pthread_mutex_unlock(&sim->lock);
    return count;
}

uint64_t sim_calls(struct sim *sim, enum sim_call call)
{
    pthread_mutex_lock(&sim->lock);
    uint64_t count = sim->calls[call];
    pthread_mutex_unlock(&sim->lock);
    return count;
}

uint64_t sim_changes(struct sim *sim)
{
    pthread_mutex_lock(&sim->lock);
    uint64_t count = sim->changes;
    pthread_mutex_unlock(&sim->lock);
    return count;
}

void sim_halt(struct sim *sim, uint64_t nth)
{
    pthread_mutex_lock(&sim->lock);
    sim->halt_at = sim->changes + nth;
    sim->halted = nth == 0;
    pthread_mutex_unlock(&sim->lock);
}

bool sim_halted(struct sim *sim)
{
    pthread_mutex_lock(&sim->lock);
    bool halted = sim->halted;
    pthread_mutex_unlock(&sim->lock);
    return halted;
}

/* Names below a directory that is not there are gone. */
static void drop_orphans(struct entries *entries)
{
    for (size_t i = entries->count; i-- > 0;) {
        char parent[NAME_MAX_BYTES];
        snprintf(parent, sizeof parent, "%.*s", (int)parent_size(entries->list[i].name), entries->list[i].name);
        if (parent[0] && !lookup(entries, parent)) entries->list[i] = entries->list[--entries->count];
    }
}

static void collect(struct sim *sim)
{
    for (struct inode *inode = sim->inodes; inode; inode = inode->next) inode->reached = false;
    for (size_t i = 0; i < sim->seen.count; i++) sim->seen.list[i].inode->reached = true;
    for (struct inode **at = &sim->inodes; *at;) {
        struct inode *inode = *at;
        if (inode->reached) {
            at = &inode->next;
        } else {
            *at = inode->next;
            free_inode(inode);
        }
    }
}

void sim_crash(struct sim *sim, uint64_t seed)
{
    pthread_mutex_lock(&sim->lock);
    sim->random ^= seed * 0x9E3779B97F4A7C15u;
    /* Journalling file systems lose a tail of the noted name changes; others any of them. */
    bool tail = next_random(sim) % 2;
    size_t kept = next_random(sim) % (sim->name_count + 1);
    for (size_t i = 0; i < sim->name_count; i++) {
        if (tail ? i < kept : next_random(sim) % 2) apply_name(&sim->durable, &sim->names[i]);
    }
    sim->name_count = 0;
    drop_orphans(&sim->durable);
    copy_names(&sim->seen, &sim->durable);
    collect(sim);
    for (struct inode *inode = sim->inodes; inode; inode = inode->next) {
        carry(sim, inode, false);
        inode->cache.size = 0;
        put(&inode->cache, 0, inode->platter.data, inode->platter.size);
    }
    heal(sim);
    pthread_mutex_unlock(&sim->lock);
}

void sim_restart(struct sim *sim)
{
    sim_heal(sim);
}

bool sim_flip(struct sim *sim, const char *name, uint64_t offset, unsigned char mask)
{
    pthread_mutex_lock(&sim->lock);
    struct entry *entry = lookup(&sim->seen, name);
    bool there = entry && offset < entry->inode->cache.size;
    if (there) {
        struct inode *inode = entry->inode;
        inode->cache.data[offset] = (char)(inode->cache.data[offset] ^ mask);
        if (offset < inode->platter.size) inode->platter.data[offset] = (char)(inode->platter.data[offset] ^ mask);
    }
    pthread_mutex_unlock(&sim->lock);
    return there;
}
