/*
 * Credentials that do not stand on the command line, where everybody on the machine could read them: in the environment
 * (CAIRN_AUTH_SCHEME), and in a file that only its owner may read.
 *
 * The file is made of words, as .netrc is:
 *
 *     machine api.example.com scheme basicAuth login ann password s3cret
 *     machine api.example.com login ann password s3cret
 *     scheme queryApi.basicAuth login reader password s3cret
 *     scheme projectToken credential 0123456789abcdef
 *
 * An entry begins with `machine` or `scheme`. One with a machine is only sent to that host; one without a scheme serves
 * every http basic scheme there. A word may stand in double quotes, with \" and \\ in it. `#` at the beginning of a
 * line makes it a comment.
 */
#include "cli/workflow_cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define AUTHS_MAX      1000
#define WORD_BYTES_MAX 4096 /* what STR_FMT prints */

extern char **environ;

static const char auth_prefix[] = "CAIRN_AUTH_";

static bool scheme_given(const struct workflow_auth *auths, size_t count, struct str scheme)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(auths[i].scheme, scheme)) return true;
    return false;
}

/* ---- the file ---- */

struct words {
    struct arena *arena;
    struct str text;
    size_t at;
    unsigned line;
};

/* The next word; NULL data at the end. */
static enum status next_word(struct words *w, struct error *error, struct str *ret_word)
{
    char word[WORD_BYTES_MAX];
    size_t size = 0;
    bool line_start = w->at == 0;
    for (; w->at < w->text.size; w->at++) {
        char c = w->text.data[w->at];
        if (c == '\n') {
            w->line++;
            line_start = true;
        } else if (c == '#' && line_start) {
            while (w->at + 1 < w->text.size && w->text.data[w->at + 1] != '\n') w->at++;
        } else if (c != ' ' && c != '\t' && c != '\r') {
            break;
        }
    }
    *ret_word = STR_NULL;
    if (w->at >= w->text.size) return STATUS_OK;
    bool quoted = w->text.data[w->at] == '"';
    if (quoted) w->at++;
    for (;; w->at++) {
        char c = w->at < w->text.size ? w->text.data[w->at] : 0;
        bool over = w->at >= w->text.size;
        if (quoted && (over || c == '\n'))
            return error_set(error, STATUS_INVALID, "a quote is not closed in line %u", w->line);
        if (quoted ? c == '"' : over || strchr(" \t\r\n", c) != NULL) break;
        if (quoted && c == '\\' && w->at + 1 < w->text.size) c = w->text.data[++w->at];
        if (size == sizeof word) return error_set(error, STATUS_INVALID, "a word is too long in line %u", w->line);
        word[size++] = c;
    }
    if (quoted) w->at++;
    *ret_word = arena_str(w->arena, str_from(word, size));
    return ret_word->data ? STATUS_OK : error_set(error, STATUS_LIMIT, "out of memory");
}

struct entry {
    struct str machine, scheme, login, password, credential;
    unsigned line;
};

static enum status keep(struct words *w, const struct entry *entry, struct workflow_auth *auths, size_t *count,
                        struct error *error)
{
    if (!entry->line) return STATUS_OK;
    struct str credential = entry->credential;
    if (!credential.data && entry->login.data && entry->password.data)
        credential = arena_printf(w->arena, STR_FMT ":" STR_FMT, STR_ARG(entry->login), STR_ARG(entry->password));
    if (!credential.data || (!entry->scheme.size && entry->credential.data))
        return error_set(error, STATUS_INVALID, "the entry in line %u needs %s", entry->line,
                         entry->credential.data ? "a scheme" : "login and password, or credential");
    if (*count == AUTHS_MAX) return error_set(error, STATUS_INVALID, "more than %d entries", AUTHS_MAX);
    auths[(*count)++] = (struct workflow_auth){entry->scheme, credential, entry->machine};
    return STATUS_OK;
}

static enum status read_entries(struct arena *arena, struct str text, struct workflow_auth *auths, size_t *count,
                                struct error *error)
{
    struct words w = {.arena = arena, .text = text, .line = 1};
    struct entry entry = {.line = 0};
    struct str word, value;
    for (;;) {
        TRY(next_word(&w, error, &word));
        if (!word.data) return keep(&w, &entry, auths, count, error);
        unsigned line = w.line;
        bool machine = str_is(word, "machine"), scheme = str_is(word, "scheme");
        bool begun = entry.scheme.data || entry.login.data || entry.password.data || entry.credential.data;
        if (machine || (scheme && (!entry.line || begun))) {
            TRY(keep(&w, &entry, auths, count, error));
            entry = (struct entry){.line = line};
        }
        struct str *field = machine                      ? &entry.machine
                            : scheme                     ? &entry.scheme
                            : str_is(word, "login")      ? &entry.login
                            : str_is(word, "password")   ? &entry.password
                            : str_is(word, "credential") ? &entry.credential
                                                         : NULL;
        if (!field || !entry.line)
            return error_set(error, STATUS_INVALID, "line %u: expected machine, scheme, login, password or credential",
                             line);
        TRY(next_word(&w, error, &value));
        if (!value.data) return error_set(error, STATUS_INVALID, "line %u: a value is missing", line);
        *field = value;
    }
}

static enum status check_file(int file, const char *path, struct error *error)
{
    struct stat info;
    if (fstat(file, &info) != 0) return error_set_os(error, STATUS_IO, errno, "cannot read \"%s\"", path);
    if (!S_ISREG(info.st_mode)) return error_set(error, STATUS_INVALID, "\"%s\" is not a regular file", path);
    if (info.st_uid != geteuid() && info.st_uid != 0)
        return error_set(error, STATUS_DENIED, "\"%s\" belongs to somebody else", path);
    if (info.st_mode & 077) {
        error_set(error, STATUS_DENIED, "\"%s\" can be read by others", path);
        error_hint(error, "chmod 600 %s", path);
        return STATUS_DENIED;
    }
    if (info.st_size > (off_t)FILE_BYTES_MAX)
        return error_set(error, STATUS_LIMIT, "\"%s\" is larger than %zu bytes", path, FILE_BYTES_MAX);
    return STATUS_OK;
}

static enum status read_text(struct arena *arena, const char *path, struct error *error, struct str *ret_text)
{
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return error_set_os(error, STATUS_INVALID, errno, "cannot read credentials \"%s\"", path);
    enum status status = check_file(file, path, error);
    char *text = arena_alloc(arena, FILE_BYTES_MAX);
    size_t size = 0;
    if (status == STATUS_OK && !text) status = error_set(error, STATUS_LIMIT, "out of memory");
    while (status == STATUS_OK && size < FILE_BYTES_MAX) {
        ssize_t count = read(file, text + size, FILE_BYTES_MAX - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) status = error_set_os(error, STATUS_IO, errno, "cannot read credentials \"%s\"", path);
        if (count <= 0) break;
        size += (size_t)count;
    }
    close(file);
    *ret_text = (struct str){text, size};
    return status;
}

/* ---- all of them ---- */

int workflow_credentials(struct arena *arena, struct workflow_arguments *args)
{
    const struct str prefix = str_of(auth_prefix);
    size_t count = args->options.auth_count, flags = count, room = flags + AUTHS_MAX;
    for (char **entry = environ; *entry; entry++) room += str_starts(str_of(*entry), prefix);
    struct workflow_auth *all = arena_new_array(arena, struct workflow_auth, room + 1);
    if (!all) return workflow_no_memory();
    if (flags > 0) memcpy(all, args->auths, flags * sizeof *all);
    for (char **entry = environ; *entry && count < room - AUTHS_MAX; entry++) {
        struct str rest = str_of(*entry);
        if (!str_starts(rest, prefix)) continue;
        rest = str_slice(rest, prefix.size, rest.size);
        size_t equals = str_find_byte(rest, '=', 0);
        if (equals == SIZE_MAX || equals == 0) continue;
        struct str name = str_slice(rest, 0, equals);
        if (scheme_given(all, flags, name)) continue;
        all[count++] = (struct workflow_auth){.scheme = name, .credential = str_slice(rest, equals + 1, rest.size)};
    }
    if (args->credentials_file) {
        struct error error = ERROR_INIT;
        struct str text;
        struct workflow_auth *found = arena_new_array(arena, struct workflow_auth, AUTHS_MAX);
        size_t given = count, found_count = 0;
        if (!found) return workflow_no_memory();
        enum status status = read_text(arena, args->credentials_file, &error, &text);
        if (status == STATUS_OK) status = read_entries(arena, text, found, &found_count, &error);
        if (status != STATUS_OK) {
            error_prefix(&error, "--credentials %s", args->credentials_file);
            char line[1200];
            fprintf(stderr, "%s: %s\n", workflow_command, error_text(&error, line, sizeof line));
            return EXIT_USAGE;
        }
        for (size_t i = 0; i < found_count; i++)
            if (!found[i].scheme.size || !scheme_given(all, given, found[i].scheme)) all[count++] = found[i];
    }
    args->auths = all;
    args->options.auth_count = count;
    return EXIT_DONE;
}
