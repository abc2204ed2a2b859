#pragma once
/* What writing the log (wal.c), keeping its files (wal_files.c) and reading it (wal_read.c) share; theirs alone. */
#include "os/thread.h"
#include "store/wal.h"

#define WAL_FRAME_MAGIC 0x464E5243u
#define WAL_FRAME_DATA  1
#define WAL_FRAME_MARK  2
#define WAL_ALIGNMENT   64u
#define WAL_SPARES_MAX  2
#define WAL_SIZE_AT     FILE_HEADER_OWN /* of a file's header: how large the file is */

struct wal_file {
    uint64_t base, epoch;
    bool stale; /* behind its frames stand some of a former life */
};
struct wal_spare {
    unsigned number;
    bool stale;
};

struct wal {
    struct wal_options options;
    struct os_file *file; /* NULL before the first wal_reopen and after a failure */
    uint64_t base, epoch; /* of the current file */
    uint64_t lsn;         /* where the next frame goes */
    uint64_t durable_lsn, marked_lsn;
    struct os_mutex lock;   /* the lists below */
    struct wal_file *files; /* ascending */
    size_t file_count, file_capacity;
    struct wal_spare spares[WAL_SPARES_MAX];
    size_t spare_count;
    unsigned next_spare;
    bool forget; /* keep no stale files */
};

extern const char wal_file_magic[8];

/* --- wal_files.c --- */
void wal_file_name(char out[64], uint64_t base, uint64_t epoch);
void wal_spare_name(char out[64], unsigned number);
/* Under the lock, or before there are threads. False: too many files, or no memory. */
bool wal_add_file(struct wal *wal, uint64_t base, uint64_t epoch, bool stale);
/* A file of the full size, synced, that nobody knows yet. */
enum status wal_make_spare(struct wal *wal, struct error *error, unsigned *ret_number) MUST_USE;
