/* `cairn workflow run`: one run after the other, or the workflows that do not depend on each other at the same time. */
#include "cli/workflow_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/progress.h"
#include "cli/transport.h"
#include "workflow/har.h"
#include "workflow/junit.h"
#include "workflow/report.h"

#define INPUTS_BYTES_MAX ((size_t)8 << 20)
#define OUTPUT_BYTES_MAX ((size_t)64 << 20)

/* ---- inputs ---- */

static enum status read_all(FILE *file, const char *name, struct error *error, struct buf *text)
{
    for (;;) {
        char *room = buf_reserve(text, 65536);
        if (!room)
            return error_set(error, STATUS_LIMIT, "inputs \"%s\" are larger than %zu bytes", name, text->size_max);
        size_t count = fread(room, 1, 65536, file);
        buf_advance(text, count);
        if (ferror(file)) return error_set_os(error, STATUS_IO, errno, "cannot read inputs \"%s\"", name);
        if (feof(file)) return STATUS_OK;
    }
}

static enum status load_inputs(struct arena *arena, const char *name, struct error *error, struct json *ret_inputs)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "rbe");
    if (!file) return error_set_os(error, STATUS_INVALID, errno, "cannot read inputs \"%s\"", name);
    struct buf text = BUF_INIT(INPUTS_BYTES_MAX);
    enum status status = read_all(file, name, error, &text);
    if (!is_stdin) fclose(file);
    struct json inputs = json_null();
    if (status == STATUS_OK) {
        status = json_parse(arena, buf_str(&text), NULL, error, &inputs);
        if (status != STATUS_OK) error_prefix(error, "inputs \"%s\"", name);
    }
    buf_fini(&text);
    TRY(status);
    if (inputs.type != JSON_OBJECT) {
        status = error_set(error, STATUS_INVALID, "inputs \"%s\" are of type %s", name, json_type_name(&inputs));
        error_hint(error, "give a JSON object, {\"name\": value}");
        return status;
    }
    *ret_inputs = inputs;
    return STATUS_OK;
}

/* ---- files that are written ---- */

static int write_file(const char *path, struct str text)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t written = 0;
    while (file >= 0 && written < text.size) {
        ssize_t count = write(file, text.data + written, text.size - written);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) break;
        written += (size_t)count;
    }
    bool good = file >= 0 && written == text.size;
    int problem = errno;
    if (file >= 0 && close(file) != 0 && good) {
        good = false;
        problem = errno;
    }
    if (good) return EXIT_DONE;
    fprintf(stderr, "%s: cannot write \"%s\": %s\n", workflow_command, path, strerror(problem));
    return EXIT_FAILED;
}

static int write_reports(const struct workflow_arguments *args, const struct json *result, struct workflow_har *har)
{
    int code = EXIT_DONE;
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    struct json trace;
    if (args->junit_file) {
        workflow_junit(&text, result);
        code = buf_status(&text) == STATUS_OK ? write_file(args->junit_file, buf_str(&text)) : workflow_no_memory();
    }
    if (args->trace_file && code == EXIT_DONE) {
        buf_reset(&text);
        enum status status = workflow_har_finish(har, CAIRN_VERSION, &trace);
        if (status == STATUS_OK) json_write_pretty(&text, &trace);
        bool good = status == STATUS_OK && buf_status(&text) == STATUS_OK;
        code = good ? write_file(args->trace_file, buf_str(&text)) : workflow_no_memory();
    }
    buf_fini(&text);
    return code;
}

/* ---- one run ---- */

struct watcher {
    struct progress *progress; /* NULL: nothing is shown */
    struct workflow_har *har;  /* NULL: nothing is recorded */
    struct buf *lines;         /* instead of progress: kept until the workflow is done */
};

static void watch(void *ctx, const struct workflow_event *event)
{
    struct watcher *watcher = ctx;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (watcher->progress) progress_event(watcher->progress, event);
    if (watcher->lines) workflow_report_event(watcher->lines, event, false);
    if (watcher->har) workflow_har_event(watcher->har, event, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static int verdict_exit_code(enum workflow_verdict verdict)
{
    switch (verdict) {
    case WORKFLOW_PASSED: return EXIT_DONE;
    case WORKFLOW_FAILED: return EXIT_FAILED;
    case WORKFLOW_INVALID: break;
    }
    return EXIT_USAGE;
}

/* A dry run has no other result than the requests. */
static void print_requests(const struct json *result, struct buf *buf)
{
    static const char *const before[] = {"workflows", "dependencies"};
    const struct json *steps = json_member(result, "steps");
    for (size_t k = 0; k < sizeof before / sizeof *before; k++) {
        const struct json *list = json_get(result, str_of(before[k]));
        for (size_t i = 0; list && i < list->array.count; i++) print_requests(&list->array.items[i], buf);
    }
    for (size_t i = 0; steps && i < steps->array.count; i++) {
        const struct json *step = &steps->array.items[i], *request = json_member(step, "request");
        const struct json *called = json_member(step, "workflow");
        if (called) print_requests(called, buf);
        if (!request) continue;
        const struct json *headers = json_member(request, "headers"), *body = json_member(request, "body");
        buf_printf(buf, "# " STR_FMT "\n" STR_FMT " ", STR_ARG(json_member(step, "stepId")->string),
                   STR_ARG(json_member(request, "method")->string));
        buf_str_add(buf, json_member(request, "url")->string);
        buf_byte(buf, '\n');
        for (size_t h = 0; headers && h < headers->object.count; h++) {
            buf_str_add(buf, headers->object.members[h].key);
            buf_lit(buf, ": ");
            buf_str_add(buf, headers->object.members[h].value.string);
            buf_byte(buf, '\n');
        }
        if (body) {
            buf_byte(buf, '\n');
            if (body->type == JSON_STRING)
                buf_str_add(buf, body->string);
            else
                json_write_pretty(buf, body);
            buf_byte(buf, '\n');
        }
        buf_byte(buf, '\n');
    }
}

static int print_result(const struct workflow_arguments *args, const struct json *result)
{
    if (args->json) return command_print_json(result);
    if (!args->options.dry_run) return EXIT_DONE;
    struct buf text = BUF_INIT(OUTPUT_BYTES_MAX);
    print_requests(result, &text);
    fwrite(text.data ? text.data : "", 1, text.size, stdout);
    buf_fini(&text);
    return command_finish_output();
}

static int refuse(struct arena *arena, const struct workflow_arguments *args, struct workflow_problems *problems,
                  const struct error *error)
{
    struct json json;
    if (error && problems->error_count == 0) workflow_error_take(problems, STR_NULL, NULL, error);
    workflow_print_problems(problems);
    if (workflow_findings(arena, NULL, problems, &json) != STATUS_OK) return workflow_no_memory();
    struct workflow_har har;
    workflow_har_init(&har, arena);
    if (write_reports(args, &json, &har) != EXIT_DONE) return EXIT_FAILED;
    if (args->json) command_print_json(&json);
    return EXIT_USAGE;
}

static int run_all(struct arena *arena, struct workflow_arguments *args, const struct workflow_document *document,
                   struct workflow_problems *problems)
{
    struct error error = ERROR_INIT;
    struct progress progress;
    struct workflow_har har;
    struct workflow_result result;
    struct http_client *client = workflow_client(args);
    if (!client) return EXIT_FAILED;
    progress_init(&progress, stdout);
    workflow_har_init(&har, arena);
    bool shown = !args->json && !args->options.dry_run;
    struct watcher watcher = {.progress = shown ? &progress : NULL, .har = args->trace_file ? &har : NULL};
    args->options.observer = watch;
    args->options.observer_ctx = &watcher;
    args->options.transport = transport_over(client);
    enum status status = workflow_run(arena, document, &args->options, problems, &error, &result);
    progress_fini(&progress);
    http_client_free(client);
    if (status != STATUS_OK) {
        command_failed(workflow_command, &error);
        return EXIT_FAILED;
    }
    workflow_print_problems(problems);
    if (write_reports(args, &result.json, &har) != EXIT_DONE) return EXIT_FAILED;
    if (print_result(args, &result.json) != EXIT_DONE) return EXIT_FAILED;
    return verdict_exit_code(result.verdict);
}

/* ---- several at the same time ---- */

/* Workflows that depend on each other make one job, which runs them in the order of the document. Each job has an
 * arena, a client and a reading of the document of its own: nothing is shared but this queue. */
struct job {
    struct str ids[WORKFLOW_JOBS_MAX * 16];
    size_t id_count;
    struct arena *arena;
    struct workflow_result result;
    struct workflow_har har;
    enum status status;
    struct error error;
};

struct queue {
    const struct workflow_arguments *args;
    struct job *jobs;
    size_t job_count, next;
    pthread_mutex_t lock; /* of `next` and of standard output */
};

static void run_job(struct queue *queue, struct job *job)
{
    struct workflow_options options = queue->args->options;
    struct workflow_problems problems;
    struct workflow_document *document;
    struct http_client *client = workflow_client(queue->args);
    struct buf lines = BUF_INIT(OUTPUT_BYTES_MAX);
    job->arena = arena_new(queue->args->memory_bytes_max);
    workflow_problems_init(&problems, job->arena);
    workflow_har_init(&job->har, job->arena);
    struct watcher watcher = {.lines = queue->args->json ? NULL : &lines, .har = &job->har};
    options.workflow_id = STR_NULL;
    options.workflow_ids = job->ids;
    options.workflow_id_count = job->id_count;
    options.observer = watch;
    options.observer_ctx = &watcher;
    if (!client) {
        job->status = error_set(&job->error, STATUS_INTERNAL, "the HTTP library cannot be initialised");
    } else {
        options.transport = transport_over(client);
        job->status = workflow_document_load(job->arena, queue->args->file, &problems, &job->error, &document);
        if (job->status == STATUS_OK)
            job->status = workflow_run(job->arena, document, &options, &problems, &job->error, &job->result);
    }
    http_client_free(client);
    pthread_mutex_lock(&queue->lock);
    fwrite(lines.data ? lines.data : "", 1, lines.size, stdout);
    fflush(stdout);
    pthread_mutex_unlock(&queue->lock);
    buf_fini(&lines);
}

static void *work(void *ctx)
{
    struct queue *queue = ctx;
    for (;;) {
        pthread_mutex_lock(&queue->lock);
        size_t index = queue->next < queue->job_count ? queue->next++ : SIZE_MAX;
        pthread_mutex_unlock(&queue->lock);
        if (index == SIZE_MAX) return NULL;
        run_job(queue, &queue->jobs[index]);
    }
}

static size_t root_of(const size_t *parents, size_t i)
{
    while (parents[i] != i) i = parents[i];
    return i;
}

/* Local dependencies only: a workflow of another document is prepared anew by each job. */
static void join_dependencies(const struct workflow_document *document, size_t *parents)
{
    for (size_t i = 0; i < document->workflow_count; i++) {
        const struct json *list = json_member(document->workflows[i].node, "dependsOn");
        for (size_t k = 0; list && list->type == JSON_ARRAY && k < list->array.count; k++) {
            const struct workflow *other = list->array.items[k].type == JSON_STRING
                                               ? workflow_document_find(document, list->array.items[k].string)
                                               : NULL;
            if (other) parents[root_of(parents, i)] = root_of(parents, (size_t)(other - document->workflows));
        }
    }
}

static enum status make_jobs(struct arena *arena, const struct workflow_document *document, struct queue *queue)
{
    size_t count = document->workflow_count;
    size_t *parents = arena_new_array(arena, size_t, count + 1), *job_of = arena_new_array(arena, size_t, count + 1);
    if (!parents || !job_of) return STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) parents[i] = i, job_of[i] = SIZE_MAX;
    join_dependencies(document, parents);
    queue->jobs = arena_calloc(arena, count + 1, sizeof *queue->jobs);
    if (!queue->jobs) return STATUS_LIMIT;
    for (size_t i = 0; i < count; i++) {
        size_t root = root_of(parents, i);
        if (job_of[root] == SIZE_MAX) job_of[root] = queue->job_count++;
        struct job *job = &queue->jobs[job_of[root]];
        if (job->id_count == sizeof job->ids / sizeof *job->ids) return STATUS_LIMIT;
        job->ids[job->id_count++] = document->workflows[i].id;
    }
    return STATUS_OK;
}

static enum status add_new(struct arena *arena, struct json *list, const struct json *more)
{
    for (size_t i = 0; more && i < more->array.count; i++) {
        bool known = false;
        for (size_t k = 0; k < list->array.count && !known; k++)
            known = json_equal(&list->array.items[k], &more->array.items[i]);
        if (!known) TRY(json_push(arena, list, more->array.items[i]));
    }
    return STATUS_OK;
}

/* The results of the jobs as one, in the form of a run of several workflows. */
static enum status join_results(struct arena *arena, const struct queue *queue, struct json *ret_json,
                                enum workflow_verdict *ret_verdict)
{
    struct json list = JSON_ARRAY_EMPTY, warnings = JSON_ARRAY_EMPTY, errors = JSON_ARRAY_EMPTY,
                json = JSON_OBJECT_EMPTY;
    *ret_verdict = WORKFLOW_PASSED;
    for (size_t i = 0; i < queue->job_count; i++) {
        const struct job *job = &queue->jobs[i];
        const struct json *several = json_member(&job->result.json, "workflows");
        if (job->result.verdict > *ret_verdict) *ret_verdict = job->result.verdict;
        if (several)
            TRY(add_new(arena, &list, several));
        else if (job->result.verdict != WORKFLOW_INVALID)
            TRY(json_push(arena, &list, job->result.json));
        TRY(add_new(arena, &warnings, json_member(&job->result.json, "warnings")));
        TRY(add_new(arena, &errors, json_member(&job->result.json, "errors")));
    }
    TRY(json_put(arena, &json, STR("status"), json_string(str_of(workflow_verdict_name(*ret_verdict)))));
    TRY(json_put(arena, &json, STR("workflows"), list));
    TRY(json_put(arena, &json, STR("warnings"), warnings));
    TRY(json_put(arena, &json, STR("errors"), errors));
    *ret_json = json;
    return STATUS_OK;
}

static void print_entries(const struct json *result, const char *member, const char *word)
{
    const struct json *list = json_get(result, str_of(member));
    for (size_t i = 0; list && i < list->array.count; i++) {
        const struct json *text = json_member(&list->array.items[i], "text"),
                          *hint = json_member(&list->array.items[i], "hint");
        fprintf(stderr, "%s: " STR_FMT "%s" STR_FMT "\n", word, STR_ARG(text->string), hint ? "; " : "",
                STR_ARG(hint ? hint->string : STR("")));
    }
}

static int finish_jobs(struct arena *arena, struct workflow_arguments *args, struct queue *queue)
{
    struct json result;
    enum workflow_verdict verdict;
    struct workflow_har har;
    workflow_har_init(&har, arena);
    for (size_t i = 0; i < queue->job_count; i++) {
        struct job *job = &queue->jobs[i];
        if (job->status != STATUS_OK) {
            command_failed(workflow_command, &job->error);
            return EXIT_FAILED;
        }
        if (job->har.status != STATUS_OK) har.status = job->har.status;
        for (size_t k = 0; k < job->har.entries.array.count; k++)
            if (json_push(arena, &har.entries, job->har.entries.array.items[k]) != STATUS_OK)
                return workflow_no_memory();
    }
    if (join_results(arena, queue, &result, &verdict) != STATUS_OK) return workflow_no_memory();
    print_entries(&result, "warnings", "warning");
    print_entries(&result, "errors", "error");
    if (write_reports(args, &result, &har) != EXIT_DONE) return EXIT_FAILED;
    if (print_result(args, &result) != EXIT_DONE) return EXIT_FAILED;
    return verdict_exit_code(verdict);
}

static int run_parallel(struct arena *arena, struct workflow_arguments *args, const struct workflow_document *document)
{
    struct queue queue = {.args = args, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t threads[WORKFLOW_JOBS_MAX];
    size_t count = 0;
    if (make_jobs(arena, document, &queue) != STATUS_OK) return workflow_no_memory();
    http_client_free(http_client_new()); /* the HTTP library is initialised before there are threads */
    for (; count < args->parallel && count < queue.job_count; count++)
        if (pthread_create(&threads[count], NULL, work, &queue) != 0) break;
    if (count == 0) work(&queue);
    for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
    int code = finish_jobs(arena, args, &queue);
    for (size_t i = 0; i < queue.job_count; i++) arena_free(queue.jobs[i].arena);
    return code;
}

int workflow_verb_run(struct arena *arena, struct workflow_arguments *args)
{
    struct error error = ERROR_INIT;
    struct workflow_problems problems;
    struct workflow_document *document;
    struct json inputs;
    workflow_problems_init(&problems, arena);
    if (args->inputs_file) {
        if (load_inputs(arena, args->inputs_file, &error, &inputs) != STATUS_OK)
            return refuse(arena, args, &problems, &error);
        args->options.inputs_json = &inputs;
    }
    if (workflow_document_load(arena, args->file, &problems, &error, &document) != STATUS_OK)
        return refuse(arena, args, &problems, &error);
    if (args->parallel > 1 && document->workflow_count > 1 && !args->options.workflow_id.size)
        return run_parallel(arena, args, document);
    return run_all(arena, args, document, &problems);
}
