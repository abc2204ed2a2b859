/*
 * Fibers. Every simulated thread has a context (ucontext) and a stack with a guard page. There is no scheduler thread:
 * point() and block() pick the next fiber and swap to it directly, from one stack to the other. The host, who called
 * sim_threads_run, gets control back when the first fiber returned or when the run failed.
 *
 *   READY    can run            BLOCKED   wants the lock `at`; tries again when that is unlocked
 *   WAITING  on condition `at`  SLEEPING  until `deadline`          JOINING  until the fiber `at` is DONE
 *
 * Fibers are few (a dozen), so queues are not kept: whoever unlocks or signals looks through all of them. That also
 * makes the choice of who gets a lock the seed's, as POSIX promises no order either.
 *
 * The sanitizers have to be told of stacks: AddressSanitizer about every swap, ThreadSanitizer that a fiber is a
 * thread. Swaps synchronise for the latter, so it finds no races in here; races are found with the machine's threads.
 */
#include "os/sim_threads.h"

#include "base/hash.h"
#include "os/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined __SANITIZE_ADDRESS__
#define HAVE_ASAN 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#if defined __SANITIZE_THREAD__
#define HAVE_TSAN 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAVE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define FIBERS_MAX  64
#define STACK_BYTES ((size_t)1 << 20)
#define GUARD_BYTES ((size_t)4096)

enum state { UNUSED, READY, BLOCKED, WAITING, SLEEPING, JOINING, DONE };

struct fiber {
    ucontext_t context;
    enum state state;
    struct os_thread *thread;
    const void *at; /* a point, or the fiber waited for */
    const char *at_name;
    int64_t deadline_ns, since_ns; /* INT64_MAX: none */
    bool timed_out;
    unsigned weight;
    char *stack; /* of STACK_BYTES; NULL for the host */
    void *fake_stack, *tsan;
};

static struct {
    struct sim_threads_options options;
    struct fiber host, fibers[FIBERS_MAX];
    struct fiber *current;
    size_t used; /* fibers[0 .. used) */
    uint64_t random, steps, switches, trace;
    uint32_t points;
    int64_t now_ns, wall_offset_ms;
    void (*main)(void *arg);
    void *arg;
    struct error failure;
} sim;

static char *free_stacks[FIBERS_MAX];
static size_t free_stack_count;

static uint64_t draw(void)
{
    return sim.random = hash_u64(sim.random, 3);
}
static uint64_t below(uint64_t limit)
{
    return limit ? draw() % limit : 0;
}
static void note(uint64_t value)
{
    sim.trace = hash_u64(sim.trace ^ value, 11);
}

/* --- stacks and swapping --- */

static char *stack_new(void)
{
    if (free_stack_count) return free_stacks[--free_stack_count];
    char *pages = mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages, GUARD_BYTES, PROT_NONE) != 0) abort();
    return pages + GUARD_BYTES;
}

static void stack_free(char *stack)
{
#ifdef HAVE_ASAN
    __asan_unpoison_memory_region(stack, STACK_BYTES);
#endif
    if (free_stack_count < FIBERS_MAX)
        free_stacks[free_stack_count++] = stack;
    else
        munmap(stack - GUARD_BYTES, STACK_BYTES + GUARD_BYTES);
}

#ifdef HAVE_ASAN
static const void *host_stack;
static size_t host_stack_bytes;
#endif

/* The first thing on a stack that was just swapped to, before or for the first time. */
static void arrived(struct fiber *fiber)
{
#ifdef HAVE_ASAN
    const void *from;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &from, &bytes);
    if (!host_stack_bytes) {
        host_stack = from;
        host_stack_bytes = bytes;
    }
#else
    (void)fiber;
#endif
}

static void swap_to(struct fiber *to)
{
    struct fiber *from = sim.current;
    int saved_errno = errno;
    sim.current = to;
#ifdef HAVE_ASAN
    /* A fiber that is done never comes back: NULL lets its fake stack go. */
    __sanitizer_start_switch_fiber(from->state == DONE ? NULL : &from->fake_stack, to->stack ? to->stack : host_stack,
                                   to->stack ? STACK_BYTES : host_stack_bytes);
#endif
#ifdef HAVE_TSAN
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
    if (swapcontext(&from->context, &to->context) != 0) abort();
    arrived(from);
    errno = saved_errno;
}

/* --- choosing --- */

static void fail(const char *text);

static const char *name_of(const struct fiber *fiber)
{
    return fiber->thread ? fiber->thread->name : "main";
}

static size_t index_of(const struct fiber *fiber)
{
    return (size_t)(fiber - sim.fibers);
}

/* Who waits for what, into the error's detail. */
static void describe(struct error *error)
{
    static const char *const verbs[] = {"", "can run", "wants the lock", "waits for", "sleeps", "joins", ""};
    char text[sizeof error->detail];
    size_t size = 0;
    text[0] = 0;
    for (size_t i = 0; i < sim.used && size < sizeof text - 1; i++) {
        const struct fiber *fiber = &sim.fibers[i];
        if (fiber->state == UNUSED || fiber->state == DONE) continue;
        const char *holder = "";
        if (fiber->state == BLOCKED) {
            const struct fiber *held = ((const struct os_point *)fiber->at)->holder;
            holder = held ? name_of(held) : "readers";
        }
        int added = snprintf(text + size, sizeof text - size, "%s%s %s%s%s%s%s", size ? "; " : "", name_of(fiber),
                             verbs[fiber->state], fiber->at_name ? " " : "", fiber->at_name ? fiber->at_name : "",
                             holder[0] ? " held by " : "", holder);
        size += added > 0 ? (size_t)added : 0;
    }
    error_detail(error, "%s", text);
}

static void __attribute__((noreturn)) give_up(void)
{
    describe(&sim.failure);
    swap_to(&sim.host);
    abort(); /* the host does not come back */
}

static void fail(const char *text)
{
    error_set(&sim.failure, STATUS_CONFLICT, "%s: %s", name_of(sim.current), text);
    give_up();
}

static void make_ready(struct fiber *fiber)
{
    fiber->state = READY;
    fiber->at = NULL;
    fiber->at_name = NULL;
}

/* Those whose time has come can run; returns the earliest deadline of the others. */
static int64_t pass_deadlines(void)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < sim.used; i++) {
        struct fiber *fiber = &sim.fibers[i];
        if (fiber->state != WAITING && fiber->state != SLEEPING) continue;
        if (fiber->deadline_ns <= sim.now_ns) {
            fiber->timed_out = true;
            make_ready(fiber);
        } else if (fiber->state == WAITING && below(65536) < sim.options.spurious_odds) {
            make_ready(fiber);
        } else if (fiber->deadline_ns < next) {
            next = fiber->deadline_ns;
        }
    }
    return next;
}

static bool is_patient(const struct fiber *fiber)
{
    for (const char *const *name = sim.options.patient; name && *name; name++) {
        if (fiber->state == WAITING && strcmp(name_of(fiber), *name) == 0) return true;
    }
    return false;
}

static void check_stuck(void)
{
    for (size_t i = 0; i < sim.used && sim.options.stuck_ns; i++) {
        struct fiber *fiber = &sim.fibers[i];
        bool waits = fiber->state == BLOCKED || (fiber->state == WAITING && fiber->deadline_ns == INT64_MAX);
        if (!waits || is_patient(fiber) || sim.now_ns - fiber->since_ns < sim.options.stuck_ns) continue;
        error_set(&sim.failure, STATUS_CONFLICT, "%s waits for ever", name_of(fiber));
        give_up();
    }
}

static struct fiber *choose(void)
{
    uint64_t total = 0;
    for (size_t i = 0; i < sim.used; i++) total += sim.fibers[i].state == READY ? sim.fibers[i].weight : 0;
    if (!total) return NULL;
    uint64_t at = below(total);
    for (size_t i = 0;; i++) {
        if (sim.fibers[i].state != READY) continue;
        if (at < sim.fibers[i].weight) return &sim.fibers[i];
        at -= sim.fibers[i].weight;
    }
}

/* One step: time moves, and the next fiber goes on. The current one may be in any state. */
static void step(void)
{
    sim.steps++;
    if (sim.options.steps_max && sim.steps > sim.options.steps_max) fail("too many steps");
    sim.now_ns += (int64_t)below((uint64_t)sim.options.tick_ns + 1);
    int64_t next = pass_deadlines();
    if (next != INT64_MAX && below(65536) < sim.options.leap_odds) {
        sim.now_ns = next;
        next = pass_deadlines();
    }
    if (sim.options.clock_jump_ms && below(4096) == 0)
        sim.wall_offset_ms = (int64_t)below(2 * (uint64_t)sim.options.clock_jump_ms + 1) - sim.options.clock_jump_ms;
    if (sim.current->state == READY && below(256) >= sim.options.switch_odds) return;
    struct fiber *to;
    while (!(to = choose())) {
        if (next == INT64_MAX) {
            error_set(&sim.failure, STATUS_CONFLICT, "deadlock: no thread can ever run again");
            give_up();
        }
        sim.now_ns = next;
        next = pass_deadlines();
        check_stuck();
    }
    note(index_of(to) + 1);
    if (to == sim.current) return;
    sim.switches++;
    swap_to(to);
}

static void block(enum state state, const void *at, const char *at_name, int64_t deadline_ns)
{
    struct fiber *fiber = sim.current;
    fiber->at = at;
    fiber->at_name = at_name;
    fiber->deadline_ns = deadline_ns;
    fiber->since_ns = sim.now_ns;
    fiber->timed_out = false;
    fiber->state = state;
    step();
}

/* --- the table --- */

static void point_init(struct os_point *point, const char *name)
{
    *point = (struct os_point){.name = name, .number = ++sim.points};
}

static void point_destroy(struct os_point *point)
{
    if (point->holder || point->readers) fail("destroys a lock that is held");
    for (size_t i = 0; i < sim.used; i++) {
        if (sim.fibers[i].at == point) fail("destroys a lock or condition that is waited for");
    }
}

static void take(struct os_point *point, bool shared)
{
    if (point->holder == sim.current) fail("locks a lock that it holds");
    while (point->holder || (!shared && point->readers)) block(BLOCKED, point, point->name, INT64_MAX);
    if (shared)
        point->readers++;
    else
        point->holder = sim.current;
}

static void give_back(struct os_point *point, bool shared)
{
    if (shared ? !point->readers : point->holder != sim.current) fail("unlocks a lock that it does not hold");
    if (shared)
        point->readers--;
    else
        point->holder = NULL;
    for (size_t i = 0; i < sim.used; i++) {
        if (sim.fibers[i].state == BLOCKED && sim.fibers[i].at == point) make_ready(&sim.fibers[i]);
    }
}

static void sim_lock(struct os_point *point, bool shared)
{
    note(point->number);
    step();
    take(point, shared);
}

static void sim_unlock(struct os_point *point, bool shared)
{
    give_back(point, shared);
    step();
}

static bool sim_wait(struct os_point *condition, struct os_point *mutex, int64_t deadline_ns)
{
    give_back(mutex, false);
    note(condition->number);
    block(WAITING, condition, condition->name, deadline_ns);
    bool in_time = !sim.current->timed_out;
    take(mutex, false);
    return in_time;
}

static void sim_wake(struct os_point *condition, bool all)
{
    size_t waiting = 0;
    for (size_t i = 0; i < sim.used; i++) waiting += sim.fibers[i].state == WAITING && sim.fibers[i].at == condition;
    size_t chosen = all ? 0 : (size_t)below(waiting), seen = 0;
    for (size_t i = 0; i < sim.used; i++) {
        struct fiber *fiber = &sim.fibers[i];
        if (fiber->state == WAITING && fiber->at == condition && (seen++ == chosen || all)) make_ready(fiber);
    }
    step();
}

static void fiber_entry(void)
{
    struct fiber *fiber = sim.current;
    arrived(fiber);
    if (fiber->thread)
        fiber->thread->main(fiber->thread->arg);
    else
        sim.main(sim.arg);
    fiber->state = DONE;
    for (size_t i = 0; i < sim.used; i++) {
        if (sim.fibers[i].state == JOINING && sim.fibers[i].at == fiber) make_ready(&sim.fibers[i]);
    }
    if (!fiber->thread) {
        for (size_t i = 1; i < sim.used; i++) {
            if (sim.fibers[i].state == UNUSED) continue;
            error_set(&sim.failure, STATUS_CONFLICT, "the thread %s was not joined", name_of(&sim.fibers[i]));
            describe(&sim.failure);
        }
        swap_to(&sim.host);
    }
    step();
    abort(); /* nobody comes back here */
}

/* A function of its own, because getcontext returns twice in the compiler's eyes. */
static void prepare(ucontext_t *context, char *stack)
{
    if (getcontext(context) != 0) abort();
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES;
    context->uc_link = NULL;
    makecontext(context, fiber_entry, 0);
}

static struct fiber *fiber_new(struct os_thread *thread)
{
    size_t i = 0;
    while (i < sim.used && sim.fibers[i].state != UNUSED) i++;
    if (i == FIBERS_MAX) return NULL;
    if (i == sim.used) sim.used++;
    struct fiber *fiber = &sim.fibers[i];
    *fiber = (struct fiber){.state = READY, .thread = thread, .stack = stack_new(), .deadline_ns = INT64_MAX};
    static const unsigned weights[] = {1, 1, 4, 16, 64};
    fiber->weight = sim.options.uneven ? weights[below(5)] : 1;
    prepare(&fiber->context, fiber->stack);
#ifdef HAVE_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    return fiber;
}

static void fiber_free(struct fiber *fiber)
{
#ifdef HAVE_TSAN
    __tsan_destroy_fiber(fiber->tsan);
#endif
    stack_free(fiber->stack);
    *fiber = (struct fiber){.state = UNUSED};
}

static enum status sim_spawn(struct os_thread *thread)
{
    struct fiber *fiber = fiber_new(thread);
    if (!fiber) return STATUS_LIMIT;
    thread->sim = fiber;
    step();
    return STATUS_OK;
}

static void sim_join(struct os_thread *thread)
{
    struct fiber *fiber = thread->sim;
    while (fiber->state != DONE) block(JOINING, fiber, name_of(fiber), INT64_MAX);
    fiber_free(fiber);
    thread->sim = NULL;
}

static void sim_sleep(int64_t ns)
{
    block(SLEEPING, NULL, NULL, sim.now_ns + (ns > 0 ? ns : 0));
}

static int64_t sim_monotonic_ns(void)
{
    return sim.now_ns;
}

static int64_t sim_now_ms(void)
{
    return sim.options.start_ms + sim.wall_offset_ms + sim.now_ns / 1000000;
}

static void sim_random(void *data, size_t size)
{
    for (size_t i = 0; i < size; i++) ((unsigned char *)data)[i] = (unsigned char)draw();
}

/* --- running --- */

void sim_threads_options_draw(struct sim_threads_options *options, uint64_t seed)
{
    static const unsigned switches[] = {256, 128, 64, 16, 4}, leaps[] = {0, 0, 16, 256};
    static const int64_t ticks[] = {500, 5000, 50000}, disks[] = {0, 20000, 1000000, 50000000};
    uint64_t h = hash_u64(seed, 21);
    *options = (struct sim_threads_options){
        .seed = seed,
        .switch_odds = switches[h % 5],
        .leap_odds = leaps[(h >> 8) % 4],
        .spurious_odds = (h >> 16) % 2 ? 64 : 0,
        .tick_ns = ticks[(h >> 24) % 3],
        .disk_ns = disks[(h >> 32) % 4],
        .stuck_ns = 600000000000,
        .start_ms = 1700000000000,
        .clock_jump_ms = (h >> 40) % 4 ? 0 : 7200000,
        .steps_max = 0,
        .uneven = (h >> 48) % 2,
    };
}

enum status sim_threads_run(const struct sim_threads_options *options, void (*main)(void *arg), void *arg,
                            struct error *error, struct sim_threads_result *ret_result)
{
    static const struct os_scheduler table = {
        .point_init = point_init,
        .point_destroy = point_destroy,
        .lock = sim_lock,
        .unlock = sim_unlock,
        .wait = sim_wait,
        .wake = sim_wake,
        .spawn = sim_spawn,
        .join = sim_join,
        .yield = step,
        .sleep = sim_sleep,
        .monotonic_ns = sim_monotonic_ns,
        .now_ms = sim_now_ms,
        .random = sim_random,
    };
    assert(!os_scheduler);
    memset(&sim, 0, sizeof sim);
    sim.options = *options;
    sim.random = hash_u64(options->seed, 5);
    sim.now_ns = 1000000000;
    sim.main = main;
    sim.arg = arg;
    sim.failure = ERROR_INIT;
    sim.current = &sim.host;
#ifdef HAVE_ASAN
    host_stack_bytes = 0;
#endif
#ifdef HAVE_TSAN
    sim.host.tsan = __tsan_get_current_fiber();
#endif
    struct fiber *first = fiber_new(NULL);
    os_scheduler = &table;
    swap_to(first);
    os_scheduler = NULL;
    if (ret_result)
        *ret_result = (struct sim_threads_result){sim.trace, sim.steps, sim.switches, sim.now_ns - 1000000000};
    for (size_t i = 0; i < sim.used; i++) {
        if (sim.fibers[i].state != UNUSED) fiber_free(&sim.fibers[i]);
    }
    sim.used = 0;
    if (sim.failure.status != STATUS_OK && error) *error = sim.failure;
    return sim.failure.status;
}

void sim_threads_note(uint64_t value)
{
    if (OS_SIMULATED) note(value);
}

void sim_threads_disk_call(bool slow)
{
    if (!OS_SIMULATED) return;
    if (slow && sim.options.disk_ns && below(2))
        sim_sleep((int64_t)below((uint64_t)sim.options.disk_ns));
    else
        step();
}

uint64_t sim_threads_steps(void)
{
    return sim.steps;
}

uint64_t sim_threads_trace(void)
{
    return sim.trace;
}
