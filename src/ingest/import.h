#pragma once
/*
 * The events of one /import request: from JSON text to one log record, and what is to be said of each event that was
 * refused.
 *
 * Whose events they are is settled by the request's credentials; a token in an event is left out and not looked at. The
 * text is a list of events, a single event, or JSON lines: one event a line, white space around it, blank lines in
 * between. Lines are told by the Content-Type, or by something on a later line than the first object. Each event, and
 * each line, is judged alone: the others are stored. What is wrong with a list outside of its events refuses all of
 * them, because it is not known what was meant.
 *
 * Like /track, nearly all events go straight from text to log record (express.h), the others by way of a tree.
 *
 * Pure: no file, no clock, no network. Everything but the bytes of the log record lies in the arena; trees are built in
 * another one that lives as long as the call, within IMPORT_SCRATCH_BYTES. Thread-safe.
 */
#include "base/buf.h"
#include "ingest/ingest.h"

#define IMPORT_SCRATCH_BYTES ((size_t)64 << 20)

struct import_request {
    struct ingest_project project;
    int64_t received_ms;
    const struct enrichment *enrichment; /* what is added to the events; NULL: nothing */
    bool strict;                         /* EVENT_RULES_STRICT */
    bool lines;                          /* the Content-Type says so; otherwise it is found out by looking */
    bool tree_only;                      /* for tests: no event goes the short way */
};

struct import_failure {
    size_t index;                         /* of the event in the list, or of the line, blank ones not counted */
    struct str insert_id, field, message; /* "" where there is none; UTF-8 */
};

struct import_outcome {
    struct buf record; /* of `stored` events, for store_append or import_outcome_fini; empty when there are none */
    size_t stored, ignored;
    struct import_failure *failures; /* by index */
    size_t failure_count;
    /* Identity verbs, in a strict request to a project of the simplified mode: then nothing is stored, and nothing else
     * is told. */
    size_t verbs;
};

/* INVALID: `data, missing or empty` or `data, malformed`, with what is wrong as the detail; LIMIT: more than events_max
 * (`request exceeds max limit of 2000 events`), or too much memory. Nothing is to be stored then. */
enum status import_take(struct arena *arena, const struct ingest_limits *limits, struct str text,
                        const struct import_request *request, struct error *error,
                        struct import_outcome *ret_outcome) MUST_USE;
/* Frees the record if it was not given away. */
void import_outcome_fini(struct import_outcome *outcome);
