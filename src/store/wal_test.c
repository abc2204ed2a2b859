/* The log on the simulated disk: what comes back after torn writes, damage, failed syncs, switches, recycling and lost
 * files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/buf.h"
#include "os/sim.h"
#include "store/wal.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES 1024

struct log {
    struct sim *sim;
    struct wal *wal;
    struct wal_report report;
    struct error error;
    char frames[8192]; /* what opening replayed, each followed by '|' */
    uint64_t end;      /* of the last frame written */
    bool salvage;
    uint64_t flushed;
};

static enum status collect(void *ctx, uint64_t lsn, uint64_t end_lsn, struct str records)
{
    struct log *log = ctx;
    size_t used = strlen(log->frames);
    assert_true(end_lsn > lsn && end_lsn % 64 == 0 && lsn % 64 == WAL_FRAME_HEADER);
    assert_true(used + records.size + 2 < sizeof log->frames);
    snprintf(log->frames + used, sizeof log->frames - used, "%.*s|", (int)records.size, records.data);
    return STATUS_OK;
}

static enum status try_open(struct log *log)
{
    struct wal_options options = {
        .fs = sim_fs(log->sim), .file_bytes = FILE_BYTES, .node = "node", .salvage = log->salvage};
    log->frames[0] = 0;
    log->error = ERROR_INIT;
    wal_free(log->wal);
    log->wal = NULL;
    return wal_open(&options, log->flushed, collect, log, &log->error, &log->report, &log->wal);
}

static void open_log(struct log *log)
{
    struct error error;
    if (try_open(log) != STATUS_OK) fail_msg("%s", log->error.primary);
    assert_int_equal(wal_reopen(log->wal, &error), STATUS_OK);
}

static struct log new_log(uint64_t seed)
{
    struct log log = {.sim = sim_new(seed)};
    open_log(&log);
    return log;
}

static void end_log(struct log *log)
{
    wal_free(log->wal);
    os_fs_free(sim_fs(log->sim));
}

static enum status try_put(struct log *log, const char *text)
{
    size_t size = strlen(text);
    char *frame = calloc(1, wal_frame_size(size));
    uint64_t lsn;
    assert_non_null(frame);
    memcpy(frame + WAL_FRAME_HEADER, text, size);
    enum status status = wal_write(log->wal, frame, size, 1, 0, &log->error, &lsn, &log->end);
    free(frame);
    return status;
}

static void put(struct log *log, const char *text)
{
    assert_int_equal(try_put(log, text), STATUS_OK);
}

/* Crash and look what is there. */
static void expect(struct log *log, const char *frames)
{
    wal_free(log->wal);
    log->wal = NULL;
    sim_crash(log->sim, 1);
    if (try_open(log) != STATUS_OK) fail_msg("%s", log->error.primary);
    assert_string_equal(log->frames, frames);
}

/* Likewise, where acknowledged bytes are damaged: refused, and with salvage opened with what is left. */
static void expect_damage(struct log *log, const char *salvaged)
{
    wal_free(log->wal);
    log->wal = NULL;
    sim_crash(log->sim, 1);
    assert_int_equal(try_open(log), STATUS_CORRUPT);
    assert_true(log->error.primary[0] && log->error.hint[0]);
    log->salvage = true;
    if (try_open(log) != STATUS_OK) fail_msg("%s", log->error.primary);
    assert_string_equal(log->frames, salvaged);
    assert_true(log->report.bytes_lost > 0);
    log->salvage = false;
}

static void name_of(char out[64], uint64_t base, uint64_t epoch)
{
    snprintf(out, 64, "wal/%016llx-%016llx.wal", (unsigned long long)base, (unsigned long long)epoch);
}

static void flip(struct log *log, uint64_t base, uint64_t epoch, uint64_t lsn)
{
    char name[64];
    name_of(name, base, epoch);
    assert_true(sim_flip(log->sim, name, lsn - base + FILE_HEADER, 4));
}

static void remove_file(struct log *log, uint64_t base, uint64_t epoch)
{
    char name[64];
    struct error error;
    name_of(name, base, epoch);
    assert_int_equal(os_unlink(sim_fs(log->sim), name, &error), STATUS_OK);
    assert_int_equal(os_sync_dir(sim_fs(log->sim), "wal", &error), STATUS_OK);
}

static void count_name(void *ctx, const char *name)
{
    (void)name;
    (*(unsigned *)ctx)++;
}

static unsigned count_files(struct log *log)
{
    unsigned count = 0;
    struct error error;
    assert_int_equal(os_list(sim_fs(log->sim), "wal", count_name, &count, &error), STATUS_OK);
    return count;
}

/* 200 bytes: four frames fill a file. */
static const char *big(char letter)
{
    static char text[201];
    memset(text, letter, 200);
    return text;
}

static void frames_come_back_in_order(void **state)
{
    (void)state;
    struct error error;
    struct log log = new_log(1);
    put(&log, "a");
    put(&log, "b");
    assert_int_equal(wal_mark(log.wal, 0, &error), STATUS_OK);
    uint64_t end = wal_end_lsn(log.wal);
    assert_int_equal(wal_mark(log.wal, 0, &error), STATUS_OK); /* one mark is enough */
    assert_int_equal(wal_end_lsn(log.wal), end);
    put(&log, "c");
    uint64_t flushed = log.end;
    put(&log, "d");
    expect(&log, "a|b|c|d|");
    assert_int_equal(log.report.end_lsn, log.end);
    log.flushed = flushed;
    expect(&log, "d|"); /* what is flushed is not read again */
    /* and the log goes on behind it, life after life */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
        put(&log, "e");
        expect(&log, i == 0 ? "d|e|" : i == 1 ? "d|e|e|" : "d|e|e|e|");
    }
    end_log(&log);
}

static void files_switch_when_full(void **state)
{
    (void)state;
    struct log log = new_log(1);
    assert_int_equal(wal_records_max(log.wal), FILE_BYTES - FILE_HEADER - WAL_FRAME_HEADER);
    char text[FILE_BYTES * 2], all[8192] = "";
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "%0*d", 1 + i * 37 % (int)wal_records_max(log.wal), i);
        if (strlen(all) + strlen(text) > sizeof all - 8) break;
        put(&log, text);
        strcat(all, text);
        strcat(all, "|");
    }
    memset(text, 'x', sizeof text);
    text[wal_records_max(log.wal)] = 0;
    if (strlen(all) + strlen(text) < sizeof all - 8) {
        put(&log, text);
        strcat(all, text);
        strcat(all, "|");
    }
    expect(&log, all);
    end_log(&log);
}

/* A write that was cut anywhere: everything before it counts, and nobody calls it damage. */
static void torn_tail_at_every_byte(void **state)
{
    (void)state;
    static const char third[] = "a third frame of more than one line of sixty-four bytes, to be cut";
    for (uint64_t cut = 0; cut < WAL_FRAME_HEADER + sizeof third - 1; cut++) {
        for (int garbage = 0; garbage < 2; garbage++) {
            struct error error;
            struct log log = new_log(1);
            struct os_file *file;
            char name[64], rest[256];
            put(&log, "one");
            put(&log, "two");
            uint64_t start = log.end;
            put(&log, third);
            name_of(name, 0, 1);
            memset(rest, garbage ? 0xA5 : 0, sizeof rest);
            assert_int_equal(os_open(sim_fs(log.sim), name, OS_WRITE, &error, &file), STATUS_OK);
            assert_int_equal(os_pwrite(file, rest, log.end - start - cut, FILE_HEADER + start + cut, &error),
                             STATUS_OK);
            assert_int_equal(os_sync(file, &error), STATUS_OK);
            os_close(file);
            expect(&log, "one|two|");
            assert_int_equal(log.report.bytes_lost, 0);
            assert_int_equal(log.report.end_lsn, start);
            end_log(&log);
        }
    }
}

static void damage_to_acknowledged_bytes_is_named(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < WAL_FRAME_HEADER + 3; at++) {
        struct log log = new_log(1);
        put(&log, "one");
        uint64_t start = log.end;
        put(&log, "two");
        put(&log, "three");
        flip(&log, 0, 1, start + at);
        char place[32];
        snprintf(place, sizeof place, " %llu ", (unsigned long long)start);
        expect_damage(&log, "one|three|"); /* what follows is not lost with it */
        assert_int_equal(try_open(&log), STATUS_CORRUPT);
        assert_non_null(strstr(log.error.primary, place));
        end_log(&log);
    }
}

/* The last frame before a pause is protected by the mark behind it. */
static void a_mark_protects_the_last_frame(void **state)
{
    (void)state;
    struct error error;
    struct log log = new_log(1);
    put(&log, "one");
    put(&log, "two");
    assert_int_equal(wal_mark(log.wal, 0, &error), STATUS_OK);
    flip(&log, 0, 1, 64 + WAL_FRAME_HEADER);
    expect_damage(&log, "one|");
    end_log(&log);
}

/* The last frame of a file that the log has left: the next file's base proves that there was more, whether or not it
 * has frames. */
static void damage_before_a_file_switch(void **state)
{
    (void)state;
    struct error error;
    for (int frames_behind = 0; frames_behind < 2; frames_behind++) {
        struct log log = new_log(1);
        put(&log, "one");
        put(&log, "two");
        assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
        if (frames_behind) put(&log, "three");
        flip(&log, 0, 1, 64 + WAL_FRAME_HEADER);
        expect_damage(&log, frames_behind ? "one|three|" : "one|");
        end_log(&log);
    }
}

/* Without those bytes, but with everything behind them that can be read. */
static void salvage_reads_on_in_the_next_file(void **state)
{
    (void)state;
    struct log log = new_log(1);
    char expected[1024] = "";
    for (char letter = 'a'; letter < 'e'; letter++) {
        put(&log, big(letter)); /* three to a file */
        if (letter != 'b') strcat(strcat(expected, big(letter)), "|");
    }
    flip(&log, 0, 1, 256 + 100);
    expect_damage(&log, expected);
    end_log(&log);
}

static void damage_to_the_header_of_the_last_file(void **state)
{
    (void)state;
    for (uint64_t at = 0; at < FILE_HEADER; at += 3) {
        struct log log = new_log(1);
        put(&log, "one");
        char name[64];
        name_of(name, 0, 1);
        assert_true(sim_flip(log.sim, name, at, 1));
        wal_free(log.wal);
        log.wal = NULL;
        assert_int_not_equal(try_open(&log), STATUS_OK);
        end_log(&log);
    }
}

static void lost_files_are_named(void **state)
{
    (void)state;
    struct error error;
    for (int lost = 0; lost < 4; lost++) {
        struct log log = new_log(1);
        put(&log, "one");
        uint64_t first = log.end;
        assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
        put(&log, "two");
        uint64_t second = log.end;
        assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
        if (lost == 2) put(&log, "three");
        wal_free(log.wal);
        log.wal = NULL;
        if (lost == 0)
            remove_file(&log, 0, 1);
        else
            remove_file(&log, first, 2);
        if (lost == 3) { /* all of them, of a log that was begun long ago */
            remove_file(&log, 0, 1);
            remove_file(&log, second, 3);
            log.flushed = second;
        }
        assert_int_equal(try_open(&log), STATUS_CORRUPT);
        end_log(&log);
    }
}

/* The frame of a failed write or sync is void once the log went on, whatever of it reached the disk. */
static void failed_frames_are_void(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct error error;
        struct log log = new_log(seed);
        put(&log, "one");
        switch (seed % 4) {
        case 0: sim_fail(log.sim, SIM_WRITE, SIM_ERROR, 1, 1, NULL); break;
        case 1: sim_fail(log.sim, SIM_WRITE, SIM_SHORT, 1, 1, NULL); break;
        case 2: sim_fail(log.sim, SIM_SYNC, SIM_ERROR, 1, 1, NULL); break;
        default: sim_fail(log.sim, SIM_SYNC, SIM_DROP, 1, 1, NULL);
        }
        assert_int_equal(try_put(&log, "failed"), STATUS_IO);
        assert_true(wal_failed(log.wal));
        assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
        put(&log, "two");
        expect(&log, "one|two|");
        end_log(&log);
    }
}

/* The disk fills up: writing fails and nothing else; space comes back: it goes on. */
static void a_full_disk(void **state)
{
    (void)state;
    struct error error;
    struct log log = new_log(1);
    for (char letter = 'a'; letter < 'd'; letter++) put(&log, big(letter));
    sim_space(log.sim, sim_used(log.sim));
    unsigned files = count_files(&log);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(try_put(&log, big('x')), STATUS_UNAVAILABLE);
        assert_int_equal(wal_prepare_spare(log.wal, &error), STATUS_UNAVAILABLE);
    }
    assert_int_equal(count_files(&log), files);
    sim_heal(log.sim);
    put(&log, big('z'));
    try_open(&log);
    assert_int_equal(strlen(log.frames), 4 * 201);
    assert_int_equal(log.frames[3 * 201], 'z');
    end_log(&log);
}

/* Attempts to begin a file that fail leave no file behind, so that a sick disk does not fill up as well. */
static void failed_attempts_leave_nothing(void **state)
{
    (void)state;
    static const enum sim_call calls[] = {SIM_OPEN, SIM_WRITE, SIM_SYNC, SIM_ALLOCATE, SIM_RENAME, SIM_SYNC_DIR};
    for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
        for (uint64_t nth = 1; nth <= 2; nth++) {
            struct error error;
            struct log log = new_log(1);
            put(&log, "one");
            unsigned files = count_files(&log);
            for (int i = 0; i < 10; i++) {
                sim_fail(log.sim, calls[c], SIM_ERROR, nth, 1, NULL);
                if (wal_reopen(log.wal, &error) == STATUS_OK) break; /* this way does not make so many calls */
                assert_int_equal(count_files(&log), files);
            }
            sim_heal(log.sim);
            assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
            put(&log, "two");
            expect(&log, "one|two|");
            end_log(&log);
        }
    }
}

/* Files whose frames are in section files come back as spares; what they held does not. */
static void recycled_files(void **state)
{
    (void)state;
    struct error error;
    struct log log = new_log(1);
    uint64_t allocated = 0;
    for (int round = 0; round < 40; round++) {
        put(&log, big((char)('a' + round % 26)));
        if (round % 5 == 4) {
            log.flushed = log.end;
            assert_int_equal(wal_recycle(log.wal, log.end, &error), STATUS_OK);
        }
        if (round == 19) allocated = sim_calls(log.sim, SIM_ALLOCATE);
        assert_in_range(count_files(&log), 1, 6);
    }
    assert_int_equal(sim_calls(log.sim, SIM_ALLOCATE), allocated); /* the ring is closed */
    put(&log, "last");
    expect(&log, "last|");
    assert_int_equal(wal_reopen(log.wal, &error), STATUS_OK);
    put(&log, "more");
    expect(&log, "last|more|");
    end_log(&log);
}

/* A crash at every change of a run with switches, spares and recycling: what was acknowledged is there, in order, and
 * at most the last, unacknowledged frame besides. */
static void crash_at_every_change(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 150; at++) {
        struct error error;
        struct log log = {.sim = sim_new(at)};
        uint64_t acked = 0, flushed_to = 0;
        assert_int_equal(os_mkdir(sim_fs(log.sim), "wal", &error), STATUS_OK);
        assert_int_equal(os_sync_dir(sim_fs(log.sim), "", &error), STATUS_OK);
        sim_halt(log.sim, at);
        if (try_open(&log) == STATUS_OK) {
            for (int round = 0; round < 20; round++) {
                char text[256];
                snprintf(text, sizeof text, "%0*d", round * 67 % 200 + 2, round + 10);
                if (wal_failed(log.wal) && wal_reopen(log.wal, &error) != STATUS_OK) break;
                if (try_put(&log, text) != STATUS_OK) break;
                acked++;
                if (round % 3 == 0 && wal_mark(log.wal, 0, &error) != STATUS_OK) break;
                if (round % 4 == 0) (void)!wal_prepare_spare(log.wal, &error);
                if (round % 6 == 5) {
                    log.flushed = log.end;
                    flushed_to = acked;
                    (void)!wal_recycle(log.wal, log.end, &error);
                }
            }
        }
        wal_free(log.wal);
        log.wal = NULL;
        sim_crash(log.sim, at);
        for (int look = 0; look < 2; look++) {
            if (try_open(&log) != STATUS_OK) fail_msg("crash at change %d: %s", (int)at, log.error.primary);
            uint64_t next = flushed_to;
            for (char *frame = strtok(log.frames, "|"); frame; frame = strtok(NULL, "|"))
                assert_int_equal(atoi(frame), 10 + next++);
            assert_in_range(next, acked, acked + 1);
            acked = next;
        }
        end_log(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_back_in_order),
        cmocka_unit_test(files_switch_when_full),
        cmocka_unit_test(torn_tail_at_every_byte),
        cmocka_unit_test(damage_to_acknowledged_bytes_is_named),
        cmocka_unit_test(a_mark_protects_the_last_frame),
        cmocka_unit_test(damage_before_a_file_switch),
        cmocka_unit_test(salvage_reads_on_in_the_next_file),
        cmocka_unit_test(damage_to_the_header_of_the_last_file),
        cmocka_unit_test(lost_files_are_named),
        cmocka_unit_test(failed_frames_are_void),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(failed_attempts_leave_nothing),
        cmocka_unit_test(recycled_files),
        cmocka_unit_test(crash_at_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
