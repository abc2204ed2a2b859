#include "base/log.h"

#include "base/buf.h"
#include "base/civil.h"
#include "base/json.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES_MAX 16384

static _Atomic int current_level = LOG_INFO, current_format = LOG_TEXT;
static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&current_level, (int)level);
    atomic_store(&current_format, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

/* Bare words stay bare, everything else is quoted as a JSON string, so that a line can be split again without doubt. */
static void write_word(struct buf *line, struct str text)
{
    bool bare = text.size > 0;
    for (size_t i = 0; i < text.size && bare; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bare = c > 0x20 && c < 0x7F && c != '"' && c != '=' && c != '\\' && c != '<';
    }
    if (bare)
        buf_str_add(line, text);
    else
        json_write_str(line, text);
}

static void write_field(struct buf *line, const struct log_field *field, bool json)
{
    if (json) {
        buf_byte(line, ',');
        json_write_str(line, str_of(field->name));
        buf_byte(line, ':');
    } else {
        buf_byte(line, ' ');
        buf_str_add(line, str_of(field->name));
        buf_byte(line, '=');
    }
    struct str text = str_slice(field->text, 0, 2048);
    if (field->kind == LOG_FIELD_INT)
        json_write_int(line, field->integer);
    else if (field->kind == LOG_FIELD_DOUBLE)
        json_write_double(line, field->number);
    else if (json)
        json_write_str(line, text);
    else
        write_word(line, text);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct buf line = BUF_INIT(LINE_BYTES_MAX - 2); /* the end of the line always fits */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char date[19];
    civil_format_datetime((int64_t)now.tv_sec * 1000, date);
    date[10] = 'T';
    bool json = atomic_load(&current_format) == LOG_JSON;
    buf_printf(&line, json ? "{\"time\":\"%.19s.%03dZ\",\"level\":\"%s\",\"event\":" : "%.19s.%03dZ %s event=", date,
               (int)(now.tv_nsec / 1000000), level_names[level]);
    if (json)
        json_write_str(&line, str_of(event));
    else
        write_word(&line, str_of(event));
    for (; fields->name; fields++) {
        size_t before = line.size;
        write_field(&line, fields, json);
        if (!line.failed) continue;
        /* Half a field would leave a quote open: it is left out whole, and so is what follows. */
        line.size = before;
        line.failed = false;
        break;
    }
    line.size_max = LINE_BYTES_MAX;
    if (json) buf_byte(&line, '}');
    buf_byte(&line, '\n');
    /* A log line that cannot be written has nowhere to be reported. */
    ssize_t written;
    do written = write(STDERR_FILENO, line.data, line.size);
    while (written < 0 && errno == EINTR);
    buf_fini(&line);
}

void log_failure(enum log_level level, const char *event, const struct error *error)
{
    if (!log_enabled(level)) return;
    struct log_field fields[5] = {LOG_CSTR("status", status_name(error->status)), LOG_CSTR("error", error->primary)};
    size_t count = 2;
    if (error->detail[0]) fields[count++] = LOG_CSTR("detail", error->detail);
    if (error->hint[0]) fields[count++] = LOG_CSTR("hint", error->hint);
    fields[count].name = NULL;
    log_write(level, event, fields);
}
