// The only C++ file of the tree: simdjson and <charconv> behind the C interfaces of json_int.h and number.h.
//
// json_parse_reference sees what json_read (json_read.c) refused: malformed texts, which get their error here, and what
// passes a limit.
//
// simdjson's On-Demand parser is lazy: it checks grammar only where it is walked. We walk every value, take every
// number as its raw token (so that integers stay exact and big numbers keep their text) and count the depth ourselves,
// so the whole document is validated and the stack stays bounded. UTF-8 and unescaped control characters are checked by
// stage 1 for the whole input. fuzz/fuzz_json.c compares the verdicts with a validator of its own.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <simdjson.h>
#include <vector>

extern "C" {
#include "base/json_int.h"
#include "base/number.h"
}

using namespace simdjson;

namespace
{

struct parser_state {
    ondemand::parser parser;
    std::unique_ptr<char[]> padded;
    size_t padded_size = 0;
    std::vector<json> items;
    std::vector<json_member> members;
};

// Kept between documents so that a busy thread does not allocate, but not when one document was huge.
constexpr size_t keep_bytes_max = size_t{4} << 20;

struct failure {
    enum status status;
    const char *text;
};

class walker
{
  public:
    walker(parser_state &parser_state, struct arena *into, unsigned depth_limit, size_t values_max)
        : state(parser_state), arena(into), depth_max(depth_limit), values_left(values_max)
    {
    }

    json value_of(ondemand::value value, unsigned depth)
    {
        take_value();
        ondemand::json_type type;
        check(value.type().get(type));
        switch (type) {
        case ondemand::json_type::object: {
            ondemand::object object;
            check(value.get_object().get(object));
            return object_of(object, depth);
        }
        case ondemand::json_type::array: {
            ondemand::array array;
            check(value.get_array().get(array));
            return array_of(array, depth);
        }
        case ondemand::json_type::number: return number_of(value.raw_json_token());
        case ondemand::json_type::string: {
            std::string_view text;
            check(value.get_string().get(text));
            return string_of(text);
        }
        case ondemand::json_type::boolean: {
            bool boolean;
            check(value.get_bool().get(boolean));
            json result{};
            result.type = JSON_BOOL;
            result.boolean = boolean;
            return result;
        }
        case ondemand::json_type::null: {
            bool is_null;
            check(value.is_null().get(is_null));
            if (!is_null) throw failure{STATUS_INVALID, "malformed JSON: unknown literal"};
            json null{};
            return null;
        }
        }
        throw failure{STATUS_INVALID, "malformed JSON"};
    }

    // A scalar document was put between brackets (json_parse), so that one way of walking checks everything.
    json document(ondemand::document &document, bool bracketed)
    {
        ondemand::value root;
        check(document.get_value().get(root));
        json result = value_of(root, 0);
        if (!bracketed) return result;
        if (result.array.count != 1) throw failure{STATUS_INVALID, "unexpected text after the JSON document"};
        return result.array.items[0];
    }

  private:
    parser_state &state;
    struct arena *arena;
    unsigned depth_max;
    size_t values_left;

    static void check(error_code code)
    {
        if (code == SUCCESS) return;
        if (code == TAPE_ERROR || code == INCOMPLETE_ARRAY_OR_OBJECT)
            throw failure{STATUS_INVALID, "malformed JSON: a comma, colon, bracket or value is missing or too many"};
        if (code == INCORRECT_TYPE) throw failure{STATUS_INVALID, "malformed JSON: unknown literal"};
        if (code == STRING_ERROR) throw failure{STATUS_INVALID, "malformed JSON string"};
        if (code == MEMALLOC || code == CAPACITY) throw failure{STATUS_LIMIT, "JSON document too large"};
        throw failure{STATUS_INVALID, error_message(code)};
    }

    void take_value()
    {
        if (values_left-- == 0) throw failure{STATUS_LIMIT, "JSON document has too many values"};
    }

    void *alloc(size_t size)
    {
        void *memory = arena_alloc(arena, size);
        if (!memory) throw failure{STATUS_LIMIT, "JSON document exceeds the memory budget"};
        return memory;
    }

    // json_push and json_put (json.c) rely on blocks of the next power of two.
    static size_t capacity_for(size_t count)
    {
        size_t capacity = 1;
        while (capacity < count) capacity *= 2;
        return capacity;
    }

    struct str copy(std::string_view text)
    {
        char *data = static_cast<char *>(alloc(text.size() + 1));
        memcpy(data, text.data(), text.size());
        data[text.size()] = 0;
        return {data, text.size()};
    }

    json string_of(std::string_view text)
    {
        json value{};
        value.type = JSON_STRING;
        value.string = copy(text);
        return value;
    }

    json object_of(ondemand::object &object, unsigned depth)
    {
        if (depth >= depth_max) throw failure{STATUS_INVALID, "JSON nested too deeply"};
        size_t base = state.members.size();
        for (auto result : object) {
            ondemand::field field;
            check(std::move(result).get(field));
            std::string_view key;
            check(field.unescaped_key().get(key));
            json_member member{copy(key), {}};
            member.value = value_of(field.value(), depth + 1);
            state.members.push_back(member);
        }
        size_t count = state.members.size() - base;
        json value{};
        value.type = JSON_OBJECT;
        value.object.count = count;
        if (count) {
            value.object.members = static_cast<json_member *>(alloc(capacity_for(count) * sizeof(json_member)));
            memcpy(value.object.members, state.members.data() + base, count * sizeof(json_member));
        }
        state.members.resize(base);
        return value;
    }

    json array_of(ondemand::array &array, unsigned depth)
    {
        if (depth >= depth_max) throw failure{STATUS_INVALID, "JSON nested too deeply"};
        size_t base = state.items.size();
        for (auto result : array) {
            ondemand::value item;
            check(std::move(result).get(item));
            json converted = value_of(item, depth + 1);
            state.items.push_back(converted);
        }
        size_t count = state.items.size() - base;
        json value{};
        value.type = JSON_ARRAY;
        value.array.count = count;
        if (count) {
            value.array.items = static_cast<json *>(alloc(capacity_for(count) * sizeof(json)));
            memcpy(value.array.items, state.items.data() + base, count * sizeof(json));
        }
        state.items.resize(base);
        return value;
    }

    json number_of(std::string_view token)
    {
        while (!token.empty() && strchr(" \t\r\n", token.back()) && token.back()) token.remove_suffix(1);
        json value{};
        if (!json_number_of({token.data(), token.size()}, &value))
            throw failure{STATUS_INVALID, "malformed JSON number"};
        if (value.type == JSON_BIGNUM) value.string = copy(token);
        return value;
    }
};

} // namespace

static json integer_of(int64_t integer)
{
    json value{};
    value.type = JSON_INT;
    value.integer = integer;
    return value;
}

static json double_of(double number)
{
    json value{};
    value.type = JSON_DOUBLE;
    value.number = number;
    return value;
}

extern "C" bool json_number_of(struct str token, struct json *ret_value)
{
    // The grammar of RFC 8259 section 6. On the way the value is taken apart: the significant digits, without zeros
    // at either end, as an integer (exact up to 19 digits), and the power of ten that belongs to it.
    const char *text = token.data;
    size_t i = 0, n = token.size, digits = 0, zeros = 0, fraction_digits = 0;
    uint64_t mantissa = 0;
    int64_t exponent = 0;
    bool negative = n && text[0] == '-';
    i += negative;
    auto digit = [&](char c) {
        if (c == '0') {
            zeros += digits > 0; // zeros count only when a further digit follows them
            return;
        }
        digits += zeros + 1;
        if (digits <= 19) {
            for (; zeros > 0; zeros--) mantissa *= 10;
            mantissa = mantissa * 10 + static_cast<uint64_t>(c - '0');
        }
        zeros = 0;
    };
    size_t start = i;
    while (i < n && text[i] >= '0' && text[i] <= '9') digit(text[i++]);
    if (i == start || (text[start] == '0' && i - start > 1)) return false;
    if (i < n && text[i] == '.') {
        size_t fraction = ++i;
        while (i < n && text[i] >= '0' && text[i] <= '9') digit(text[i++]);
        fraction_digits = i - fraction;
        if (fraction_digits == 0) return false;
    }
    if (i < n && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        bool small = i < n && text[i] == '-';
        if (i < n && (text[i] == '+' || text[i] == '-')) i++;
        size_t first = i;
        for (; i < n && text[i] >= '0' && text[i] <= '9'; i++)
            if (exponent < (int64_t{1} << 40)) exponent = exponent * 10 + (text[i] - '0');
        if (i == first) return false;
        if (small) exponent = -exponent;
    }
    if (i != n) return false;
    if (digits == 0 && !negative) return *ret_value = integer_of(0), true;
    if (digits == 0) return *ret_value = double_of(-0.0), true;

    // A whole number is exact however it is spelled: 9007199254740993.0 must not take the way through a double.
    int64_t scale = exponent - static_cast<int64_t>(fraction_digits) + static_cast<int64_t>(zeros);
    if (digits <= 19 && scale >= 0 && scale <= 18) {
        uint64_t whole = mantissa, bound = static_cast<uint64_t>(INT64_MAX) + negative;
        bool fits = true;
        for (; scale > 0 && fits; scale--) fits = !__builtin_mul_overflow(whole, uint64_t{10}, &whole);
        if (fits && whole <= bound)
            return *ret_value = integer_of(static_cast<int64_t>(negative ? 0 - whole : whole)), true;
    }
    double number = 0;
    auto [end, error] = std::from_chars(text, text + n, number);
    if (digits <= 17 && error == std::errc() && end == text + n) {
        int64_t integer;
        *ret_value = number_is_int(number, &integer) ? integer_of(integer) : double_of(number);
        return true;
    }
    json value{};
    value.type = JSON_BIGNUM;
    value.string = token;
    *ret_value = value;
    return true;
}

extern "C" bool json_is_utf8(struct str text)
{
    return validate_utf8(text.data, text.size);
}

extern "C" enum status json_parse_reference(struct arena *arena, struct str text, const struct json_limits *limits,
                                            struct error *error, struct json *ret_value)
{
    thread_local parser_state state;
    unsigned depth_max = limits && limits->depth_max ? limits->depth_max : JSON_DEPTH_DEFAULT;
    size_t values_max = limits && limits->values_max ? limits->values_max : SIZE_MAX - 1;
    try {
        if (text.size >= UINT32_MAX - SIMDJSON_PADDING) throw failure{STATUS_LIMIT, "JSON document too large"};
        size_t need = text.size + 2 + SIMDJSON_PADDING;
        if (state.padded_size < need) {
            state.padded.reset(new (std::nothrow) char[need]);
            if (!state.padded) {
                state.padded_size = 0;
                throw failure{STATUS_LIMIT, "out of memory for a JSON document"};
            }
            state.padded_size = need;
        }
        size_t first = 0;
        while (first < text.size && strchr(" \t\r\n", text.data[first]) && text.data[first]) first++;
        if (first == text.size) throw failure{STATUS_INVALID, "empty JSON document"};
        bool bracketed = text.data[first] != '{' && text.data[first] != '[';
        char *to = state.padded.get();
        size_t size = text.size + 2 * bracketed;
        if (bracketed) to[0] = '[', to[size - 1] = ']';
        memcpy(to + bracketed, text.data, text.size);
        memset(to + size, ' ', need - size);
        state.items.clear();
        state.members.clear();

        ondemand::document document;
        error_code code = state.parser.iterate(state.padded.get(), size, need).get(document);
        if (code == UTF8_ERROR) throw failure{STATUS_INVALID, "JSON is not valid UTF-8"};
        if (code == UNCLOSED_STRING) throw failure{STATUS_INVALID, "malformed JSON: a string is not closed"};
        if (code)
            throw failure{code == MEMALLOC || code == CAPACITY ? STATUS_LIMIT : STATUS_INVALID, error_message(code)};
        try {
            json value =
                walker(state, arena, depth_max + bracketed, values_max + bracketed).document(document, bracketed);
            if (const char *rest; document.current_location().get(rest) == SUCCESS)
                throw failure{STATUS_INVALID, "unexpected text after the JSON document"};
            if (state.padded_size > keep_bytes_max) state.padded.reset(), state.padded_size = 0;
            *ret_value = value;
            return STATUS_OK;
        } catch (const failure &) {
            const char *location = nullptr;
            size_t offset = 0;
            if (document.current_location().get(location) == SUCCESS && location >= state.padded.get() &&
                location <= state.padded.get() + size)
                offset = static_cast<size_t>(location - state.padded.get()) + 1 - bracketed;
            if (offset > text.size + 1) offset = text.size + 1; // not at the bracket that was added
            if (state.padded_size > keep_bytes_max) state.padded.reset(), state.padded_size = 0;
            try {
                throw;
            } catch (const failure &failed) {
                error_set(error, failed.status, "%s", failed.text);
                error_position(error, 0, static_cast<unsigned>(offset));
                return failed.status;
            }
        }
    } catch (const failure &failed) {
        return error_set(error, failed.status, "%s", failed.text);
    } catch (const std::bad_alloc &) {
        return error_set(error, STATUS_LIMIT, "out of memory for a JSON document");
    }
}

// The digits of a number, two at a time from the end; at most 20.
static size_t format_unsigned(uint64_t value, char *out)
{
    static const char pairs[] =
        "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
        "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
    char text[20], *at = text + sizeof text;
    for (; value >= 100; value /= 100) memcpy(at -= 2, pairs + value % 100 * 2, 2);
    if (value >= 10)
        memcpy(at -= 2, pairs + value * 2, 2);
    else
        *--at = static_cast<char>('0' + value);
    size_t size = static_cast<size_t>(text + sizeof text - at);
    memcpy(out, at, size);
    return size;
}

// Whole numbers and those with up to three places behind the point, of at most 15 digits, which most are: no other
// decimal of so few digits is the same double, so without zeros at the end it is the shortest one. 0 for others.
static size_t format_short(double value, char *out)
{
    static const double powers[] = {1, 10, 100, 1000};
    double size = std::fabs(value);
    if (!(size < 1e12)) return 0;
    for (unsigned places = 0; places <= 3; places++) {
        uint64_t digits = static_cast<uint64_t>(size * powers[places] + 0.5);
        if (static_cast<double>(digits) / powers[places] != size) continue;
        char *to = out;
        uint64_t power = static_cast<uint64_t>(powers[places]);
        if (value < 0) *to++ = '-';
        to += format_unsigned(digits / power, to);
        if (places) *to++ = '.';
        uint64_t rest = digits % power;
        for (unsigned i = places; i-- > 0; rest /= 10) to[i] = static_cast<char>('0' + rest % 10);
        return static_cast<size_t>(to + places - out);
    }
    return 0;
}

extern "C" size_t number_format(double value, char out[NUMBER_TEXT_MAX])
{
    if (std::isnan(value)) return memcpy(out, "NaN", 3), 3;
    if (std::isinf(value)) {
        const char *text = value < 0 ? "-Infinity" : "Infinity";
        size_t length = strlen(text);
        return memcpy(out, text, length), length;
    }
    if (value == 0) return std::signbit(value) ? (memcpy(out, "-0", 2), 2) : (out[0] = '0', 1);

    if (size_t length = format_short(value, out)) return length;

    // to_chars finds the shortest digits, d.ddde+xx; where the point goes is ECMAScript's rule. (Its fixed form is no
    // help: above 2^53 it prints the digits of the exact value, 123456789012345683968 for 123456789012345680000.)
    char text[NUMBER_TEXT_MAX], digits[NUMBER_TEXT_MAX], *to = out;
    const char *from = text;
    const char *end = std::to_chars(text, text + sizeof text, std::fabs(value), std::chars_format::scientific).ptr;
    int count = 0, exponent = 0;
    for (; from < end && *from != 'e'; from++)
        if (*from != '.') digits[count++] = *from;
    from += from + 1 < end && from[1] == '+' ? 2 : 1;
    std::from_chars(from, end, exponent);
    int point = exponent + 1; // so many digits stand before the decimal point

    auto put = [&](const char *chars, int size) {
        memcpy(to, chars, static_cast<size_t>(size));
        to += size;
    };
    auto zeros = [&](int size) {
        memset(to, '0', static_cast<size_t>(size));
        to += size;
    };
    if (value < 0) *to++ = '-';
    if (point > 0 && point <= 21) {
        put(digits, count < point ? count : point);
        if (count < point) zeros(point - count);
        if (count > point) *to++ = '.', put(digits + point, count - point);
    } else if (point > -6 && point <= 0) {
        put("0.", 2);
        zeros(-point);
        put(digits, count);
    } else {
        *to++ = digits[0];
        if (count > 1) *to++ = '.', put(digits + 1, count - 1);
        *to++ = 'e';
        *to++ = exponent < 0 ? '-' : '+';
        to = std::to_chars(to, out + NUMBER_TEXT_MAX, exponent < 0 ? -exponent : exponent).ptr;
    }
    return static_cast<size_t>(to - out);
}

extern "C" size_t number_format_exact(double value, char out[NUMBER_EXACT_MAX])
{
    // 767 significant digits are the most that a double has (the largest subnormal numbers).
    return static_cast<size_t>(
        std::to_chars(out, out + NUMBER_EXACT_MAX, value, std::chars_format::scientific, 766).ptr - out);
}

extern "C" size_t number_format_int(int64_t value, char out[NUMBER_TEXT_MAX])
{
    if (value >= 0) return format_unsigned(static_cast<uint64_t>(value), out);
    out[0] = '-';
    return 1 + format_unsigned(-static_cast<uint64_t>(value), out + 1);
}

extern "C" bool number_parse(struct str text, double *ret_value)
{
    size_t i = 0, digits = 0;
    bool negative = false;
    if (i < text.size && (text.data[i] == '+' || text.data[i] == '-')) negative = text.data[i++] == '-';
    size_t start = i, exponent_at = 0;
    while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') i++, digits++;
    if (i < text.size && text.data[i] == '.') {
        i++;
        while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') i++, digits++;
    }
    if (digits == 0) return false;
    if (i < text.size && (text.data[i] == 'e' || text.data[i] == 'E')) {
        exponent_at = i++;
        if (i < text.size && (text.data[i] == '+' || text.data[i] == '-')) i++;
        size_t exponent = i;
        while (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') i++;
        if (i == exponent) return false;
    }
    if (i != text.size) return false;
    double value = 0;
    auto [end, error] = std::from_chars(text.data + start, text.data + text.size, value);
    (void)end;
    if (error == std::errc::result_out_of_range) {
        // from_chars does not say which way; it left the range upwards exactly when the decimal exponent is positive.
        int64_t magnitude = 0;
        size_t point = start;
        while (point < text.size && text.data[point] == '0') point++;
        size_t whole = point;
        while (whole < text.size && text.data[whole] >= '0' && text.data[whole] <= '9') whole++;
        magnitude = static_cast<int64_t>(whole - point);
        if (magnitude == 0 && whole < text.size && text.data[whole] == '.') {
            size_t zero = whole + 1;
            while (zero < text.size && text.data[zero] == '0') zero++;
            magnitude = -static_cast<int64_t>(zero - whole - 1);
        }
        if (exponent_at) {
            size_t from = exponent_at + 1;
            bool minus = text.data[from] == '-';
            if (text.data[from] == '+' || text.data[from] == '-') from++;
            int64_t exponent = 0;
            for (; from < text.size; from++)
                if (exponent < (int64_t{1} << 40)) exponent = exponent * 10 + (text.data[from] - '0');
            magnitude += minus ? -exponent : exponent;
        }
        value = magnitude > 0 ? HUGE_VAL : 0.0;
    }
    *ret_value = negative ? -value : value;
    return true;
}

extern "C" bool number_parse_int(struct str text, int64_t *ret_value)
{
    const char *from = text.data, *end = text.data + text.size;
    if (text.size > 1 && *from == '+' && from[1] != '-') from++;
    if (from == end) return false;
    int64_t value;
    auto [at, error] = std::from_chars(from, end, value);
    if (error != std::errc() || at != end) return false;
    *ret_value = value;
    return true;
}

extern "C" bool number_parse_unsigned(struct str text, uint64_t max, uint64_t *ret_value)
{
    uint64_t value;
    if (text.size == 0) return false;
    auto [at, error] = std::from_chars(text.data, text.data + text.size, value);
    if (error != std::errc() || at != text.data + text.size || value > max) return false;
    *ret_value = value;
    return true;
}

extern "C" bool number_is_int(double value, int64_t *ret_value)
{
    if (!(value >= -9223372036854775808.0 && value < 9223372036854775808.0)) return false;
    int64_t integer = static_cast<int64_t>(value);
    if (static_cast<double>(integer) != value || (integer == 0 && std::signbit(value))) return false;
    *ret_value = integer;
    return true;
}
