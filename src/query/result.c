#include "query/result.h"

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
