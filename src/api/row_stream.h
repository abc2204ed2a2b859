#pragma once
/*
 * Events that go out as they are read, as JSON lines, one piece at a time: the life of a long answer between the loop,
 * which has the socket, and the threads for streams, which read.
 *
 *     query worker     row_stream_run: the plan is checked, its snapshot taken, its place among the others found
 *        loop          lets a thread begin
 *     stream thread    reads and packs a piece
 *        loop          gives it to the server; when the client has taken it, again
 *
 * Between two pieces nothing runs. The stream is in the list of queries (queries.h) until its end, and reads a piece
 * when it is its turn there, so that many exports do not keep a dashboard waiting. What is held meanwhile is the
 * snapshot, the round of rows that is decoded ahead, and the state of gzip, all within the memory that was given to it
 * (export.memory_max, or less when many are under way), and the place among export.concurrent_max of the project and
 * within export.memory. They are given back when the answer is complete, when the client is gone, and after
 * export.time_max.
 *
 * An answer that fits into one piece is an ordinary one, with its length. One that breaks after its first piece ends
 * with the line `terminated early`, which is what Mixpanel's clients look for.
 */
#include "api/query_job.h"
#include "query/event_json.h"

struct row_streams;
/* The places, shared by all requests. */
struct row_stream_limits {
    size_t memory_bytes_max, all_bytes_max; /* of one, of all together */
    int64_t concurrent_max;                 /* of one project */
    int64_t time_max_ms;
    unsigned threads;
};
/* LIMIT when the threads cannot be started. */
enum status row_streams_new(const struct row_stream_limits *limits, struct error *error,
                            struct row_streams **ret_streams) MUST_USE;
/* After the server's loops have ended. NULL is allowed. */
void row_streams_free(struct row_streams *streams);

/* A query_job's whole `run`, for a plan of EXPORT whose texts are in the request's arena. The plan's joins are made
 * here. */
enum status row_stream_run(struct query_job *job, const struct plan *plan, enum event_time_form time) MUST_USE;
