#include "cli/bench_generate.h"

#include "base/hash.h"
#include "cli/bench_rows.h"

#include <stdlib.h>

/*
 * How a day is made.
 *
 * Each user has traits, a function of seed and number: how active, when they came, whether they leave again, and on
 * which days they log in on a device for the first time. For each day the number of events is fixed beforehand (by
 * growth and the day of the week), the activity of all users is summed up, and every user starts a session with the
 * probability that makes the sum come out a little above that number. Too few: further rounds; too many: ordinary
 * events are thinned out, never those that link ids or sign up.
 *
 * A session that passes midnight carries its rest over into the next day. Only the first round does that, so that the
 * rest depends on nothing but the day it began on: a part of the days needs just one day before it.
 *
 * Bytes must not depend on the machine. Random numbers are integers (splitmix64), logarithm and power are made below
 * from operations that IEEE 754 rounds exactly, and these must not be fused.
 */
#if defined __clang__
#pragma STDC FP_CONTRACT OFF
#else
#pragma GCC optimize("fp-contract=off")
#endif

#define DAY_MS         86400000u
#define SESSION_EVENTS 5.8 /* on average */
#define SESSION_MAX    60
#define OVERSHOOT      1.08
#define GAP_MEAN_MS    38000.0
#define GAP_MAX_MS     1200000.0
#define LINK_LATEST_MS (20 * 3600000u) /* a session with a link begins before 20:00, so that the link is on its day */
#define LINK_STEPS     4               /* and links with one of its first events */
#define DAY_NEVER      UINT16_MAX
#define NEVER_MS       UINT32_MAX

/* ---- Chance ---- */

struct chance {
    uint64_t state;
};

static struct chance chance_of(uint64_t seed, uint64_t a, uint64_t b)
{
    return (struct chance){hash_u64(b, hash_u64(a, seed))};
}
static uint64_t draw(struct chance *chance)
{
    chance->state += 0x9E3779B97F4A7C15u;
    return hash_u64(chance->state, 0);
}
/* [0, 1) */
static double draw_unit(struct chance *chance)
{
    return (double)(draw(chance) >> 11) * 0x1p-53;
}
static uint32_t draw_below(struct chance *chance, uint32_t count)
{
    return (uint32_t)((draw(chance) >> 32) * count >> 32);
}
static bool draw_true(struct chance *chance, double probability)
{
    return draw_unit(chance) < probability;
}

/* Of x > 0. */
static double logarithm(double x)
{
    int exponent = 0;
    while (x < 0.75) {
        x *= 2;
        exponent--;
    }
    while (x >= 1.5) {
        x /= 2;
        exponent++;
    }
    double s = (x - 1) / (x + 1), square = s * s, power = s, sum = 0;
    for (int i = 1; i < 22; i += 2, power *= square) sum += power / i;
    return 2 * sum + exponent * 0.6931471805599453;
}
/* Of |x| < 100. */
static double exponential(double x)
{
    int halves = 0;
    double term = 1, sum = 1;
    for (; x > 0.5 || x < -0.5; halves++) x /= 2;
    for (int i = 1; i < 14; i++) {
        term = term * x / i;
        sum += term;
    }
    for (; halves > 0; halves--) sum *= sum;
    return sum;
}
static double draw_waiting(struct chance *chance, double mean)
{
    return -mean * logarithm(1 - draw_unit(chance));
}
static double draw_normal(struct chance *chance)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += draw_unit(chance);
    return sum;
}

/* A choice among `count` by weight. */
struct choice {
    double *sums;
    uint32_t count;
};

static void choice_make(struct choice *choice, double *sums, uint32_t count, const double *weights)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sums[i] = sum += weights[i];
    *choice = (struct choice){sums, count};
}
/* The weight of place i is 1 / (i + 1)^exponent. */
static void choice_make_tail(struct choice *choice, double *sums, uint32_t count, double exponent)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) sums[i] = sum += exponential(-exponent * logarithm(i + 1));
    *choice = (struct choice){sums, count};
}
static uint32_t choose(const struct choice *choice, struct chance *chance)
{
    double at = draw_unit(chance) * choice->sums[choice->count - 1];
    uint32_t low = 0, high = choice->count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (choice->sums[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- The world ---- */

static const double event_weights[EVENT_COUNT] = {
    [EVENT_PAGE] = 27,    [EVENT_VIEW] = 15.6,     [EVENT_SEARCH] = 9,   [EVENT_OPEN] = 8.4,    [EVENT_SCROLL] = 7,
    [EVENT_CLICK] = 6.6,  [EVENT_PLAY] = 4,        [EVENT_SAVE] = 2.8,   [EVENT_LOG_IN] = 2.2,  [EVENT_SHARE] = 1.7,
    [EVENT_FILTER] = 1.5, [EVENT_NOTIFY] = 1.3,    [EVENT_REVIEW] = 0.8, [EVENT_SETTINGS] = .6, [EVENT_COUPON] = 0.5,
    [EVENT_ADD] = 0.5,    [EVENT_UPGRADE] = 0.3,   [EVENT_REMOVE] = 0.3, [EVENT_SUPPORT] = 0.2, [EVENT_CHECKOUT] = 0.1,
    [EVENT_REFUND] = .12, [EVENT_PURCHASE] = 0.05, [EVENT_CLOSE] = .02,  [EVENT_ERROR] = 0.4,
};
static const double browser_weights[BENCH_BROWSERS] = {46, 18, 12, 6, 5, 4, 3.5, 2, 1.5, 1, .7, .3};
static const double system_weights[BENCH_SYSTEMS] = {34, 21, 20, 17, 3, 2.9, 2, .1};
static const double plan_weights[BENCH_PLANS] = {68, 17, 11, 4};
static const double source_weights[BENCH_SOURCES] = {42, 22, 12, 8, 6, 3.5, 2.5, 2, 1.2, .8};
static const double screen_weights[BENCH_SCREENS] = {20, 12, 10, 9, 7, 7, 6, 6, 5, 5, 5, 4, 2, 2};
static const double hour_weights[24] = {6,  4,  3,  2,  2,  3,  5,  9,  14, 17, 19, 20,
                                        20, 19, 19, 19, 19, 20, 21, 22, 22, 19, 14, 9};
static const double weekday_weights[7] = {1.05, 1.03, 1.02, 1, .97, .72, .66};

struct user {
    float level;     /* activity today, once `first` is reached */
    float keeps;     /* what is left of it a day later */
    uint16_t first;  /* day */
    uint16_t link;   /* day on which the first device is linked; DAY_NEVER */
    uint16_t second; /* the same for the second device */
    uint8_t kind;
};
enum { KIND_KNOWN, KIND_LINKED, KIND_ANONYMOUS };

struct rows {
    struct bench_row *items;
    size_t count, capacity;
};

struct world {
    const struct bench_data *data;
    uint32_t user_count;
    struct user *users;
    struct rows today, tomorrow;
    struct bench_row *sorted;
    size_t sorted_capacity;
    uint64_t day_events[BENCH_DAYS_MAX]; /* how many each day has */
    uint32_t prices[BENCH_PRODUCTS];     /* cents */
    uint16_t city_regions[BENCH_CITIES];
    struct choice events, browsers, systems, plans, sources, screens, hours, cities, products, pages;
    double sums_events[EVENT_COUNT], sums_browsers[BENCH_BROWSERS], sums_systems[BENCH_SYSTEMS],
        sums_plans[BENCH_PLANS], sums_sources[BENCH_SOURCES], sums_screens[BENCH_SCREENS], sums_hours[24],
        sums_cities[BENCH_CITIES], sums_products[BENCH_PRODUCTS], sums_pages[BENCH_PAGES];
};

/* What the numbers of chance_of are for. */
enum { FOR_WORLD = 1, FOR_USER, FOR_TRAITS, FOR_THINNING, FOR_SESSIONS };

static struct user user_make(const struct world *world, uint32_t number)
{
    struct chance chance = chance_of(world->data->seed, FOR_USER, number);
    uint32_t days = world->data->days;
    struct user user = {.keeps = 1, .link = DAY_NEVER, .second = DAY_NEVER};
    user.level = (float)exponential(1.15 * draw_normal(&chance));
    bool old = draw_true(&chance, 0.42), leaves = draw_true(&chance, 0.5);
    uint32_t first = draw_below(&chance, days);
    double stays = 2 + draw_waiting(&chance, 40);
    /* User 0 is there from the beginning to the end: somebody always is. */
    user.first = old || number == 0 ? 0 : (uint16_t)first;
    if (leaves && number > 0) user.keeps = (float)(1 - 1 / stays);
    double kind = draw_unit(&chance), linked = world->data->linked / 100.0;
    user.kind = kind < linked ? KIND_LINKED : kind < linked + 0.15 ? KIND_ANONYMOUS : KIND_KNOWN;
    bool at_once = draw_true(&chance, 0.55), twice = draw_true(&chance, 0.12);
    uint32_t later = draw_below(&chance, 30), again = 1 + draw_below(&chance, 40);
    if (user.kind != KIND_LINKED) return user;
    uint32_t link = user.first + (at_once ? 0 : later);
    user.link = (uint16_t)(link < days ? link : days - 1);
    if (twice && user.link + again < days) user.second = (uint16_t)(user.link + again);
    return user;
}

static enum status world_make(struct world *world, const struct bench_data *data, struct error *error)
{
    struct chance chance = chance_of(data->seed, FOR_WORLD, 0);
    double growth[BENCH_DAYS_MAX], sum = 0, so_far = 0;
    uint64_t before = 0;
    world->data = data;
    world->user_count = data->users ? data->users : (uint32_t)((data->events + 19) / 20);
    world->users = calloc(world->user_count, sizeof *world->users);
    if (!world->users) return error_set(error, STATUS_LIMIT, "no memory for %u users", world->user_count);
    for (uint32_t i = 0; i < world->user_count; i++) world->users[i] = user_make(world, i);

    for (uint32_t i = 0; i < data->days; i++)
        sum += growth[i] = weekday_weights[i % 7] * (1 + 0.35 * i / data->days) * (0.97 + 0.06 * draw_unit(&chance));
    for (uint32_t i = 0; i < data->days; i++) {
        so_far += growth[i];
        uint64_t after = i + 1 == data->days ? data->events : (uint64_t)((double)data->events * (so_far / sum));
        world->day_events[i] = after - before;
        before = after;
    }
    for (uint32_t i = 0; i < BENCH_PRODUCTS; i++) {
        double price = exponential(3.4 + 0.95 * draw_normal(&chance));
        world->prices[i] = (uint32_t)(100 * (price < 1 ? 1 : price > 990 ? 990 : price));
    }
    for (uint32_t i = 0; i < BENCH_CITIES; i++)
        world->city_regions[i] = (uint16_t)(i < BENCH_REGIONS ? i : draw_below(&chance, BENCH_REGIONS));
    choice_make(&world->events, world->sums_events, EVENT_COUNT, event_weights);
    choice_make(&world->browsers, world->sums_browsers, BENCH_BROWSERS, browser_weights);
    choice_make(&world->systems, world->sums_systems, BENCH_SYSTEMS, system_weights);
    choice_make(&world->plans, world->sums_plans, BENCH_PLANS, plan_weights);
    choice_make(&world->sources, world->sums_sources, BENCH_SOURCES, source_weights);
    choice_make(&world->screens, world->sums_screens, BENCH_SCREENS, screen_weights);
    choice_make(&world->hours, world->sums_hours, 24, hour_weights);
    choice_make_tail(&world->cities, world->sums_cities, BENCH_CITIES, 0.85);
    choice_make_tail(&world->products, world->sums_products, BENCH_PRODUCTS, 0.7);
    choice_make_tail(&world->pages, world->sums_pages, BENCH_PAGES, 1.1);
    return STATUS_OK;
}

static void world_free(struct world *world)
{
    free(world->users);
    free(world->today.items);
    free(world->tomorrow.items);
    free(world->sorted);
    free(world);
}

/* ---- Sessions ---- */

static enum status rows_add(struct rows *rows, const struct bench_row *row, struct error *error)
{
    if (rows->count == rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : 4096;
        struct bench_row *items = realloc(rows->items, capacity * sizeof *items);
        if (!items) return error_set(error, STATUS_LIMIT, "no memory for %zu events of a day", capacity);
        rows->items = items;
        rows->capacity = capacity;
    }
    rows->items[rows->count++] = *row;
    return STATUS_OK;
}

/* What stays the same about a user. */
static struct bench_row traits(const struct world *world, uint32_t number)
{
    struct chance chance = chance_of(world->data->seed, FOR_TRAITS, number);
    struct bench_row row = {.user = number};
    row.browser = (uint8_t)choose(&world->browsers, &chance);
    row.system = (uint8_t)choose(&world->systems, &chance);
    row.plan = (uint8_t)choose(&world->plans, &chance);
    row.screen = (uint8_t)choose(&world->screens, &chance);
    row.city = (uint16_t)choose(&world->cities, &chance);
    if (draw_true(&chance, 0.2)) row.flags = ROW_TRIAL;
    return row;
}

static uint8_t event_after(const struct world *world, struct chance *chance, int before)
{
    double x = draw_unit(chance);
    if (before == EVENT_VIEW && x < 0.24) return EVENT_ADD;
    if (before == EVENT_ADD && x < 0.36) return EVENT_CHECKOUT;
    if (before == EVENT_ADD && x < 0.42) return EVENT_REMOVE;
    if (before == EVENT_CHECKOUT && x < 0.62) return EVENT_PURCHASE;
    return (uint8_t)choose(&world->events, chance);
}

/* Fills in what depends on the kind of event. */
static void event_details(const struct world *world, struct chance *chance, uint32_t *product, struct bench_row *row)
{
    bool basket = false;
    row->items = 0;
    row->cents = 0;
    row->flags &= (uint8_t)~ROW_PRICED;
    switch (row->event) {
    case EVENT_VIEW:
    case EVENT_SAVE:
    case EVENT_REFUND: *product = choose(&world->products, chance); break;
    case EVENT_ADD:
    case EVENT_REMOVE:
    case EVENT_CHECKOUT:
    case EVENT_PURCHASE: basket = true; break;
    default: row->page = (uint16_t)choose(&world->pages, chance); return;
    }
    row->page = (uint16_t)(BENCH_PAGES + *product);
    row->cents = world->prices[*product];
    row->flags |= ROW_PRICED;
    if (!basket) return;
    row->items = (uint8_t)(1 + (uint32_t)draw_waiting(chance, 1.2));
    if (row->event == EVENT_CHECKOUT || row->event == EVENT_PURCHASE) row->cents *= row->items;
}

/* The id under which an event of that time is sent. `linked_ms`: when the device is linked, if that is today. */
static uint8_t id_at(const struct user *user, uint32_t day, uint32_t linked_ms, uint32_t ms)
{
    if (user->kind == KIND_KNOWN) return ID_USER;
    if (user->kind == KIND_ANONYMOUS || day < user->link) return ID_DEVICE;
    return day == user->link && ms < linked_ms ? ID_DEVICE : ID_USER;
}

struct session {
    uint32_t day, user;
    bool carry;      /* the rest after midnight goes into the next day, else it is dropped */
    uint8_t link;    /* 0, or the device that is linked in it */
    bool joins;      /* the user signs up in it */
    uint32_t linked; /* ms of the link of the first device today, NEVER_MS before it is made */
};

static enum status session_add(struct world *world, struct session *session, struct chance *chance, struct error *error)
{
    const struct user *user = &world->users[session->user];
    struct bench_row row = traits(world, session->user);
    uint32_t events = 1 + (uint32_t)draw_waiting(chance, SESSION_EVENTS - 0.5), product;
    uint32_t link_at = session->link ? draw_below(chance, LINK_STEPS) : UINT32_MAX;
    uint32_t sign_up_at = !session->joins ? UINT32_MAX : session->link ? link_at + 1 : 0;
    double ms = (double)(choose(&world->hours, chance) * 3600000 + draw_below(chance, 3600000));
    int before = -1;
    if (session->link && ms >= LINK_LATEST_MS) ms -= 4 * 3600000;
    if (events > SESSION_MAX) events = SESSION_MAX;
    if (session->link && events < link_at + 2) events = link_at + 2;
    product = choose(&world->products, chance);
    row.source = (uint8_t)choose(&world->sources, chance);
    if (draw_true(chance, 0.05)) row.city = (uint16_t)choose(&world->cities, chance);
    if (session->link == ID_DEVICE_2) row.browser = (uint8_t)choose(&world->browsers, chance);
    row.region = world->city_regions[row.city];
    row.device = session->link ? session->link : ID_DEVICE;
    for (uint32_t i = 0; i < events; i++) {
        bool link = i == link_at, sign_up = i == sign_up_at;
        row.ms = (uint32_t)ms;
        row.event = link ? EVENT_LOG_IN : sign_up ? EVENT_SIGN_UP : event_after(world, chance, before);
        row.flags &= (uint8_t) ~(ROW_KEEP | ROW_LINK);
        if (link || sign_up) row.flags |= ROW_KEEP;
        if (link) row.flags |= ROW_LINK;
        event_details(world, chance, &product, &row);
        if (link && session->link == ID_DEVICE) session->linked = row.ms;
        row.id = id_at(user, session->day, session->linked, row.ms);
        if (session->link == ID_DEVICE_2 && i < link_at) row.id = ID_DEVICE_2;
        if (row.ms < DAY_MS) {
            TRY(rows_add(&world->today, &row, error));
        } else if (session->carry) {
            struct bench_row rest = row;
            rest.ms -= DAY_MS;
            rest.flags &= (uint8_t)~ROW_KEEP;
            TRY(rows_add(&world->tomorrow, &rest, error));
        }
        double gap = draw_waiting(chance, GAP_MEAN_MS);
        ms += 1000 + (gap < GAP_MAX_MS ? gap : GAP_MAX_MS);
        before = row.event;
    }
    return STATUS_OK;
}

/* The sessions of one user on one day: those that must be (the first visit, a link), then those that chance gives. */
static enum status user_day(struct world *world, uint32_t day, uint32_t number, uint32_t round, double expected,
                            struct error *error)
{
    const struct user *user = &world->users[number];
    struct chance chance = chance_of(world->data->seed, (uint64_t)(FOR_SESSIONS + round) << 32 | day, number);
    uint32_t count = (uint32_t)expected;
    if (draw_true(&chance, expected - count)) count++;
    struct session session = {.day = day, .user = number, .carry = round == 0, .linked = NEVER_MS};
    bool joins = user->first > 0 && user->kind != KIND_ANONYMOUS &&
                 day == (user->kind == KIND_LINKED ? user->link : user->first);
    bool links = user->kind == KIND_LINKED && (day == user->link || day == user->second);
    if (round > 0) {
        joins = links = false;
        /* When the device is linked today, later rounds do not know the time: they stay out of the way. */
        if (user->kind == KIND_LINKED && day == user->link) return STATUS_OK;
    }
    if ((joins || links || (round == 0 && day == user->first && user->first > 0)) && count == 0) count = 1;
    for (uint32_t i = 0; i < count; i++) {
        session.joins = joins && i == 0;
        session.link = !links || i > 0 ? 0 : day == user->link ? ID_DEVICE : ID_DEVICE_2;
        TRY(session_add(world, &session, &chance, error));
    }
    return STATUS_OK;
}

/* ---- Days ---- */

static enum status round_add(struct world *world, uint32_t day, uint32_t round, double scale, struct error *error)
{
    for (uint32_t i = 0; i < world->user_count; i++) {
        const struct user *user = &world->users[i];
        if (user->first <= day) TRY(user_day(world, day, i, round, user->level * scale, error));
    }
    return STATUS_OK;
}

/* Drops ordinary events at random until the day has as many as it should. */
static void thin(struct world *world, uint32_t day)
{
    struct rows *rows = &world->today;
    struct chance chance = chance_of(world->data->seed, FOR_THINNING, day);
    size_t wanted = (size_t)world->day_events[day], drop = rows->count > wanted ? rows->count - wanted : 0;
    for (int keep = ROW_KEEP; drop > 0; keep = 0) {
        size_t candidates = 0, kept = 0;
        for (size_t i = 0; i < rows->count; i++) candidates += !(rows->items[i].flags & keep);
        for (size_t i = 0; i < rows->count; i++) {
            bool candidate = !(rows->items[i].flags & keep);
            if (candidate && drop > 0 && draw_unit(&chance) * (double)candidates < (double)drop)
                drop--;
            else
                rows->items[kept++] = rows->items[i];
            candidates -= candidate;
        }
        rows->count = kept;
    }
}

/* One stable pass of a counting sort by key(ms). */
static void sort_pass(const struct bench_row *from, struct bench_row *to, size_t count, uint32_t *places, uint32_t keys,
                      uint32_t divisor, uint32_t modulus)
{
    uint32_t at = 0;
    memset(places, 0, keys * sizeof *places);
    for (size_t i = 0; i < count; i++) places[from[i].ms / divisor % modulus]++;
    for (uint32_t i = 0; i < keys; i++) {
        uint32_t here = places[i];
        places[i] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++) to[places[from[i].ms / divisor % modulus]++] = from[i];
}

static enum status sort(struct world *world, struct error *error)
{
    enum { SECONDS = 86400 };
    struct rows *rows = &world->today;
    uint32_t *places = malloc(SECONDS * sizeof *places);
    if (rows->count > world->sorted_capacity) {
        free(world->sorted);
        world->sorted = malloc(rows->capacity * sizeof *world->sorted);
        world->sorted_capacity = world->sorted ? rows->capacity : 0;
    }
    if (!places || (rows->count && !world->sorted)) {
        free(places);
        return error_set(error, STATUS_LIMIT, "no memory to sort %zu events", rows->count);
    }
    sort_pass(rows->items, world->sorted, rows->count, places, 1000, 1, 1000);
    sort_pass(world->sorted, rows->items, rows->count, places, SECONDS, 1000, SECONDS);
    free(places);
    return STATUS_OK;
}

static enum status day_make(struct world *world, uint32_t day, bool whole, struct error *error)
{
    struct rows rest = world->tomorrow;
    double active = 0;
    world->tomorrow = world->today;
    world->tomorrow.count = 0;
    world->today = rest;
    for (uint32_t i = 0; i < world->user_count; i++)
        if (world->users[i].first <= day) active += (double)world->users[i].level;
    uint64_t wanted = world->day_events[day];
    TRY(round_add(world, day, 0, (double)wanted * OVERSHOOT / (SESSION_EVENTS * active), error));
    for (uint32_t round = 1; whole && world->today.count < wanted; round++) {
        double missing = (double)(wanted - world->today.count) + 1;
        TRY(round_add(world, day, round, missing * OVERSHOOT / (SESSION_EVENTS * active), error));
    }
    return STATUS_OK;
}

static void day_pass(struct world *world, uint32_t day)
{
    for (uint32_t i = 0; i < world->user_count; i++)
        if (world->users[i].first <= day) world->users[i].level *= world->users[i].keeps;
}

static enum status days_make(struct world *world, uint32_t from, uint32_t to, struct bench_writer *writer,
                             struct error *error)
{
    for (uint32_t day = 0; day < to; day++, day_pass(world, day - 1)) {
        if (day + 1 < from) continue;
        TRY(day_make(world, day, day >= from, error));
        if (day < from) continue;
        thin(world, day);
        TRY(sort(world, error));
        for (size_t i = 0; i < world->today.count; i++)
            TRY(bench_write(writer, &world->today.items[i], day, (uint32_t)i, error));
    }
    return bench_write_end(writer, error);
}

static enum status data_check(const struct bench_data *data, struct error *error)
{
    if (data->events < 1 || data->events > BENCH_EVENTS_MAX)
        return error_set(error, STATUS_INVALID, "the number of events must be 1 to %llu",
                         (unsigned long long)BENCH_EVENTS_MAX);
    if (data->days < 1 || data->days > BENCH_DAYS_MAX)
        return error_set(error, STATUS_INVALID, "the number of days must be 1 to %d", BENCH_DAYS_MAX);
    if (data->linked > BENCH_LINKED_MAX)
        return error_set(error, STATUS_INVALID, "at most %d %% of the users can be linked", BENCH_LINKED_MAX);
    if (data->users > data->events) return error_set(error, STATUS_INVALID, "there cannot be more users than events");
    if (data->from > data->to || data->to > data->days)
        return error_set(error, STATUS_INVALID, "there are no days %u to %u of %u", data->from, data->to, data->days);
    return STATUS_OK;
}

enum status bench_generate(const struct bench_data *data, struct bench_sink *events, struct bench_sink *links,
                           struct error *error)
{
    TRY(data_check(data, error));
    struct world *world = calloc(1, sizeof *world);
    if (!world) return error_set(error, STATUS_LIMIT, "no memory");
    struct bench_writer writer = {.data = data,
                                  .events = events,
                                  .links = links,
                                  .event_lines = BUF_INIT((size_t)1 << 20),
                                  .link_lines = BUF_INIT((size_t)1 << 20)};
    enum status status = world_make(world, data, error);
    uint32_t to = data->to ? data->to : data->days;
    if (status == STATUS_OK) status = days_make(world, data->from, to, &writer, error);
    buf_fini(&writer.event_lines);
    buf_fini(&writer.link_lines);
    world_free(world);
    return status;
}
