#include "api/visitor.h"

#include "api/api.h"
#include "base/number.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool address_parse(struct str text, unsigned char ret_address[16])
{
    char name[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof name) return false;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    if (inet_pton(AF_INET6, name, ret_address) == 1) return true;
    memset(ret_address, 0, 10);
    memset(ret_address + 10, 0xFF, 2);
    return inet_pton(AF_INET, name, ret_address + 12) == 1;
}

static bool network_parse(struct str text, struct visitor_network *ret_network)
{
    size_t slash = str_find_byte(text, '/', 0);
    struct str address = str_slice(text, 0, slash);
    bool v4 = str_find_byte(address, ':', 0) == SIZE_MAX;
    uint64_t bits = v4 ? 32 : 128;
    if (slash != SIZE_MAX && !number_parse_unsigned(str_slice(text, slash + 1, SIZE_MAX), bits, &bits)) return false;
    ret_network->bits = (unsigned)bits + (v4 ? 96 : 0);
    return address_parse(address, ret_network->address);
}

enum status visitor_proxies_parse(const char *const *texts, size_t count, struct error *error,
                                  struct visitor_proxies *ret_proxies)
{
    *ret_proxies = (struct visitor_proxies){.networks = calloc(count + 1, sizeof *ret_proxies->networks)};
    if (!ret_proxies->networks) return error_set(error, STATUS_LIMIT, "out of memory");
    for (size_t i = 0; i < count; i++) {
        if (network_parse(str_trim(str_of(texts[i])), &ret_proxies->networks[i])) continue;
        visitor_proxies_fini(ret_proxies);
        (void)error_set(error, STATUS_INVALID, "http.trusted_proxies has \"%s\", which is no network", texts[i]);
        error_hint(error, "write ADDRESS or ADDRESS/BITS, for example 10.0.0.0/8 or ::1");
        return STATUS_INVALID;
    }
    ret_proxies->count = count;
    return STATUS_OK;
}

void visitor_proxies_fini(struct visitor_proxies *proxies)
{
    free(proxies->networks);
    *proxies = (struct visitor_proxies){0};
}

static bool trusted(const struct visitor_proxies *proxies, struct str text)
{
    unsigned char address[16];
    if (!address_parse(text, address)) return false;
    for (size_t i = 0; i < proxies->count; i++) {
        const struct visitor_network *network = &proxies->networks[i];
        unsigned whole = network->bits / 8, rest = network->bits % 8;
        if (memcmp(address, network->address, whole) != 0) continue;
        if (rest == 0 || (address[whole] ^ network->address[whole]) >> (8 - rest) == 0) return true;
    }
    return false;
}

/* An entry as proxies write it: an address, perhaps with a port, and then for IPv6 in brackets. */
static struct str bare_address(struct str entry)
{
    entry = str_trim(entry);
    if (entry.size && entry.data[0] == '[') {
        size_t end = str_find_byte(entry, ']', 0);
        return end == SIZE_MAX ? entry : str_slice(entry, 1, end);
    }
    size_t colon = str_find_byte(entry, ':', 0);
    bool port = colon != SIZE_MAX && str_find_byte(entry, ':', colon + 1) == SIZE_MAX;
    return port ? str_slice(entry, 0, colon) : entry;
}

struct str visitor_address(const struct visitor_proxies *proxies, const struct http_request *request)
{
    struct str address = request->remote_address;
    if (proxies->count == 0 || !trusted(proxies, address)) return address;
    /* The nearest proxy has written last: from the end of the last such field to the begin of the first. */
    for (size_t i = request->field_count; i-- > 0;) {
        if (!str_eq_nocase(request->fields[i].name, STR("x-forwarded-for"))) continue;
        struct str rest = request->fields[i].value;
        while (rest.size) {
            size_t comma = rest.size;
            while (comma > 0 && rest.data[comma - 1] != ',') comma--;
            struct str entry = bare_address(str_slice(rest, comma, SIZE_MAX));
            rest = str_slice(rest, 0, comma ? comma - 1 : 0);
            unsigned char bytes[16];
            if (!address_parse(entry, bytes)) return address; /* whoever wrote that is the last that is known */
            address = entry;
            if (!trusted(proxies, address)) return address;
        }
    }
    return address;
}

static bool on(const struct decode_form *form, const char *name, bool otherwise)
{
    struct str value = decode_param(form, name);
    return value.size ? !str_is(value, "0") && !str_is(value, "false") : otherwise;
}

struct str visitor_wanted_address(const struct http_request *request, const struct decode_form *form, bool ip_default)
{
    const struct api *api = request->context;
    return on(form, "ip", ip_default) ? visitor_address(&api->proxies, request) : STR_NULL;
}

enum status visitor_enrichment(const struct http_request *request, const struct decode_form *form, bool ip_default,
                               struct enrichment *ret_enrichment)
{
    const struct api *api = request->context;
    bool device = on(form, "ip", false) || on(form, "img", false) || http_request_field(request, "origin").size;
    return enrichment_of_request(request->arena, &api->enrichment,
                                 visitor_wanted_address(request, form, ip_default),
                                 device ? http_request_field(request, "user-agent") : STR_NULL, ret_enrichment);
}
