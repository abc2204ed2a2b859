#include "store/section.h"

#include "base/civil.h"
#include "store/filter.h"
#include "store/person_set.h"
#include "store/pile.h"
#include "store/section_int.h"

#include <stdatomic.h>
#include <stdlib.h>

#define TIME_MS_LIMIT ((int64_t)1 << 53) /* as in the log */
#define EVENT_BYTES   (16 + 16 + 2 * SECTION_REF_BYTES)

struct section_file *section_file_ref(struct section_file *file)
{
    atomic_fetch_add(&file->refs, 1);
    return file;
}

void section_file_unref(struct section_file *file)
{
    if (!file || atomic_fetch_sub(&file->refs, 1) != 1) return;
    os_close(file->file);
    free(file);
}

struct section *section_ref_take(struct section *section)
{
    atomic_fetch_add(&section->refs, 1);
    return section;
}

void section_unref(struct section *section)
{
    if (!section || atomic_fetch_sub(&section->refs, 1) != 1) return;
    free(section->events);
    free(section->image);
    pile_free(section->pile);
    section_file_unref(section->file);
    free(section);
}

enum status section_fetch(const struct section *section, struct section_ref ref, struct error *error,
                          struct pinned *ret)
{
    if (ref.offset > section->bytes || ref.size > section->bytes - ref.offset)
        return error_set(error, STATUS_CORRUPT, "section object at %llu lies outside its section",
                         (unsigned long long)ref.offset);
    if (section->image) {
        *ret = (struct pinned){{section->image + ref.offset, ref.size}, NULL};
        return STATUS_OK;
    }
    return cache_fetch(section->cache, section->file->file, section->file->file_id, section->file_base, ref, error,
                       ret);
}

const struct section_event *section_find_event(const struct section *section, uint32_t event_id)
{
    uint32_t low = 0, high = section->event_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (section->events[middle].event_id < event_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < section->event_count && section->events[low].event_id == event_id ? &section->events[low] : NULL;
}

static bool is_range(int64_t min_ms, int64_t max_ms)
{
    return min_ms > -TIME_MS_LIMIT && min_ms <= max_ms && max_ms < TIME_MS_LIMIT;
}

static bool section_filter_known(const struct section *section)
{
    switch (section->filter_kind) {
    case FILTER_KIND_NONE: return section->filter.size == 0;
    case FILTER_KIND_SPLIT_BLOCK: return section->filter.size % 32 == 0;
    case FILTER_KIND_FUSE: return true;
    default: return false;
    }
}

bool section_filter_has(const struct section *section, uint64_t key)
{
    struct pinned pinned;
    struct error ignored; /* whoever reads the rows will meet it */
    if (section->filter.size == 0) return false;
    if (section_fetch(section, section->filter, &ignored, &pinned) != STATUS_OK) return true;
    bool has = section->filter_kind == FILTER_KIND_FUSE
                   ? fuse_has(pinned.bytes, key)
                   : filter_has((const unsigned char *)pinned.bytes.data, pinned.bytes.size, key);
    pinned_release(&pinned);
    return has;
}

bool section_has_person(const struct section *section, uint32_t person)
{
    struct pinned pinned;
    struct error ignored;
    if (section->persons.size == 0) return true;
    if (section_fetch(section, section->persons, &ignored, &pinned) != STATUS_OK) return true;
    bool has = person_set_has(pinned.bytes, person);
    pinned_release(&pinned);
    return has;
}

static enum status parse_directory(struct section *section, struct str bytes)
{
    struct reader r = reader_of(bytes);
    if (read_u32(&r) != SECTION_DIRECTORY_MAGIC || read_u32(&r) != SECTION_DIRECTORY_VERSION) return STATUS_CORRUPT;
    section->window_day = (int64_t)read_u64(&r);
    section->window_log2 = read_u32(&r);
    section->rows = read_u32(&r);
    section->event_count = read_u32(&r);
    section->links_applied = read_u32(&r);
    section->time_min_ms = (int64_t)read_u64(&r);
    section->time_max_ms = (int64_t)read_u64(&r);
    section->filter = section_ref_read(&r);
    section->filter_kind = read_u32(&r);
    (void)read_u32(&r);
    section->persons = section_ref_read(&r);
    if (r.failed || section->window_log2 > SECTION_LOG2_MAX || section->rows > SECTION_ROWS_MAX ||
        !is_range(section->time_min_ms, section->time_max_ms) || section->window_day > TIME_MS_LIMIT / DAY_MS ||
        section->window_day < floor_div(-TIME_MS_LIMIT, DAY_MS) - (1 << SECTION_LOG2_MAX) ||
        section->event_count > reader_left(&r) / EVENT_BYTES || !section_filter_known(section))
        return STATUS_CORRUPT;
    section->events = calloc(section->event_count ? section->event_count : 1, sizeof *section->events);
    if (!section->events) return STATUS_LIMIT;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < section->event_count; i++) {
        struct section_event *event = &section->events[i];
        event->event_id = read_u32(&r);
        event->rows = read_u32(&r);
        event->first_row = read_u32(&r);
        event->persons = read_u32(&r);
        event->time_min_ms = (int64_t)read_u64(&r);
        event->time_max_ms = (int64_t)read_u64(&r);
        event->table = section_ref_read(&r);
        event->statistics = section_ref_read(&r);
        if (event->first_row != rows || event->persons > event->rows || event->rows == 0 ||
            !is_range(event->time_min_ms, event->time_max_ms) || event->time_min_ms < section->time_min_ms ||
            event->time_max_ms > section->time_max_ms || (i && event->event_id <= event[-1].event_id))
            return STATUS_CORRUPT;
        rows += event->rows;
    }
    return r.failed || reader_left(&r) || rows != section->rows ? STATUS_CORRUPT : STATUS_OK;
}

static enum status open_common(struct section *section, struct section_ref directory, struct error *error)
{
    struct pinned pinned = {0};
    enum status status = section_fetch(section, directory, error, &pinned);
    if (status != STATUS_OK) return status;
    status = parse_directory(section, pinned.bytes);
    pinned_release(&pinned);
    if (status == STATUS_CORRUPT) error_set(error, status, "section directory is malformed");
    if (status == STATUS_LIMIT) error_set(error, status, "out of memory for a section directory");
    return status;
}

enum status section_open_image(struct buf *image, struct section_ref directory, uint64_t project, struct error *error,
                               struct section **ret_section)
{
    if (image->size == 0) return error_set(error, STATUS_CORRUPT, "the section is empty");
    struct section *section = calloc(1, sizeof *section);
    if (!section) {
        buf_fini(image);
        return error_set(error, STATUS_LIMIT, "out of memory for a section");
    }
    atomic_init(&section->refs, 1);
    section->project = project;
    section->bytes = image->size;
    section->image = buf_detach(image);
    enum status status = open_common(section, directory, error);
    if (status != STATUS_OK) {
        section_unref(section);
        return status;
    }
    *ret_section = section;
    return STATUS_OK;
}

enum status section_open_file(struct section_file *file, struct cache *cache, uint64_t base, uint64_t size,
                              struct section_ref directory, uint64_t project, uint32_t ordinal, struct error *error,
                              struct section **ret_section)
{
    struct section *section = calloc(1, sizeof *section);
    if (!section) return error_set(error, STATUS_LIMIT, "out of memory for a section");
    atomic_init(&section->refs, 1);
    section->project = project;
    section->bytes = size;
    section->file = section_file_ref(file);
    section->file_base = base;
    section->cache = cache;
    section->ordinal = ordinal;
    enum status status = open_common(section, directory, error);
    if (status != STATUS_OK) {
        error_prefix(error, "section file %016llx", (unsigned long long)file->file_id);
        section_unref(section);
        return status;
    }
    *ret_section = section;
    return STATUS_OK;
}
