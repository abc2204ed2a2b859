/*
 * Files of records of any bytes: as they come, packed or not, in any format (the first byte says which is asked for). What
 * comes out are lines of JSON text without line ends; and an input that goes on from the position of a record gives the
 * records behind it, with the same numbers.
 */
#include "base/buf.h"
#include "cli/bulk/bulk.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_BYTES_MAX ((size_t)64 << 10)
#define RECORDS_MAX     200u
#define OUT_BYTES_MAX   ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

struct seen {
    uint64_t position, line;
    size_t text_size;
    bool wrong;
};

static void open_input(const char *path, const struct input_options *options, struct error *error,
                       struct input **ret_input)
{
    static atomic_ullong bytes;
    if (input_open(path, options, &bytes, error, ret_input) != STATUS_OK) *ret_input = NULL;
}

static uint32_t read_all(const char *path, const struct input_options *options, struct seen seen[RECORDS_MAX])
{
    struct error error = ERROR_INIT;
    struct input *input;
    struct input_record record;
    uint32_t count = 0;
    uint64_t before = 0;
    struct buf named = BUF_INIT(OUT_BYTES_MAX);
    open_input(path, options, &error, &input);
    while (input && count < RECORDS_MAX && input_next(input, &error, &record) == STATUS_OK) {
        check(input_position(input) > before);
        before = input_position(input);
        seen[count++] = (struct seen){before, record.line, record.text.size, record.wrong != NULL};
        if (record.wrong) continue;
        check(record.text.size > 0 && !memchr(record.text.data, '\n', record.text.size));
        buf_reset(&named);
        bulk_insert_id("file", record.line, record.text, &named);
        check(!named.failed && named.size > record.text.size && named.data[named.size - 1] == '\n');
    }
    input_close(input);
    buf_fini(&named);
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > INPUT_BYTES_MAX) return 0;
    char path[64];
    int file = memfd_create("records", MFD_CLOEXEC);
    check(file >= 0 && write(file, data + 1, size - 1) == (ssize_t)(size - 1));
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct input_options options = {
        .format = (enum input_format)(data[0] % 4), .event_column = "event", .time_column = "time", .event = STR_NULL};
    if (data[0] & 4) options.event = STR("Name");
    struct seen seen[RECORDS_MAX];
    uint32_t count = read_all(path, &options, seen);
    for (uint32_t from = 0; from < count; from += 1 + count / 8) {
        struct error error = ERROR_INIT;
        struct input *input;
        struct input_record record;
        open_input(path, &options, &error, &input);
        check(input && input_skip(input, seen[from].position, &error) == STATUS_OK);
        for (uint32_t i = from + 1; i < count; i++) {
            check(input_next(input, &error, &record) == STATUS_OK);
            check(input_position(input) == seen[i].position && record.line == seen[i].line &&
                  record.text.size == seen[i].text_size && (record.wrong != NULL) == seen[i].wrong);
        }
        input_close(input);
    }
    close(file);
    return 0;
}
