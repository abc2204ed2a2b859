#pragma once
/* For tests: whether two outcomes of an import say the same. */
#include "ingest/import.h"
#include "ingest/ingest_testing.h"

static inline bool import_same(struct arena *arena, const struct import_outcome *a, const struct import_outcome *b)
{
    if (a->stored != b->stored || a->ignored != b->ignored || a->verbs != b->verbs ||
        a->failure_count != b->failure_count || (a->record.size == 0) != (b->record.size == 0))
        return false;
    for (size_t i = 0; i < a->failure_count; i++) {
        const struct import_failure *x = &a->failures[i], *y = &b->failures[i];
        if (x->index != y->index || !str_eq(x->insert_id, y->insert_id) || !str_eq(x->field, y->field) ||
            !str_eq(x->message, y->message))
            return false;
    }
    return a->record.size == 0 || ingest_same_record(arena, &a->record, &b->record);
}
