#pragma once
/*
 * Between the two halves of the generator (bench_generate.h): what a made-up event is before it becomes text.
 */
#include "cli/bench_generate.h"

enum bench_event {
    EVENT_PAGE,
    EVENT_VIEW,
    EVENT_SEARCH,
    EVENT_OPEN,
    EVENT_SCROLL,
    EVENT_CLICK,
    EVENT_PLAY,
    EVENT_SAVE,
    EVENT_LOG_IN,
    EVENT_SHARE,
    EVENT_FILTER,
    EVENT_NOTIFY,
    EVENT_SETTINGS,
    EVENT_REVIEW,
    EVENT_ADD,
    EVENT_REMOVE,
    EVENT_COUPON,
    EVENT_CHECKOUT,
    EVENT_PURCHASE,
    EVENT_UPGRADE,
    EVENT_SUPPORT,
    EVENT_REFUND,
    EVENT_CLOSE,
    EVENT_ERROR,
    EVENT_SIGN_UP,
    EVENT_COUNT
};

enum {
    BENCH_BROWSERS = 12,
    BENCH_SYSTEMS = 8,
    BENCH_PLANS = 4,
    BENCH_SOURCES = 10, /* the first is none */
    BENCH_SCREENS = 14,
    BENCH_COUNTRIES = 80,
    BENCH_REGIONS = 200,
    BENCH_CITIES = 2000,
    BENCH_PRODUCTS = 5000,
    BENCH_PAGES = 60, /* besides one for each product */
};

/* Whose id the event carries. */
enum bench_id { ID_USER, ID_DEVICE, ID_DEVICE_2 };

struct bench_row {
    uint32_t ms; /* since midnight UTC */
    uint32_t user;
    uint32_t cents; /* 0: no price */
    uint16_t city, page;
    uint8_t event, id, browser, system, plan, source, screen, items;
    uint8_t device;  /* which of the user's devices it happened on: ID_DEVICE or ID_DEVICE_2 */
    uint8_t flags;   /* ROW_* */
    uint16_t region; /* of the city */
};
enum { ROW_TRIAL = 1, ROW_KEEP = 2, ROW_PRICED = 4, ROW_LINK = 8 /* device and user are linked by it */ };

struct bench_writer {
    const struct bench_data *data;
    struct bench_sink *events, *links;
    struct buf event_lines, link_lines;
};
/* bench_write.c */
enum status bench_write(struct bench_writer *writer, const struct bench_row *row, uint32_t day, uint32_t place,
                        struct error *error) MUST_USE;
/* Hands over what is left. */
enum status bench_write_end(struct bench_writer *writer, struct error *error) MUST_USE;
