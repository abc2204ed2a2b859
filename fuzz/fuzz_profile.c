/*
 * What a client can send to /engage and /groups, and what an update in the log may hold. The first byte of the input
 * says which: "u" or "g": the rest is the body of a request, which is decoded, checked and packed as the server does
 * it, and carried out on a handful of profiles; "o": the rest is the operations of an update as they may stand in a
 * damaged log. Whatever comes: profiles keep their limits, and no property stands in one twice.
 */
#include "identity/identity.h"
#include "ingest/profile.h"
#include "profile/update.h"
#include "store/profiles.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW           INT64_C(1700000000000)
#define PROFILES      4
#define PROPERTIES    20
#define LIST_BYTES    200
#define PROFILE_BYTES 1000

static void check(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

/* Tokens beginning with "x" are unknown. */
static bool project_of(void *context, struct str token, struct ingest_project *ret_project)
{
    (void)context;
    if (token.data[0] == 'x') return false;
    ret_project->id = 1 + (unsigned char)token.data[0] % 4;
    ret_project->mode = ret_project->id == 4 ? IDENTITY_ORIGINAL : IDENTITY_SIMPLIFIED;
    return true;
}

/* Kept by the server, beside what the limits count. */
static bool is_own(struct str name)
{
    return str_is(name, "$last_seen") || str_is(name, "$group_id") || str_is(name, "$latitude") ||
           str_is(name, "$longitude");
}

static void check_row(const struct profile_row *row)
{
    size_t counted = 0, bytes = 0;
    check(row->exists || row->count == 0, "what is not there has no properties");
    for (size_t i = 0; i < row->count; i++) {
        const struct profile_property *item = &row->items[i];
        struct buf encoded = BUF_INIT((size_t)1 << 24);
        struct value again;
        check(item->value.type != VALUE_ABSENT, "a property has a value");
        for (size_t k = 0; k < i; k++) check(!str_eq(row->items[k].name, item->name), "a property stands there once");
        value_encode(&encoded, item->value);
        struct reader reader = reader_of(buf_str(&encoded));
        check(value_decode(&reader, &again) == STATUS_OK && reader_left(&reader) == 0 &&
                  value_equal(again, item->value),
              "a value can be stored");
        if (!is_own(item->name)) {
            counted++;
            bytes += encoded.size;
            if (item->value.type == VALUE_LIST) check(item->value.size <= LIST_BYTES + 10, "lists keep their limit");
        }
        buf_fini(&encoded);
    }
    check(counted <= PROPERTIES, "the number of properties keeps its limit");
    check(bytes <= PROFILE_BYTES, "a profile keeps its limit");
}

/* False when the operations are malformed. */
static bool carry_out(struct arena *arena, struct profile_row rows[PROFILES], const struct update_view *update)
{
    struct profile_row row = rows[(unsigned char)update->id.data[0] % PROFILES], before = row;
    struct profile_outcome outcome = {0};
    row.items = arena_new_array(arena, struct profile_property, row.count + 1);
    check(row.items != NULL, "memory");
    if (row.count) memcpy(row.items, before.items, row.count * sizeof *row.items);
    row.capacity = row.count + 1;
    enum status status = profile_update(update, arena, &row, &outcome);
    check(status == STATUS_OK || status == STATUS_CORRUPT, "kind of failure");
    if (status != STATUS_OK) return false;
    check_row(&row);
    check(outcome.changed || (row.exists == before.exists && row.count == before.count), "a change is told");
    rows[(unsigned char)update->id.data[0] % PROFILES] = row;
    return true;
}

static void fuzz_request(enum profile_kind kind, struct str body)
{
    struct ingest_limits limits = INGEST_LIMITS_DEFAULT;
    limits.messages_max = 50;
    limits.message_bytes_max = 2000;
    limits.profile_properties_max = PROPERTIES;
    limits.profile_list_bytes_max = LIST_BYTES;
    limits.profile_bytes_max = PROFILE_BYTES;
    struct arena *arena = arena_new((size_t)64 << 20);
    struct decode_input input = {.query = STR(""), .content_type = STR("application/json"), .body = body};
    struct decode_form form;
    struct error error = ERROR_INIT;
    struct profile_request request = {.kind = kind, .received_ms = NOW, .project_of = project_of};
    struct profile_batch batch = {0};
    enum status status = decode_form(arena, &input, &limits, &error, &form);
    request.token = decode_param(&form, "token");
    if (status == STATUS_OK) status = profile_take(arena, &limits, &form, &request, &error, &batch);
    if (status == STATUS_OK) {
        struct profile_row rows[PROFILES] = {{0}};
        struct reader reader = reader_of(buf_str(&batch.records));
        size_t updates = 0;
        while (reader_left(&reader)) {
            struct record record;
            struct update_view update;
            check(record_next(&reader, &record) == STATUS_OK && record.kind == RECORD_UPDATE, "a record");
            check(store_is_profiles(record.project), "of a shadow");
            check(update_open(record.body, &update) == STATUS_OK, "that can be read");
            check(update.id.size <= IDENTITY_ID_BYTES_MAX, "ids are cut");
            check(kind == PROFILE_GROUPS ? store_profiles_group_key(update.event).size > 0
                                         : str_is(update.event, "$user") && !identity_denied(update.id),
                  "of its kind");
            check(carry_out(arena, rows, &update), "with good operations");
            updates++;
        }
        check(updates == batch.stored, "stored updates");
        check(batch.stored + batch.unknown + batch.refusal_count == request.messages.count, "counts");
        for (size_t i = 0; i < batch.refusal_count; i++)
            check(batch.refusals[i].message.size > 0, "a reason for refusals");
        buf_fini(&batch.records);
    } else {
        check(status == STATUS_INVALID || status == STATUS_LIMIT, "kind of failure");
        check(error.primary[0] != 0, "a failure has a text");
    }
    arena_free(arena);
}

/* Twice, so that the second meets what the first has made. */
static void fuzz_operations(struct str operations)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct profile_row rows[PROFILES] = {{0}};
    struct update_view update = {.limits = {PROPERTIES, LIST_BYTES, PROFILE_BYTES},
                                 .event = STR("$user"),
                                 .id = STR("u"),
                                 .operations = operations};
    if (carry_out(arena, rows, &update)) check(carry_out(arena, rows, &update), "the same again");
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 100000) return 0;
    struct str rest = str_from(data + 1, size - 1);
    switch (data[0]) {
    case 'u': fuzz_request(PROFILE_USERS, rest); break;
    case 'g': fuzz_request(PROFILE_GROUPS, rest); break;
    case 'o': fuzz_operations(rest); break;
    default: break;
    }
    return 0;
}
