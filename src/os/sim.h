#pragma once
/*
 * A simulated disk behind the `struct os_fs` door, for tests: what a machine's file system may do to the store, and
 * worse.
 *
 * Model. A file has what a reader sees (the page cache) and what is on the platter. A write, truncation or allocation
 * changes the first at once and is noted in an ordered list; sync() carries the list to the platter. A directory works
 * alike: creations, renames and removals are noted, and sync_dir() makes those of one directory durable (syncing a file
 * does not make its name durable). sim_crash() is the power cut: of everything noted and not synced an arbitrary subset
 * happened, writes sector by sector (512 bytes).
 *
 * Faults. sim_fail() makes chosen calls misbehave; sim_space() makes the disk full; sim_halt() lets every call fail
 * from a certain change on, which is the moment of a crash as the threads of a store see it: halt, close the store,
 * then sim_crash(), or sim_restart() for a process that died alone, whose page cache lives on.
 *
 * Deterministic by the seeds given. Thread-safe. Files must be closed before sim_crash and os_fs_free, which frees it
 * all.
 */
#include "os/fs.h"

struct sim;

struct sim *sim_new(uint64_t seed);
struct os_fs *sim_fs(struct sim *sim);

enum sim_call {
    SIM_READ,
    SIM_WRITE,
    SIM_SYNC,
    SIM_SYNC_DIR,
    SIM_OPEN,
    SIM_RENAME,
    SIM_UNLINK,
    SIM_ALLOCATE,
    SIM_CALLS
};

enum sim_fault {
    SIM_ERROR,     /* IO, nothing happened; a failed sync or sync_dir leaves things noted */
    SIM_SHORT,     /* write: a part was written, then IO */
    SIM_DROP,      /* sync: IO; an arbitrary part reached the platter, the rest never will, but readers see it until the
                      crash */
    SIM_LOST,      /* write: success, but the platter keeps the old sectors */
    SIM_MISDIRECT, /* write: success, but it lands elsewhere in the file */
    SIM_FLIP,      /* read: one bit of the answer is wrong; write: one bit of what is written */
};
/* The calls number nth .. nth + times - 1 from now on (1: the next) of this kind, on files whose name holds `part`
 * (NULL: any), misbehave. One plan per kind of call; times 0 takes it away. */
void sim_fail(struct sim *sim, enum sim_call call, enum sim_fault fault, uint64_t nth, uint64_t times,
              const char *part);
void sim_heal(struct sim *sim); /* no faults, unlimited space, not halted, honest */
/* Bytes that all files together may take; more is UNAVAILABLE, as with ENOSPC. UINT64_MAX: no limit. */
void sim_space(struct sim *sim, uint64_t bytes);
uint64_t sim_used(struct sim *sim);
/* sync and sync_dir say OK and do nothing: a disk that lies, to show that a test can tell. */
void sim_lie(struct sim *sim, bool lies);
/* How often the plan for this kind of call, the present one, has made one misbehave. */
uint64_t sim_faults(struct sim *sim, enum sim_call call);
/* Calls made so far, failed ones included. */
uint64_t sim_calls(struct sim *sim, enum sim_call call);
/* Changing calls so far: all but reads and opens of existing files. */
uint64_t sim_changes(struct sim *sim);
/* The power goes off at the nth change from now: that call and all later ones fail. 0: at once. */
void sim_halt(struct sim *sim, uint64_t nth);
bool sim_halted(struct sim *sim);

/* The power comes back. Heals. */
void sim_crash(struct sim *sim, uint64_t seed);
/* Only the process died. Heals. */
void sim_restart(struct sim *sim);

/* Inverts bits of one byte of a file, in the cache and on the platter. False when there is no such byte. */
bool sim_flip(struct sim *sim, const char *name, uint64_t offset, unsigned char mask);
