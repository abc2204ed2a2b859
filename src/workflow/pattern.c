#include "workflow/pattern.h"

#include "base/buf.h"
#include "base/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define MATCH_EFFORT_MAX 1000000u

/* The long names of the general categories of Unicode, which ECMAScript has and PCRE2 has not. */
static const struct {
    const char *name, *category;
} categories[] = {
    {"Letter", "L"},
    {"Cased_Letter", "L&"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Titlecase_Letter", "Lt"},
    {"Modifier_Letter", "Lm"},
    {"Other_Letter", "Lo"},
    {"Mark", "M"},
    {"Combining_Mark", "M"},
    {"Nonspacing_Mark", "Mn"},
    {"Spacing_Mark", "Mc"},
    {"Enclosing_Mark", "Me"},
    {"Number", "N"},
    {"Decimal_Number", "Nd"},
    {"digit", "Nd"},
    {"Letter_Number", "Nl"},
    {"Other_Number", "No"},
    {"Punctuation", "P"},
    {"punct", "P"},
    {"Connector_Punctuation", "Pc"},
    {"Dash_Punctuation", "Pd"},
    {"Open_Punctuation", "Ps"},
    {"Close_Punctuation", "Pe"},
    {"Initial_Punctuation", "Pi"},
    {"Final_Punctuation", "Pf"},
    {"Other_Punctuation", "Po"},
    {"Symbol", "S"},
    {"Math_Symbol", "Sm"},
    {"Currency_Symbol", "Sc"},
    {"Modifier_Symbol", "Sk"},
    {"Other_Symbol", "So"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Line_Separator", "Zl"},
    {"Paragraph_Separator", "Zp"},
    {"Other", "C"},
    {"Control", "Cc"},
    {"cntrl", "Cc"},
    {"Format", "Cf"},
    {"Surrogate", "Cs"},
    {"Private_Use", "Co"},
    {"Unassigned", "Cn"},
};

static void translate(struct str pattern, struct buf *out)
{
    size_t i = 0;
    while (i < pattern.size) {
        struct str rest = str_slice(pattern, i, pattern.size);
        size_t close = str_find_byte(rest, '}', 0), size = rest.data[0] == '\\' && rest.size > 1 ? 2 : 1;
        bool property = str_starts(rest, STR("\\p{")) || str_starts(rest, STR("\\P{"));
        const char *category = NULL;
        for (size_t k = 0; property && close != SIZE_MAX && k < sizeof categories / sizeof *categories; k++)
            if (str_eq(str_slice(rest, 3, close), str_of(categories[k].name))) category = categories[k].category;
        buf_add(out, rest.data, category ? 3 : size);
        if (category) {
            buf_str_add(out, str_of(category));
            buf_byte(out, '}');
            size = close + 1;
        }
        i += size;
    }
}

static enum status compile(struct str pattern, unsigned flags, struct error *error, pcre2_code **ret_code)
{
    uint32_t options = PCRE2_UTF | PCRE2_ALT_BSUX | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    if (flags & PATTERN_NOCASE) options |= PCRE2_CASELESS;
    if (flags & PATTERN_MULTILINE) options |= PCRE2_MULTILINE;
    if (flags & PATTERN_DOTALL) options |= PCRE2_DOTALL;
    int code;
    size_t offset;
    if (pattern.size > PATTERN_BYTES_MAX)
        return error_set(error, STATUS_INVALID, "a pattern of more than %zu bytes", PATTERN_BYTES_MAX);
    struct buf text = BUF_INIT(PATTERN_BYTES_MAX);
    translate(pattern, &text); /* what it writes is never longer */
    *ret_code = pcre2_compile((PCRE2_SPTR)(text.data ? text.data : ""), text.size, options, &code, &offset, NULL);
    buf_fini(&text);
    if (*ret_code) return STATUS_OK;
    char reason[160];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
    size_t shown = pattern.size > 120 ? utf8_cut(pattern.data, pattern.size, 120) : pattern.size;
    return error_set(error, STATUS_INVALID, "malformed pattern \"%.*s%s\" at character %zu: %s", (int)shown,
                     pattern.data ? pattern.data : "", shown < pattern.size ? "..." : "", offset + 1, reason);
}

enum status pattern_check(struct str pattern, unsigned flags, struct error *error)
{
    pcre2_code *code;
    TRY(compile(pattern, flags, error, &code));
    pcre2_code_free(code);
    return STATUS_OK;
}

enum status pattern_search(struct str pattern, unsigned flags, struct str text, struct error *error, bool *ret_found)
{
    pcre2_code *code;
    int result = PCRE2_ERROR_NOMEMORY;
    *ret_found = false;
    TRY(compile(pattern, flags, error, &code));
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *limits = data ? pcre2_match_context_create(NULL) : NULL;
    if (limits) {
        pcre2_set_match_limit(limits, MATCH_EFFORT_MAX);
        pcre2_set_depth_limit(limits, MATCH_EFFORT_MAX / 10);
        result = pcre2_match(code, (PCRE2_SPTR)(text.data ? text.data : ""), text.size, 0, 0, data, limits);
    }
    pcre2_match_context_free(limits);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
    *ret_found = result >= 0;
    if (result >= 0 || result == PCRE2_ERROR_NOMATCH) return STATUS_OK;
    return error_set(error, STATUS_LIMIT, "pattern \"" STR_FMT "\" needs too much effort", STR_ARG(pattern));
}

struct str pattern_of_literal(struct str text, unsigned *ret_flags)
{
    size_t end = text.size;
    unsigned flags = 0;
    *ret_flags = 0;
    while (end > 1 && text.data[end - 1] != '/') {
        switch (text.data[--end]) {
        case 'i': flags |= PATTERN_NOCASE; break;
        case 'm': flags |= PATTERN_MULTILINE; break;
        case 's': flags |= PATTERN_DOTALL; break;
        case 'u':
        case 'g': break;
        default: return text;
        }
    }
    if (end < 2 || text.data[0] != '/') return text;
    *ret_flags = flags;
    return str_slice(text, 1, end - 1);
}
