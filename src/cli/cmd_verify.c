#include "cli/command.h"
#include "cli/figures.h"

#include "lookup/lookup.h"
#include "os/clock.h"
#include "os/peek.h"
#include "store/verify.h"

#include <sys/resource.h>
#include <unistd.h>

static const char help[] =
    "cairn verify says whether the events and the lookup tables in a data directory are what the server wrote: it\n"
    "checks every checksum and\n"
    "what the formats promise (rows in order and counted rightly, no file missing, ids that exist). It changes "
    "nothing\n"
    "and goes on after damage, so that one run tells everything.\n"
    "\n"
    "  cairn verify --data DIR [--deep] [--format text|json]\n"
    "\n"
    "  --data DIR       the data directory; a server may be running on it\n"
    "  --deep           also decode every value, ask the filters for every insert id, and look for events that count\n"
    "                   twice; takes several times as long\n"
    "  --format FORMAT  text (default), or json: one object on standard output\n"
    "  --json           the same as --format json\n"
    "\n"
    "A finding says file, offset and what is wrong. A note is unusual but harmless: what a crash left behind, files "
    "of\n"
    "somebody else. Beside a running server it judges the files of one moment, and of the log everything but its end.\n"
    "Damage that it finds is repaired by restoring the file from a backup; docs/operating/data.md tells more.\n"
    "Exit codes: 0 nothing found, 1 findings (or the work failed), 2 usage.\n"
    "\n"
    "Example: a nightly check\n"
    "  cairn verify --data /var/lib/cairn --deep || mail -s \"cairn verify\" admin@example.org < /dev/null\n";

#define FINDINGS_MAX    1000 /* printed; further ones are counted */
#define JSON_BYTES_MAX  ((size_t)64 << 20)
#define TERMINAL_NS     1000000000LL
#define FILE_NS         60000000000LL
#define OPEN_FILES_WANT 65536

enum { DATA = 1000, FORMAT, JSON, DEEP };

struct output {
    struct arena *arena;
    struct json findings, notes;
    bool json, terminal, line_open;
    uint64_t printed;
    int64_t said_ns;
};

static void end_line(struct output *out)
{
    if (out->line_open) fputs("\r\033[K", stderr);
    out->line_open = false;
}

static void print_finding(void *ctx, const struct finding *finding)
{
    struct output *out = ctx;
    if (out->printed++ >= FINDINGS_MAX) return;
    end_line(out);
    if (out->json) {
        struct json object = JSON_OBJECT_EMPTY;
        struct json *list = finding->kind == FINDING_DAMAGE ? &out->findings : &out->notes;
        struct str file = arena_str(out->arena, str_of(finding->file));
        struct str what = arena_str(out->arena, str_of(finding->what));
        bool has_offset = finding->offset != FINDING_NO_OFFSET;
        enum status status = json_put(out->arena, &object, STR("file"), json_string(file));
        if (status == STATUS_OK)
            status = json_put(out->arena, &object, STR("offset"),
                              has_offset ? json_int((int64_t)finding->offset) : json_null());
        if (status == STATUS_OK) status = json_put(out->arena, &object, STR("what"), json_string(what));
        if (status == STATUS_OK) status = json_push(out->arena, list, object);
        (void)status; /* what does not fit is counted all the same */
        return;
    }
    if (finding->kind == FINDING_NOTE) fputs("note: ", stdout);
    if (finding->offset == FINDING_NO_OFFSET)
        printf("%s: %s\n", finding->file, finding->what);
    else
        printf("%s, at %llu: %s\n", finding->file, (unsigned long long)finding->offset, finding->what);
    fflush(stdout);
}

static void print_progress(void *ctx, const struct verify_progress *progress)
{
    struct output *out = ctx;
    int64_t now = os_monotonic_ns();
    if (out->json || now - out->said_ns < (out->terminal ? TERMINAL_NS : FILE_NS)) return;
    out->said_ns = now;
    double share = progress->bytes_total ? 100.0 * (double)progress->bytes / (double)progress->bytes_total : 0;
    fprintf(stderr, out->terminal ? "\r\033[K%.0f %% %s" : "%.0f %%, %s\n", share, progress->doing);
    fflush(stderr);
    out->line_open = out->terminal;
}

/* Every file of the manifest is open at once; a server raises its limit as well. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= OPEN_FILES_WANT) return;
    limit.rlim_cur = limit.rlim_max < OPEN_FILES_WANT ? limit.rlim_max : OPEN_FILES_WANT;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static int print_json(struct output *out, const struct verify_report *report, long server, bool deep)
{
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"finding_count", report->findings},
        {"note_count", report->notes},
        {"files", report->files},
        {"bytes", report->bytes},
        {"sections", report->sections},
        {"rows", report->rows},
        {"rows_deleted", report->rows_deleted},
        {"values", report->values},
        {"log_frames", report->frames},
        {"log_records", report->records},
        {"ids", report->ids},
    };
    struct json object = JSON_OBJECT_EMPTY;
    enum status status = json_put(out->arena, &object, STR("ok"), json_bool(report->findings == 0));
    if (status == STATUS_OK) status = json_put(out->arena, &object, STR("deep"), json_bool(deep));
    if (status == STATUS_OK)
        status = json_put(out->arena, &object, STR("server_pid"), server ? json_int(server) : json_null());
    for (size_t i = 0; i < sizeof counts / sizeof *counts && status == STATUS_OK; i++)
        status = json_put(out->arena, &object, str_of(counts[i].name), json_int((int64_t)counts[i].value));
    if (status == STATUS_OK) status = json_put(out->arena, &object, STR("findings"), out->findings);
    if (status == STATUS_OK) status = json_put(out->arena, &object, STR("notes"), out->notes);
    if (status != STATUS_OK) {
        fputs("cairn verify: the result does not fit into memory\n", stderr);
        return EXIT_FAILED;
    }
    return command_print_json(&object);
}

static int print_text(struct output *out, const struct verify_report *report, bool deep)
{
    end_line(out);
    if (out->printed > FINDINGS_MAX) printf("... and %llu more\n", (unsigned long long)(out->printed - FINDINGS_MAX));
    printf(STR_FMT " files, " STR_FMT ", " STR_FMT " sections, " STR_FMT " rows",
           STR_ARG(figure_count(out->arena, report->files)), STR_ARG(figure_bytes(out->arena, report->bytes)),
           STR_ARG(figure_count(out->arena, report->sections)), STR_ARG(figure_count(out->arena, report->rows)));
    if (deep) printf(", " STR_FMT " values", STR_ARG(figure_count(out->arena, report->values)));
    printf(", " STR_FMT " ids, " STR_FMT " log frames: ", STR_ARG(figure_count(out->arena, report->ids)),
           STR_ARG(figure_count(out->arena, report->frames)));
    if (report->findings)
        printf(STR_FMT " findings\n", STR_ARG(figure_count(out->arena, report->findings)));
    else
        puts("nothing is wrong");
    return command_finish_output();
}

struct lookups {
    struct output *out;
    struct verify_report *report;
};
static void lookup_finding(void *ctx, bool note, const char *file, const char *what)
{
    struct lookups *lookups = ctx;
    const struct finding finding = {
        .kind = note ? FINDING_NOTE : FINDING_DAMAGE, .file = file, .offset = FINDING_NO_OFFSET, .what = what};
    print_finding(lookups->out, &finding);
    ++*(note ? &lookups->report->notes : &lookups->report->findings);
}

/* Lookup tables are known to the control plane; a directory without one, or with one of an older version, has none. */
static enum status verify_lookups(const char *data, struct os_fs *fs, struct output *out, struct error *error,
                                  struct verify_report *report)
{
    struct lookups lookups = {out, report};
    struct lookup_verify verify = {.found = lookup_finding, .ctx = &lookups};
    struct meta_options options = META_OPTIONS_DEFAULT;
    struct meta *meta;
    options.must_exist = options.keep_schema = true;
    enum status status = meta_open(data, &options, error, &meta);
    if (status == STATUS_NOT_FOUND || status == STATUS_CONFLICT) return STATUS_OK;
    TRY(status);
    status = lookup_check_all(fs, meta, error, &verify);
    meta_close(meta);
    report->files += verify.files;
    report->bytes += verify.bytes;
    return status;
}

static int verify(const char *data, bool deep, struct output *out)
{
    struct error error = ERROR_INIT;
    struct os_fs *fs;
    struct verify_report report;
    if (os_posix_new(data, &error, &fs) != STATUS_OK) return command_failed("cairn verify", &error);
    long server = os_lock_holder(data);
    raise_file_limit();
    struct verify_options options = {
        .fs = fs, .deep = deep, .live = server != 0, .sink = {print_finding, out}, .progress = print_progress};
    out->said_ns = os_monotonic_ns();
    if (server && !out->json)
        printf("a server runs on the directory (pid %ld): the end of its log is not judged\n", server);
    enum status status = verify_directory(&options, &error, &report);
    if (status == STATUS_OK) status = verify_lookups(data, fs, out, &error, &report);
    os_fs_free(fs);
    if (status != STATUS_OK) {
        end_line(out);
        return command_failed("cairn verify", &error);
    }
    int code = out->json ? print_json(out, &report, server, deep) : print_text(out, &report, deep);
    return code == EXIT_DONE && report.findings ? EXIT_FAILED : code;
}

int cmd_verify(int argc, char **argv)
{
    static const char command[] = "cairn verify";
    static const struct option flags[] = {
        FLAG_DATA, {"format", required_argument, NULL, FORMAT}, FLAG_JSON, {"deep", no_argument, NULL, DEEP}, FLAG_HELP,
        {0},
    };
    const char *data = NULL;
    bool deep = false;
    struct output out = {.findings = JSON_ARRAY_EMPTY, .notes = JSON_ARRAY_EMPTY};
    command_options_begin();
    for (int flag; (flag = command_option(command, argc, argv, ":h", flags)) != -1;) {
        switch (flag) {
        case DATA: data = optarg; break;
        case DEEP: deep = true; break;
        case JSON: out.json = true; break;
        case FORMAT:
            out.json = str_is(str_of(optarg), "json");
            if (!out.json && !str_is(str_of(optarg), "text"))
                return command_usage(command, "\"%s\" is no format: use text or json", optarg);
            break;
        case 'h': fputs(help, stdout); return command_finish_output();
        default: return EXIT_USAGE;
        }
    }
    if (optind < argc) return command_usage(command, "unexpected argument \"%s\"", argv[optind]);
    if (data == NULL || data[0] == '\0') return command_usage(command, "--data DIR is missing");
    out.arena = arena_new(JSON_BYTES_MAX);
    out.terminal = isatty(STDERR_FILENO);
    int code = verify(data, deep, &out);
    arena_free(out.arena);
    return code;
}
