#pragma once
/* A store in a directory of its own, for tests of queries. The test's globals are the fixture: one at a time. */
#include "identity/identity.h"
#include "profile/update.h"
#include "os/fs.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static char directory[64];
static struct os_fs *fs;
static struct store *store;
static struct error error;
static uint64_t testing_section_rows; /* of a section that compaction writes; 0: as usual, and as seldom */

/* Opens the store; again after store_close, it finds what was there. */
static inline void testing_store_open(uint64_t wal_file_bytes)
{
    struct store_options options;
    struct store_report report;
    store_options_defaults(&options);
    options.fs = fs;
    options.link = identity_link;
    options.update = profile_update;
    options.unlink = identity_unlink;
    options.explain = identity_explain;
    options.wal_file_bytes = wal_file_bytes;
    if (testing_section_rows) {
        options.compact.rows_max = testing_section_rows;
        options.compact.fan_in = options.compact.runs_max = 2;
        options.compact.burst_ms = 0;
        options.compact.window_log2_max_few = options.compact.window_log2_max; /* else others lie around them */
    }
    assert_int_equal(store_open(&options, &error, &report, &store), STATUS_OK);
}

static inline void testing_store_begin(uint64_t wal_file_bytes)
{
    snprintf(directory, sizeof directory, "/tmp/cairn-query-XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(os_posix_new(directory, &error, &fs), STATUS_OK);
    testing_store_open(wal_file_bytes);
}

/* 0 when nothing is left of it. */
static inline int testing_store_end(void)
{
    char command[128];
    store_close(store);
    os_fs_free(fs);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}
