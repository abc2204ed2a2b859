#include "enrich/geo.h"

#include "base/utf8.h"

#include <arpa/inet.h>
#include <errno.h>
#include <maxminddb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct geo {
    pthread_rwlock_t lock;
    MMDB_s database;
    char *path;
};

static enum status open_file(const char *path, struct error *error, MMDB_s *ret_database)
{
    /* The library says little about why a file cannot be opened. */
    if (access(path, R_OK) != 0) return error_set_os(error, STATUS_IO, errno, "cannot read %s", path);
    int code = MMDB_open(path, MMDB_MODE_MMAP, ret_database);
    if (code == MMDB_SUCCESS) return STATUS_OK;
    (void)error_set(error, STATUS_INVALID, "%s is no MaxMind database: %s", path, MMDB_strerror(code));
    error_hint(error, "give a .mmdb file with cities, such as GeoLite2-City.mmdb");
    return STATUS_INVALID;
}

enum status geo_open(const char *path, struct error *error, struct geo **ret_geo)
{
    struct geo *geo = calloc(1, sizeof *geo);
    if (!geo) return error_set(error, STATUS_LIMIT, "out of memory");
    enum status status = open_file(path, error, &geo->database);
    if (status != STATUS_OK) {
        free(geo);
        return status;
    }
    geo->path = strdup(path);
    if (!geo->path) abort();
    pthread_rwlock_init(&geo->lock, NULL);
    *ret_geo = geo;
    return STATUS_OK;
}

void geo_close(struct geo *geo)
{
    if (!geo) return;
    MMDB_close(&geo->database);
    pthread_rwlock_destroy(&geo->lock);
    free(geo->path);
    free(geo);
}

enum status geo_reload(struct geo *geo, struct error *error)
{
    MMDB_s next;
    TRY(open_file(geo->path, error, &next));
    pthread_rwlock_wrlock(&geo->lock);
    MMDB_s last = geo->database;
    geo->database = next;
    pthread_rwlock_unlock(&geo->lock);
    MMDB_close(&last);
    return STATUS_OK;
}

static void take(int code, const MMDB_entry_data_s *data, char *text, size_t size)
{
    if (code != MMDB_SUCCESS || !data->has_data || data->type != MMDB_DATA_TYPE_UTF8_STRING) return;
    if (!utf8_valid(data->utf8_string, data->data_size)) return;
    size_t length = utf8_cut(data->utf8_string, data->data_size, size - 1);
    memcpy(text, data->utf8_string, length);
    text[length] = '\0';
}

/* Addresses as clients and proxies write them. */
static bool address_parse(struct str text, struct sockaddr_storage *ret_address)
{
    char name[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof name) return false;
    memcpy(name, text.data, text.size);
    name[text.size] = '\0';
    *ret_address = (struct sockaddr_storage){0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    if (inet_pton(AF_INET, name, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        return true;
    }
    if (inet_pton(AF_INET6, name, &v6->sin6_addr) != 1) return false;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) { /* how a socket for both families sees an IPv4 client */
        struct in_addr mapped;
        memcpy(&mapped, v6->sin6_addr.s6_addr + 12, sizeof mapped);
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = mapped};
        return true;
    }
    v6->sin6_family = AF_INET6;
    return true;
}

bool geo_find(struct geo *geo, struct str address, struct geo_place *ret_place)
{
    struct sockaddr_storage name;
    int code;
    if (!geo || !address_parse(address, &name)) return false;
    *ret_place = (struct geo_place){.city = ""};
    pthread_rwlock_rdlock(&geo->lock);
    MMDB_lookup_result_s found = MMDB_lookup_sockaddr(&geo->database, (const struct sockaddr *)&name, &code);
    if (code == MMDB_SUCCESS && found.found_entry) {
        MMDB_entry_data_s data;
#define TAKE(member, ...)                                                                                              \
    take(MMDB_get_value(&found.entry, &data, __VA_ARGS__, NULL), &data, ret_place->member, sizeof ret_place->member)
        TAKE(city, "city", "names", "en");
        TAKE(region, "subdivisions", "0", "names", "en");
        TAKE(country, "country", "iso_code");
        TAKE(timezone, "location", "time_zone");
#undef TAKE
    }
    pthread_rwlock_unlock(&geo->lock);
    return ret_place->city[0] || ret_place->region[0] || ret_place->country[0] || ret_place->timezone[0];
}
