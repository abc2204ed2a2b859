#include "server/config.h"

#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum status at_line(struct error *error, const char *path, unsigned line, enum status status)
{
    error_prefix(error, "%s:%u", path, line);
    error_position(error, line, 0);
    return status;
}

/* The line where a name was set first, so that a second setting can be refused with both places. */
struct seen {
    unsigned line[OPTION_COUNT];
};

static enum status parse_line(struct options *options, struct str line, unsigned number, struct seen *seen,
                              struct error *error)
{
    size_t equals = str_find_byte(line, '=', 0);
    if (equals == SIZE_MAX) {
        (void)error_set(error, STATUS_INVALID, "the line \"" STR_FMT "\" is no setting",
                        STR_ARG(str_slice(line, 0, 80)));
        error_hint(error, "write name = value; comments begin with #");
        return STATUS_INVALID;
    }
    struct str name = str_trim(str_slice(line, 0, equals));
    struct str value = str_trim(str_slice(line, equals + 1, line.size));
    TRY(options_set(options, OPTION_SOURCE_FILE, name, value, error));
    const struct option_spec *spec = option_find(name);
    size_t id = (size_t)(spec - option_specs);
    if (spec->type != OPTION_LIST && seen->line[id] != 0) {
        (void)error_set(error, STATUS_INVALID, "%s is set a second time", spec->name);
        error_hint(error, "it stands in line %u already: keep one", seen->line[id]);
        return STATUS_INVALID;
    }
    seen->line[id] = number;
    return STATUS_OK;
}

enum status config_parse(struct options *options, const char *path, struct str text, struct error *error)
{
    struct seen seen = {.line = {0}};
    struct str rest = text, line;
    for (unsigned number = 1; str_next_part(&rest, '\n', &line); number++) {
        line = str_trim(line);
        if (line.size == 0 || line.data[0] == '#') continue;
        enum status status = utf8_valid(line.data, line.size)
                                 ? parse_line(options, line, number, &seen, error)
                                 : error_set(error, STATUS_INVALID, "the line is not UTF-8 text");
        if (status != STATUS_OK) return at_line(error, path, number, status);
    }
    return STATUS_OK;
}

static enum status cannot_read(const char *path, struct error *error)
{
    int os_errno = errno;
    return error_set_os(error, os_errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, os_errno,
                        "cannot read the configuration file %s", path);
}

enum status config_read(struct options *options, const char *path, struct error *error)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return cannot_read(path, error);
    struct buf buf = BUF_INIT(CONFIG_SIZE_MAX);
    enum status status = STATUS_OK;
    for (;;) {
        const size_t piece = 16384;
        char *room = buf_reserve(&buf, piece);
        if (room == NULL) {
            status = error_set(error, STATUS_INVALID, "the configuration file %s is larger than %zu bytes", path,
                               CONFIG_SIZE_MAX);
            break;
        }
        ssize_t got = read(file, room, piece);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) status = cannot_read(path, error);
        if (got <= 0) break;
        buf_advance(&buf, (size_t)got);
    }
    close(file);
    if (status == STATUS_OK) status = config_parse(options, path, buf_str(&buf), error);
    buf_fini(&buf);
    return status;
}

void config_dump(const struct options *options, struct buf *buf)
{
    struct str group = STR_NULL;
    for (int id = 0; id < OPTION_COUNT; id++) {
        struct str name = str_of(option_specs[id].name);
        struct str own = str_slice(name, 0, str_find_byte(name, '.', 0));
        if (id > 0 && !str_eq(own, group)) buf_byte(buf, '\n');
        group = own;
        if (options->source[id] != OPTION_SOURCE_DEFAULT)
            buf_printf(buf, "# from the %s\n", option_source_name((enum option_source)options->source[id]));
        /* An empty value is the default of a text, and no file needs to say it. */
        size_t start = buf->size;
        buf_printf(buf, "%s = ", option_specs[id].name);
        size_t before = buf->size;
        option_format(options, (enum option_id)id, buf);
        if (buf->size == before && !buf->failed) {
            buf->size = start;
            buf_printf(buf, "# %s =", option_specs[id].name);
        }
        buf_byte(buf, '\n');
    }
}
