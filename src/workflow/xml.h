#pragma once
/*
 * XML, for criteria of type xpath and replacements in XML payloads: libxml2 behind three functions. Documents are read
 * without network, without external files and without a document type declaration, which is refused, so that no entity
 * is ever expanded. XPath is version 1.0; the prefixes that the root element declares may be used in it. The effort of
 * one evaluation is bounded.
 */
#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

#define XML_SIZE_MAX ((size_t)64 << 20)

/* INVALID with the reason when the expression is malformed. */
enum status xml_check_xpath(struct str xpath, struct error *error) MUST_USE;
/* The effective boolean value of the expression over the document. INVALID when either is malformed or the expression
 * cannot be evaluated, LIMIT when it takes too much. */
enum status xml_xpath_holds(struct str document, struct str xpath, struct error *error, bool *ret_holds) MUST_USE;
/* The document with the content of every selected element, attribute or text replaced by `text`. NOT_FOUND when the
 * expression selects nothing, INVALID when it selects what is neither, or when XML has no way to write the text. */
enum status xml_replace(struct arena *arena, struct str document, struct str xpath, struct str text,
                        struct error *error, struct str *ret_document) MUST_USE;
