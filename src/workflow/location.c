#include "workflow/location.h"

#include "base/url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool starts_nocase(struct str s, struct str prefix)
{
    return s.size >= prefix.size && str_eq_nocase(str_slice(s, 0, prefix.size), prefix);
}

bool location_is_http(struct str location)
{
    return starts_nocase(location, STR("http://")) || starts_nocase(location, STR("https://"));
}

bool location_has_scheme(struct str text)
{
    size_t i = 0;
    for (; i < text.size; i++) {
        char c = text.data[i], lower = (char)(c | 0x20);
        bool alpha = lower >= 'a' && lower <= 'z';
        bool more = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!alpha && !(i > 0 && more)) break;
    }
    return i > 0 && i < text.size && text.data[i] == ':';
}

/* "https://host:1/a/b" has its path at "/a/b"; a location that is a file is all path. */
static size_t path_start(struct str location)
{
    if (!location_is_http(location)) return 0;
    size_t host = str_find(location, STR("://"), 0) + 3;
    while (host < location.size && location.data[host] != '/' && location.data[host] != '?' &&
           location.data[host] != '#')
        host++;
    return host;
}

/* RFC 3986, 5.2.4, except that a relative file path keeps the leading ".." that it cannot resolve. */
static enum status normalize(struct arena *arena, struct str prefix, struct str path, struct error *error,
                             struct str *ret_location)
{
    char *out = arena_alloc(arena, prefix.size + path.size + 2);
    if (!out) return error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
    if (prefix.size) memcpy(out, prefix.data, prefix.size);
    size_t start = prefix.size, n = start;
    bool absolute = path.size > 0 && path.data[0] == '/';
    if (absolute) out[n++] = '/';
    size_t floor = n; /* ".." does not go below */
    struct str rest = absolute ? str_slice(path, 1, path.size) : path, part;
    while (str_next_part(&rest, '/', &part)) {
        bool last = rest.data == NULL;
        if (str_is(part, ".")) continue;
        if (str_is(part, "..") && n > floor) {
            n--;
            while (n > floor && out[n - 1] != '/') n--;
            continue;
        }
        if (str_is(part, "..") && absolute) continue;
        if (part.size) memcpy(out + n, part.data, part.size);
        n += part.size;
        if (!last) out[n++] = '/';
        if (str_is(part, "..")) floor = n;
    }
    *ret_location = (struct str){out, n};
    return STATUS_OK;
}

static enum status file_url_path(struct arena *arena, struct str url, struct error *error, struct str *ret_path)
{
    struct str rest = str_slice(url, 5, url.size);
    if (str_starts(rest, STR("//"))) {
        size_t slash = str_find_byte(rest, '/', 2);
        struct str host = str_slice(rest, 2, slash);
        if (slash == SIZE_MAX || (host.size && !str_eq_nocase(host, STR("localhost"))))
            return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" names a file on another host", STR_ARG(url));
        rest = str_slice(rest, slash, rest.size);
    }
    *ret_path = url_decode(arena, rest, false);
    return ret_path->data ? STATUS_OK : error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
}

enum status location_resolve(struct arena *arena, struct str base, struct str reference, struct error *error,
                             struct str *ret_location)
{
    reference = str_slice(reference, 0, str_find_byte(reference, '#', 0));
    if (location_is_http(reference)) {
        size_t path = path_start(reference);
        return normalize(arena, str_slice(reference, 0, path), str_slice(reference, path, reference.size), error,
                         ret_location);
    }
    if (starts_nocase(reference, STR("file:"))) {
        /* What came over the network has no say in which of our files are read. */
        if (location_is_http(base))
            return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" may not refer to the file \"" STR_FMT "\"",
                             STR_ARG(base), STR_ARG(reference));
        return file_url_path(arena, reference, error, ret_location);
    }
    if (location_has_scheme(reference)) {
        error_set(error, STATUS_INVALID, "\"" STR_FMT "\" cannot be read", STR_ARG(reference));
        error_hint(error, "use a relative reference, a file path, or a file:, http: or https: URL");
        return STATUS_INVALID;
    }
    if (reference.size == 0) {
        *ret_location = base;
        return STATUS_OK;
    }
    bool remote = location_is_http(base);
    size_t path = path_start(base);
    struct str prefix = str_slice(base, 0, path), base_path = str_slice(base, path, base.size);
    if (remote) {
        if (str_starts(reference, STR("//"))) {
            struct str whole =
                arena_printf(arena, STR_FMT ":" STR_FMT, STR_ARG(str_slice(base, 0, str_find_byte(base, ':', 0))),
                             STR_ARG(reference));
            if (!whole.data) return error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
            return location_resolve(arena, base, whole, error, ret_location);
        }
        base_path = str_slice(base_path, 0, str_find_byte(base_path, '?', 0));
    } else {
        reference = url_decode(arena, reference, false);
        if (!reference.data) return error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
    }
    if (reference.data[0] == '/') return normalize(arena, prefix, reference, error, ret_location);
    size_t folder = base_path.size;
    while (folder > 0 && base_path.data[folder - 1] != '/') folder--;
    struct str merged = arena_printf(arena, "%s%.*s%.*s", remote && folder == 0 ? "/" : "", (int)folder,
                                     folder ? base_path.data : "", (int)reference.size, reference.data);
    if (!merged.data) return error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
    return normalize(arena, prefix, merged, error, ret_location);
}

struct str location_join(struct arena *arena, struct str server, struct str path)
{
    while (server.size && server.data[server.size - 1] == '/') server.size--;
    while (path.size && path.data[0] == '/') path = str_slice(path, 1, path.size);
    struct buf buf = BUF_INIT(server.size + path.size + 1);
    buf_str_add(&buf, server);
    buf_byte(&buf, '/');
    buf_str_add(&buf, path);
    struct str joined = buf_status(&buf) == STATUS_OK ? arena_str(arena, buf_str(&buf)) : STR_NULL;
    buf_fini(&buf);
    return joined;
}

enum status location_check_server(struct str url, struct error *error)
{
    for (size_t i = 0; i < url.size; i++) {
        if ((unsigned char)url.data[i] <= ' ' || url.data[i] == 0x7F)
            return error_set(error, STATUS_INVALID, "the server URL has a blank or control character");
    }
    size_t host = location_is_http(url) ? str_find(url, STR("://"), 0) + 3 : SIZE_MAX, path = path_start(url);
    struct str authority = host == SIZE_MAX ? STR_NULL : str_slice(url, host, path);
    if (authority.size == 0 || authority.data[0] == ':')
        return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no http or https URL", STR_ARG(url));
    if (str_find_byte(url, '?', 0) != SIZE_MAX || str_find_byte(url, '#', 0) != SIZE_MAX)
        return error_set(error, STATUS_INVALID, "the server URL has a query or fragment");
    if (str_find_byte(authority, '@', 0) != SIZE_MAX) {
        error_set(error, STATUS_INVALID, "the server URL holds a user or password");
        error_hint(error, "use --auth SCHEME=user:secret");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static enum status read_all(struct arena *arena, int file, struct str path, size_t size_max, struct error *error,
                            struct str *ret_text)
{
    struct stat info;
    if (fstat(file, &info) != 0)
        return error_set_os(error, STATUS_IO, errno, "cannot read \"" STR_FMT "\"", STR_ARG(path));
    if (!S_ISREG(info.st_mode))
        return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is not a regular file", STR_ARG(path));
    if ((uint64_t)info.st_size > size_max)
        return error_set(error, STATUS_LIMIT, "\"" STR_FMT "\" is larger than %zu bytes", STR_ARG(path), size_max);
    size_t size = (size_t)info.st_size, got = 0;
    char *text = arena_alloc(arena, size + 1);
    if (!text) return error_set(error, STATUS_LIMIT, "\"" STR_FMT "\" exceeds the memory budget", STR_ARG(path));
    while (got < size) {
        ssize_t n = read(file, text + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set_os(error, STATUS_IO, errno, "cannot read \"" STR_FMT "\"", STR_ARG(path));
        if (n == 0) break; /* it shrank meanwhile */
        got += (size_t)n;
    }
    *ret_text = (struct str){text, got};
    return STATUS_OK;
}

enum status location_read_file(struct arena *arena, struct str path, size_t size_max, struct error *error,
                               struct str *ret_text)
{
    if (path.size == 0 || memchr(path.data, 0, path.size))
        return error_set(error, STATUS_INVALID, "\"" STR_FMT "\" is no file name", STR_ARG(path));
    char *name = arena_cstr(arena, path);
    if (!name) return error_set(error, STATUS_LIMIT, "a location exceeds the memory budget");
    int file = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return error_set_os(error, errno == ENOENT ? STATUS_NOT_FOUND : STATUS_IO, errno, "cannot open \"%s\"", name);
    enum status status = read_all(arena, file, path, size_max, error, ret_text);
    close(file);
    return status;
}

enum status location_read(struct arena *arena, const struct workflow_transport *transport, struct str location,
                          size_t size_max, uint32_t timeout_ms, struct error *error, struct str *ret_text)
{
    if (!location_is_http(location)) return location_read_file(arena, location, size_max, error, ret_text);
    if (!transport || !transport->send)
        return error_set(error, STATUS_UNSUPPORTED, "\"" STR_FMT "\" cannot be fetched here", STR_ARG(location));
    const struct workflow_header accept = {STR("Accept"), STR("application/yaml, application/json, */*;q=0.5")};
    const struct workflow_request request = {
        .method = STR("GET"),
        .url = location,
        .headers = &accept,
        .header_count = 1,
        .timeout_ms = timeout_ms,
        .body_size_max = size_max,
    };
    struct workflow_response response = {.status = 0};
    enum status status = transport->send(transport->ctx, &request, arena, error, &response);
    if (status != STATUS_OK) {
        error_prefix(error, "cannot fetch \"" STR_FMT "\"", STR_ARG(location));
        return status;
    }
    if (response.status != 200)
        return error_set(error, STATUS_IO, "cannot fetch \"" STR_FMT "\": status %u", STR_ARG(location),
                         response.status);
    if (response.body.size > size_max)
        return error_set(error, STATUS_LIMIT, "\"" STR_FMT "\" is larger than %zu bytes", STR_ARG(location), size_max);
    *ret_text = response.body;
    return STATUS_OK;
}
