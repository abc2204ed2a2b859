#include "base/civil.h"
#include "differential/world.h"

#include <inttypes.h>
#include <stdlib.h>

#define RECEIVED_MS INT64_C(1900000000000)

static struct step *add(struct history *history, size_t *capacity)
{
    if (history->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 64;
        history->steps = realloc(history->steps, *capacity * sizeof *history->steps);
        if (!history->steps) abort();
    }
    struct step *step = &history->steps[history->count++];
    *step = (struct step){0};
    return step;
}

static struct step link_step(struct generator *g)
{
    static const enum link_operation operations[] = {LINK_CREATE, LINK_ALIAS, LINK_MERGE};
    const char *device = g->verbs ? generate_id(g) : generate_device(g), *user = generate_user(g);
    bool swapped = generate_once_in(g, 4);
    return (struct step){.kind = STEP_LINK,
                         .operation = operations[generate_below(g, 3)],
                         .device = swapped ? user : device,
                         .user = swapped ? device : user};
}

/* Mostly of users who have events. */
static struct step profile_step(struct generator *g, struct arena *arena, int64_t received_ms)
{
    struct step step = {.kind = generate_once_in(g, 6) ? STEP_DELETE_PROFILE : STEP_PROFILE,
                        .received_ms = received_ms,
                        .user = generate_once_in(g, 4)   ? generate_device(g)
                                : generate_once_in(g, 6) ? "U5"
                                                         : generate_user(g)};
    struct buf text = BUF_INIT((size_t)1 << 20);
    generate_profile(g, &text);
    step.event = arena_str(arena, buf_str(&text));
    if (text.failed || !step.event.data) abort();
    buf_fini(&text);
    return step;
}

static struct step groups_step(struct generator *g, struct arena *arena, int64_t received_ms)
{
    static const char *const keys[] = {"s", "n", "m", "l", "o", "never"};
    struct step step = {.kind = STEP_GROUPS, .received_ms = received_ms, .user = keys[generate_below(g, 6)]};
    struct buf text = BUF_INIT((size_t)1 << 20);
    generate_table(g, &text);
    step.event = arena_str(arena, buf_str(&text));
    if (text.failed || !step.event.data) abort();
    buf_fini(&text);
    return step;
}

static struct step delete_step(struct generator *g, int64_t utc_ms, int64_t spread_ms)
{
    struct step step = {.device = generate_device(g), .user = generate_once_in(g, 2) ? generate_user(g) : NULL};
    switch (generate_below(g, 3)) {
    case 0: step.kind = STEP_DELETE_PERSON; break;
    case 1:
        step.kind = STEP_DELETE_BEFORE;
        step.before_ms = utc_ms - spread_ms + (int64_t)(generate_bits(g) % (uint64_t)spread_ms);
        break;
    default: step.kind = STEP_DELETE_ROWS; step.every = 1 + generate_below(g, 5);
    }
    return step;
}

void history_init(struct history *history, struct generator *g, bool large)
{
    size_t capacity = 0;
    struct generated_heads heads = {.count = 0};
    *history = (struct history){.arena = arena_new((size_t)256 << 20)};
    history->flush_rows = generate_once_in(g, 2) ? 1000000 : 20 + generate_below(g, 200);
    if (generate_once_in(g, 2)) history->section_rows = 3 + generate_below(g, 60);
    unsigned mode = generate_below(g, 6);
    history->mode = mode == 0 ? IDENTITY_LEGACY : mode < 3 ? IDENTITY_ORIGINAL : IDENTITY_SIMPLIFIED;
    history->cluster_max = generate_once_in(g, 2) ? 500 : 2 + generate_below(g, 4);
    g->verbs = history->mode != IDENTITY_SIMPLIFIED;
    history->place = generate_place(g);
    g->insert_ids = generate_once_in(g, 4);
    g->users = generate_once_in(g, 2) ? 4 : 30;
    int64_t day = civil_to_days(history->place.year, history->place.month, history->place.day);
    int64_t spread_ms = generate_once_in(g, 2) ? 2 * DAY_MS : 30 * DAY_MS;
    /* Sometimes before the last events, which then take the time of receipt. */
    int64_t received_ms = generate_once_in(g, 4) ? day * DAY_MS + spread_ms / 2 : RECEIVED_MS;
    unsigned batches = large ? 6 : 3 + generate_below(g, 6);
    for (unsigned b = 0; b < batches; b++) {
        unsigned count = large ? 400 : 1 + generate_below(g, 30);
        for (unsigned i = 0; i < count; i++) {
            struct buf text = BUF_INIT((size_t)1 << 20);
            generate_event(g, &heads, day * DAY_MS + DAY_MS / 2, spread_ms, &text);
            /* Times of receipt are kept in whole seconds. */
            *add(history, &capacity) = (struct step){.kind = STEP_EVENT,
                                                     .batch = b,
                                                     .received_ms = received_ms + b * 1000,
                                                     .event = arena_str(history->arena, buf_str(&text))};
            if (text.failed || !history->steps[history->count - 1].event.data) abort();
            buf_fini(&text);
        }
        for (unsigned links = generate_once_in(g, 4) ? 1 + generate_below(g, 3) : 0; links; links--)
            *add(history, &capacity) = link_step(g);
        if (generate_once_in(g, 4))
            *add(history, &capacity) = (struct step){.kind = STEP_UNLINK,
                                                     .user = g->verbs                 ? generate_id(g)
                                                             : generate_once_in(g, 3) ? generate_user(g)
                                                                                      : generate_device(g)};
        for (unsigned profiles = generate_below(g, g->users > 4 ? 3 : 8); profiles; profiles--)
            *add(history, &capacity) = profile_step(g, history->arena, received_ms + b * 1000);
        if (generate_once_in(g, 3)) *add(history, &capacity) = groups_step(g, history->arena, received_ms + b * 1000);
        if (generate_once_in(g, 8)) *add(history, &capacity) = delete_step(g, day * DAY_MS + DAY_MS / 2, spread_ms);
        static const enum step_kind disturbances[] = {STEP_FLUSH, STEP_REOPEN, STEP_COMPACT};
        unsigned disturbance = generate_below(g, 9);
        if (disturbance < 3) add(history, &capacity)->kind = disturbances[disturbance];
    }
}

void history_fini(struct history *history)
{
    free(history->steps);
    arena_free(history->arena);
}

void history_print(FILE *file, const struct history *history)
{
    static const char *const operations[] = {"", "create", "alias", "merge"};
    static const char *const modes[] = {"simplified", "original", "legacy"};
    fprintf(file, "  %s ids, up to %u of a person, a flush after %" PRIu64 " rows, sections of %" PRIu64 " rows\n",
            modes[history->mode], history->cluster_max, history->flush_rows, history->section_rows);
    for (size_t i = 0; i < history->count; i++) {
        const struct step *step = &history->steps[i];
        switch (step->kind) {
        case STEP_EVENT:
            fprintf(file, "  request %u at %" PRId64 ": %.*s\n", step->batch, step->received_ms, (int)step->event.size,
                    step->event.data);
            break;
        case STEP_LINK: fprintf(file, "  %s %s %s\n", operations[step->operation], step->device, step->user); break;
        case STEP_UNLINK: fprintf(file, "  unlink %s\n", step->user); break;
        case STEP_DELETE_PERSON:
            fprintf(file, "  delete the people %s %s\n", step->device, step->user ? step->user : "");
            break;
        case STEP_DELETE_BEFORE: fprintf(file, "  delete what is before %" PRId64 "\n", step->before_ms); break;
        case STEP_PROFILE:
            fprintf(file, "  profile of %s: %.*s\n", step->user, (int)step->event.size, step->event.data);
            break;
        case STEP_GROUPS:
            fprintf(file, "  groups of %s: %.*s\n", step->user, (int)step->event.size, step->event.data);
            break;
        case STEP_DELETE_PROFILE: fprintf(file, "  delete the profile of %s\n", step->user); break;
        case STEP_DELETE_ROWS: fprintf(file, "  delete one in %u events with insert ids\n", step->every); break;
        case STEP_FLUSH: fprintf(file, "  flush\n"); break;
        case STEP_REOPEN: fprintf(file, "  reopen\n"); break;
        case STEP_COMPACT: fprintf(file, "  compact\n"); break;
        }
    }
}
