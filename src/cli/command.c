#include "cli/command.h"

#include "base/civil.h"
#include "base/number.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <unistd.h>

int command_usage(const char *command, const char *format, ...)
{
    va_list values;
    fprintf(stderr, "%s: ", command);
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fprintf(stderr, "\n%s --help shows what it takes\n", command);
    return EXIT_USAGE;
}

int command_failed(const char *command, const struct error *error)
{
    fprintf(stderr, "%s: %s\n", command, error->primary[0] ? error->primary : status_name(error->status));
    if (error->detail[0]) fprintf(stderr, "  %s\n", error->detail);
    if (error->hint[0]) fprintf(stderr, "  %s\n", error->hint);
    return error->status == STATUS_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int command_dispatch(const char *parent, const char *help, const struct command *commands, int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    struct str name = str_of(argv[1]);
    if (str_is(name, "--help") || str_is(name, "-h") || str_is(name, "help")) {
        fputs(help, stdout);
        return command_finish_output();
    }
    for (const struct command *command = commands; command->name; command++)
        if (str_eq(name, str_of(command->name))) return command->run(argc - 1, argv + 1);
    return command_usage(parent, "there is no \"%s %s\"", parent, argv[1]);
}

void command_options_begin(void)
{
    optind = 0; /* glibc: start anew, also after another parser's use */
    opterr = 0;
}

int command_option(const char *command, int argc, char **argv, const char *short_options,
                   const struct option *long_options)
{
    int before = optind > 0 ? optind : 1;
    int found = getopt_long(argc, argv, short_options, long_options, NULL);
    if (found == ':') command_usage(command, "%s needs a value", argv[optind - 1]);
    const char *word = argv[optind > before ? optind - 1 : before];
    if (found == '?' && optopt > 0 && optopt < 256)
        command_usage(command, "unknown option -%c", optopt);
    else if (found == '?')
        command_usage(command, "unknown or ambiguous option %s", word);
    return found == ':' ? '?' : found;
}

int command_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return EXIT_DONE;
    fprintf(stderr, "cairn: cannot write to standard output: %s\n", strerror(errno));
    return EXIT_FAILED;
}

bool command_interactive(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

int command_print_json(const struct json *value)
{
    struct buf buf = BUF_INIT((size_t)256 << 20);
    json_write(&buf, value);
    buf_byte(&buf, '\n');
    if (buf_status(&buf) == STATUS_OK)
        fwrite(buf.data, 1, buf.size, stdout);
    else
        fputs("cairn: the result does not fit into memory\n", stderr);
    int code = buf_status(&buf) == STATUS_OK ? command_finish_output() : EXIT_FAILED;
    buf_fini(&buf);
    return code;
}

int command_print_table(const struct str *cells, size_t columns, size_t rows)
{
    enum { COLUMNS_MAX = 16 };
    size_t widths[COLUMNS_MAX] = {0};
    if (columns > COLUMNS_MAX) columns = COLUMNS_MAX;
    for (size_t i = 0; i < rows * columns; i++) {
        size_t width = utf8_length(cells[i].data, cells[i].size);
        if (width > widths[i % columns]) widths[i % columns] = width;
    }
    for (size_t i = 0; i < rows * columns; i++) {
        bool last = i % columns == columns - 1;
        size_t width = utf8_length(cells[i].data, cells[i].size);
        fwrite(cells[i].data, 1, cells[i].size, stdout);
        if (last)
            fputc('\n', stdout);
        else
            printf("%*s", (int)(widths[i % columns] - width + 2), "");
    }
    return command_finish_output();
}

struct str command_time(struct arena *arena, int64_t ms)
{
    char text[19];
    return arena_str(arena, str_from(text, civil_format_datetime(ms, text)));
}

bool command_duration(const char *text, uint64_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    struct str all = str_of(text);
    for (size_t i = 0; i < 4; i++) {
        struct str unit = str_of(units[i].unit);
        uint64_t number;
        if (!str_ends(all, unit) || !number_parse_unsigned(str_slice(all, 0, all.size - unit.size), 1000000, &number))
            continue;
        *ret_ms = number * units[i].ms;
        return true;
    }
    return false;
}
