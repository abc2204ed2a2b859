/* The ring: names of log files, spares made ready for the next switch, and files that are not needed any more. */
#include "store/wal_int.h"

#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 65536

void wal_file_name(char out[64], uint64_t base, uint64_t epoch)
{
    snprintf(out, 64, "wal/%016llx-%016llx.wal", (unsigned long long)base, (unsigned long long)epoch);
}

void wal_spare_name(char out[64], unsigned number)
{
    snprintf(out, 64, "wal/spare-%u", number);
}

bool wal_add_file(struct wal *wal, uint64_t base, uint64_t epoch, bool stale)
{
    if (wal->file_count == wal->file_capacity) {
        size_t capacity = wal->file_capacity ? wal->file_capacity * 2 : 16;
        struct wal_file *grown = wal->file_count < FILES_MAX ? realloc(wal->files, capacity * sizeof *grown) : NULL;
        if (!grown) return false;
        wal->files = grown;
        wal->file_capacity = capacity;
    }
    wal->files[wal->file_count++] = (struct wal_file){base, epoch, stale};
    return true;
}

enum status wal_make_spare(struct wal *wal, struct error *error, unsigned *ret_number)
{
    os_mutex_lock(&wal->lock);
    unsigned number = wal->next_spare++;
    os_mutex_unlock(&wal->lock);
    char name[64];
    wal_spare_name(name, number);
    struct os_file *file;
    TRY(os_open(wal->options.fs, name, OS_WRITE | OS_CREATE | OS_DIRECT, error, &file));
    enum status status = os_allocate(file, wal->options.file_bytes, error);
    if (status == STATUS_OK) status = os_sync(file, error);
    os_close(file);
    if (status != STATUS_OK) {
        struct error ignored;
        (void)!os_unlink(wal->options.fs, name, &ignored);
        return status;
    }
    *ret_number = number;
    return STATUS_OK;
}

enum status wal_prepare_spare(struct wal *wal, struct error *error)
{
    os_mutex_lock(&wal->lock);
    bool ready = wal->spare_count > 0;
    os_mutex_unlock(&wal->lock);
    if (ready) return STATUS_OK;
    unsigned number;
    TRY(wal_make_spare(wal, error, &number));
    os_mutex_lock(&wal->lock);
    bool kept = wal->spare_count < WAL_SPARES_MAX;
    if (kept) wal->spares[wal->spare_count++] = (struct wal_spare){.number = number};
    os_mutex_unlock(&wal->lock);
    if (kept) return STATUS_OK;
    char name[64];
    wal_spare_name(name, number);
    return os_unlink(wal->options.fs, name, error);
}

enum status wal_recycle(struct wal *wal, uint64_t flushed_lsn, struct error *error)
{
    for (;;) {
        os_mutex_lock(&wal->lock);
        bool done = wal->file_count < 2 || wal->files[1].base > flushed_lsn;
        struct wal_file file = wal->file_count ? wal->files[0] : (struct wal_file){0};
        bool keep = !done && !wal->forget && wal->spare_count < WAL_SPARES_MAX;
        unsigned number = keep ? wal->next_spare++ : 0;
        os_mutex_unlock(&wal->lock);
        if (done) return STATUS_OK;
        char name[64], spare[64];
        wal_file_name(name, file.base, file.epoch);
        struct os_file *handle;
        uint64_t size = 0;
        if (keep) {
            TRY(os_open(wal->options.fs, name, OS_READ, error, &handle));
            enum status status = os_size(handle, &size, error);
            os_close(handle);
            if (status != STATUS_OK) return status;
            keep = size == wal->options.file_bytes;
        }
        if (keep) {
            wal_spare_name(spare, number);
            TRY(os_rename(wal->options.fs, name, spare, error));
        } else {
            TRY(os_unlink(wal->options.fs, name, error));
        }
        os_mutex_lock(&wal->lock);
        memmove(wal->files, wal->files + 1, (wal->file_count - 1) * sizeof *wal->files);
        wal->file_count--;
        if (keep && wal->spare_count < WAL_SPARES_MAX)
            wal->spares[wal->spare_count++] = (struct wal_spare){number, true};
        os_mutex_unlock(&wal->lock);
    }
}

enum status wal_forget(struct wal *wal, bool forget, struct error *error)
{
    struct wal_spare stale[WAL_SPARES_MAX];
    size_t count = 0, kept = 0;
    os_mutex_lock(&wal->lock);
    wal->forget = forget;
    for (size_t i = 0; i < wal->spare_count; i++) {
        if (forget && wal->spares[i].stale)
            stale[count++] = wal->spares[i];
        else
            wal->spares[kept++] = wal->spares[i];
    }
    wal->spare_count = kept;
    os_mutex_unlock(&wal->lock);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count; i++) {
        char name[64];
        wal_spare_name(name, stale[i].number);
        if (status == STATUS_OK) status = os_unlink(wal->options.fs, name, error);
        if (status == STATUS_OK) continue;
        os_mutex_lock(&wal->lock); /* for another attempt */
        if (wal->spare_count < WAL_SPARES_MAX) wal->spares[wal->spare_count++] = stale[i];
        os_mutex_unlock(&wal->lock);
    }
    return status;
}

uint64_t wal_stale_lsn(struct wal *wal)
{
    os_mutex_lock(&wal->lock);
    uint64_t lsn = wal->file_count ? wal->files[0].base : UINT64_MAX;
    for (size_t i = 0; i < wal->file_count; i++) {
        if (wal->files[i].stale) lsn = 0;
    }
    for (size_t i = 0; i < wal->spare_count; i++) {
        if (wal->spares[i].stale) lsn = 0;
    }
    os_mutex_unlock(&wal->lock);
    return lsn;
}
