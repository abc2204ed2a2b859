/*
 * The order of the work: manifests first, for a directory whose manifest cannot be read has nothing to compare with;
 * then all files that it names are opened at once (offline.h), which is what makes the picture consistent beside a
 * server; catalogs and ids, sections, the log, and the lists of names in the directory.
 *
 * The log is the one thing that moves under a running server. A frame that is half written there looks like damage for
 * a moment, and a file whose content has reached section files is given another name. So what is wrong with the log is
 * believed only when it is still wrong after the manifest was read again (verify_log.c).
 */
#include "store/verify.h"

#include "store/profiles.h"
#include "store/verify_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CACHE_BYTES ((size_t)64 << 20)

static void count_finding(void *ctx, const struct finding *finding)
{
    struct verify *v = ctx;
    if (finding->kind == FINDING_DAMAGE)
        v->report.findings++;
    else
        v->report.notes++;
    if (v->options->sink.report) v->options->sink.report(v->options->sink.ctx, finding);
}

void section_finding(const struct section_check *check, uint64_t offset, const char *format, ...)
{
    char what[900];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    finding_report(&check->verify->sink, FINDING_DAMAGE, check->file->name, check->at->offset + offset,
                   "section %u of %sproject %llu: %s", (unsigned)(check->at - check->file->sections),
                   store_is_profiles(check->at->project) ? "the profiles of " : "",
                   (unsigned long long)store_profiles_owner(check->at->project), what);
}

static void tell(struct verify *v, const char *doing)
{
    v->progress.doing = doing;
    if (v->options->progress) v->options->progress(v->options->sink.ctx, &v->progress);
}

static void verify_sections(struct verify *v)
{
    for (size_t i = 0; i < v->offline->file_count; i++) v->progress.bytes_total += v->offline->files[i].size;
    for (size_t i = 0; i < v->offline->file_count; i++) {
        const struct offline_file *file = &v->offline->files[i];
        if (!file->handle) continue;
        v->report.files++;
        v->report.bytes += file->size;
        for (uint32_t s = 0; s < file->section_count; s++) {
            tell(v, file->name);
            if (file->sections[s].section) verify_section(v, file, &file->sections[s]);
            v->progress.bytes += file->sections[s].size;
        }
    }
}

enum status verify_directory(const struct verify_options *options, struct error *error,
                             struct verify_report *ret_report)
{
    struct verify v = {.options = options, .progress = {.doing = ""}};
    v.sink = (struct finding_sink){count_finding, &v};
    struct offline_options opening = {.fs = options->fs, .cache_bytes = CACHE_BYTES, .sink = v.sink};
    tell(&v, "manifests");
    verify_manifests(&v, options->fs);
    tell(&v, "names and ids");
    TRY(offline_open(&opening, error, &v.offline));
    v.arena = arena_new(RUN_MEMORY_BYTES);
    for (size_t i = 0; i < v.offline->project_count; i++) verify_project(&v, &v.offline->projects[i]);
    verify_file_lists(&v);
    verify_sections(&v);
    if (options->deep) {
        tell(&v, "duplicates");
        verify_duplicates(&v);
    }
    tell(&v, "log");
    verify_log(&v);
    v.report.files += v.offline->manifest.catalog_count;
    for (size_t i = 0; i < v.offline->manifest.catalog_count; i++)
        v.report.bytes += v.offline->manifest.catalogs[i].size;
    arena_free(v.arena);
    offline_free(v.offline);
    *ret_report = v.report;
    return STATUS_OK;
}
