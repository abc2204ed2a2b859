/* What the verifier says about directories that are good, and about ones that were damaged in known ways. */
#include "store/world_testing.h"

/* Shows: what the store writes is clean, everything is counted, and nothing is changed by looking. */
static void clean(void **state)
{
    (void)state;
    struct world w = world_full(1);
    uint64_t changes = sim_changes(w.sim);
    struct world_verdict verdict = world_verify(&w, true);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_string_equal(verdict.text, "");
    assert_int_equal(verdict.report.findings + verdict.report.notes, 0);
    assert_int_equal(sim_changes(w.sim), changes);
    /* what only the log has is not in sections; rows that were replaced are, as deleted */
    assert_int_equal(verdict.report.rows - verdict.report.rows_deleted, w.sent[1].rows + w.sent[2].rows - 20 - 1);
    assert_true(verdict.report.rows_deleted > 30);
    assert_true(verdict.report.values > verdict.report.rows);
    assert_true(verdict.report.sections >= 6 && verdict.report.ids == 160 && verdict.report.frames == 2);
    world_end(&w);
}

/* Shows: a new directory without events is clean, and one without a manifest is no data directory. */
static void empty(void **state)
{
    (void)state;
    struct world w = world_new(1);
    world_close(&w);
    struct world_verdict verdict = world_verify(&w, true);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_string_equal(verdict.text, "");
    world_end(&w);
    w = (struct world){.sim = sim_new(1)};
    w.fs = sim_fs(w.sim);
    verdict = world_verify(&w, true);
    assert_int_equal(verdict.status, STATUS_NOT_FOUND);
    assert_non_null(strstr(verdict.error.hint, "--data"));
    os_fs_free(w.fs);
}

static void note_frame(void *ctx, const struct wal_frame *frame)
{
    *(uint64_t *)ctx = frame->lsn;
}

/* Whether the byte means anything: of the log, the header and the frames that are not in sections yet, but for zeros,
 * and for the head of the last frame, without which nothing says that there was one. */
static bool matters(struct world *w, const char *name, const struct buf *bytes, uint64_t at)
{
    struct wal_file_info info;
    struct manifest manifest;
    struct error error;
    uint64_t last = 0;
    if (strncmp(name, "wal/", 4) != 0 || at < FILE_HEADER) return true;
    assert_int_equal(wal_scan_file(w->fs, name, note_frame, &last, &error, &info), STATUS_OK);
    assert_int_equal(manifest_open(w->fs, &error, &manifest), STATUS_OK);
    uint64_t lsn = info.base + at - FILE_HEADER;
    bool needed = lsn >= manifest.flushed_lsn && lsn < info.end_lsn && bytes->data[at] &&
                  (lsn < last || lsn >= last + WAL_FRAME_HEADER);
    manifest_fini(&manifest);
    return needed;
}

/* Every `step`th byte of every file, one bit each time. */
static void flip_all(struct world *w, const char *directory, const char *part, bool notes_too, uint64_t step)
{
    struct world_names list = world_list(w, directory, part);
    uint64_t flips = 0;
    for (size_t f = 0; f < list.count; f++) {
        struct buf bytes = world_read(w, list.names[f]);
        for (uint64_t at = f % step; at < bytes.size; at += step) {
            unsigned char mask = (unsigned char)(1u << (at / step) % 8);
            if (!matters(w, list.names[f], &bytes, at)) continue;
            assert_true(sim_flip(w->sim, list.names[f], at, mask));
            struct world_verdict verdict = world_verify(w, false);
            if (!world_noticed(&verdict, notes_too))
                fail_msg("%s: bit flip at %llu of %zu is not found", list.names[f], (unsigned long long)at, bytes.size);
            assert_true(sim_flip(w->sim, list.names[f], at, mask));
            flips++;
        }
        buf_fini(&bytes);
    }
    assert_true(flips > 30);
}

/* Shows: one flipped bit in any region of any kind of file is found. */
static void flipped_bits(void **state)
{
    (void)state;
    struct world w = world_full(2);
    flip_all(&w, "events", ".cat", false, 11);
    flip_all(&w, "events", ".del", false, 1);
    flip_all(&w, "", "MANIFEST", true, 1); /* the newest edit may as well be cut short by a crash */
    flip_all(&w, "wal", ".wal", true, 31); /* the newest frame likewise */
    flip_all(&w, "events", ".sec", false, 151);
    world_expect_clean(&w);
    world_end(&w);
}

/* Shows: a file cut short at any place is found. */
static void cut_short(void **state)
{
    (void)state;
    struct world w = world_full(3);
    static const char *const parts[][2] = {{"events", ".sec"}, {"events", ".cat"}, {"events", ".del"}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        struct world_names list = world_list(&w, parts[p][0], parts[p][1]);
        struct buf bytes = world_read(&w, list.names[0]);
        for (size_t size = 0; size < bytes.size; size += bytes.size / 23 + 1) {
            world_write(&w, list.names[0], str_from(bytes.data, size));
            struct world_verdict verdict = world_verify(&w, false);
            assert_int_equal(verdict.status, STATUS_OK);
            assert_true(verdict.report.findings > 0);
            assert_non_null(strstr(verdict.text, list.names[0]));
        }
        world_write(&w, list.names[0], buf_str(&bytes));
        buf_fini(&bytes);
    }
    world_expect_clean(&w);
    world_end(&w);
}

/* Shows: files exchanged, missing, belonging to another directory or left over are each named. */
static void files_in_wrong_places(void **state)
{
    (void)state;
    struct world w = world_full(4), other = world_full(5);
    struct world_names sections = world_list(&w, "events", ".sec");
    struct buf first = world_read(&w, sections.names[0]), second = world_read(&w, sections.names[1]);
    struct buf foreign = world_read(&other, sections.names[0]);
    struct error error;

    world_write(&w, sections.names[0], buf_str(&second));
    world_write(&w, sections.names[1], buf_str(&first));
    struct world_verdict verdict = world_verify(&w, false);
    assert_true(verdict.report.findings >= 2);
    assert_non_null(strstr(verdict.text, sections.names[0]));
    assert_non_null(strstr(verdict.text, sections.names[1]));
    world_write(&w, sections.names[1], buf_str(&second));

    world_write(&w, sections.names[0], buf_str(&foreign));
    verdict = world_verify(&w, false);
    assert_true(verdict.report.findings > 0);
    assert_non_null(strstr(verdict.text, sections.names[0]));

    assert_int_equal(os_unlink(w.fs, sections.names[0], &error), STATUS_OK);
    verdict = world_verify(&w, true);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_non_null(strstr(verdict.text, sections.names[0]));
    assert_true(verdict.report.sections > 0); /* the others are looked at */
    world_write(&w, sections.names[0], buf_str(&first));
    world_expect_clean(&w);

    world_write(&w, "events/holiday.jpg", STR("?"));
    world_write(&w, "events/00000000000000ff.sec", buf_str(&first));
    world_write(&w, "wal/notes", STR("?"));
    verdict = world_verify(&w, true);
    assert_int_equal(verdict.report.findings, 0);
    assert_int_equal(verdict.report.notes, 3);
    assert_non_null(strstr(verdict.text, "note: events/holiday.jpg"));
    assert_non_null(strstr(verdict.text, "note: events/00000000000000ff.sec"));
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&foreign);
    world_end(&w);
    world_end(&other);
}

/* Shows: two rows of the same event that both count are found, wherever they are and in however many passes. */
static void duplicates(void **state)
{
    (void)state;
    struct world w = world_full(6);
    struct manifest manifest;
    struct error error;
    assert_int_equal(manifest_open(w.fs, &error, &manifest), STATUS_OK);
    assert_true(manifest.delete_count > 0);
    /* the older rows count again */
    unsigned char header[FILE_HEADER];
    struct buf bytes = BUF_INIT(1 << 20);
    roaring_bitmap_t *none = roaring_bitmap_create();
    size_t size = roaring_bitmap_portable_size_in_bytes(none);
    uint64_t id = manifest.next_file_id;
    char name[64];
    file_header_write(header, DELETE_MAGIC, manifest.node, id, manifest.flushed_lsn);
    buf_add(&bytes, header, sizeof header);
    char *to = buf_reserve(&bytes, size);
    assert_non_null(to);
    roaring_bitmap_portable_serialize(none, to);
    buf_advance(&bytes, size);
    roaring_bitmap_free(none);
    snprintf(name, sizeof name, "events/%016llx.del", (unsigned long long)id);
    world_write(&w, name, buf_str(&bytes));
    struct manifest_deletes *emptied = calloc(manifest.delete_count, sizeof *emptied);
    assert_non_null(emptied);
    for (size_t i = 0; i < manifest.delete_count; i++) {
        emptied[i] = manifest.deletes[i];
        emptied[i].delete_file = id;
        emptied[i].offset = FILE_HEADER;
        emptied[i].size = (uint32_t)size;
        emptied[i].check = hash_bytes(to, size, 0);
    }
    struct manifest_edit edit = {.flushed_lsn = manifest.flushed_lsn,
                                 .next_file_id = id + 1,
                                 .deletes = emptied,
                                 .delete_count = manifest.delete_count};
    assert_int_equal(manifest_append(&manifest, &edit, &error), STATUS_OK);
    manifest_fini(&manifest);
    buf_fini(&bytes);
    free(emptied);

    struct world_verdict verdict = world_verify(&w, false);
    assert_int_equal(verdict.report.findings, 0); /* nothing wrong with any file by itself */
    verdict = world_verify(&w, true);
    assert_true(verdict.report.findings > 5);
    assert_non_null(strstr(verdict.text, "are the same event, and both count"));
    struct world_verdict again = {.error = ERROR_INIT};
    struct verify_options options = {
        .fs = w.fs, .deep = true, .memory_bytes_max = 1000, .sink = {world_finding, &again}};
    assert_int_equal(verify_directory(&options, &again.error, &again.report), STATUS_OK);
    assert_int_equal(again.report.findings, verdict.report.findings);
    world_end(&w);
}

/* Shows: deleted rows and lists of files that contradict each other are found in the manifest. */
static void contradictions(void **state)
{
    (void)state;
    struct world w = world_full(7);
    struct manifest manifest;
    struct error error;
    assert_int_equal(manifest_open(w.fs, &error, &manifest), STATUS_OK);
    struct manifest_file twice = manifest.sections[0];
    struct manifest_deletes nowhere = manifest.deletes[0];
    nowhere.section_file = 9999;
    struct manifest_deletes beyond = manifest.deletes[0];
    beyond.ordinal = 77;
    struct manifest_deletes both[] = {nowhere, beyond};
    struct manifest_edit edit = {.flushed_lsn = manifest.flushed_lsn,
                                 .next_file_id = 3,
                                 .add_sections = &twice,
                                 .add_section_count = 1,
                                 .deletes = both,
                                 .delete_count = 2};
    assert_int_equal(manifest_append(&manifest, &edit, &error), STATUS_OK);
    manifest_fini(&manifest);
    struct world_verdict verdict = world_verify(&w, false);
    assert_non_null(strstr(verdict.text, "is named twice"));
    assert_non_null(strstr(verdict.text, "file 000000000000270f does not count, but rows of it are deleted"));
    assert_non_null(strstr(verdict.text, "rows are deleted in section 77"));
    assert_non_null(strstr(verdict.text, "still to be given out"));
    world_end(&w);
}

/* Shows somebody as an id that is not one of the person's, and makes every user an alias of itself. */
static unsigned link_wrongly(struct id_graph *graph, const struct link_request *request)
{
    uint32_t stranger = 1;
    while (id_graph_person(graph, stranger) == id_graph_person(graph, request->device) ||
           id_graph_person(graph, stranger) == id_graph_person(graph, request->user))
        if (++stranger > id_graph_count(graph)) return 0;
    assert_int_equal(id_graph_link(graph, request->device, request->user, stranger, NULL), STATUS_OK);
    assert_int_equal(id_graph_name(graph, request->user, request->user, WORLD_T0), STATUS_OK);
    return 0;
}

static void use_wrong_links(struct store_options *options)
{
    options->link = link_wrongly;
}

/* Shows: people who are not what the rules can make are found. */
static void impossible_people(void **state)
{
    (void)state;
    struct world w = world_new(9);
    world_close(&w);
    world_open_with(&w, use_wrong_links);
    world_send(&w, 1, 0, 200);
    world_flush(&w);
    world_close(&w);
    struct world_verdict verdict = world_verify(&w, false);
    assert_int_equal(verdict.status, STATUS_OK);
    assert_non_null(strstr(verdict.text, "the id shown for a person is not one of its ids"));
    assert_non_null(strstr(verdict.text, "an alias stands for no other id"));
    world_end(&w);
}

/* Shows: a middle edit that is damaged is told from a torn end. */
static void manifest_chain(void **state)
{
    (void)state;
    struct world w = world_full(8);
    struct world_names manifests = world_list(&w, "", "MANIFEST");
    struct buf bytes = world_read(&w, manifests.names[manifests.count - 1]);
    const char *name = manifests.names[manifests.count - 1];
    struct reader first = reader_of(str_from(bytes.data + FILE_HEADER, 4));
    uint64_t second = FILE_HEADER + 16 + read_u32(&first);
    assert_true(second + 20 < bytes.size);
    assert_true(sim_flip(w.sim, name, second + 17, 4));
    struct world_verdict verdict = world_verify(&w, false);
    assert_true(world_noticed(&verdict, false));
    assert_non_null(strstr(verdict.text, "an edit is damaged"));
    assert_true(sim_flip(w.sim, name, second + 17, 4));
    world_write(&w, name, str_from(bytes.data, bytes.size - 3));
    verdict = world_verify(&w, false);
    assert_non_null(strstr(verdict.text, "no complete edit"));
    buf_fini(&bytes);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean),
        cmocka_unit_test(empty),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(cut_short),
        cmocka_unit_test(files_in_wrong_places),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(contradictions),
        cmocka_unit_test(impossible_people),
        cmocka_unit_test(manifest_chain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
