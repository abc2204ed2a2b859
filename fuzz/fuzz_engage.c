/* What engage queries are told in JSON and in a form of their own: whatever the bytes are, there is a plan or a reason,
 * and the plan's texts lie in what was given. The first byte chooses. */
#include "api/behaviors.h"
#include "api/profile_sessions.h"

#include <assert.h>
#include <stdlib.h>

static void check_behaviors(struct arena *arena, struct str text)
{
    struct error error = ERROR_INIT;
    const struct behavior *behaviors;
    size_t count, selectors = 0;
    if (behaviors_parse(arena, text, 50, &error, &behaviors, &count) != STATUS_OK) {
        assert(error.primary[0]);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        assert(behaviors[i].name.size && behaviors[i].window_ms > 0 && behaviors[i].selector_count);
        selectors += behaviors[i].selector_count;
        for (size_t s = 0; s < behaviors[i].selector_count; s++) assert(behaviors[i].selectors[s].event.size);
    }
    assert(selectors <= 50);
}

static void check_action(struct str text)
{
    struct error error = ERROR_INIT;
    struct stats_action action;
    if (stats_action_parse(text, &error, &action) != STATUS_OK) {
        assert(error.primary[0]);
        return;
    }
    assert(action.percentile > 0 && action.percentile <= 100);
    assert((action.kind == STATS_COUNT) == !action.of.data);
    if (action.of.data) assert(action.of.data >= text.data && action.of.data + action.of.size <= text.data + text.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16) return 0;
    struct arena *arena = arena_new((size_t)16 << 20);
    struct str text = str_from(data + 1, size - 1);
    if (data[0] == 'a')
        check_action(text);
    else if (data[0] == 's')
        (void)profile_session_is_text(text);
    else
        check_behaviors(arena, text);
    arena_free(arena);
    return 0;
}
