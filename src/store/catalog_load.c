#include "store/catalog.h"

#include "store/ids.h"
#include "store/names.h"

#include <stdlib.h>

/* Names are few: read one block at a time. */
static enum status load_names(struct names *names, const struct catalog_ref *ref, struct error *error)
{
    const struct catalog_block *block = ref->block;
    char *bytes = malloc(block->size);
    if (!bytes) return error_set(error, STATUS_LIMIT, "out of memory for names");
    enum status status = catalog_read(ref->file, block, bytes, error);
    if (status == STATUS_OK) {
        status = names_import(names, str_from(bytes, block->size), block->first, block->count);
        if (status == STATUS_CORRUPT)
            error_set(error, status, "the names at %llu are malformed, or do not continue what came before",
                      (unsigned long long)block->offset);
        else if (status != STATUS_OK)
            error_set(error, status, "out of memory for names");
    }
    free(bytes);
    return status;
}

static enum status load_project(const struct catalog_load *load, const struct catalog_ref *refs, size_t count,
                                struct error *error, const struct catalog_file **ret_bad)
{
    struct catalog_target target;
    size_t i = 0;
    if (!load->find(load->ctx, refs->block->project, &target))
        return error_set(error, STATUS_LIMIT, "out of memory for a project");
    for (; i < count && refs[i].block->kind <= CATALOG_PROPERTIES; i++) {
        *ret_bad = refs[i].file;
        TRY(load_names(refs[i].block->kind == CATALOG_EVENTS ? target.events : target.properties, &refs[i], error));
    }
    *ret_bad = NULL;
    return i < count ? id_graph_load(target.ids, refs + i, count - i, load->threads, error, ret_bad) : STATUS_OK;
}

enum status catalog_load(const struct catalog_load *load, struct error *error, const struct catalog_file **ret_bad)
{
    size_t count = 0;
    struct catalog_ref *refs = catalog_sorted(load->files, load->file_count, &count);
    *ret_bad = NULL;
    enum status status = refs ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory for the list of blocks");
    for (size_t i = 0, end; i < count && status == STATUS_OK; i = end) {
        for (end = i + 1; end < count && refs[end].block->project == refs[i].block->project;) end++;
        status = load_project(load, refs + i, end - i, error, ret_bad);
    }
    free(refs);
    return status;
}
