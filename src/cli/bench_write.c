#include "cli/bench_rows.h"

#include "base/hash.h"
#include "base/number.h"

/* Events as text: the spelling of ids, names and properties. */

#define HAND_OVER_BYTES ((size_t)256 << 10)

static const char *const event_names[EVENT_COUNT] = {
    [EVENT_PAGE] = "Page View",
    [EVENT_VIEW] = "View Item",
    [EVENT_SEARCH] = "Search",
    [EVENT_OPEN] = "Open App",
    [EVENT_SCROLL] = "Scroll",
    [EVENT_CLICK] = "Click Button",
    [EVENT_PLAY] = "Play Video",
    [EVENT_SAVE] = "Save Item",
    [EVENT_LOG_IN] = "Log In",
    [EVENT_SHARE] = "Share",
    [EVENT_FILTER] = "Filter List",
    [EVENT_NOTIFY] = "Open Notification",
    [EVENT_SETTINGS] = "Change Settings",
    [EVENT_REVIEW] = "Write Review",
    [EVENT_ADD] = "Add to Cart",
    [EVENT_REMOVE] = "Remove from Cart",
    [EVENT_COUPON] = "Apply Coupon",
    [EVENT_CHECKOUT] = "Start Checkout",
    [EVENT_PURCHASE] = "Purchase",
    [EVENT_UPGRADE] = "Upgrade Plan",
    [EVENT_SUPPORT] = "Contact Support",
    [EVENT_REFUND] = "Request Refund",
    [EVENT_CLOSE] = "Close Account",
    [EVENT_ERROR] = "Show Error",
    [EVENT_SIGN_UP] = "Sign Up",
};
static const char *const browsers[BENCH_BROWSERS] = {
    "Chrome", "Mobile Safari",    "Safari",          "Edge",  "Firefox",    "Chrome iOS",
    "Opera",  "Samsung Internet", "Facebook Mobile", "Brave", "UC Browser", "Internet Explorer"};
static const char *const systems[BENCH_SYSTEMS] = {"Windows", "iOS",    "Android",   "Mac OS X",
                                                   "Linux",   "iPadOS", "Chrome OS", "BlackBerry"};
static const char *const plans[BENCH_PLANS] = {"free", "starter", "pro", "enterprise"};
static const char *const sources[BENCH_SOURCES] = {"",          "google", "facebook", "newsletter", "instagram",
                                                   "affiliate", "bing",   "reddit",   "linkedin",   "tiktok"};
static const char *const media[BENCH_SOURCES] = {"",         "cpc", "social", "email",  "social",
                                                 "referral", "cpc", "social", "social", "social"};
static const char *const referrers[BENCH_SOURCES] = {"",
                                                     "www.google.com",
                                                     "www.facebook.com",
                                                     "mail.example.org",
                                                     "www.instagram.com",
                                                     "blog.example.net",
                                                     "www.bing.com",
                                                     "www.reddit.com",
                                                     "www.linkedin.com",
                                                     "www.tiktok.com"};
static const uint16_t screens[BENCH_SCREENS][2] = {
    {1920, 1080}, {1366, 768}, {390, 844}, {1536, 864}, {414, 896},   {375, 667},  {1440, 900},
    {393, 873},   {360, 800},  {412, 915}, {1280, 720}, {2560, 1440}, {768, 1024}, {1680, 1050},
};
static const char countries[BENCH_COUNTRIES][3] = {
    "US", "IN", "BR", "GB", "DE", "FR", "CA", "JP", "MX", "ID", "ES", "IT", "AU", "NL", "TR", "PL",
    "KR", "PH", "VN", "AR", "CO", "SE", "CH", "BE", "TH", "MY", "SG", "ZA", "NG", "EG", "SA", "AE",
    "IL", "UA", "RO", "PT", "GR", "CZ", "HU", "AT", "DK", "NO", "FI", "IE", "NZ", "CL", "PE", "PK",
    "BD", "KE", "GH", "MA", "DZ", "TN", "HK", "TW", "CN", "LK", "NP", "EC", "VE", "UY", "CR", "PA",
    "DO", "GT", "BO", "PY", "BG", "RS", "HR", "SK", "SI", "LT", "LV", "EE", "IS", "KZ", "QA", "JO",
};
static const char *const towns[16] = {"Springfield", "São Paulo", "München", "New York", "Paris", "Tōkyō",
                                      "Kraków",      "L'Aquila",  "Lagos",   "Córdoba",  "Oslo",  "Zürich",
                                      "Malmö",       "Perth",     "Cairo",   "Bengaluru"};

/* Numbers of hash_u64, so that ids of different kinds have nothing in common. */
enum { FOR_USER_ID = 101, FOR_DEVICE_ID, FOR_DEVICE_REST, FOR_INSERT_ID, FOR_INSERT_REST };

static void add(struct buf *buf, const char *text)
{
    buf_add(buf, text, strlen(text));
}

static void add_number(struct buf *buf, uint64_t number)
{
    char digits[NUMBER_TEXT_MAX];
    buf_add(buf, digits, number_format_int((int64_t)number, digits));
}

static void add_hex(struct buf *buf, uint64_t value, unsigned digits)
{
    char text[16];
    for (unsigned i = digits; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
    buf_add(buf, text, digits);
}

static void add_user_id(struct buf *buf, uint32_t user)
{
    buf_byte(buf, 'u');
    add_hex(buf, user, 6);
    add_hex(buf, hash_u64(user, FOR_USER_ID), 6);
}

/* A UUID. */
static void add_device_id(struct buf *buf, uint32_t user, uint8_t device)
{
    uint64_t high = hash_u64((uint64_t)user * 4 + device, FOR_DEVICE_ID), low = hash_u64(high, FOR_DEVICE_REST);
    add_hex(buf, high >> 32, 8);
    buf_byte(buf, '-');
    add_hex(buf, high >> 16, 4);
    buf_lit(buf, "-4");
    add_hex(buf, high, 3);
    buf_byte(buf, '-');
    add_hex(buf, 0x8000 | (low >> 48 & 0x3fff), 4);
    buf_byte(buf, '-');
    add_hex(buf, low, 12);
}

/* 16 characters of base 36. */
static void add_insert_id(struct buf *buf, const struct bench_data *data, uint32_t day, uint32_t place)
{
    char text[16];
    uint64_t halves[2];
    halves[0] = hash_u64((uint64_t)day << 32 | place, hash_u64(data->seed, FOR_INSERT_ID));
    halves[1] = hash_u64(halves[0], FOR_INSERT_REST);
    for (unsigned i = 0; i < sizeof text; i++) {
        text[i] = "0123456789abcdefghijklmnopqrstuvwxyz"[halves[i / 8] % 36];
        halves[i / 8] /= 36;
    }
    buf_add(buf, text, sizeof text);
}

static void add_cents(struct buf *buf, uint32_t cents)
{
    add_number(buf, cents / 100);
    if (cents % 100 == 0) return;
    buf_byte(buf, '.');
    buf_byte(buf, (char)('0' + cents % 100 / 10));
    if (cents % 10) buf_byte(buf, (char)('0' + cents % 10));
}

static void add_place(struct buf *buf, const struct bench_row *row)
{
    buf_lit(buf, ",\"$city\":\"");
    add(buf, towns[row->city % 16]);
    if (row->city >= 16) {
        buf_byte(buf, ' ');
        add_number(buf, row->city);
    }
    buf_lit(buf, "\",\"$region\":\"Region ");
    add_number(buf, row->region);
    buf_lit(buf, "\",\"mp_country_code\":\"");
    /* Long tail: the first half of the regions lies in the first twenty countries. */
    add(buf, countries[row->region < BENCH_REGIONS / 2 ? row->region % 20 : row->region % BENCH_COUNTRIES]);
    buf_byte(buf, '"');
}

static void add_url(struct buf *buf, const struct bench_row *row)
{
    buf_lit(buf, ",\"$current_url\":\"https://shop.example.com/");
    if (row->page < BENCH_PAGES)
        buf_lit(buf, "page/");
    else
        buf_lit(buf, "product/");
    add_number(buf, row->page < BENCH_PAGES ? row->page : row->page - BENCH_PAGES);
    buf_byte(buf, '"');
}

static void add_text(struct buf *buf, const char *begin, const char *text)
{
    add(buf, begin);
    add(buf, text);
    buf_byte(buf, '"');
}

static void add_ids(struct buf *buf, const struct bench_row *row)
{
    buf_lit(buf, ",\"$device_id\":\"");
    add_device_id(buf, row->user, row->device);
    buf_byte(buf, '"');
    if (row->id != ID_USER) return;
    buf_lit(buf, ",\"$user_id\":\"");
    add_user_id(buf, row->user);
    buf_byte(buf, '"');
}

static void add_common(struct buf *buf, const struct bench_row *row)
{
    add_text(buf, ",\"$browser\":\"", browsers[row->browser]);
    add_text(buf, ",\"$os\":\"", systems[row->system]);
    add_place(buf, row);
    add_text(buf, ",\"plan\":\"", plans[row->plan]);
    if (row->flags & ROW_PRICED) {
        buf_lit(buf, ",\"price\":");
        add_cents(buf, row->cents);
    }
    if (row->items) {
        buf_lit(buf, ",\"items\":");
        add_number(buf, row->items);
    }
    if (row->source) add_text(buf, ",\"utm_source\":\"", sources[row->source]);
    add_url(buf, row);
    add(buf, row->flags & ROW_TRIAL ? ",\"is_trial\":true" : ",\"is_trial\":false");
}

/* 12 properties; `$device_id` and `$user_id` only where they are linked. */
static void add_shop(struct buf *buf, const struct bench_row *row)
{
    if (row->flags & ROW_LINK) add_ids(buf, row);
    add_common(buf, row);
    buf_lit(buf, ",\"screen_w\":");
    add_number(buf, screens[row->screen][0]);
}

/* 13 more, which the SDK for web pages adds to every event. */
static void add_web(struct buf *buf, const struct bench_row *row)
{
    add_ids(buf, row);
    add_common(buf, row);
    buf_lit(buf, ",\"$browser_version\":");
    add_number(buf, 100 + row->user % 27);
    buf_lit(buf, ",\"$screen_width\":");
    add_number(buf, screens[row->screen][0]);
    buf_lit(buf, ",\"$screen_height\":");
    add_number(buf, screens[row->screen][1]);
    add(buf, ",\"mp_lib\":\"web\",\"$lib_version\":\"2.65.0\"");
    const char *referrer = referrers[row->source], *initial = referrers[row->user % BENCH_SOURCES];
    if (row->source) {
        add_text(buf, ",\"$referrer\":\"https://", referrer);
        add_text(buf, ",\"$referring_domain\":\"", referrer);
        add_text(buf, ",\"utm_medium\":\"", media[row->source]);
        buf_lit(buf, ",\"utm_campaign\":\"spring-");
        add_number(buf, row->user % 30);
        buf_byte(buf, '"');
    }
    add_text(buf, ",\"$initial_referrer\":\"", *initial ? initial : "$direct");
    add_text(buf, ",\"$initial_referring_domain\":\"", *initial ? initial : "$direct");
    buf_lit(buf, ",\"current_page_title\":\"Shop: page ");
    add_number(buf, row->page);
    buf_byte(buf, '"');
}

static void add_event(struct buf *buf, const struct bench_data *data, const struct bench_row *row, uint32_t day,
                      uint32_t place)
{
    add_text(buf, "{\"event\":\"", event_names[row->event]);
    buf_lit(buf, ",\"properties\":{\"time\":");
    add_number(buf, (uint64_t)(BENCH_FIRST_DAY + day) * 86400 + row->ms / 1000);
    if (data->profile == BENCH_WEB) {
        buf_byte(buf, '.');
        buf_byte(buf, (char)('0' + row->ms % 1000 / 100));
        buf_byte(buf, (char)('0' + row->ms % 100 / 10));
        buf_byte(buf, (char)('0' + row->ms % 10));
    }
    buf_lit(buf, ",\"distinct_id\":\"");
    if (row->id == ID_USER) {
        add_user_id(buf, row->user);
    } else {
        buf_lit(buf, "$device:");
        add_device_id(buf, row->user, row->id);
    }
    buf_lit(buf, "\",\"$insert_id\":\"");
    add_insert_id(buf, data, day, place);
    buf_byte(buf, '"');
    if (data->profile == BENCH_WEB)
        add_web(buf, row);
    else
        add_shop(buf, row);
    buf_byte(buf, '}');
    if (data->user_numbers) {
        buf_lit(buf, ",\"user\":");
        add_number(buf, row->user);
    }
    buf_lit(buf, "}\n");
}

static void add_link(struct buf *buf, const struct bench_row *row)
{
    add_device_id(buf, row->user, row->device);
    buf_byte(buf, '\t');
    add_user_id(buf, row->user);
    buf_byte(buf, '\t');
    add_number(buf, row->user);
    buf_byte(buf, '\n');
}

static enum status hand_over(struct bench_sink *sink, struct buf *lines, size_t bytes_min, struct error *error)
{
    if (lines->size == 0 || lines->size < bytes_min) return STATUS_OK;
    if (buf_status(lines) != STATUS_OK) return error_set(error, STATUS_LIMIT, "no memory for made-up events");
    enum status status = sink->write(sink, buf_str(lines), error);
    buf_reset(lines);
    return status;
}

enum status bench_write(struct bench_writer *writer, const struct bench_row *row, uint32_t day, uint32_t place,
                        struct error *error)
{
    add_event(&writer->event_lines, writer->data, row, day, place);
    TRY(hand_over(writer->events, &writer->event_lines, HAND_OVER_BYTES, error));
    if (!writer->links || !(row->flags & ROW_LINK)) return STATUS_OK;
    add_link(&writer->link_lines, row);
    return hand_over(writer->links, &writer->link_lines, HAND_OVER_BYTES, error);
}

enum status bench_write_end(struct bench_writer *writer, struct error *error)
{
    TRY(hand_over(writer->events, &writer->event_lines, 1, error));
    return writer->links ? hand_over(writer->links, &writer->link_lines, 1, error) : STATUS_OK;
}
