#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "base/hash.h"
#include "expr/function.h"

/*
 * Regular expressions. A constant pattern is compiled, and compiled to machine code, with the expression, whose
 * threads then share it; a pattern that comes from the data is kept in a small cache of the state. Matching is
 * bounded in steps, heap and stack, and what exceeds a bound has no result (decision 34).
 */

#define MATCH_STEPS_MAX   100000u
#define MATCH_HEAP_KB_MAX 8192u
#define GROUPS_MAX        100u /* that can be extracted */
#define PATTERN_BYTES_MAX EXPR_TEXT_MAX
#define REPLACE_BYTES     8192u  /* subjects up to this size get the full number of steps for each match */
#define COMPILE_WORK      1000   /* what compiling a pattern from the data costs */
#define LOOK_MATCHES      8 /* one may take as long as a thousand calls of others: looks are so many apart */
#define LIMIT_WORK        100000 /* what a match that ran into its limit costs */
#define CACHE_ENTRIES     16u

struct regex_cache {
    pcre2_match_context *context;
    pcre2_match_data *data;
    pcre2_jit_stack *stack;
    struct {
        pcre2_code *code; /* NULL with a pattern: it is malformed */
        char *pattern;
        size_t size;
    } entries[CACHE_ENTRIES];
};

void expr_regex_cache_free(struct regex_cache *cache)
{
    if (!cache) return;
    for (size_t i = 0; i < CACHE_ENTRIES; i++) {
        pcre2_code_free(cache->entries[i].code);
        free(cache->entries[i].pattern);
    }
    pcre2_jit_stack_free(cache->stack);
    pcre2_match_data_free(cache->data);
    pcre2_match_context_free(cache->context);
    free(cache);
}

/* NULL when memory is out: the context has failed. */
static struct regex_cache *cache_of(struct expr_call *call)
{
    struct regex_cache *cache = call->context->regexes;
    if (cache) return cache;
    cache = calloc(1, sizeof *cache);
    if (cache) {
        cache->context = pcre2_match_context_create(NULL);
        cache->data = pcre2_match_data_create(GROUPS_MAX, NULL);
        cache->stack = pcre2_jit_stack_create((size_t)32 << 10, (size_t)1 << 20, NULL);
    }
    if (!cache || !cache->context || !cache->data) {
        expr_regex_cache_free(cache);
        expr_out_of_budget(call, "memory");
        return NULL;
    }
    pcre2_set_heap_limit(cache->context, MATCH_HEAP_KB_MAX);
    pcre2_jit_stack_assign(cache->context, NULL, cache->stack);
    call->context->regexes = cache;
    return cache;
}

static PCRE2_SPTR bytes_of(struct str s)
{
    return (PCRE2_SPTR)(s.data ? s.data : "");
}

static pcre2_code *compile(struct str pattern, int *ret_error, size_t *ret_offset)
{
    return pcre2_compile(bytes_of(pattern), pattern.size,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS | PCRE2_NEVER_BACKSLASH_C, ret_error, ret_offset, NULL);
}

static void free_code(void *code)
{
    pcre2_code_free(code);
}

enum status expr_prepare_regex(struct arena *arena, const struct expr_context *context,
                               const struct expr_arguments *arguments, struct error *error, const void **ret_data)
{
    (void)context;
    int code_error;
    size_t offset;
    if (!arguments->constant[1] || arguments->values[1].type != VALUE_STRING) return STATUS_OK;
    struct str pattern = value_text(arguments->values[1]);
    if (pattern.size > PATTERN_BYTES_MAX) return STATUS_OK; /* made by an operator: undefined when it is used */
    pcre2_code *code = compile(pattern, &code_error, &offset);
    if (!code) {
        unsigned char text[160];
        pcre2_get_error_message(code_error, text, sizeof text);
        error_set(error, STATUS_INVALID, "malformed regular expression \"%.*s\"",
                  (int)(pattern.size > 80 ? 80 : pattern.size), pattern.data ? pattern.data : "");
        error_detail(error, "%s at character %zu of it", (const char *)text, offset + 1);
        error_position(error, 0, arguments->nodes[1]->at + 1);
        return STATUS_INVALID;
    }
    if (!arena_on_reset(arena, free_code, code)) {
        pcre2_code_free(code);
        return error_set(error, STATUS_LIMIT, "expression needs too much memory");
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it is not allowed the interpreter does it */
    *ret_data = code;
    return STATUS_OK;
}

/* The compiled pattern, or NULL: malformed, or the context has failed. */
static const pcre2_code *code_of(struct expr_call *call, struct regex_cache *cache, struct str pattern)
{
    if (call->data) return call->data;
    if (pattern.size > PATTERN_BYTES_MAX) return NULL;
    size_t slot = hash_str(pattern) % CACHE_ENTRIES, offset;
    int error;
    if (cache->entries[slot].pattern && cache->entries[slot].size == pattern.size &&
        memcmp(cache->entries[slot].pattern, bytes_of(pattern), pattern.size) == 0) {
        return cache->entries[slot].code;
    }
    char *copy = malloc(pattern.size + 1);
    call->context->work_left -= COMPILE_WORK;
    if (!copy) {
        expr_out_of_budget(call, "memory");
        return NULL;
    }
    memcpy(copy, bytes_of(pattern), pattern.size);
    pcre2_code_free(cache->entries[slot].code);
    free(cache->entries[slot].pattern);
    cache->entries[slot].pattern = copy;
    cache->entries[slot].size = pattern.size;
    cache->entries[slot].code = compile(pattern, &error, &offset);
    return cache->entries[slot].code;
}

/* Finds the pattern args[1] in args[0]; results are in cache->data. As pcre2_match: negative is no match or an error.
 */
static int match(struct expr_call *call, const struct value *args, struct regex_cache **ret_cache)
{
    struct regex_cache *cache = cache_of(call);
    const pcre2_code *code = cache ? code_of(call, cache, value_text(args[1])) : NULL;
    if (!code) return PCRE2_ERROR_BADDATA;
    pcre2_set_match_limit(cache->context, MATCH_STEPS_MAX);
    call->context->look_at += EXPR_LOOK_WORK / LOOK_MATCHES;
    int result = pcre2_match(code, bytes_of(value_text(args[0])), args[0].size, 0, 0, cache->data, cache->context);
    if (result < 0 && result != PCRE2_ERROR_NOMATCH) call->context->work_left -= LIMIT_WORK;
    *ret_cache = cache;
    return result;
}

struct value expr_run_regex_match(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct regex_cache *cache;
    int result = match(call, args, &cache);
    return result >= 0 || result == PCRE2_ERROR_NOMATCH ? value_bool(result >= 0) : value_absent();
}

struct value expr_run_regex_extract(struct expr_call *call, const struct value *args, uint32_t count)
{
    struct regex_cache *cache;
    int64_t group = 0;
    if (count == 3 && (!expr_whole(args[2], &group) || group < 0 || group >= GROUPS_MAX)) return value_absent();
    int result = match(call, args, &cache);
    if (result < 0 || (result > 0 && group >= result)) return value_absent();
    const size_t *offsets = pcre2_get_ovector_pointer(cache->data);
    size_t from = offsets[group * 2], to = offsets[group * 2 + 1];
    if (from == PCRE2_UNSET || from > to) return value_absent(); /* \K can put the start behind the end */
    return value_str(str_slice(value_text(args[0]), from, to));
}

struct value expr_run_regex_replace(struct expr_call *call, const struct value *args, uint32_t count)
{
    (void)count;
    struct str s = value_text(args[0]), replacement = value_text(args[2]);
    struct regex_cache *cache = cache_of(call);
    const pcre2_code *code = cache ? code_of(call, cache, value_text(args[1])) : NULL;
    if (!code) return value_absent();
    uint64_t steps = s.size <= REPLACE_BYTES ? MATCH_STEPS_MAX : (uint64_t)MATCH_STEPS_MAX * REPLACE_BYTES / s.size;
    pcre2_set_match_limit(cache->context, (uint32_t)(steps > 500 ? steps : 500));
    uint32_t options = PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_UNKNOWN_UNSET | PCRE2_SUBSTITUTE_UNSET_EMPTY |
                       PCRE2_SUBSTITUTE_OVERFLOW_LENGTH;
    call->context->look_at += EXPR_LOOK_WORK / LOOK_MATCHES;
    size_t size = s.size + replacement.size + 64; /* with the NUL that PCRE2 adds; most results fit */
    for (int attempt = 0; attempt < 2; attempt++) {
        if (size > EXPR_STRING_MAX) size = EXPR_STRING_MAX;
        char *out = expr_alloc(call, size);
        if (!out) return value_absent();
        int result = pcre2_substitute(code, bytes_of(s), s.size, 0, options, cache->data, cache->context,
                                      bytes_of(replacement), replacement.size, (PCRE2_UCHAR *)out, &size);
        if (result >= 0) return value_str((struct str){out, size});
        if (result != PCRE2_ERROR_NOMEMORY) {
            call->context->work_left -= LIMIT_WORK;
            return value_absent();
        }
        if (size > EXPR_STRING_MAX) break;
    }
    expr_out_of_budget(call, "memory");
    return value_absent();
}
