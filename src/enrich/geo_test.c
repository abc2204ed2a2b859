/* Addresses in the databases of tests/geo, in every form in which they come; files that are none; a file replaced. */
#include "enrich/geo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST  CAIRN_SOURCE_DIR "/tests/geo/first.mmdb"
#define SECOND CAIRN_SOURCE_DIR "/tests/geo/second.mmdb"

static void test_find(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct geo *geo;
    assert_int_equal(geo_open(FIRST, &error, &geo), STATUS_OK);
    static const struct {
        const char *address, *city, *region, *country, *timezone; /* city NULL: nowhere */
    } rows[] = {
        {"192.0.2.1", "Malmö", "Skåne County", "SE", "Europe/Stockholm"},
        {"192.0.2.127", "Malmö", "Skåne County", "SE", "Europe/Stockholm"},
        {"192.0.2.128", "", "", "DE", ""},
        {"198.51.100.7", "São Paulo", "São Paulo", "BR", "America/Sao_Paulo"},
        {"2001:db8::1", "Lyon", "Auvergne-Rhône-Alpes", "FR", "Europe/Paris"},
        {"2001:DB8:0:0:0:0:0:1", "Lyon", "Auvergne-Rhône-Alpes", "FR", "Europe/Paris"},
        {"::ffff:192.0.2.1", "Malmö", "Skåne County", "SE", "Europe/Stockholm"},
        {"203.0.113.1", NULL, NULL, NULL, NULL},
        {"2002::1", NULL, NULL, NULL, NULL},
        {"", NULL, NULL, NULL, NULL},
        {"0", NULL, NULL, NULL, NULL},
        {"localhost", NULL, NULL, NULL, NULL},
        {"192.0.2", NULL, NULL, NULL, NULL},
        {"192.0.2.1:80", NULL, NULL, NULL, NULL},
        {"192.0.2.1 ", NULL, NULL, NULL, NULL},
        {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct geo_place place;
        bool found = geo_find(geo, str_of(rows[i].address), &place);
        if (found != (rows[i].city != NULL)) fail_msg("%s", rows[i].address);
        if (!found) continue;
        assert_string_equal(place.city, rows[i].city);
        assert_string_equal(place.region, rows[i].region);
        assert_string_equal(place.country, rows[i].country);
        assert_string_equal(place.timezone, rows[i].timezone);
    }
    struct geo_place place;
    assert_false(geo_find(geo, STR_NULL, &place));
    geo_close(geo);
    assert_false(geo_find(NULL, STR("192.0.2.1"), &place));
    geo_close(NULL);
}

static void copy(const char *from, const char *to)
{
    char next[80], data[65536];
    snprintf(next, sizeof next, "%s.new", to);
    FILE *in = fopen(from, "re"), *out = fopen(next, "we");
    assert_true(in && out);
    size_t size = fread(data, 1, sizeof data, in);
    assert_int_equal(fwrite(data, 1, size, out), size);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(next, to), 0);
}

static void test_reload(void **state)
{
    (void)state;
    char path[] = "/tmp/cairn-geo-test-XXXXXX";
    struct error error = ERROR_INIT;
    struct geo *geo;
    struct geo_place place;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    copy(FIRST, path);
    assert_int_equal(geo_open(path, &error, &geo), STATUS_OK);
    copy(SECOND, path);
    assert_true(geo_find(geo, STR("192.0.2.1"), &place));
    assert_string_equal(place.city, "Malmö");
    assert_int_equal(geo_reload(geo, &error), STATUS_OK);
    assert_true(geo_find(geo, STR("192.0.2.1"), &place));
    assert_string_equal(place.city, "Kyoto");
    copy(CAIRN_SOURCE_DIR "/tests/geo/README.md", path);
    assert_int_equal(geo_reload(geo, &error), STATUS_INVALID);
    assert_true(geo_find(geo, STR("192.0.2.1"), &place));
    assert_string_equal(place.city, "Kyoto");
    unlink(path);
    assert_int_equal(geo_reload(geo, &error), STATUS_IO);
    assert_true(geo_find(geo, STR("192.0.2.1"), &place));
    geo_close(geo);
}

static void test_bad_files(void **state)
{
    (void)state;
    struct error error = ERROR_INIT;
    struct geo *geo;
    assert_int_equal(geo_open("/nowhere/x.mmdb", &error, &geo), STATUS_IO);
    assert_string_equal(error.primary, "cannot read /nowhere/x.mmdb");
    assert_int_equal(geo_open(CAIRN_SOURCE_DIR "/tests/geo/README.md", &error, &geo), STATUS_INVALID);
    assert_non_null(strstr(error.primary, "is no MaxMind database"));
    assert_int_equal(geo_open("/dev/null", &error, &geo), STATUS_INVALID);
}

/* Every prefix of a database, and every one with a byte changed, is refused or read without harm. */
static void test_damaged(void **state)
{
    (void)state;
    char path[] = "/tmp/cairn-geo-test-XXXXXX", data[65536];
    int file = mkstemp(path);
    assert_true(file >= 0);
    FILE *in = fopen(FIRST, "re");
    assert_non_null(in);
    size_t size = fread(data, 1, sizeof data, in);
    fclose(in);
    for (size_t i = 0; i < 2 * size; i += 7) {
        struct error error = ERROR_INIT;
        struct geo *geo;
        struct geo_place place;
        size_t length = i < size ? i : size;
        if (i >= size) data[i - size] ^= 0x55;
        assert_int_equal(ftruncate(file, 0), 0);
        assert_int_equal(pwrite(file, data, length, 0), length);
        if (i >= size) data[i - size] ^= 0x55;
        if (geo_open(path, &error, &geo) != STATUS_OK) continue;
        (void)geo_find(geo, STR("192.0.2.1"), &place);
        (void)geo_find(geo, STR("2001:db8::1"), &place);
        geo_close(geo);
    }
    close(file);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
