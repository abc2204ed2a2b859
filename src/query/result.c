#include "query/result.h"

#include "query/frequency.h"
#include "query/retention.h"

void segmentation_free(struct segmentation *result)
{
    arena_free(result->arena);
    *result = (struct segmentation){0};
}

void top_values_free(struct top_values *result)
{
    arena_free(result->arena);
    *result = (struct top_values){0};
}

void retention_free(struct retention *result)
{
    arena_free(result->arena);
    *result = (struct retention){0};
}

void frequency_free(struct frequency *result)
{
    arena_free(result->arena);
    *result = (struct frequency){0};
}
