/* Columns of every kind and size come back as they went in, in the encoding that fits them; damaged bytes give errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/chunk_encode.h"
#include "store/chunk_exceptions.h"
#include "store/chunk_pick.h"

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

/* A column read back: its descriptor and objects. */
struct readable {
    struct chunk chunk;
    struct str dictionary, *blocks, *exceptions;
    uint32_t *items, *weights; /* per person: which item each row has; how many rows have each */
    bool whole;                /* the exceptions could be read */
};

static enum status read_exceptions(struct readable *r, const struct chunk_persons *persons)
{
    uint32_t rows = 0, next = persons->count;
    memset(r->weights, 0, (r->chunk.items + 1) * sizeof *r->weights);
    for (uint32_t p = 0; p < persons->count; p++) {
        for (uint32_t i = 0; i < persons->rows[p]; i++) r->items[rows++] = p;
    }
    for (uint32_t v = 0; r->chunk.exceptions && v * VECTOR_ROWS_MAX < rows; v++) {
        struct chunk_exceptions found;
        TRY(chunk_decode_exceptions(&r->chunk, r->exceptions[v / BLOCK_VECTORS], rows, v, &found));
        for (uint32_t i = 0; i < found.count; i++) {
            assert_true(found.starts[i] < found.ends[i] && v * VECTOR_ROWS_MAX + found.ends[i] <= rows);
            assert_true(i == 0 || found.starts[i] >= found.ends[i - 1]);
            assert_true(found.first + i < r->chunk.items);
            if (r->whole) assert_int_equal(found.first + i, next++);
            for (uint32_t row = found.starts[i]; row < found.ends[i]; row++)
                r->items[v * VECTOR_ROWS_MAX + row] = found.first + i;
        }
    }
    if (r->whole) assert_int_equal(r->chunk.exceptions ? next : r->chunk.items, r->chunk.items);
    for (uint32_t i = 0; i < rows; i++) r->weights[r->items[i]]++;
    return STATUS_OK;
}

static struct readable open_column(const struct column *c, const struct chunk_persons *persons)
{
    struct readable r = {.whole = true};
    struct reader reader = reader_of(buf_str(&c->table));
    assert_int_equal(chunk_read(&reader, &r.chunk), STATUS_OK);
    assert_int_equal(reader_left(&reader), 0);
    r.dictionary = object(c, r.chunk.dictionary);
    r.blocks = calloc(r.chunk.block_count + 1, sizeof *r.blocks);
    assert_non_null(r.blocks);
    for (uint32_t b = 0; b < r.chunk.block_count; b++) r.blocks[b] = object(c, chunk_block(&r.chunk, b));
    r.exceptions = calloc(r.chunk.exception_block_count + 1, sizeof *r.exceptions);
    assert_non_null(r.exceptions);
    for (uint32_t b = 0; b < r.chunk.exception_block_count; b++)
        r.exceptions[b] = object(c, chunk_exception_block(&r.chunk, b));
    if (!r.chunk.per_person) return r;
    uint32_t rows = 0;
    for (uint32_t p = 0; p < persons->count; p++) rows += persons->rows[p];
    r.items = calloc(rows + 1, sizeof *r.items);
    r.weights = calloc(r.chunk.items + 1, sizeof *r.weights);
    assert_true(r.items && r.weights);
    assert_int_equal(chunk_exception_items(&r.chunk), persons->count);
    assert_int_equal(read_exceptions(&r, persons), STATUS_OK);
    return r;
}

static void close_column(struct readable *r)
{
    for (uint32_t b = 0; b < r->chunk.block_count; b++) drop(r->blocks[b]);
    for (uint32_t b = 0; b < r->chunk.exception_block_count; b++) drop(r->exceptions[b]);
    drop(r->dictionary);
    free(r->blocks);
    free(r->exceptions);
    free(r->items);
    free(r->weights);
}

/* Some items of a vector, others each time. */
static struct chunk_picks choose(uint32_t items[CHUNK_PICKS_MAX], uint32_t count, uint32_t vector)
{
    uint32_t picked = 0, step = 1 + (uint32_t)(hash_u64(vector, count) % 40);
    for (uint32_t i = vector % 2 ? 0 : step / 2; i < count && picked < CHUNK_PICKS_MAX; i += step) items[picked++] = i;
    if (picked && picked < CHUNK_PICKS_MAX && items[picked - 1] != count - 1) items[picked++] = count - 1;
    return (struct chunk_picks){items, picked};
}

/* Picking gives what decoding gave; places that there are not are refused. Without `out` and `codes` decoding failed,
 * and nothing may happen but a failure. */
static void check_picks(const struct chunk *chunk, struct str block, uint32_t v, uint32_t entry_count,
                        const uint32_t *codes, const struct value *out)
{
    uint32_t items[CHUNK_PICKS_MAX], count = chunk_vector_items(chunk, v), picked_codes[CHUNK_PICKS_MAX];
    struct chunk_picks picks = choose(items, count, v), beyond = {&count, 1};
    struct value values[CHUNK_PICKS_MAX];
    int64_t integers[CHUNK_PICKS_MAX];
    char *text = malloc((size_t)CHUNK_FIXED_BYTES_MAX * picks.count + 1);
    assert_non_null(text);
    if (chunk->encoding == CHUNK_DICT) {
        enum status status = chunk_pick_codes(chunk, block, v, picks, entry_count, picked_codes);
        if (codes) assert_int_equal(status, STATUS_OK);
        for (uint32_t i = 0; i < picks.count && status == STATUS_OK; i++) {
            assert_true(picked_codes[i] < entry_count);
            if (codes) assert_int_equal(picked_codes[i], codes[items[i]]);
        }
        assert_int_equal(chunk_pick_codes(chunk, block, v, beyond, entry_count, picked_codes), STATUS_CORRUPT);
    } else {
        enum status status = chunk_pick_values(chunk, block, v, picks, text, values);
        if (out) assert_int_equal(status, STATUS_OK);
        for (uint32_t i = 0; i < picks.count && status == STATUS_OK; i++) {
            (void)value_hash(values[i]);
            if (out) assert_true(same(values[i], out[items[i]]));
        }
        assert_int_equal(chunk_pick_values(chunk, block, v, beyond, text, values), STATUS_CORRUPT);
    }
    enum status status = chunk_pick_ints(chunk, block, v, picks, integers);
    if (chunk->encoding != CHUNK_INT) assert_int_equal(status, STATUS_CORRUPT);
    for (uint32_t i = 0; out && i < picks.count && status == STATUS_OK; i++)
        assert_true(out[items[i]].type == VALUE_INT && out[items[i]].integer == integers[i]);
    free(text);
}

/* Decodes all items, through every entry point that fits the encoding; they must agree with one another. With `values`,
 * which has a value per row, they must be the same. Damaged bytes may fail, never misbehave. Returns the first failure.
 */
static enum status decode(const struct column *c, const struct readable *r, const struct value *values, uint32_t rows)
{
    const struct chunk *chunk = &r->chunk;
    struct value *entries = NULL, out[VECTOR_ROWS_MAX];
    uint32_t entry_count = 0, *items = NULL, codes[VECTOR_ROWS_MAX], sparse_at = 0, *counts = NULL, counted;
    bool dict = chunk->encoding == CHUNK_DICT, constant = chunk->encoding == CHUNK_CONST,
         sparse = chunk->encoding == CHUNK_SPARSE;
    bool number = chunk->encoding == CHUNK_INT || chunk->encoding == CHUNK_DECIMAL || chunk->encoding == CHUNK_DOUBLE;
    struct value *all = arena_new_array(c->arena, struct value, chunk->items + 1);
    uint32_t *seen = NULL;
    enum status status = STATUS_OK;
    assert_non_null(all);
    if (dict || constant || sparse)
        status = chunk_dictionary(chunk, r->dictionary, c->arena, &entries, &entry_count, &items);
    if (dict && status == STATUS_OK) {
        status = chunk_dictionary_counts(chunk, r->dictionary, rows, c->arena, &counts, &counted);
        if (status == STATUS_OK) assert_int_equal(counted, entry_count);
        seen = calloc(entry_count, sizeof *seen);
        assert_non_null(seen);
        for (uint32_t e = 2; values && e < entry_count; e++) assert_true(value_cmp(entries[e - 1], entries[e]) < 0);
    }
    for (uint32_t at = 0, v = 0; at < chunk->items && status == STATUS_OK; at += VECTOR_ROWS_MAX, v++) {
        uint32_t count = chunk_vector_items(chunk, v);
        struct str block = chunk->block_count ? r->blocks[v / BLOCK_VECTORS] : STR_NULL;
        assert_int_equal(count, chunk->items - at < VECTOR_ROWS_MAX ? chunk->items - at : VECTOR_ROWS_MAX);
        if (dict) {
            uint16_t narrow[VECTOR_ROWS_MAX];
            uint32_t low, high;
            status = chunk_decode_codes32(chunk, block, v, entry_count, codes);
            if (entry_count <= 65536)
                assert_int_equal(chunk_decode_codes16(chunk, block, v, entry_count, narrow), status);
            check_picks(chunk, block, v, entry_count, status == STATUS_OK ? codes : NULL, NULL);
            if (status != STATUS_OK) break;
            assert_int_equal(chunk_codes_range(chunk, block, v, entry_count, &low, &high), STATUS_OK);
            for (uint32_t i = 0; i < count; i++) {
                assert_true(codes[i] < entry_count && codes[i] >= low && codes[i] <= high);
                if (entry_count <= 65536) assert_int_equal(codes[i], narrow[i]);
                seen[codes[i]] += r->weights ? r->weights[at + i] : 1;
            }
        } else if (!constant && !sparse) {
            char *text = arena_alloc(c->arena, chunk_text_bytes(chunk) + 1);
            assert_non_null(text);
            status = chunk_decode_values(chunk, block, v, text, out);
            check_picks(chunk, block, v, 0, NULL, status == STATUS_OK ? out : NULL);
            if (status != STATUS_OK) break;
        }
        if (number) {
            double doubles[VECTOR_ROWS_MAX], low, high;
            uint64_t bits[CHUNK_PRESENCE_WORDS], again[CHUNK_PRESENCE_WORDS];
            bool any, met = false;
            assert_int_equal(chunk_decode_doubles(chunk, block, v, doubles, bits), STATUS_OK);
            assert_int_equal(chunk_decode_presence(chunk, block, v, again), STATUS_OK);
            assert_memory_equal(bits, again, sizeof bits);
            assert_int_equal(chunk_vector_range(chunk, block, v, &low, &high, &any), STATUS_OK);
            for (uint32_t i = 0; i < VECTOR_ROWS_MAX; i++) {
                bool present = bits[i / 64] >> (i % 64) & 1;
                double is = 0;
                met |= present;
                if (i >= count) {
                    assert_false(present);
                    continue;
                }
                assert_true(doubles[i] >= low && doubles[i] <= high);
                assert_int_equal(present, out[i].type != VALUE_ABSENT);
                if (present) assert_true(value_double(out[i], &is) && memcmp(&is, &doubles[i], 8) == 0);
            }
            assert_int_equal(any, met);
            struct chunk_ints head;
            if (chunk->encoding != CHUNK_DOUBLE) {
                uint16_t offsets16[VECTOR_ROWS_MAX];
                uint32_t offsets32[VECTOR_ROWS_MAX];
                assert_int_equal(chunk_ints(chunk, block, v, &head), STATUS_OK);
                enum status as16 = chunk_decode_offsets16(chunk, block, v, &head, offsets16);
                enum status as32 = chunk_decode_offsets32(chunk, block, v, &head, offsets32);
                assert_int_equal(as16, head.width <= 16 ? STATUS_OK : STATUS_CORRUPT);
                assert_int_equal(as32, head.width <= 32 ? STATUS_OK : STATUS_CORRUPT);
                for (uint32_t i = 0; i < count && chunk->encoding == CHUNK_INT && as32 == STATUS_OK; i++) {
                    if (out[i].type == VALUE_ABSENT) continue;
                    assert_true((uint64_t)head.min + (uint64_t)head.scale * offsets32[i] == (uint64_t)out[i].integer);
                    if (as16 == STATUS_OK) assert_int_equal(offsets16[i], offsets32[i]);
                }
            }
            for (uint32_t i = 0; i < count && chunk->encoding == CHUNK_INT; i++) {
                int64_t one;
                enum status got = chunk_get_int(chunk, block, at + i, &one);
                assert_int_equal(got, out[i].type == VALUE_ABSENT ? STATUS_NOT_FOUND : STATUS_OK);
                if (got == STATUS_OK) assert_true(one == out[i].integer);
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            struct value value = constant ? entries[0] : dict ? entries[codes[i]] : value_absent();
            if (sparse && sparse_at < entry_count && items[sparse_at] == at + i) value = entries[sparse_at++];
            if (!constant && !dict && !sparse) value = out[i];
            (void)value_hash(value);
            all[at + i] = value;
        }
    }
    for (uint32_t row = 0; values && row < rows; row++) {
        if (!same(all[r->items ? r->items[row] : row], values[row]))
            fail_msg("row %u of %u differs, encoding %d", row, rows, chunk->encoding);
    }
    for (uint32_t e = 0; values && counts && e < entry_count; e++) assert_int_equal(counts[e], seen[e]);
    free(seen);
    return status;
}

/* One byte of one object is changed. */
static void damage_byte(const struct column *c, const struct readable *r, uint32_t rows, struct str target, size_t at,
                        unsigned char flip)
{
    char *byte = (char *)(uintptr_t)target.data + at, old = *byte;
    *byte = (char)(old ^ flip);
    arena_reset(c->arena);
    (void)!decode(c, r, NULL, rows);
    *byte = old;
}

static struct chunk read_back(const struct column *c, const struct value *values, uint32_t count,
                              const struct chunk_persons *persons, bool damage)
{
    struct readable r = open_column(c, persons);
    uint32_t present = 0;
    for (uint32_t i = 0; i < count; i++) {
        present += values[i].type != VALUE_ABSENT;
        assert_true(r.chunk.types >> values[i].type & 1);
    }
    assert_int_equal(r.chunk.present, present);
    if (!r.chunk.per_person) assert_int_equal(r.chunk.items, count);
    assert_int_equal(decode(c, &r, values, count), STATUS_OK);
    for (uint32_t i = 0; damage && i < 150; i++) {
        uint64_t h = hash_u64(i, count);
        struct str target =
            r.chunk.block_count && (h & 1 || !r.dictionary.size) ? r.blocks[h / 2 % r.chunk.block_count] : r.dictionary;
        if (!target.size) break;
        /* heads more often */
        size_t at = h & 2 ? h / 64 % target.size : h / 64 % (target.size < 80 ? target.size : 80);
        damage_byte(c, &r, count, target, at, h & 4 ? 0xFF : (unsigned char)(1 << h / 8 % 8));
        if (!r.chunk.exceptions) continue;
        target = r.exceptions[h / 2 % r.chunk.exception_block_count];
        char *byte = (char *)(uintptr_t)target.data + h / 64 % target.size, old = *byte;
        *byte = (char)(old ^ (1 << h / 8 % 8));
        r.whole = false;
        (void)!read_exceptions(&r, persons);
        *byte = old;
    }
    struct chunk chunk = r.chunk;
    close_column(&r);
    return chunk;
}

static struct chunk round_trip_persons(const struct value *values, uint32_t count, const struct chunk_persons *persons,
                                       bool damage)
{
    struct column c = new_column();
    struct arena *scratch = arena_new(1 << 28);
    assert_int_equal(chunk_encode_values(7, values, count, persons, scratch, &c.out, &c.table), STATUS_OK);
    struct chunk chunk = read_back(&c, values, count, persons, damage);
    arena_free(scratch);
    end_column(&c);
    return chunk;
}

static enum chunk_encoding round_trip(const struct value *values, uint32_t count, bool damage)
{
    return (enum chunk_encoding)round_trip_persons(values, count, NULL, damage).encoding;
}

enum kind {
    SMALL_INTS,
    LARGE_INTS,
    EXTREME_INTS,
    SCALED_INTS,
    FEW_STRINGS,
    MANY_STRINGS,
    DOUBLES,
    PRICES,
    MIXED_NUMBERS,
    MIXED,
    ONE_VALUE,
    NESTED,
    BOOLS,
    UUIDS,
    BASE36_IDS,
    DIGITS,
    BINARY_IDS,
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
    case SCALED_INTS: return value_int((int64_t)(r % 100000) * 86400000 - 1000);
    case PRICES: return value_number((double)(r % 100000) / 100);
    case MIXED_NUMBERS: return r % 2 ? value_int((int64_t)(r % 9007199254740992)) : value_number((double)r / 7);
    case UUIDS:
        snprintf(text, sizeof text, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)r, (unsigned)(r >> 48),
                 (unsigned)(r >> 32 & 0xFFF), (unsigned)(0x8000 | (hash_u64(r, 1) & 0x3FFF)),
                 (unsigned long long)(hash_u64(r, 2) & 0xFFFFFFFFFFFF));
        break;
    case BASE36_IDS:
        for (int i = 0; i < 16; i++) text[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[hash_u64(r, (uint64_t)i) % 36];
        text[16] = 0;
        break;
    case DIGITS: snprintf(text, sizeof text, "%020llu", (unsigned long long)r); break;
    case BINARY_IDS:
        for (int i = 0; i < 9; i++) text[i] = (char)hash_u64(r, (uint64_t)i);
        return value_str(arena_str(arena, str_from(text, 9)));
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
    bool met[CHUNK_ENCODING_MAX + 1] = {false};
    for (int kind = 0; kind < KINDS; kind++) {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            if (kind == NESTED && counts[c] > 2000) continue; /* slow to make */
            if (kind % 3 && counts[c] == 50000) continue;
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
    for (int encoding = CHUNK_CONST; encoding < CHUNK_PERSON_ID; encoding++) assert_true(met[encoding]);
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
        assert_int_equal(read_back(&c, values, count, NULL, true).encoding, CHUNK_SPARSE);
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
            assert_int_equal(chunk_encode_stream(CORE_ID, numbers, counts[n], &c.out, &c.table), STATUS_OK);
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

/* Rows of persons: columns in which each person's rows agree are written once per person, others are not. */
static void columns_of_persons(void **state)
{
    (void)state;
    static const uint32_t person_counts[] = {1, 2, 700, 1024, 1025, 5000};
    static const enum kind kinds[] = {LARGE_INTS, PRICES, DOUBLES, FEW_STRINGS, MANY_STRINGS, MIXED, BOOLS, UUIDS};
    bool met[CHUNK_ENCODING_MAX + 1] = {false};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t n = 0; n < sizeof person_counts / sizeof *person_counts; n++) {
            for (unsigned absent = 0; absent < 2; absent++) {
                struct arena *arena = arena_new(1 << 28);
                uint32_t count = person_counts[n], rows = 0;
                uint32_t *lengths = arena_new_array(arena, uint32_t, count);
                for (uint32_t p = 0; p < count; p++)
                    rows += lengths[p] = 1 + (uint32_t)(hash_u64(p, 3) % (p % 500 == 7 ? 3000 : 6));
                struct value *values = arena_new_array(arena, struct value, rows);
                for (uint32_t p = 0, at = 0; p < count; p++) {
                    struct value value = absent && p % 3 == 1 ? value_absent() : make(arena, kinds[k], hash_u64(p, k));
                    for (uint32_t i = 0; i < lengths[p]; i++) values[at++] = value;
                }
                struct chunk_persons persons = {lengths, count};
                struct chunk chunk = round_trip_persons(values, rows, &persons, count < 2000 && k % 2 == absent);
                if (chunk.encoding != CHUNK_CONST && (uint64_t)count * 4 <= (uint64_t)rows * 3)
                    assert_true(chunk.per_person);
                met[chunk.encoding] = true;
                assert_int_equal(chunk.exceptions, 0);
                /* every row for itself */
                for (uint32_t i = 0; i < rows; i++) {
                    if (kinds[k] != BOOLS) values[i] = make(arena, kinds[k], hash_u64(i, 9));
                }
                if (rows > 100 && kinds[k] != BOOLS)
                    assert_false(round_trip_persons(values, rows, &persons, false).per_person);
                arena_free(arena);
            }
        }
    }
    assert_true(met[CHUNK_DICT] && met[CHUNK_INT] && met[CHUNK_DECIMAL] && met[CHUNK_DOUBLE]);
}

/* Rows `from` and `from` + `size` - 1 of a person's, or all between them, have another value. */
struct odd {
    uint32_t from, size;
    bool ends_only;
};

static void check_odd(enum kind kind, struct odd odd, uint32_t count, bool absent, bool damage, bool *met)
{
    enum { LENGTH = 7 };
    struct arena *arena = arena_new(1 << 28);
    uint32_t rows = count * LENGTH, *lengths = arena_new_array(arena, uint32_t, count);
    struct value *values = arena_new_array(arena, struct value, rows);
    assert_true(odd.from + odd.size <= rows);
    for (uint32_t p = 0; p < count; p++) {
        lengths[p] = LENGTH;
        struct value value = absent && p % 3 == 1 ? value_absent() : make(arena, kind, hash_u64(p, kind));
        for (uint32_t i = 0; i < LENGTH; i++) values[p * LENGTH + i] = value;
    }
    for (uint32_t i = odd.from; i < odd.from + odd.size; i++) {
        if (!odd.ends_only || i == odd.from || i == odd.from + odd.size - 1)
            values[i] = absent && i % 2 ? value_absent() : make(arena, kind, hash_u64(i, 77));
    }
    struct chunk_persons persons = {lengths, count};
    struct chunk chunk = round_trip_persons(values, rows, &persons, damage);
    if (kind != BOOLS && !chunk.per_person) fail_msg("kind %d, rows %u to %u", kind, odd.from, odd.from + odd.size);
    if (chunk.exceptions) met[chunk.encoding] = true;
    arena_free(arena);
}

/* Few rows differ from the others of their persons: at the first and last rows, at edges of vectors and blocks. */
static void columns_with_exceptions(void **state)
{
    (void)state;
    static const enum kind kinds[] = {LARGE_INTS, PRICES, DOUBLES, FEW_STRINGS, MANY_STRINGS, NESTED, BOOLS, UUIDS};
    static const struct odd odds[] = {{0, 1, 0},       {6, 1, 0},     {7, 1, 0},     {1023, 1, 0},  {1023, 2, 0},
                                      {1024, 1, 0},    {1020, 14, 0}, {2000, 90, 1}, {16383, 2, 0}, {16384, 1, 0},
                                      {16300, 500, 0}, {27999, 1, 0}, {0, 28000, 1}, {0, 3000, 0}};
    bool met[CHUNK_ENCODING_MAX + 1] = {false};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t o = 0; o < sizeof odds / sizeof *odds; o++) {
            for (unsigned absent = 0; absent < 2; absent++)
                check_odd(kinds[k], odds[o], 4000, absent, o % 5 == absent, met);
        }
    }
    for (int encoding = CHUNK_DICT; encoding <= CHUNK_FIXED; encoding++)
        if (!met[encoding] && encoding != CHUNK_SPARSE) fail_msg("encoding %d", encoding);
}

/* One person with all rows; the value of most pieces, and of a majority of very many. */
static void one_person_with_exceptions(void **state)
{
    (void)state;
    static const uint32_t every[] = {2, 3, 50, 1000, 1024, 20000};
    for (size_t e = 0; e < sizeof every / sizeof *every; e++) {
        struct arena *arena = arena_new(1 << 28);
        enum { ONE_ROWS = 40000 };
        uint32_t rows = ONE_ROWS;
        struct value *values = arena_new_array(arena, struct value, ONE_ROWS);
        for (uint32_t i = 0; i < ONE_ROWS; i++)
            values[i] = make(arena, MANY_STRINGS, i % every[e] == every[e] - 1 ? hash_u64(i, 1) : 5);
        struct chunk_persons persons = {&rows, 1};
        struct chunk chunk = round_trip_persons(values, ONE_ROWS, &persons, every[e] == 50);
        if (every[e] <= 50) assert_int_equal(chunk.per_person, every[e] > 2);
        if (chunk.per_person) assert_int_equal(chunk.exceptions, ONE_ROWS / every[e]);
        arena_free(arena);
    }
}

/* Typed input gives the bytes that the same values give. */
static void typed_input_gives_the_same(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 1023, 1025, 20000};
    for (size_t n = 0; n < 4; n++) {
        for (unsigned absent = 0; absent < 3; absent++) {
            for (int kind = 0; kind < 6; kind++) {
                static const enum kind kinds[] = {SMALL_INTS, LARGE_INTS, SCALED_INTS, PRICES, DOUBLES, FEW_STRINGS};
                struct arena *arena = arena_new(1 << 28), *scratch = arena_new(1 << 28);
                struct column a = new_column(), b = new_column();
                uint32_t count = counts[n];
                struct value *values = arena_new_array(arena, struct value, count);
                int64_t *integers = arena_new_array(arena, int64_t, count);
                double *doubles = arena_new_array(arena, double, count);
                uint64_t *presence = arena_new_array(arena, uint64_t, count / 64 + 1);
                uint32_t *codes = arena_new_array(arena, uint32_t, count);
                uint32_t *lengths = arena_new_array(arena, uint32_t, count);
                struct chunk_persons persons = {lengths, 0};
                for (uint32_t i = 0; i < count; i++) {
                    /* persons of three rows who agree in half of the columns */
                    if (i % 3 == 0) persons.count++;
                    lengths[persons.count - 1]++;
                    uint32_t seed = n % 2 ? i : i / 3;
                    integers[i] = -1;
                    doubles[i] = 1e300;
                    if (absent && seed % (absent == 1 ? 4 : 100) != 0) continue;
                    values[i] = make(arena, kinds[kind], hash_u64(seed, 9));
                    presence[i / 64] |= (uint64_t)1 << i % 64;
                    if (kind < 3) integers[i] = values[i].integer;
                    if (kind == 3 || kind == 4) assert_true(value_double(values[i], &doubles[i]));
                }
                assert_int_equal(chunk_encode_values(5, values, count, &persons, scratch, &a.out, &a.table), STATUS_OK);
                const uint64_t *bits = absent ? presence : NULL;
                enum status status;
                if (kind < 3) {
                    status = chunk_encode_integers(5, integers, bits, count, &persons, scratch, &b.out, &b.table);
                } else if (kind < 5) {
                    status = chunk_encode_doubles(5, doubles, bits, count, &persons, scratch, &b.out, &b.table);
                } else {
                    struct value entries[24];
                    for (int e = 0; e < 24; e++) {
                        char text[16];
                        snprintf(text, sizeof text, "value %d", e / 4 * 4 + e % 4);
                        entries[e] = value_str(arena_str(arena, str_of(text)));
                    }
                    for (int e = 1; e < 24; e++) { /* insertion sort; 20 to 23 are never used */
                        struct value entry = entries[e];
                        int at = e;
                        for (; at > 0 && value_cmp(entries[at - 1], entry) > 0; at--) entries[at] = entries[at - 1];
                        entries[at] = entry;
                    }
                    for (uint32_t i = 0; i < count; i++) {
                        for (uint32_t e = 0; e < 24 && values[i].type != VALUE_ABSENT; e++) {
                            if (same(values[i], entries[e])) codes[i] = e + 1;
                        }
                    }
                    status = chunk_encode_codes(5, entries, 24, codes, count, &persons, scratch, &b.out, &b.table);
                }
                assert_int_equal(status, STATUS_OK);
                assert_true(str_eq(buf_str(&a.table), buf_str(&b.table)));
                assert_true(str_eq(buf_str(&a.out.buf), buf_str(&b.out.buf)));
                (void)read_back(&b, values, count, &persons, false);
                arena_free(arena);
                arena_free(scratch);
                end_column(&a);
                end_column(&b);
            }
        }
    }
}

/* Codes of a dictionary that does not pay become what the values would. */
static void dictionaries_that_do_not_pay(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 26), *scratch = arena_new(1 << 26);
    struct column c = new_column();
    struct value entries[3000], values[3000];
    uint32_t codes[3000];
    for (uint32_t i = 0; i < 3000; i++) {
        char text[16];
        snprintf(text, sizeof text, "u%05u", i);
        entries[i] = value_str(arena_str(arena, str_of(text)));
        codes[i] = (i * 7 + 1) % 3000 + 1;
    }
    for (uint32_t i = 0; i < 3000; i++) values[i] = entries[codes[i] - 1];
    assert_int_equal(chunk_encode_codes(5, entries, 3000, codes, 3000, NULL, scratch, &c.out, &c.table), STATUS_OK);
    assert_int_equal(read_back(&c, values, 3000, NULL, false).encoding, CHUNK_FIXED);
    arena_free(arena);
    arena_free(scratch);
    end_column(&c);
}

/* Ids that are mostly the person's number take almost nothing; arbitrary ones are kept as numbers. */
static void ids_of_persons(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 1023, 1024, 1025, 40000};
    for (size_t n = 0; n < 5; n++) {
        for (unsigned kind = 0; kind < 4; kind++) {
            uint32_t count = counts[n], *ids = calloc(count, sizeof *ids), *persons = calloc(count, sizeof *persons);
            struct column c = new_column();
            struct arena *scratch = arena_new(1 << 26);
            for (uint32_t i = 0; i < count; i++) {
                persons[i] = i / 4 * 3;
                ids[i] = persons[i];
                if (kind == 1 && i / 4 % 10 == 3 && i % 4 < 2) ids[i] = UINT32_MAX - i / 4;
                if (kind == 2) ids[i] = (uint32_t)hash_u64(i, 1);
                if (kind == 3 && i % 2) ids[i] = 0;
            }
            assert_int_equal(chunk_encode_person_ids(ids, persons, count, scratch, &c.out, &c.table), STATUS_OK);
            struct readable r = open_column(&c, NULL);
            assert_int_equal(r.chunk.property, CORE_ID);
            if (kind < 2) assert_int_equal(r.chunk.encoding, CHUNK_PERSON_ID);
            if (kind == 2 && count > 1) assert_int_equal(r.chunk.encoding, CHUNK_INT);
            if (kind == 0 && count == 40000) assert_true(c.out.buf.size < 1000);
            if (kind == 1 && count == 40000) assert_true(c.out.buf.size < 16000);
            for (uint32_t v = 0; chunk_vector_items(&r.chunk, v); v++) {
                uint32_t items = chunk_vector_items(&r.chunk, v), out[VECTOR_ROWS_MAX];
                int64_t integers[VECTOR_ROWS_MAX];
                uint32_t some[CHUNK_PICKS_MAX], some_ids[CHUNK_PICKS_MAX];
                struct chunk_picks picks = choose(some, items, v);
                memcpy(out, persons + v * VECTOR_ROWS_MAX, items * sizeof *out);
                for (uint32_t i = 0; i < picks.count; i++) some_ids[i] = out[some[i]];
                if (r.chunk.encoding == CHUNK_PERSON_ID) {
                    assert_int_equal(chunk_pick_person_ids(&r.chunk, r.blocks[v / BLOCK_VECTORS], v, picks, some_ids),
                                     STATUS_OK);
                    for (uint32_t i = 0; i < picks.count; i++)
                        assert_int_equal(some_ids[i], ids[v * VECTOR_ROWS_MAX + some[i]]);
                }
                if (r.chunk.encoding == CHUNK_PERSON_ID) {
                    assert_int_equal(chunk_decode_person_ids(&r.chunk, r.blocks[v / BLOCK_VECTORS], v, out), STATUS_OK);
                } else {
                    assert_int_equal(chunk_decode_ints(&r.chunk, r.blocks[v / BLOCK_VECTORS], v, integers), STATUS_OK);
                    for (uint32_t i = 0; i < items; i++) out[i] = (uint32_t)integers[i];
                }
                assert_memory_equal(out, ids + v * VECTOR_ROWS_MAX, items * sizeof *out);
            }
            for (size_t at = 0; r.chunk.encoding == CHUNK_PERSON_ID && at < r.blocks[0].size && count < 2000; at++) {
                char *byte = (char *)(uintptr_t)r.blocks[0].data + at, old = *byte;
                for (int bit = 0; bit < 8; bit++) {
                    uint32_t out[VECTOR_ROWS_MAX] = {0};
                    *byte = (char)(old ^ 1 << bit);
                    (void)!chunk_decode_person_ids(&r.chunk, r.blocks[0], 0, out);
                    uint32_t some[CHUNK_PICKS_MAX];
                    struct chunk_picks picks = choose(some, chunk_vector_items(&r.chunk, 0), (uint32_t)at);
                    (void)!chunk_pick_person_ids(&r.chunk, r.blocks[0], 0, picks, out);
                }
                *byte = old;
            }
            close_column(&r);
            free(ids);
            free(persons);
            arena_free(scratch);
            end_column(&c);
        }
    }
}

/* Every byte of a small chunk of every encoding, every bit of it and all at once. */
static void every_byte_is_damaged(void **state)
{
    (void)state;
    bool met[CHUNK_ENCODING_MAX + 1] = {false};
    for (int kind = 0; kind < KINDS; kind++) {
        for (unsigned absent = 0; absent < 2; absent++) {
            enum { ROWS = 1100 }; /* a full vector and a tail */
            struct arena *arena = arena_new(1 << 26), *scratch = arena_new(1 << 26);
            struct column c = new_column();
            struct value values[ROWS] = {0};
            for (uint32_t i = 0; i < ROWS; i++) {
                if (absent && i % 3 == 1) continue;
                values[i] = make(arena, (enum kind)kind, hash_u64(i, 1));
            }
            assert_int_equal(chunk_encode_values(7, values, ROWS, NULL, scratch, &c.out, &c.table), STATUS_OK);
            struct readable r = open_column(&c, NULL);
            struct str objects[] = {r.dictionary, r.chunk.block_count ? r.blocks[0] : STR_NULL};
            met[r.chunk.encoding] = true;
            for (int o = 0; o < 2; o++) {
                /* all of the heads, and some of what follows */
                for (size_t at = 0; at < objects[o].size; at += at < 200 ? 1 : 41) {
                    for (int bit = 0; bit < 8; bit += at < 64 ? 1 : 3)
                        damage_byte(&c, &r, ROWS, objects[o], at, (unsigned char)(1 << bit));
                    damage_byte(&c, &r, ROWS, objects[o], at, 0xFF);
                }
            }
            assert_int_equal(decode(&c, &r, values, ROWS), STATUS_OK); /* everything was put back */
            close_column(&r);
            arena_free(arena);
            arena_free(scratch);
            end_column(&c);
        }
    }
    for (int encoding = CHUNK_CONST; encoding < CHUNK_PERSON_ID; encoding++)
        assert_true(met[encoding] || encoding == CHUNK_SPARSE);
}

/* A table that lies about its chunks is refused before anything is read by it. */
static void damaged_tables(void **state)
{
    (void)state;
    struct column c = new_column();
    struct arena *scratch = arena_new(1 << 24);
    struct value values[3000];
    for (uint32_t i = 0; i < 3000; i++) values[i] = value_int(i);
    assert_int_equal(chunk_encode_values(7, values, 3000, NULL, scratch, &c.out, &c.table), STATUS_OK);
    for (size_t at = 0; at < c.table.size; at++) {
        for (int bit = 0; bit < 8; bit++) {
            struct chunk chunk;
            struct reader reader = reader_of(buf_str(&c.table));
            c.table.data[at] = (char)(c.table.data[at] ^ 1 << bit);
            if (chunk_read(&reader, &chunk) == STATUS_OK) {
                assert_in_range(chunk.encoding, CHUNK_CONST, CHUNK_ENCODING_MAX);
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
        cmocka_unit_test(columns_of_persons),
        cmocka_unit_test(columns_with_exceptions),
        cmocka_unit_test(one_person_with_exceptions),
        cmocka_unit_test(typed_input_gives_the_same),
        cmocka_unit_test(dictionaries_that_do_not_pay),
        cmocka_unit_test(ids_of_persons),
        cmocka_unit_test(every_byte_is_damaged),
        cmocka_unit_test(damaged_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
