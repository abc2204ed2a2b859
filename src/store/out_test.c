/* Objects land where their references say, in one image as well as handed over piece by piece; failures stick. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/hash.h"
#include "store/out.h"

struct sink {
    struct buf bytes;
    size_t calls, largest;
    enum status answer;
};

static enum status take(void *context, struct str bytes)
{
    struct sink *sink = context;
    if (sink->answer != STATUS_OK) return sink->answer;
    buf_str_add(&sink->bytes, bytes);
    sink->calls++;
    if (bytes.size > sink->largest) sink->largest = bytes.size;
    return STATUS_OK;
}

static void pieces_make_the_same_section(void **state)
{
    (void)state;
    char object[300];
    for (size_t i = 0; i < sizeof object; i++) object[i] = (char)(i * 7);
    struct sink sink = {.bytes = BUF_INIT(1 << 20)};
    struct section_out ram = section_out_ram(1 << 20), file = section_out_ram(4096 + 304);
    file.flush_at_bytes = 4096;
    file.write = take;
    file.context = &sink;
    for (uint32_t i = 0; i < 1000; i++) {
        struct str bytes = str_from(object, i * 31 % 301);
        struct section_ref a = section_append(&ram, bytes), b = section_append(&file, bytes);
        assert_int_equal(a.offset % 8, 0);
        assert_int_equal(a.size, bytes.size);
        assert_true(a.offset == b.offset && a.size == b.size && a.check == b.check);
        assert_memory_equal(ram.buf.data + a.offset, object, a.size);
        assert_true(section_out_size(&ram) == section_out_size(&file));
    }
    assert_int_equal(section_flush(&ram), STATUS_OK);
    assert_int_equal(section_flush(&file), STATUS_OK);
    assert_true(sink.calls > 10 && sink.largest <= 4096 + 304);
    assert_int_equal(file.flushed, ram.buf.size);
    assert_true(str_eq(buf_str(&ram.buf), buf_str(&sink.bytes)));
    buf_fini(&sink.bytes);
    section_out_fini(&ram);
    section_out_fini(&file);
}

static void failures_stick(void **state)
{
    (void)state;
    struct sink sink = {.bytes = BUF_INIT(1 << 20), .answer = STATUS_IO};
    struct section_out out = section_out_ram(1 << 20);
    out.flush_at_bytes = 16;
    out.write = take;
    out.context = &sink;
    (void)section_append(&out, STR("0123456789abcdef"));
    assert_int_equal(section_out_status(&out), STATUS_OK);
    (void)section_append(&out, STR("x"));
    assert_int_equal(section_out_status(&out), STATUS_IO);
    sink.answer = STATUS_OK;
    assert_int_equal(section_append(&out, STR("x")).size, 0);
    assert_int_equal(section_flush(&out), STATUS_IO);
    assert_int_equal(sink.calls, 0);
    section_out_fini(&out);

    struct section_out small = section_out_ram(20);
    (void)section_append(&small, STR("0123456789abcdef"));
    (void)section_append(&small, STR("0123456789abcdef"));
    assert_int_equal(section_out_status(&small), STATUS_LIMIT);
    section_out_fini(&small);
    buf_fini(&sink.bytes);
}

static void references_are_written_and_read(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT(100);
    struct section_ref ref = {UINT64_MAX - 7, hash_u64(1, 2), 12345};
    section_ref_write(&buf, ref);
    assert_int_equal(buf.size, SECTION_REF_BYTES);
    struct reader reader = reader_of(buf_str(&buf));
    struct section_ref back = section_ref_read(&reader);
    assert_true(!reader.failed && back.offset == ref.offset && back.check == ref.check && back.size == ref.size);
    buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_make_the_same_section),
        cmocka_unit_test(failures_stick),
        cmocka_unit_test(references_are_written_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
