#pragma once
/*
 * Structured logs on standard error, one line an event: `2026-01-31T12:00:00.123Z info event=listening
 * address=127.0.0.1:8080` or the same as a JSON object. Any thread may log; a line is written with one write(2). Event
 * payloads, tokens and secrets are never logged.
 *
 *   log_info("listening", LOG_STR("address", address), LOG_INT("threads", n));
 */
#include "base/error.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_DOUBLE } kind;
    struct str text;
    int64_t integer;
    double number;
};
#define LOG_STR(field, value)    ((struct log_field){.name = (field), .kind = LOG_FIELD_STR, .text = (value)})
#define LOG_CSTR(field, value)   LOG_STR(field, str_of(value))
#define LOG_INT(field, value)    ((struct log_field){.name = (field), .kind = LOG_FIELD_INT, .integer = (int64_t)(value)})
#define LOG_DOUBLE(field, value) ((struct log_field){.name = (field), .kind = LOG_FIELD_DOUBLE, .number = (value)})

void log_configure(enum log_level level, enum log_format format);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields);
/* Logs the texts of an error beside what was being done. */
void log_failure(enum log_level level, const char *event, const struct error *error);

#define log_at(level, event, ...)                                                                                      \
    do {                                                                                                               \
        if (log_enabled(level))                                                                                        \
            log_write((level), (event), (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.name = NULL}});         \
    } while (0)
#define log_error(event, ...) log_at(LOG_ERROR, event, ##__VA_ARGS__)
#define log_warn(event, ...)  log_at(LOG_WARN, event, ##__VA_ARGS__)
#define log_info(event, ...)  log_at(LOG_INFO, event, ##__VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_DEBUG, event, ##__VA_ARGS__)
