#include "api/token.h"

#include "api/project.h"
#include "base/log.h"
#include "meta/meta.h"

#include <stdatomic.h>

bool api_token_project(void *view, struct str token, struct ingest_project *ret_project)
{
    const struct meta_project *project = meta_view_project_by_token(view, token);
    if (!project) return false;
    ret_project->id = (uint64_t)project->id;
    ret_project->mode = api_identity_mode(project->identity);
    return true;
}

void api_token_unknown(size_t count)
{
    static atomic_size_t total;
    if (count == 0) return;
    size_t before = atomic_fetch_add(&total, count), after = before + count;
    if ((before ^ after) > before) log_warn("unknown_token", LOG_INT("events_dropped_so_far", after));
}
