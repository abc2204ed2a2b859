#pragma once
/*
 * Dense numbers for the names of events or properties of one project, from 0 in the order of first use. The applier
 * adds; any thread may look up, and passes the count that its snapshot saw so that later names stay invisible to it.
 * Names are never removed or moved.
 */
#include "base/buf.h"
#include "base/status.h"

struct names;
struct names *names_new(uint32_t count_max);
void names_free(struct names *names);
uint32_t names_count(const struct names *names); /* applier only */
/* LIMIT at count_max. */
enum status names_intern(struct names *names, struct str name, uint32_t *ret_number) MUST_USE;
uint32_t names_find(struct names *names, struct str name, uint32_t count); /* UINT32_MAX: unknown */
struct str names_text(struct names *names, uint32_t number);
/* The durable form (docs/formats/catalog.md): appends names from `first` on, one at least, while that takes no more
 * than bytes_max. Returns how many. */
uint32_t names_export(const struct names *names, uint32_t first, size_t bytes_max, struct buf *buf);
/* Adds what was exported. CORRUPT when it does not continue what is there. */
enum status names_import(struct names *names, struct str exported, uint64_t first, uint64_t count) MUST_USE;
