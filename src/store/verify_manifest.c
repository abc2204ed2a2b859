#include "store/verify_int.h"

#include "base/hash.h"
#include "base/map.h"
#include "store/file_header.h"

#include <stdio.h>
#include <stdlib.h>

#define MANIFEST_BYTES_MAX ((uint64_t)256 << 20)
#define EDIT_HEADER        16
#define NAMES_MAX          4096

/* --- chains of edits --- */

/* The length and check of the edit at `at`; false when no whole edit is there. */
static bool edit_at(const char *bytes, uint64_t size, uint64_t at, uint64_t seed, uint32_t *ret_length,
                    uint64_t *ret_check, bool *ret_good)
{
    if (size - at < EDIT_HEADER) return false;
    struct reader r = reader_of(str_from(bytes + at, EDIT_HEADER));
    *ret_length = read_u32(&r);
    uint32_t zero = read_u32(&r);
    *ret_check = read_u64(&r);
    if (*ret_length == 0 || *ret_length > size - at - EDIT_HEADER) return false;
    *ret_good = zero == 0 && hash_bytes(bytes + at + EDIT_HEADER, *ret_length, seed) == *ret_check;
    return true;
}

/* An edit that does not verify at the end is one that a crash cut short, and does not count. With more behind it, it
 * had been complete when that was written. */
static void verify_chain(struct verify *v, const char *name, const char *bytes, uint64_t size)
{
    uint64_t at = FILE_HEADER, seed = 0, check = 0;
    uint32_t length = 0;
    bool whole = true, good = true;
    while (at < size && (whole = edit_at(bytes, size, at, seed, &length, &check, &good)) && good) {
        seed = check;
        at += EDIT_HEADER + length;
    }
    if (at == size) return;
    uint64_t behind = whole ? size - at - EDIT_HEADER - length : 0;
    if (at == FILE_HEADER)
        finding_report(&v->sink, FINDING_DAMAGE, name, at, "the first edit is damaged: the manifest says nothing");
    else if (behind)
        finding_report(&v->sink, FINDING_DAMAGE, name, at, "an edit is damaged, and %llu bytes behind it do not count",
                       (unsigned long long)behind);
    else if (!v->options->live)
        finding_report(
            &v->sink, FINDING_NOTE, name, at,
            "the last %llu bytes are no complete edit and do not count, as after a crash while it was written",
            (unsigned long long)(size - at));
}

struct manifests {
    uint64_t numbers[NAMES_MAX], newest;
    size_t count;
};

static void note_manifest(void *ctx, const char *file)
{
    struct manifests *list = ctx;
    unsigned long long number;
    char rest;
    if (sscanf(file, "MANIFEST-%16llx%c", &number, &rest) != 1 || list->count == NAMES_MAX) return;
    list->numbers[list->count++] = number;
    if (number > list->newest) list->newest = number;
}

void verify_manifests(struct verify *v, struct os_fs *fs)
{
    struct manifests list = {.count = 0};
    struct error error = ERROR_INIT;
    if (os_list(fs, "", note_manifest, &list, &error) != STATUS_OK) return; /* offline_open says it */
    for (size_t i = 0; i < list.count; i++) {
        char name[64], *bytes;
        uint64_t size, id = 0, lsn;
        snprintf(name, sizeof name, "MANIFEST-%016llx", (unsigned long long)list.numbers[i]);
        enum status status = offline_read(fs, name, MANIFEST_BYTES_MAX, &error, &bytes, &size);
        if (status == STATUS_NOT_FOUND) continue; /* replaced meanwhile */
        if (status != STATUS_OK) {
            finding_report_error(&v->sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, &error);
            continue;
        }
        v->report.files++;
        v->report.bytes += size;
        if (size < FILE_HEADER)
            status = error_set(&error, STATUS_CORRUPT, "the file is cut short");
        else
            status = file_header_check((const unsigned char *)bytes, "CAIRNMAN", (const unsigned char *)bytes + 16,
                                       &error, &id, &lsn);
        if (status == STATUS_OK && id != list.numbers[i])
            status =
                error_set(&error, STATUS_CORRUPT, "the header is that of manifest %016llx", (unsigned long long)id);
        if (status != STATUS_OK)
            finding_report_error(&v->sink, FINDING_DAMAGE, name, 0, &error);
        else if (list.numbers[i] == list.newest) /* older ones are only not removed yet */
            verify_chain(v, name, bytes, size);
        free(bytes);
    }
}

/* --- what the current manifest lists --- */

struct listed {
    struct verify *verify;
    struct u64map files; /* file id -> kinds that the manifest names, a bit each */
    const char *directory;
};
enum { KIND_SECTION = 1, KIND_CATALOG = 2, KIND_DELETES = 4 };

static void manifest_finding(struct verify *v, const char *format, uint64_t id)
{
    char name[64];
    snprintf(name, sizeof name, "MANIFEST-%016llx", (unsigned long long)v->offline->manifest.number);
    char what[160];
    snprintf(what, sizeof what, "file %016llx %s", (unsigned long long)id, format);
    finding_report(&v->sink, FINDING_DAMAGE, name, FINDING_NO_OFFSET, "%s", what);
}

static void list_file(struct listed *listed, uint64_t id, unsigned kind, bool once)
{
    struct verify *v = listed->verify;
    uint64_t *kinds = u64map_at(&listed->files, id, 0, NULL);
    if (!kinds) abort();
    if (once && *kinds & kind) manifest_finding(v, "is named twice", id);
    if (id >= v->offline->manifest.next_file_id) manifest_finding(v, "has a number that is still to be given out", id);
    *kinds |= kind;
}

static void look_at_event_file(void *ctx, const char *file)
{
    struct listed *listed = ctx;
    struct verify *v = listed->verify;
    unsigned long long id;
    char kind[4] = "", rest, name[300];
    bool ours = sscanf(file, "%16llx.%3s%c", &id, kind, &rest) == 2 && strlen(file) == 20;
    unsigned bit = strcmp(kind, "sec") == 0   ? KIND_SECTION
                   : strcmp(kind, "cat") == 0 ? KIND_CATALOG
                   : strcmp(kind, "del") == 0 ? KIND_DELETES
                                              : 0;
    snprintf(name, sizeof name, "events/%.255s", file);
    if (!ours || !bit) {
        finding_report(&v->sink, FINDING_NOTE, name, FINDING_NO_OFFSET, "this is no file of Cairn's");
        return;
    }
    const uint64_t *kinds = u64map_get(&listed->files, id);
    if ((kinds && *kinds & bit) || v->options->live) return; /* a server may be writing it */
    finding_report(&v->sink, FINDING_NOTE, name, FINDING_NO_OFFSET,
                   "the manifest does not name it: a left-over, which the server removes");
}

static void look_at_log_file(void *ctx, const char *file)
{
    struct listed *listed = ctx;
    unsigned long long base, epoch;
    unsigned spare;
    char rest, name[300];
    if ((sscanf(file, "%16llx-%16llx.wa%c", &base, &epoch, &rest) == 3 && rest == 'l') ||
        sscanf(file, "spare-%u%c", &spare, &rest) == 1)
        return;
    snprintf(name, sizeof name, "wal/%.255s", file);
    finding_report(&listed->verify->sink, FINDING_NOTE, name, FINDING_NO_OFFSET, "this is no file of Cairn's");
}

void verify_file_lists(struct verify *v)
{
    const struct manifest *m = &v->offline->manifest;
    struct listed listed = {.verify = v, .files = U64MAP_INIT(UINT32_MAX)};
    struct error error = ERROR_INIT;
    for (size_t i = 0; i < m->section_count; i++) list_file(&listed, m->sections[i].file_id, KIND_SECTION, true);
    for (size_t i = 0; i < m->catalog_count; i++) list_file(&listed, m->catalogs[i].file_id, KIND_CATALOG, true);
    for (size_t i = 0; i < m->delete_count; i++) {
        const uint64_t *kinds = u64map_get(&listed.files, m->deletes[i].section_file);
        if (!kinds || !(*kinds & KIND_SECTION))
            manifest_finding(v, "does not count, but rows of it are deleted", m->deletes[i].section_file);
        list_file(&listed, m->deletes[i].delete_file, KIND_DELETES, false);
    }
    for (size_t i = 0; i < m->dead_count; i++) {
        const uint64_t *kinds = u64map_get(&listed.files, m->dead[i].section_file);
        if (!kinds || !(*kinds & KIND_SECTION))
            manifest_finding(v, "does not count, but a section of it is said not to count", m->dead[i].section_file);
    }
    for (size_t i = 0; i < v->offline->file_count; i++) {
        const struct offline_file *file = &v->offline->files[i];
        if (file->handle && file->section_count != m->sections[i].sections)
            manifest_finding(v, "holds another number of sections than is said", file->file_id);
    }
    if (os_list(v->offline->fs, "events", look_at_event_file, &listed, &error) != STATUS_OK)
        finding_report_error(&v->sink, m->section_count + m->catalog_count ? FINDING_DAMAGE : FINDING_NOTE, "events",
                             FINDING_NO_OFFSET, &error);
    if (os_list(v->offline->fs, "wal", look_at_log_file, &listed, &error) != STATUS_OK)
        finding_report_error(&v->sink, FINDING_NOTE, "wal", FINDING_NO_OFFSET, &error);
    u64map_fini(&listed.files);
}
