/*
 * What the engine makes of files that are not what it wrote: it refuses with a text that says which file and what to
 * do, or it answers rightly. It never answers wrongly and never crashes.
 */
#include "store/world_testing.h"

#include <stdatomic.h>

/* How a damaged directory may be met. */
struct outcome {
    bool refused, failed; /* by opening; by reading */
    char text[1024];
};

/* Opens, reads both projects, writes once more, closes. Fails the test on a wrong answer. */
static struct outcome meet(const struct world_image *image, const char *what)
{
    struct outcome outcome = {0};
    struct world w = world_of_image(image);
    enum status status = world_try_open(&w);
    if (status != STATUS_OK) {
        outcome.refused = true;
        error_text(&w.error, outcome.text, sizeof outcome.text);
        if (w.error.primary[0] == 0) fail_msg("%s: refused with %s and without a text", what, status_name(status));
        os_fs_free(w.fs);
        return outcome;
    }
    for (uint64_t project = 1; project <= 2; project++) {
        struct world_digest digest;
        status = world_try_digest(&w, project, &digest);
        if (status == STATUS_OK) {
            if (digest.rows != w.sent[project].rows || digest.sum != w.sent[project].sum)
                fail_msg("%s: project %d answers with %llu rows instead of %llu, or other values", what, (int)project,
                         (unsigned long long)digest.rows, (unsigned long long)w.sent[project].rows);
            continue;
        }
        if (status != STATUS_CORRUPT) fail_msg("%s: reading fails with %s", what, status_name(status));
        outcome.failed = true;
        error_text(&w.error, outcome.text, sizeof outcome.text);
    }
    world_end(&w);
    return outcome;
}

static struct world_image full_image(uint64_t seed)
{
    struct world w = world_full(seed);
    struct world_image image = world_image_of(&w);
    world_end(&w);
    return image;
}

/* Shows: a bit flipped anywhere in any file is refused at start, or fails the queries that need it, or changes nothing;
 * the text names the file. */
static void flipped_bits(void **state)
{
    (void)state;
    struct world_image image = full_image(11);
    size_t noticed = 0;
    for (size_t f = 0; f < image.count; f++) {
        struct buf *file = &image.files[f];
        bool log = strncmp(image.names[f], "wal/", 4) == 0;
        for (size_t n = 0; n < 16; n++) {
            /* the first bytes, then all over the file (of a log, over where frames may be) */
            size_t span = log && file->size > 24000 ? 24000 : file->size;
            size_t at = n < 8 ? n * 8 : (size_t)(hash_u64(n, f) % span);
            if (at >= file->size) continue;
            char what[128];
            snprintf(what, sizeof what, "%s, bit of byte %zu", image.names[f], at);
            file->data[at] ^= (char)(1 << n % 8);
            struct outcome outcome = meet(&image, what);
            file->data[at] ^= (char)(1 << n % 8);
            if (!outcome.refused && !outcome.failed) continue;
            noticed++;
            const char *id = strrchr(image.names[f], '/');
            char digits[17];
            snprintf(digits, sizeof digits, "%.16s", id ? id + 1 : "MANIFEST");
            if (!log && strstr(image.names[f], ".del") == NULL &&
                strstr(outcome.text, id ? digits : "MANIFEST") == NULL)
                fail_msg("%s: the error does not name the file: %s", what, outcome.text);
        }
    }
    assert_true(noticed > 40);
    world_image_fini(&image);
}

/* Shows: every kind of file cut short, also to nothing, is refused or harmless. */
static void cut_short(void **state)
{
    (void)state;
    struct world_image image = full_image(12);
    for (size_t f = 0; f < image.count; f++) {
        size_t whole = image.files[f].size;
        for (size_t n = 0; n < 8; n++) {
            char what[128];
            image.files[f].size = whole * n / 8;
            snprintf(what, sizeof what, "%s cut to %zu", image.names[f], image.files[f].size);
            struct outcome outcome = meet(&image, what);
            bool must =
                strstr(image.names[f], ".sec") || strstr(image.names[f], ".cat") || strstr(image.names[f], ".wal");
            if (must && !outcome.refused && !outcome.failed) fail_msg("%s: not noticed", what);
        }
        image.files[f].size = whole;
    }
    world_image_fini(&image);
}

/* Shows: files of another format version are refused, and the text says what to do. */
static void other_versions(void **state)
{
    (void)state;
    static const char *const kinds[] = {"MANIFEST", ".sec", ".cat", ".wal", ".del"};
    struct world_image image = full_image(13);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int newer = 0; newer < 2; newer++) {
            size_t f = world_image_find(&image, kinds[k], 0);
            struct buf whole = BUF_INIT((size_t)64 << 20);
            buf_str_add(&whole, buf_str(&image.files[f]));
            world_set_version(&image.files[f], newer ? 99 : 1);
            struct outcome outcome = meet(&image, kinds[k]);
            assert_true(outcome.refused);
            if (!strstr(outcome.text,
                        newer ? "made by a newer version of Cairn" : "made by an older version of Cairn") ||
                !strstr(outcome.text, newer ? "use that version" : "import"))
                fail_msg("%s: %s", kinds[k], outcome.text);
            memcpy(image.files[f].data, whole.data, whole.size);
            buf_fini(&whole);
        }
    }
    world_image_fini(&image);
}

static void swap(struct world_image *image, size_t a, size_t b)
{
    struct buf file = image->files[a];
    image->files[a] = image->files[b];
    image->files[b] = file;
}

/* Shows: two files of a kind exchanged, one of another directory, and a missing one are refused, and named. */
static void wrong_files(void **state)
{
    (void)state;
    static const char *const kinds[] = {".sec", ".cat", ".del", ".wal", "MANIFEST"};
    struct world_image image = full_image(14), other = full_image(15);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t a = world_image_find(&image, kinds[k], 0);
        struct outcome outcome;
        if (k < 3) {
            size_t b = world_image_find(&image, kinds[k], 1);
            swap(&image, a, b);
            outcome = meet(&image, "exchanged");
            assert_true(outcome.refused);
            assert_non_null(strstr(outcome.text, image.names[a]));
            swap(&image, a, b);
        }
        struct buf mine = image.files[a];
        image.files[a] = other.files[world_image_find(&other, kinds[k], 0)];
        outcome = meet(&image, "foreign");
        assert_true(outcome.refused);
        assert_non_null(strstr(outcome.text, "the file belongs to another data directory"));
        image.files[a] = mine;

        char name[64];
        memcpy(name, image.names[a], 64);
        snprintf(image.names[a], 64, "somewhere-else");
        outcome = meet(&image, "missing");
        assert_true(outcome.refused);
        if (k < 3)
            assert_non_null(strstr(outcome.text, name));
        else /* without a manifest, the log seems to be another directory's */
            assert_non_null(strstr(outcome.text, k == 3 ? "is missing" : "log file"));
        assert_true(k == 4 || strstr(outcome.text, "restore"));
        memcpy(image.names[a], name, 64);
    }
    struct outcome outcome = meet(&image, "as it was");
    assert_false(outcome.refused || outcome.failed);
    world_image_fini(&image);
    world_image_fini(&other);
}

/* Shows: a start without the manifest is refused and takes nothing away: when it is put back, all is there. */
static void lost_manifest(void **state)
{
    (void)state;
    struct world_image image = full_image(18);
    size_t f = world_image_find(&image, "MANIFEST", 0);
    char name[64];
    memcpy(name, image.names[f], 64);
    snprintf(image.names[f], 64, "somewhere-else");
    struct world w = world_of_image(&image);
    assert_int_not_equal(world_try_open(&w), STATUS_OK);
    world_write(&w, name, buf_str(&image.files[f]));
    world_open(&w);
    world_expect_sent(&w);
    world_end(&w);
    world_image_fini(&image);
}

/* Shows: two blocks of a section exchanged, aligned as they are, is noticed by what reads them. */
static void exchanged_blocks(void **state)
{
    (void)state;
    struct world_image image = full_image(16);
    struct buf *file = &image.files[world_image_find(&image, ".sec", 0)];
    size_t noticed = 0;
    for (size_t n = 0; n < 40; n++) {
        size_t a = FILE_HEADER + hash_u64(n, 1) % (file->size / 2) / 64 * 64, b = a + 64 + hash_u64(n, 2) % 40 * 64;
        char piece[64];
        if (b + 64 > file->size || memcmp(file->data + a, file->data + b, 64) == 0) continue;
        memcpy(piece, file->data + a, 64);
        memcpy(file->data + a, file->data + b, 64);
        memcpy(file->data + b, piece, 64);
        struct outcome outcome = meet(&image, "exchanged pieces");
        noticed += outcome.refused || outcome.failed;
        memcpy(file->data + b, file->data + a, 64);
        memcpy(file->data + a, piece, 64);
    }
    assert_true(noticed > 30);
    world_image_fini(&image);
}

/* Shows: files that nobody knows, among the others, change nothing. */
static void unknown_files(void **state)
{
    (void)state;
    struct world_image image = full_image(17);
    struct world w = world_of_image(&image);
    world_write(&w, "events/holiday.jpg", STR("not ours"));
    world_write(&w, "events/0000000000000bad.sec", STR("not ours"));
    world_write(&w, "events/zzz.sec", STR("not ours"));
    world_write(&w, "wal/readme", STR("not ours"));
    world_write(&w, "MANIFEST-0000000000000001.tmp", STR("half"));
    world_write(&w, "MANIFEST-x", STR("not ours"));
    world_open(&w);
    assert_int_equal(world_count(&w, 1), w.sent[1].rows);
    world_flush(&w);
    world_close(&w);
    world_open(&w);
    assert_int_equal(world_count(&w, 2), w.sent[2].rows);
    world_end(&w);
    world_image_fini(&image);
}

/* Shows: an older manifest put back in place of the newest is refused, or everything that was acknowledged is there. */
static void older_manifest(void **state)
{
    (void)state;
    for (uint64_t flushes = 1; flushes <= 6; flushes++) {
        struct world w = world_new(flushes);
        struct buf old = BUF_INIT(1 << 20);
        for (uint64_t round = 0; round < 7; round++) {
            world_send(&w, 1, round * 300, 300);
            world_flush(&w);
            if (round + 1 != flushes) continue;
            struct world_names manifests = world_list(&w, "", "MANIFEST");
            old = world_read(&w, manifests.names[manifests.count - 1]);
        }
        w.sent[1] = world_digest(&w, 1);
        world_close(&w);
        struct world_image image = world_image_of(&w);
        size_t f = world_image_find(&image, "MANIFEST", 0);
        struct buf newest = image.files[f];
        image.files[f] = old;
        struct outcome outcome = meet(&image, "an older manifest");
        assert_false(outcome.failed);
        image.files[f] = newest;
        buf_fini(&old);
        world_image_fini(&image);
        world_end(&w);
    }
}

/* Shows: a manifest that verifies but would give out the number of a file again is refused at the first start, not at
 * the second one, when that file has been written over; and nothing is lost by trying. */
static void numbers_given_out_again(void **state)
{
    (void)state;
    struct world w = world_full(19);
    struct manifest manifest;
    assert_int_equal(manifest_open(w.fs, &w.error, &manifest), STATUS_OK);
    uint64_t next = manifest.next_file_id, lowest = manifest.sections[0].file_id;
    struct manifest_edit edit = {.flushed_lsn = manifest.flushed_lsn, .next_file_id = lowest};
    atomic_store(&manifest.next_file_id, lowest);
    assert_int_equal(manifest_append(&manifest, &edit, &w.error), STATUS_OK);
    for (int life = 0; life < 2; life++) {
        assert_int_equal(world_try_open(&w), STATUS_CORRUPT);
        if (!strstr(w.error.primary, "still to be given out") || !strstr(w.error.hint, "backup"))
            fail_msg("%s: %s", w.error.primary, w.error.hint);
    }
    edit.next_file_id = next;
    assert_int_equal(manifest_append(&manifest, &edit, &w.error), STATUS_OK);
    manifest_fini(&manifest);
    world_open(&w);
    world_expect_sent(&w);
    world_end(&w);
}

/* Shows: whatever number of bytes the disk is short of, writing stops cleanly, reading goes on, everything that was
 * acknowledged is there after there is space again, and writing goes on by itself; and so after a restart. */
static void full_disk(void **state)
{
    (void)state;
    for (uint64_t room = 0; room < 200000; room += 20011) {
        struct world w = world_new(room + 1);
        world_send(&w, 1, 0, 50);
        world_flush(&w);
        sim_space(w.sim, sim_used(w.sim) + room);
        uint64_t next = 50;
        enum status status = STATUS_OK;
        for (int round = 0; round < 40 && status == STATUS_OK; round++) {
            status = world_try_send(&w, 1, next, 30);
            if (status == STATUS_OK) next += 30;
            if (round % 5 == 4 && store_flush(w.store, &w.error) != STATUS_OK) {
                assert_true(w.error.status == STATUS_UNAVAILABLE || w.error.status == STATUS_IO);
                assert_int_equal(world_count(&w, 1), next);
            }
        }
        assert_true(status == STATUS_OK || status == STATUS_UNAVAILABLE);
        assert_int_equal(world_count(&w, 1), next);
        if (status != STATUS_OK) {
            struct error why;
            assert_int_equal(store_writable(w.store, &why), STATUS_UNAVAILABLE);
            if (!strstr(why.hint, "space")) fail_msg("no hint: %s", why.hint);
        }
        sim_space(w.sim, UINT64_MAX);
        for (int tries = 0; (status = world_try_send(&w, 1, next, 30)) == STATUS_UNAVAILABLE && tries < 100000; tries++)
            os_sleep_ns(1000000);
        assert_int_equal(status, STATUS_OK);
        next += 30;
        assert_int_equal(world_count(&w, 1), next);
        world_flush(&w);
        struct world_digest before = world_digest(&w, 1);
        world_close(&w);
        world_expect_clean(&w);
        world_open(&w);
        struct world_digest after = world_digest(&w, 1);
        assert_int_equal(after.rows, next);
        assert_true(after.sum == before.sum);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bits),   cmocka_unit_test(cut_short),
        cmocka_unit_test(other_versions), cmocka_unit_test(wrong_files),
        cmocka_unit_test(lost_manifest),  cmocka_unit_test(exchanged_blocks),
        cmocka_unit_test(unknown_files),  cmocka_unit_test(older_manifest),
        cmocka_unit_test(full_disk),      cmocka_unit_test(numbers_given_out_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
