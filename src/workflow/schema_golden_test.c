/* Runs tests/golden/jsonschema/NAME.txt (see the README there), and shows what is wrong with each case. */
#include "workflow/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES  ((size_t)2 << 20)
#define REMOTES_MAX 100

static struct {
    struct str uri;
    struct json document;
} remotes[REMOTES_MAX];
static size_t remote_count;

static const struct json *find_remote(void *ctx, struct str uri)
{
    (void)ctx;
    for (size_t i = 0; i < remote_count; i++)
        if (str_eq(remotes[i].uri, uri)) return &remotes[i].document;
    return NULL;
}

static struct str read_file(struct arena *arena, const char *path)
{
    char *text = arena_alloc(arena, FILE_BYTES);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(text, 1, FILE_BYTES, file);
    assert_true(size < FILE_BYTES);
    fclose(file);
    return (struct str){text, size};
}

static void load_remotes(struct arena *arena)
{
    struct str rest = read_file(arena, CAIRN_SOURCE_DIR "/tests/golden/jsonschema/remotes.txt"), line;
    struct json pair;
    while (str_next_part(&rest, '\n', &line)) {
        if (!line.size) continue;
        assert_int_equal(json_parse(arena, line, NULL, NULL, &pair), STATUS_OK);
        assert_true(remote_count < REMOTES_MAX);
        remotes[remote_count].uri = json_at(&pair, 0)->string;
        remotes[remote_count++].document = *json_at(&pair, 1);
    }
}

static void note(void *ctx, struct str where, struct str what)
{
    (void)where, (void)what;
    *(bool *)ctx = false;
}

static unsigned run_file(const char *path, unsigned *failures)
{
    static const struct jsonschema_documents documents = {.find = find_remote};
    struct arena *arena = arena_new((size_t)64 << 20);
    struct str rest = read_file(arena, path), line;
    struct jsonschema schema = {.root = NULL};
    struct json schema_value, instance;
    struct workflow_problems problems;
    unsigned number = 0, count = 0;
    while (str_next_part(&rest, '\n', &line)) {
        number++;
        struct error error = ERROR_INIT;
        if (str_starts(line, STR("schema "))) {
            assert_int_equal(json_parse(arena, str_slice(line, 7, line.size), NULL, &error, &schema_value), STATUS_OK);
            schema = (struct jsonschema){.root = &schema_value, .schema = &schema_value};
            assert_int_equal(jsonschema_index(arena, &schema, STR("test:"), &documents), STATUS_OK);
            workflow_problems_init(&problems, arena);
            jsonschema_check(schema, STR("suite"), &problems);
            if (problems.error_count) {
                print_error("%s:%u: the schema is refused: %.*s\n", path, number, (int)problems.items[0].text.size,
                            problems.items[0].text.data);
                ++*failures;
            }
        } else if (line.size && (line.data[0] == '+' || line.data[0] == '-')) {
            bool fits = true, wanted = line.data[0] == '+';
            assert_int_equal(json_parse(arena, str_slice(line, 2, line.size), NULL, &error, &instance), STATUS_OK);
            enum status status = jsonschema_validate(arena, schema, &instance, STR(""), note, &fits, &error);
            count++;
            if (status == STATUS_OK && fits == wanted) continue;
            print_error("%s:%u: %s %s\n", path, number, status == STATUS_OK ? "" : status_name(status),
                        fits ? "fits" : "does not fit");
            ++*failures;
        }
    }
    arena_free(arena);
    return count;
}

static void the_required_cases_of_the_suite_pass(void **state)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    unsigned failures = 0, count = 0;
    glob_t files;
    (void)state;
    load_remotes(arena);
    assert_int_equal(glob(CAIRN_SOURCE_DIR "/tests/golden/jsonschema/*.txt", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++)
        if (!strstr(files.gl_pathv[i], "remotes.txt")) count += run_file(files.gl_pathv[i], &failures);
    globfree(&files);
    arena_free(arena);
    assert_int_equal(failures, 0);
    assert_true(count > 1200);
    print_message("%u instances\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_required_cases_of_the_suite_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
