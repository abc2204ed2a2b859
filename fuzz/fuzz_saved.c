/* Funnels and cohorts as clients save them: whatever the JSON is, there is a definition or a reason. What is saved is
 * read back, says the same, and is written the same again. The first byte chooses the kind. */
#include "api/saved.h"

#include <assert.h>
#include <stdlib.h>

static const struct saved_limits limits = {.funnels_max = 1, .cohorts_max = 1, .steps_max = 30, .selectors_max = 50};

static struct str whole(struct arena *arena, const struct meta_saved *saved)
{
    struct buf buf = BUF_INIT((size_t)4 << 20);
    saved_document_write(&buf, saved);
    assert(buf_status(&buf) == STATUS_OK);
    struct str text = arena_str(arena, buf_str(&buf));
    buf_fini(&buf);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16) return 0;
    enum meta_saved_kind kind = data[0] == 'c' ? META_SAVED_COHORT : META_SAVED_FUNNEL;
    struct arena *arena = arena_new((size_t)64 << 20);
    struct error error = ERROR_INIT;
    struct meta_saved saved = {.id = 1, .project_id = 1, .created_by = STR("x")}, again = saved;
    struct json document;
    if (json_parse(arena, str_from(data + 1, size - 1), NULL, NULL, &document) == STATUS_OK) {
        enum status status = saved_document_read(arena, &document, NULL, kind, &limits, &error, &saved);
        if (status == STATUS_OK) {
            struct funnel_definition definition;
            struct funnel_plan plan = {0};
            struct profile_plan people = {0};
            struct json written;
            if (kind == META_SAVED_FUNNEL) {
                assert(saved_funnel(&saved, arena, &error, &definition) == STATUS_OK);
                assert(definition.step_count >= 1 && definition.step_count <= 30);
                funnel_definition_plan(&definition, &plan);
                assert((plan.window_ms > 0) != (plan.window_sessions > 0));
            } else {
                assert(saved_cohort(&saved, arena, &error, &people) == STATUS_OK);
                assert(people.where.size);
            }
            struct str text = whole(arena, &saved);
            assert(json_parse(arena, text, NULL, NULL, &written) == STATUS_OK);
            assert(saved_document_read(arena, &written, &saved, kind, &limits, &error, &again) == STATUS_OK);
            assert(str_eq(again.definition, saved.definition) && str_eq(again.name, saved.name));
        } else {
            assert(error.primary[0]);
        }
    }
    arena_free(arena);
    return 0;
}
