#pragma once
/*
 * The form in which the texts of ids are kept, in memory and in catalogs. Most ids are UUIDs, many behind "$device:":
 * those take 17 bytes instead of 37 or 45. A text has one form only, so that texts are equal when their forms are.
 *
 *   form := varint kind, 16 bytes     kind 0: a UUID in lower case; 1: "$device:" and one; 2, 3: the same in upper
 * case. Without letters it is in lower case | varint size + 4, text     anything else
 */
#include "base/buf.h"
#include "base/hash.h"
#include "base/str.h"

#define ID_FORM_KINDS 4
/* Of the text of a form that is not the text itself. */
#define ID_TEXT_ROOM 44

struct id_form {
    char head[VARINT_BYTES_MAX + 16]; /* all of it, or what comes before `rest` */
    size_t head_size;
    struct str rest; /* the text, when it is kept as it is */
    uint32_t tag;    /* 32 bits of hash */
};
void id_form_make(struct str text, struct id_form *ret_form);
static inline size_t id_form_size(const struct id_form *form)
{
    return form->head_size + form->rest.size;
}
static inline bool id_form_is_at(const struct id_form *form, const char *at)
{
    /* Where the first byte is the same, the others of the head are there. */
    return at[0] == form->head[0] && memcmp(at + 1, form->head + 1, form->head_size - 1) == 0 &&
           (form->rest.size == 0 || memcmp(at + form->head_size, form->rest.data, form->rest.size) == 0);
}
/* Takes a form off the reader and gives its tag. Returns the size of its text; the reader fails when there is none. */
size_t id_form_read(struct reader *reader, uint32_t *ret_tag);
/* The text of a form that was read before: in the form itself, or in `room`. */
struct str id_form_text(const char *form, char room[ID_TEXT_ROOM]);
/* The size of such a form. */
size_t id_form_size_at(const char *form);
