/* Columns of every kind and size come back as they went in, in the encoding that fits them; damaged bytes give errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/chunk.h"

#include <stdio.h>
#include <stdlib.h>

struct column {
    struct section_out out;
    struct buf table;
    struct arena *arena;
};

static struct column new_column(void)
{
    return (struct column){section_out_ram(1 << 26), BUF_INIT(1 << 20), arena_new(1 << 28)};
}

static void end_column(struct column *c)
{
    section_out_fini(&c->out);
    buf_fini(&c->table);
    arena_free(c->arena);
}

/* The object in memory of its own size, so that the sanitizer sees any read beyond it. */
static struct str object(const struct column *c, struct section_ref ref)
{
    char *copy = malloc(ref.size ? ref.size : 1);
    assert_non_null(copy);
    assert_true(ref.offset % 8 == 0 && ref.offset + ref.size <= c->out.buf.size);
    memcpy(copy, c->out.buf.data + ref.offset, ref.size);
    if (ref.size) assert_true(hash_bytes(copy, ref.size, 0) == ref.check); /* 0: there is no such object */
    return str_from(copy, ref.size);
}

static void drop(struct str s)
{
    free((void *)(uintptr_t)s.data);
}

static bool same(struct value a, struct value b)
{
    if (a.type != b.type) return false;
    struct buf x = BUF_INIT(1 << 20), y = BUF_INIT(1 << 20);
    value_encode(&x, a);
    value_encode(&y, b);
    bool equal = str_eq(buf_str(&x), buf_str(&y));
    buf_fini(&x);
    buf_fini(&y);
    return equal;
}

/* Decodes everything; with `values` it must be the same. Damaged bytes may fail, never misbehave. Returns the first
 * failure. */
static enum status decode(const struct column *c, struct chunk *chunk, struct str dictionary, const struct str *blocks,
                          const struct value *values)
{
    struct value *entries = NULL, out[VECTOR_ROWS_MAX];
    uint32_t entry_count = 0, *items = NULL, codes[VECTOR_ROWS_MAX];
    bool dict = chunk->encoding == CHUNK_DICT, constant = chunk->encoding == CHUNK_CONST,
         sparse = chunk->encoding == CHUNK_SPARSE;
    if (dict || constant || sparse) TRY(chunk_dictionary(chunk, dictionary, c->arena, &entries, &entry_count, &items));
    uint32_t sparse_at = 0;
    for (uint32_t at = 0, v = 0; at < chunk->items; at += VECTOR_ROWS_MAX, v++) {
        uint32_t count = chunk_vector_items(chunk, v);
        assert_int_equal(count, chunk->items - at < VECTOR_ROWS_MAX ? chunk->items - at : VECTOR_ROWS_MAX);
        if (dict)
            TRY(chunk_decode_codes(chunk, blocks[v / BLOCK_VECTORS], v, entry_count, codes));
        else if (!constant && !sparse)
            TRY(chunk_decode_values(chunk, blocks[v / BLOCK_VECTORS], v, out));
        for (uint32_t i = 0; i < count; i++) {
            struct value value = constant ? entries[0] : dict ? entries[codes[i]] : value_absent();
            if (sparse && sparse_at < entry_count && items[sparse_at] == at + i) value = entries[sparse_at++];
            if (!constant && !dict && !sparse) value = out[i];
            if (values && !same(value, values[at + i]))
                fail_msg("item %u of %u differs, encoding %d", at + i, chunk->items, chunk->encoding);
            (void)value_hash(value);
        }
    }
    return STATUS_OK;
}

static enum chunk_encoding read_back(const struct column *c, const struct value *values, uint32_t count, bool damage)
{
    struct chunk chunk;
    struct reader reader = reader_of(buf_str(&c->table));
    assert_int_equal(chunk_read(&reader, &chunk), STATUS_OK);
    assert_int_equal(reader_left(&reader), 0);
    assert_int_equal(chunk.items, count);
    struct str dictionary = object(c, chunk.dictionary), *blocks = calloc(chunk.block_count + 1, sizeof *blocks);
    uint32_t present = 0;
    assert_non_null(blocks);
    for (uint32_t i = 0; i < count; i++) {
        present += values[i].type != VALUE_ABSENT;
        assert_true(chunk.types >> values[i].type & 1);
    }
    assert_int_equal(chunk.present, present);
    for (uint32_t b = 0; b < chunk.block_count; b++) blocks[b] = object(c, chunk_block(&chunk, b));
    assert_int_equal(decode(c, &chunk, dictionary, blocks, values), STATUS_OK);
    for (uint32_t i = 0; damage && i < 150; i++) {
        uint64_t r = hash_u64(i, count);
        struct str target =
            chunk.block_count && (r & 1 || !dictionary.size) ? blocks[r / 2 % chunk.block_count] : dictionary;
        if (!target.size) break;
        size_t at =
            r & 2 ? r / 64 % target.size : r / 64 % (target.size < 80 ? target.size : 80); /* heads more often */
        char *byte = (char *)(uintptr_t)target.data + at, old = *byte;
        *byte = (char)(old ^ (1 << r / 8 % 8));
        if (r & 4) *byte = (char)0xFF;
        arena_reset(c->arena);
        (void)!decode(c, &chunk, dictionary, blocks, NULL);
        *byte = old;
    }
    for (uint32_t b = 0; b < chunk.block_count; b++) drop(blocks[b]);
    drop(dictionary);
    free(blocks);
    return (enum chunk_encoding)chunk.encoding;
}

static enum chunk_encoding round_trip(const struct value *values, uint32_t count, bool damage)
{
    struct column c = new_column();
    struct arena *scratch = arena_new(1 << 28);
    assert_int_equal(chunk_encode(7, values, count, scratch, &c.out, &c.table), STATUS_OK);
    enum chunk_encoding encoding = read_back(&c, values, count, damage);
    arena_free(scratch);
    end_column(&c);
    return encoding;
}

enum kind {
    SMALL_INTS,
    LARGE_INTS,
    EXTREME_INTS,
    FEW_STRINGS,
    MANY_STRINGS,
    DOUBLES,
    MIXED,
    ONE_VALUE,
    NESTED,
    BOOLS,
    KINDS
};

static struct value from_json(struct arena *arena, const char *text)
{
    struct json json;
    struct error error;
    struct buf buf = BUF_INIT(4096);
    struct value value;
    assert_int_equal(json_parse(arena, str_of(text), NULL, &error, &json), STATUS_OK);
    assert_int_equal(value_encode_json(&buf, &json), STATUS_OK);
    struct str copy = arena_str(arena, buf_str(&buf));
    struct reader reader = reader_of(copy);
    assert_int_equal(value_decode(&reader, &value), STATUS_OK);
    buf_fini(&buf);
    return value;
}

static struct value make(struct arena *arena, enum kind kind, uint64_t r)
{
    char text[128];
    switch (kind) {
    case SMALL_INTS: return value_int((int64_t)(r % 1000) - 500);
    case LARGE_INTS: return value_int((int64_t)(r % (1u << 30)));
    case EXTREME_INTS: return value_int(r % 3 == 0 ? INT64_MIN : r % 3 == 1 ? INT64_MAX : (int64_t)r);
    case FEW_STRINGS: snprintf(text, sizeof text, "value %d", (int)(r % 20)); break;
    case MANY_STRINGS:
        if (r % 9 == 0) return value_str(STR(""));
        snprintf(text, sizeof text, "%0*llx", (int)(r % 60), (unsigned long long)r);
        break;
    case DOUBLES:
        return r % 11 == 0 ? value_number(-0.0) : r % 11 == 1 ? value_int(0) : value_number((double)r / 3e10 + 0.1);
    case ONE_VALUE: return value_str(STR("always"));
    case BOOLS: return value_bool(r % 2);
    case NESTED:
        snprintf(text, sizeof text, "{\"a\":[%u,[\"x%u\",null,[[]]]],\"b\":%u.5}", (unsigned)(r % 100),
                 (unsigned)(r / 100 % 977), (unsigned)(r % 7));
        return from_json(arena, text);
    default:
        switch (r % 8) {
        case 0: return value_null();
        case 1: return from_json(arena, "123456789012345678901234567890.125");
        case 2: return from_json(arena, "[]");
        case 3: return value_str(STR(""));
        case 4: return value_bool(r & 64);
        case 5: return value_int((int64_t)(r / 8));
        case 6: return value_number((double)(r / 8) + 0.25);
        default: snprintf(text, sizeof text, "m%llu", (unsigned long long)(r / 8));
        }
    }
    return value_str(arena_str(arena, str_of(text)));
}

static void every_kind_and_size(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 1023, 1024, 1025, 16384, 16385, 50000};
    bool met[CHUNK_SPARSE + 1] = {false};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            if (kind == NESTED && counts[c] > 2000) continue;        /* slow to make */
            for (unsigned absent = 0; absent <= 100; absent += 50) { /* per cent */
                if (absent == 50 && counts[c] == 50000) continue;
                struct arena *arena = arena_new(1 << 28);
                struct value *values = arena_new_array(arena, struct value, counts[c]);
                for (uint32_t i = 0; i < counts[c]; i++) {
                    uint64_t r = hash_u64(i, (uint64_t)kind);
                    /* absent values in long stretches, so that whole vectors have none */
                    bool set = absent == 0 || i == counts[c] / 2 || (absent == 50 ? r % 2 : i / 3000 % 2);
                    if (set) values[i] = make(arena, (enum kind)kind, hash_u64(r, 5));
                }
                met[round_trip(values, counts[c], absent == 50 && counts[c] < 20000)] = true;
                arena_free(arena);
            }
        }
    }
    for (int encoding = CHUNK_CONST; encoding < CHUNK_SPARSE; encoding++) assert_true(met[encoding]);
}

static void sparse_columns(void **state)
{
    (void)state;
    for (uint32_t present = 1; present < 300; present += 37) {
        uint32_t count = present * 40 + 5;
        struct column c = new_column();
        struct arena *arena = arena_new(1 << 26);
        struct value *values = arena_new_array(arena, struct value, count),
                     *some = arena_new_array(arena, struct value, present);
        uint32_t *items = arena_new_array(arena, uint32_t, present);
        for (uint32_t i = 0; i < present; i++) {
            items[i] = i * 40 + (uint32_t)hash_u64(i, 2) % 40;
            values[items[i]] = some[i] = make(arena, MIXED, hash_u64(i, present));
        }
        assert_true(chunk_is_sparse(present, count));
        assert_int_equal(chunk_encode_sparse(9, items, some, present, count, &c.out, &c.table), STATUS_OK);
        assert_int_equal(read_back(&c, values, count, true), CHUNK_SPARSE);
        /* a descriptor that counts other than the dictionary */
        struct chunk chunk;
        struct reader reader = reader_of(buf_str(&c.table));
        struct value *entries;
        uint32_t entry_count, *entry_items;
        assert_int_equal(chunk_read(&reader, &chunk), STATUS_OK);
        struct str dictionary = object(&c, chunk.dictionary);
        chunk.present--;
        assert_int_equal(chunk_dictionary(&chunk, dictionary, arena, &entries, &entry_count, &entry_items),
                         STATUS_CORRUPT);
        drop(dictionary);
        arena_free(arena);
        end_column(&c);
    }
}

static void integer_columns(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 1024, 1025, 40000};
    for (size_t n = 0; n < 4; n++) {
        for (unsigned shift = 0; shift < 64; shift += 9) {
            struct column c = new_column();
            uint64_t *numbers = calloc(counts[n], sizeof *numbers);
            struct chunk chunk;
            for (uint32_t i = 0; i < counts[n]; i++) numbers[i] = hash_u64(i, shift) >> shift;
            assert_int_equal(chunk_encode_ints(CORE_ID, numbers, counts[n], &c.out, &c.table), STATUS_OK);
            struct reader reader = reader_of(buf_str(&c.table));
            assert_int_equal(chunk_read(&reader, &chunk), STATUS_OK);
            for (uint32_t v = 0; chunk_vector_items(&chunk, v); v++) {
                int64_t out[VECTOR_ROWS_MAX];
                struct str block = object(&c, chunk_block(&chunk, v / BLOCK_VECTORS));
                assert_int_equal(chunk_decode_ints(&chunk, block, v, out), STATUS_OK);
                assert_memory_equal(out, numbers + v * VECTOR_ROWS_MAX, chunk_vector_items(&chunk, v) * sizeof *out);
                drop(block);
            }
            free(numbers);
            end_column(&c);
        }
    }
}

/* A table that lies about its chunks is refused before anything is read by it. */
static void damaged_tables(void **state)
{
    (void)state;
    struct column c = new_column();
    struct arena *scratch = arena_new(1 << 24);
    struct value values[3000];
    for (uint32_t i = 0; i < 3000; i++) values[i] = value_int(i);
    assert_int_equal(chunk_encode(7, values, 3000, scratch, &c.out, &c.table), STATUS_OK);
    for (size_t at = 0; at < c.table.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct chunk chunk;
            struct reader reader = reader_of(buf_str(&c.table));
            c.table.data[at] = (char)(c.table.data[at] ^ 1 << bit);
            if (chunk_read(&reader, &chunk) == STATUS_OK) {
                assert_in_range(chunk.encoding, CHUNK_CONST, CHUNK_SPARSE);
                assert_true(chunk.block_count <= 1);
            }
            c.table.data[at] = (char)(c.table.data[at] ^ 1 << bit);
        }
    }
    for (size_t size = 0; size < c.table.size; size++) {
        struct chunk chunk;
        struct reader reader = reader_of(str_from(c.table.data, size));
        assert_int_equal(chunk_read(&reader, &chunk), STATUS_CORRUPT);
    }
    arena_free(scratch);
    end_column(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_size),
        cmocka_unit_test(sparse_columns),
        cmocka_unit_test(integer_columns),
        cmocka_unit_test(damaged_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
