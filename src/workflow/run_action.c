/*
 * What comes after an execution of a step. The first action of the list whose criteria hold is taken, and no other: on
 * success of onSuccess, on failure of onFailure. Without one a success goes on with the next step and a failure stops.
 *
 * A retry that has used up its limit is passed over, so that an action behind it is the last resort. Its count begins
 * anew when the step is entered anew. Before it repeats the step it waits, as long as the server says (Retry-After) or
 * else as the action says, and runs the step or workflow that it leads to, whose own actions are not followed.
 */
#include "workflow/run_int.h"

#include "base/civil.h"
#include "base/number.h"

#include <stdio.h>
#include <time.h>

static int64_t wall_s(const struct run *run)
{
    const struct workflow_transport *transport = &run->options->transport;
    return transport->wall_s ? transport->wall_s(transport->ctx) : (int64_t)time(NULL);
}

static void wait_ms(const struct run *run, uint64_t duration_ms)
{
    const struct workflow_transport *transport = &run->options->transport;
    if (transport->wait_ms) {
        transport->wait_ms(transport->ctx, duration_ms);
        return;
    }
    struct timespec left = {.tv_sec = (time_t)(duration_ms / 1000), .tv_nsec = (long)(duration_ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0) continue;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994" (RFC 9110, 5.6.7). */
static bool parse_date(struct str value, int64_t *ret_s)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[64], month[4] = "";
    unsigned day, year, hour, minute, second;
    if (value.size >= sizeof text) return false;
    memcpy(text, value.data, value.size);
    text[value.size] = 0;
    const char *comma = strchr(text, ',');
    bool read = comma ? sscanf(comma + 1, " %2u %3[A-Za-z] %4u %2u:%2u:%2u GMT", &day, month, &year, &hour, &minute,
                               &second) == 6 ||
                            sscanf(comma + 1, " %2u-%3[A-Za-z]-%2u %2u:%2u:%2u GMT", &day, month, &year, &hour, &minute,
                                   &second) == 6
                      : sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2u %2u:%2u:%2u %4u", month, &day, &hour, &minute, &second,
                               &year) == 6;
    const char *found = read && strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!found || (found - months) % 3 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return false;
    if (year < 100) year += year < 70 ? 2000 : 1900;
    int64_t days = civil_to_days((int)year, (int)((found - months) / 3) + 1, (int)day);
    *ret_s = days * 86400 + hour * 3600 + minute * 60 + second;
    return true;
}

bool run_retry_after(struct str value, int64_t now_s, uint64_t *ret_ms)
{
    uint64_t seconds;
    int64_t date_s;
    value = str_trim(value);
    if (number_parse_unsigned(value, UINT32_MAX, &seconds)) {
        *ret_ms = seconds * 1000;
        return true;
    }
    if (!value.size || !parse_date(value, &date_s)) return false;
    *ret_ms = date_s > now_s ? (uint64_t)(date_s - now_s) * 1000 : 0;
    return true;
}

static uint64_t delay_ms(const struct run *run, const struct prepared_action *action, const struct step_state *step)
{
    const struct workflow_response *response = step->context.response;
    uint64_t duration_ms;
    for (size_t i = 0; response && i < response->header_count; i++) {
        if (!str_eq_nocase(response->headers[i].name, STR("Retry-After"))) continue;
        if (run_retry_after(response->headers[i].value, wall_s(run), &duration_ms)) return duration_ms;
    }
    return action->has_retry_after ? action->retry_after_ms : 0;
}

static enum status holds(struct run *run, const struct prepared_action *action,
                         const struct expression_context *context, bool *ret_holds)
{
    *ret_holds = true;
    for (size_t i = 0; i < action->criteria.count && *ret_holds; i++) {
        struct str message;
        TRY(run_judge(run, &action->criteria.items[i], context, &message, ret_holds));
    }
    return STATUS_OK;
}

static enum status show_action(struct run *run, struct workflow_state *state, struct step_state *step,
                               const struct prepared_action *action, uint64_t waited_ms)
{
    static const char *const kinds[] = {"end", "goto", "retry"};
    struct json shown = JSON_OBJECT_EMPTY;
    TRY(run_put_str(run->arena, &shown, "name", action->name));
    TRY(run_put_str(run->arena, &shown, "type", str_of(kinds[action->kind])));
    struct str where = STR_NULL;
    if (action->step != SIZE_MAX) {
        where = state->prepared->workflow->steps[action->step].id;
        TRY(run_put_str(run->arena, &shown, "stepId", where));
    } else if (action->workflow) {
        where = action->workflow->workflow->id;
        TRY(run_put_str(run->arena, &shown, "workflowId", where));
    }
    if (action->kind == ACTION_RETRY) TRY(json_put(run->arena, &shown, STR("wait_ms"), json_int((int64_t)waited_ms)));
    TRY(json_put(run->arena, &step->shown, STR("action"), shown));
    struct str text =
        action->kind == ACTION_END ? arena_printf(run->arena, STR_FMT ": ends the workflow", STR_ARG(action->name))
        : action->kind == ACTION_GOTO
            ? arena_printf(run->arena, STR_FMT ": goes to " STR_FMT, STR_ARG(action->name), STR_ARG(where))
            : arena_printf(run->arena, STR_FMT ": tries again after %llu ms%s" STR_FMT, STR_ARG(action->name),
                           (unsigned long long)waited_ms, where.size ? " and " : "", STR_ARG(where));
    if (!text.data) return STATUS_LIMIT;
    state->event.text = text;
    run_tell(run, state, WORKFLOW_EVENT_ACTION);
    state->event.text = STR_NULL;
    return STATUS_OK;
}

/* ACT-7: what a retry leads to runs once, and then the step again. That it failed is shown, and changes nothing. */
static enum status run_reference(struct run *run, struct workflow_state *state, const struct prepared_action *action,
                                 const struct step_state *step, struct error *error)
{
    if (action->step != SIZE_MAX) {
        struct step_state other;
        TRY(run_step(run, state, action->step, 1, &other));
        return json_push(run->arena, &state->shown_steps, other.shown);
    }
    struct json inputs, shown = JSON_OBJECT_EMPTY;
    struct workflow_outcome outcome;
    if (state->depth + 1 >= run->depth_max) {
        struct str text =
            arena_printf(run->arena, "workflows are called more than %u deep, \"" STR_FMT "\" is left out",
                         run->depth_max, STR_ARG(action->workflow->workflow->id));
        return text.data ? run_warn(run, state, text) : STATUS_LIMIT;
    }
    TRY(run_arguments(run, &step->context, action->parameters, action->parameter_count, error, &inputs));
    TRY(run_called(run, action->workflow, true, &inputs, state->depth + 1, error, &outcome));
    TRY(run_put_str(run->arena, &shown, "stepId", step->prepared->step->id));
    TRY(run_put_str(run->arena, &shown, "operation", action->workflow->workflow->id));
    TRY(json_put(run->arena, &shown, STR("workflow"), outcome.shown));
    TRY(json_put(run->arena, &shown, STR("passed"), json_bool(outcome.passed)));
    return json_push(run->arena, &state->shown_steps, shown);
}

static enum status retry(struct run *run, struct workflow_state *state, struct step_state *step,
                         const struct prepared_action *action, struct error *error, struct next_move *move)
{
    uint64_t duration_ms = delay_ms(run, action, step), left_ms = run_left_ms(run);
    if (duration_ms >= left_ms) {
        struct str text = arena_printf(
            run->arena, "step \"" STR_FMT "\": waiting %llu ms before a retry would pass the run's total time",
            STR_ARG(step->prepared->step->id), (unsigned long long)duration_ms);
        if (!text.data) return STATUS_LIMIT;
        move->kind = MOVE_STOP;
        return run_warn(run, state, text);
    }
    TRY(show_action(run, state, step, action, duration_ms));
    TRY(json_push(run->arena, &state->shown_steps, step->shown));
    if (duration_ms) wait_ms(run, duration_ms);
    if (action->step != SIZE_MAX || action->workflow) TRY(run_reference(run, state, action, step, error));
    move->kind = MOVE_RETRY;
    return STATUS_OK;
}

static enum status take(struct run *run, struct workflow_state *state, struct step_state *step,
                        const struct prepared_action *action, struct error *error, struct next_move *move)
{
    if (action->kind == ACTION_RETRY) return retry(run, state, step, action, error, move);
    TRY(show_action(run, state, step, action, 0));
    if (action->kind == ACTION_END) {
        move->kind = MOVE_END;
    } else if (action->step != SIZE_MAX) {
        move->kind = MOVE_TO_STEP;
        move->step = action->step;
    } else {
        move->kind = MOVE_TO_WORKFLOW;
        move->workflow = action->workflow;
        TRY(run_arguments(run, &step->context, action->parameters, action->parameter_count, error, &move->inputs));
    }
    return STATUS_OK;
}

enum status run_choose(struct run *run, struct workflow_state *state, struct step_state *step, uint64_t *attempts,
                       struct error *error, struct next_move *ret_move)
{
    const struct prepared_actions *actions = step->passed ? &step->prepared->on_success : &step->prepared->on_failure;
    struct next_move move = {.kind = step->passed ? MOVE_ON : MOVE_STOP, .inputs = JSON_OBJECT_EMPTY};
    struct expression_context context = step->context;
    context.steps = &state->steps; /* the step's own outputs are there by now */
    bool over = run->options->dry_run || run->steps > run->steps_max || (!step->passed && !run_left_ms(run));
    for (size_t i = 0; !over && i < actions->count; i++) {
        const struct prepared_action *action = &actions->items[i];
        bool fits;
        if (action->kind == ACTION_RETRY && attempts[i] >= action->retry_limit) continue;
        TRY(holds(run, action, &context, &fits));
        if (!fits) continue;
        if (action->kind == ACTION_RETRY) attempts[i]++;
        TRY(take(run, state, step, action, error, &move));
        break;
    }
    if (move.kind != MOVE_RETRY) TRY(json_push(run->arena, &state->shown_steps, step->shown));
    *ret_move = move;
    return STATUS_OK;
}
