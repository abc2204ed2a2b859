#pragma once
/*
 * The server's options. One table (options_table.h) gives the members of struct options, their names in files, in the
 * environment and on the command line, defaults, ranges and help.
 *
 * A value comes from the highest of: default < configuration file < environment < flag; whatever the order of the calls
 * below. Setting a LIST again from the same source appends, from a higher one replaces.
 *
 *     file         http.listen = 127.0.0.1:8080
 *     environment  CAIRN_HTTP_LISTEN=127.0.0.1:8080
 *     flag         --set http.listen=127.0.0.1:8080
 *
 * struct options is filled by one thread and then read by all; texts belong to it. Numbers are plain: BYTES in bytes,
 * DURATION in milliseconds, CHOICE as an index into the choices of the table (which for log.level and log.format is the
 * enum of base/log.h).
 */
#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct option_list {
    const char **items;
    size_t count;
};

enum option_id {
#define OPTION(type, field, ...) OPTION_##field,
#include "server/options_table.h"
#undef OPTION
    OPTION_COUNT
};

enum option_source {
    OPTION_SOURCE_DEFAULT,
    OPTION_SOURCE_FILE,
    OPTION_SOURCE_ENVIRONMENT,
    OPTION_SOURCE_FLAG,
};

#define OPTION_C_TEXT     const char *
#define OPTION_C_FLAG     bool
#define OPTION_C_INTEGER  int64_t
#define OPTION_C_BYTES    uint64_t
#define OPTION_C_DURATION int64_t
#define OPTION_C_CHOICE   int
#define OPTION_C_LIST     struct option_list

struct options {
#define OPTION(type, field, ...) OPTION_C_##type field;
#include "server/options_table.h"
#undef OPTION
    unsigned char source[OPTION_COUNT]; /* enum option_source */
    struct arena *arena;                /* holds the texts */
};

enum option_type {
    OPTION_TEXT,
    OPTION_FLAG,
    OPTION_INTEGER,
    OPTION_BYTES,
    OPTION_DURATION,
    OPTION_CHOICE,
    OPTION_LIST,
};

struct option_spec {
    enum option_type type;
    size_t offset; /* of the member in struct options */
    const char *name, *value_default, *range, *help;
};
extern const struct option_spec option_specs[OPTION_COUNT];

/* All defaults. */
struct options *options_new(void);
void options_free(struct options *options);

/* Checks the value and stores it unless a higher source has set the option already. INVALID for an unknown name (the
 * hint is the nearest one) and for a bad value (the hint is what is allowed). */
enum status options_set(struct options *options, enum option_source source, struct str name, struct str value,
                        struct error *error) MUST_USE;
/* "NAME=VALUE", from a flag */
enum status options_set_flag(struct options *options, struct str assignment, struct error *error) MUST_USE;
/* Every CAIRN_GROUP_NAME that is an option. Other names are left alone: a container platform sets CAIRN_PORT and the
 * like for a service that is called cairn. `environment` ends with NULL. */
enum status options_read_environment(struct options *options, char *const *environment, struct error *error) MUST_USE;
/* Once all are set: shares memory.max out to the limits that are 0 (server/memory.h), and checks what holds between
 * options. */
enum status options_finish(struct options *options, struct error *error) MUST_USE;

/* NULL when there is none. */
const struct option_spec *option_find(struct str name);
/* The value in the notation of the table ("64k", "10s", "yes", "a,b"). */
void option_format(const struct options *options, enum option_id id, struct buf *buf);
/* "number", "size", ... and what is allowed, for a person: `size from 1k to 16m`. */
void option_describe(const struct option_spec *spec, struct buf *buf);
const char *option_source_name(enum option_source source);
/* The section of `cairn serve --help`. */
void options_help(struct buf *buf);
