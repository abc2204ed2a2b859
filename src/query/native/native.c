#include "query/native/native.h"

#include <stdlib.h>

static enum status native_capable(struct executor *executor, const struct plan *plan, struct error *error)
{
    (void)executor;
    switch (plan->kind) {
    case PLAN_SEGMENT: return native_segment_capable(plan, error);
    default: return error_set(error, STATUS_UNSUPPORTED, "not supported");
    }
}

static void native_free(struct executor *executor)
{
    free(executor);
}

struct executor *executor_native_new(struct store *store)
{
    struct native *native = calloc(1, sizeof *native);
    if (!native) abort();
    native->base =
        (struct executor){.name = "native", .capable = native_capable, .segment = native_segment, .free = native_free};
    native->store = store;
    return &native->base;
}
