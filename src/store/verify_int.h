#pragma once
/* What the parts of the verifier share. Private to verify*.c. */
#include "store/run.h"
#include "store/verify.h"

struct verify {
    const struct verify_options *options;
    struct verify_report report;
    struct finding_sink sink; /* counts, then passes on */
    struct offline *offline;
    struct arena *arena; /* of the run that is being read */
    struct verify_progress progress;
};
#define RUN_MEMORY_BYTES ((size_t)4 << 30) /* a damaged chunk must not ask for more */

/* The section that is being looked at. */
struct section_check {
    struct verify *verify;
    const struct offline_file *file;
    const struct offline_section *at;
    const struct offline_project *project; /* NULL: not known, numbers cannot be judged */
    struct section_ref *objects;           /* all that were seen */
    size_t object_count, object_capacity;
    bool damaged; /* not all objects could be seen */
};
/* `format` about the section, at an offset from its start. */
void section_finding(const struct section_check *check, uint64_t offset, const char *format, ...) PRINTF_LIKE(3, 4);

/* verify_manifest.c: the chain of every manifest file, and that the current one's lists agree with themselves and with
 * the names of files. */
void verify_manifests(struct verify *verify, struct os_fs *fs);
void verify_file_lists(struct verify *verify);
/* verify_log.c */
void verify_log(struct verify *verify);
/* verify_ids.c: names and the graph of ids of one project. */
void verify_project(struct verify *verify, const struct offline_project *project);
/* verify_section.c: objects, core streams, statistics, person set, and with `deep` values and filter. */
void verify_section(struct verify *verify, const struct offline_file *file, const struct offline_section *at);
/* verify_values.c: the properties of a run, insert ids against the filter. */
void verify_values(const struct section_check *check, struct run *run);
/* verify_duplicates.c */
void verify_duplicates(struct verify *verify);
