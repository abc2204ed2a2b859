#include "cli/command.h"

#include "base/civil.h"
#include "base/number.h"
#include "cli/bench.h"
#include "cli/bulk/meter.h"
#include "cli/bulk/writer.h"
#include "cli/export_url.h"
#include "cli/figures.h"
#include "lookup/lookup.h"
#include "meta/meta.h"
#include "os/clock.h"
#include "os/machine.h"
#include "query/event_json.h"
#include "query/native/group_join.h"
#include "query/profiles.h"

#include <stdlib.h>

static const char help[] =
    "cairn export writes what a project has as JSON lines: its events, as Mixpanel's export has them, the profiles of "
    "its\n"
    "users and groups, and which ids belong together. cairn import reads all of it; what came out of one project and "
    "went\n"
    "into an empty one gives the same answers.\n"
    "\n"
    "  cairn export --data DIR --project N [--out FILE]\n"
    "  cairn export --url URL --credentials NAME:SECRET --project N --from DATE [--to DATE] [--out FILE|FOLDER/]\n"
    "\n"
    "  --data DIR       the data directory, on which no server runs\n"
    "  --url URL        a server instead, whose events are asked for a day at a time\n"
    "  --credentials C  for --url: a service account's NAME:SECRET, or a project's secret\n"
    "  --patience TIME  for --url: how long the server may be away, like 30s, 10m or 2h; default 10m\n"
    "  --project N      the project id\n"
    "  --out FILE       where to; .gz and .zst at the end pack it; default standard output. With --url a FOLDER/, too: a\n"
    "                   file for each day, and the same command goes on where it was stopped\n"
    "  --only KIND      events or profiles alone: other tools read nothing else. Default: everything\n"
    "  --event NAME     only events of this name; may be repeated\n"
    "  --where EXPR     only events for which the expression is true\n"
    "  --from, --to     the first and the last day of events, YYYY-MM-DD, in the project's time zone; with --url days\n"
    "                   as the project exports them, usually UTC's, and until today\n"
    "  --memory SIZE    use about so much; default 768m\n"
    "  --quiet          show no progress\n"
    "\n"
    "An event's distinct_id is the person's as of now; $distinct_id_before_identity tells another one under which it "
    "came,\n"
    "and $is_reshuffled is true then.\n"
    "`time` is in seconds, or in milliseconds where those count.\n"
    "\n"
    "Example: a copy of a project, and the events of a year from a server\n"
    "  cairn export --data ./data --project 1 --out shop.ndjson.zst\n"
    "  cairn import --data ./copy --project 1 shop.ndjson.zst\n"
    "  cairn export --url https://cairn.example --credentials NAME:SECRET --project 1 --from 2026-01-01 --out 2026/\n";

#define EVENTS_MAX     1000
#define MEMORY_DEFAULT ((uint64_t)768 << 20)
#define PIECE_ROWS     20000
#define ARENA_BYTES    ((size_t)64 << 20)
/* 1970 to 2199: events that claim to be later than that are in no report either. */
#define LAST_DAY     84005
#define PATIENCE_MS (10 * 60 * 1000)

enum { DATA = 1000, URL, CREDENTIALS, PATIENCE, PROJECT, OUT, ONLY, EVENT, WHERE, FROM, TO, MEMORY, QUIET };
enum only { ONLY_ALL, ONLY_EVENTS, ONLY_PROFILES };

struct arguments {
    const char *data, *url, *credentials, *out, *where;
    uint64_t patience_ms;
    int64_t project, from_day, to_day;
    struct str events[EVENTS_MAX];
    size_t event_count;
    uint64_t memory_bytes;
    enum only only;
    bool quiet, help;
};

struct exporting {
    struct row_sink events;
    struct profile_sink profiles;
    struct str group_key; /* of the profiles at hand; NULL data: users */
    struct bench_engine engine;
    struct meta *meta;
    struct meta_view *view;
    struct lookup *lookup;
    const struct meta_project *project;
    struct writer *writer;
    struct plan_limits limits;
    struct bulk_result written;
    uint64_t profile_count, link_count;
};

/* ---- lines ---- */

static enum status write_event(struct row_sink *sink, const struct event_row *row, struct error *error)
{
    struct exporting *exporting = (struct exporting *)sink;
    struct buf *buf = writer_buf(exporting->writer);
    event_write_json(buf, row, EVENT_TIME_EXACT);
    buf_byte(buf, '\n');
    exporting->written.records++;
    return writer_flush_some(exporting->writer, error);
}

static enum status write_profile(struct profile_sink *sink, const struct listed_profile *row, struct error *error)
{
    struct exporting *exporting = (struct exporting *)((char *)sink - offsetof(struct exporting, profiles));
    struct buf *buf = writer_buf(exporting->writer);
    if (exporting->group_key.data) {
        buf_lit(buf, "{\"$group_key\":");
        json_write_str(buf, exporting->group_key);
        buf_lit(buf, ",\"$group_id\":");
    } else {
        buf_lit(buf, "{\"$distinct_id\":");
    }
    json_write_str(buf, row->id);
    buf_lit(buf, ",\"$properties\":{");
    for (size_t i = 0; i < row->property_count; i++) {
        if (i) buf_byte(buf, ',');
        buf_str_add(buf, row->properties[i].name->json);
        value_write_json(buf, row->properties[i].value);
    }
    buf_lit(buf, "}}\n");
    exporting->profile_count++;
    return writer_flush_some(exporting->writer, error);
}

/* ---- what there is ---- */

/* The ids that are shown as another one. Users link their devices by events, too, but need not. */
static enum status export_links(struct exporting *exporting, struct error *error)
{
    struct snapshot *snapshot;
    TRY(store_snapshot(exporting->engine.store, (uint64_t)exporting->project->id, error, &snapshot));
    enum status status = STATUS_OK;
    uint32_t count = snapshot_id_count(snapshot);
    for (uint32_t id = 1; id <= count && status == STATUS_OK; id++) {
        char room[ID_TEXT_ROOM], shown_room[ID_TEXT_ROOM];
        uint32_t shown = snapshot_person_id(snapshot, snapshot_person(snapshot, id));
        if (shown == id) continue;
        struct str device = snapshot_id_text(snapshot, id, room), user = snapshot_id_text(snapshot, shown, shown_room);
        if (!device.size || !user.size) continue; /* forgotten */
        struct buf *buf = writer_buf(exporting->writer);
        buf_lit(buf, "{\"link\":{\"device\":");
        json_write_str(buf, device);
        buf_lit(buf, ",\"user\":");
        json_write_str(buf, user);
        buf_lit(buf, "}}\n");
        exporting->link_count++;
        status = writer_flush_some(exporting->writer, error);
    }
    snapshot_free(snapshot);
    return status;
}

static enum status export_list(struct exporting *exporting, struct str group_key, struct error *error)
{
    struct executor *executor = exporting->engine.executor;
    struct profile_plan plan = {.project = (uint64_t)exporting->project->id,
                                .group_key = group_key,
                                .now_ms = os_now_ms(),
                                .as_of_ms = os_now_ms()};
    struct profile_list *list;
    TRY(executor->profiles->list(executor, &plan, &exporting->limits, error, &list));
    exporting->group_key = group_key;
    enum status status = STATUS_OK;
    for (uint64_t from = 0; from < list->count && status == STATUS_OK; from += PIECE_ROWS)
        status = profile_list_read(list, from, PIECE_ROWS, &exporting->limits, &exporting->profiles, error);
    list->free(list);
    return status;
}

static enum status export_profiles(struct exporting *exporting, struct error *error)
{
    struct executor *executor = exporting->engine.executor;
    struct arena *arena = arena_new(ARENA_BYTES);
    struct str *keys;
    size_t count;
    enum status status =
        executor->profiles->group_keys(executor, (uint64_t)exporting->project->id, arena, error, &keys, &count);
    if (status == STATUS_OK) status = export_list(exporting, STR_NULL, error);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) status = export_list(exporting, keys[i], error);
    arena_free(arena);
    return status;
}

static enum status read_events(struct exporting *exporting, const struct plan *plan, struct meter *meter,
                               struct error *error)
{
    struct executor *executor = exporting->engine.executor;
    struct event_rows *rows;
    bool done = false;
    TRY(executor->rows(executor, plan, &exporting->limits, error, &rows));
    enum status status = STATUS_OK;
    while (status == STATUS_OK && !done) {
        status = event_rows_read(rows, PIECE_ROWS, &exporting->events, error, &done);
        meter_show(meter, &exporting->written);
    }
    event_rows_free(rows);
    return status;
}

static enum status export_events(struct exporting *exporting, const struct arguments *a, struct meter *meter,
                                 struct error *error)
{
    struct plan plan = {.kind = PLAN_EXPORT,
                        .project = (uint64_t)exporting->project->id,
                        .from_day = a->from_day,
                        .to_day = a->to_day,
                        .events = a->events,
                        .event_count = a->event_count,
                        .where = a->where ? str_of(a->where) : STR_NULL,
                        .rows_as_json = true,
                        .now_ms = os_now_ms()};
    struct lookup_joins *joins;
    struct group_joins *groups = NULL;
    TRY(timezone_load(exporting->project->timezone, error, &plan.zone));
    TRY(lookup_joins_new(exporting->lookup, exporting->view, exporting->project->id, error, &joins));
    plan.joins = lookup_joins_list(joins, &plan.join_count);
    enum status status = group_joins_new(exporting->engine.store, &plan, &exporting->limits, error, &groups);
    if (status == STATUS_OK) status = read_events(exporting, &plan, meter, error);
    if (status == STATUS_OK) status = lookup_joins_status(joins, error);
    group_joins_free(groups);
    lookup_joins_free(joins);
    return status;
}

/* ---- life ---- */

static enum status open_all(struct exporting *exporting, const struct arguments *a, struct error *error)
{
    struct meta_options meta = META_OPTIONS_DEFAULT;
    meta.must_exist = true;
    TRY(meta_open(a->data, &meta, error, &exporting->meta));
    TRY(meta_view_load(exporting->meta, error, &exporting->view));
    exporting->project = meta_view_project(exporting->view, a->project);
    if (!exporting->project) {
        (void)error_set(error, STATUS_NOT_FOUND, "%s has no project %lld", a->data, (long long)a->project);
        error_hint(error, "cairn project list shows those that there are");
        return STATUS_NOT_FOUND;
    }
    TRY(bench_engine_open(a->data, false, os_cores(), a->memory_bytes, error, &exporting->engine));
    struct lookup_options lookup = {.fs = exporting->engine.fs,
                                    .meta = exporting->meta,
                                    .memory_bytes_max = a->memory_bytes / 20,
                                    .build = {.rows_max = 1, .columns_max = 1},
                                    .limits = {.tables_max = 1, .rows_max = 1}};
    TRY(lookup_new(&lookup, error, &exporting->lookup));
    exporting->limits =
        (struct plan_limits){.memory_bytes_max = a->memory_bytes / 5, .buckets_max = 1, .deadline_ns = INT64_MAX};
    return writer_open(a->out, error, &exporting->writer);
}

static void close_all(struct exporting *exporting)
{
    lookup_free(exporting->lookup);
    bench_engine_close(&exporting->engine);
    if (exporting->view) meta_view_unref(exporting->view);
    if (exporting->meta) meta_close(exporting->meta);
}

static enum status run(struct exporting *exporting, const struct arguments *a, struct meter *meter, struct error *error)
{
    enum status status = STATUS_OK;
    if (a->only == ONLY_ALL) status = export_links(exporting, error);
    if (status == STATUS_OK && a->only != ONLY_EVENTS) status = export_profiles(exporting, error);
    if (status == STATUS_OK && a->only != ONLY_PROFILES) status = export_events(exporting, a, meter, error);
    if (status == STATUS_OK) return writer_close(exporting->writer, error, &exporting->written.bytes);
    writer_abandon(exporting->writer);
    return status;
}

static int work(const char *command, const struct arguments *a)
{
    struct exporting exporting = {.events = {write_event}, .profiles = {write_profile}};
    struct error error = ERROR_INIT;
    struct meter meter;
    meter_init(&meter, a->quiet ? NULL : stderr, 0);
    enum status status = open_all(&exporting, a, &error);
    if (status == STATUS_OK) status = run(&exporting, a, &meter, &error);
    meter_end(&meter);
    close_all(&exporting);
    if (status != STATUS_OK) return command_failed(command, &error);
    if (!a->quiet && strcmp(a->out, "-") != 0) {
        struct arena *arena = arena_new((size_t)1 << 16);
        printf(STR_FMT " events, " STR_FMT " profiles and " STR_FMT " links in %s, " STR_FMT "\n",
               STR_ARG(figure_count(arena, exporting.written.records)),
               STR_ARG(figure_count(arena, exporting.profile_count)),
               STR_ARG(figure_count(arena, exporting.link_count)), a->out,
               STR_ARG(figure_bytes(arena, exporting.written.bytes)));
        arena_free(arena);
    }
    return command_finish_output();
}

/* ---- from a server ---- */

static int work_url(const char *command, const struct arguments *a)
{
    struct export_url options = {.url = a->url,
                                 .credentials = a->credentials,
                                 .project = a->project,
                                 .from_day = a->from_day,
                                 .to_day = a->to_day,
                                 .events = a->events,
                                 .event_count = a->event_count,
                                 .where = a->where,
                                 .out = a->out,
                                 .patience_ms = a->patience_ms,
                                 .quiet = a->quiet};
    struct export_url_result result;
    struct error error = ERROR_INIT;
    int64_t today = floor_div(os_now_ms(), DAY_MS);
    if (options.to_day > today) options.to_day = today;
    if (options.from_day > options.to_day) return command_usage(command, "--from is later than --to, or than today");
    if (export_url(&options, &error, &result) != STATUS_OK) return command_failed(command, &error);
    if (!a->quiet && strcmp(a->out, "-") != 0) {
        struct arena *arena = arena_new((size_t)1 << 16);
        printf(STR_FMT " events of %llu days in %s, " STR_FMT, STR_ARG(figure_count(arena, result.events)),
               (unsigned long long)result.days, a->out, STR_ARG(figure_bytes(arena, result.bytes)));
        if (result.days_there) printf("; %llu days were there already", (unsigned long long)result.days_there);
        putchar('\n');
        arena_free(arena);
    }
    return command_finish_output();
}

/* What belongs to one of the two sources alone. */
static int check_source(const char *command, const struct arguments *a)
{
    if (!a->data && !a->url) return command_usage(command, "--data DIR is missing, or --url URL");
    if (a->data && a->url) return command_usage(command, "give --data or --url, not both");
    if (a->url && !a->credentials) return command_usage(command, "--credentials NAME:SECRET is missing");
    if (a->url && a->only != ONLY_ALL && a->only != ONLY_EVENTS)
        return command_usage(command, "--url exports events only");
    if (a->url && !a->from_day) return command_usage(command, "--from DATE is missing");
    if (!a->url && a->credentials) return command_usage(command, "--credentials is for --url");
    if (!a->project) return command_usage(command, "--project N is missing");
    return EXIT_DONE;
}

static int take(const char *command, int flag, struct arguments *a)
{
    switch (flag) {
    case DATA: a->data = optarg; return EXIT_DONE;
    case URL: a->url = optarg; return EXIT_DONE;
    case CREDENTIALS: a->credentials = optarg; return EXIT_DONE;
    case PATIENCE:
        if (!command_duration(optarg, &a->patience_ms))
            return command_usage(command, "--patience %s is no duration like 30s, 10m or 2h", optarg);
        return EXIT_DONE;
    case PROJECT:
        if (!number_parse_int(str_of(optarg), &a->project) || a->project <= 0)
            return command_usage(command, "--project %s is no project id", optarg);
        return EXIT_DONE;
    case OUT: a->out = optarg; return EXIT_DONE;
    case ONLY:
        if (strcmp(optarg, "events") != 0 && strcmp(optarg, "profiles") != 0)
            return command_usage(command, "--only %s: use events or profiles", optarg);
        a->only = optarg[0] == 'e' ? ONLY_EVENTS : ONLY_PROFILES;
        return EXIT_DONE;
    case EVENT:
        if (a->event_count == EVENTS_MAX)
            return command_usage(command, "--event is given more than %d times", EVENTS_MAX);
        a->events[a->event_count++] = str_of(optarg);
        return EXIT_DONE;
    case WHERE: a->where = optarg; return EXIT_DONE;
    case FROM:
    case TO:
        if (!civil_parse_date(str_of(optarg), flag == FROM ? &a->from_day : &a->to_day))
            return command_usage(command, "%s is no date like 2024-01-31", optarg);
        return EXIT_DONE;
    case MEMORY: return bench_memory_parse(command, optarg, &a->memory_bytes) ? EXIT_DONE : EXIT_USAGE;
    case QUIET: a->quiet = true; return EXIT_DONE;
    case 'h': a->help = true; return EXIT_DONE;
    default: return EXIT_USAGE;
    }
}

int cmd_export(int argc, char **argv)
{
    static const char command[] = "cairn export";
    static const struct option flags[] = {
        FLAG_DATA,
        {"url", required_argument, NULL, URL},
        {"credentials", required_argument, NULL, CREDENTIALS},
        {"patience", required_argument, NULL, PATIENCE},
        {"project", required_argument, NULL, PROJECT},
        {"out", required_argument, NULL, OUT},
        {"only", required_argument, NULL, ONLY},
        {"event", required_argument, NULL, EVENT},
        {"where", required_argument, NULL, WHERE},
        {"from", required_argument, NULL, FROM},
        {"to", required_argument, NULL, TO},
        {"memory", required_argument, NULL, MEMORY},
        {"quiet", no_argument, NULL, QUIET},
        FLAG_HELP,
        {0},
    };
    static struct arguments arguments = {
        .out = "-", .to_day = LAST_DAY, .memory_bytes = MEMORY_DEFAULT, .patience_ms = PATIENCE_MS};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        int code = take(command, flag, &arguments);
        if (code != EXIT_DONE) return code;
    }
    if (arguments.help) {
        fputs(help, stdout);
        return command_finish_output();
    }
    int code = check_source(command, &arguments);
    if (code != EXIT_DONE) return code;
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    return arguments.url ? work_url(command, &arguments) : work(command, &arguments);
}
