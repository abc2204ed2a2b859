#include "cli/command.h"
#include "cli/inspect_print.h"

#include "base/civil.h"
#include "store/profiles.h"

static enum status put(struct arena *arena, struct json *object, const char *key, uint64_t value)
{
    return json_put(arena, object, str_of(key), json_int((int64_t)value));
}

static enum status put_text(struct arena *arena, struct json *object, const char *key, struct str text)
{
    return json_put(arena, object, str_of(key), text.data ? json_string(text) : json_null());
}

static enum status put_types(struct arena *arena, struct json *object, uint16_t types)
{
    struct json list = JSON_ARRAY_EMPTY;
    char name[96];
    for (unsigned i = 1; i < 16; i++) {
        if (!(types >> i & 1)) continue;
        struct str text = arena_str(arena, str_of(inspect_types((uint16_t)(1u << i), name)));
        TRY(json_push(arena, &list, json_string(text)));
    }
    return json_put(arena, object, STR("types"), list);
}

static struct str encoding_text(struct arena *arena, unsigned encoding)
{
    char buffer[24];
    return arena_str(arena, str_of(inspect_encoding_name(encoding, buffer)));
}

static enum status add_column(struct arena *arena, const struct inspect_column *column, uint32_t rows,
                              struct json *list)
{
    struct json object = JSON_OBJECT_EMPTY;
    const char *core = inspect_core_name(column->property);
    if (core)
        TRY(put_text(arena, &object, "stream", str_of(core)));
    else
        TRY(put(arena, &object, "property", column->property));
    TRY(put_text(arena, &object, "encoding", encoding_text(arena, column->encoding)));
    TRY(put(arena, &object, "items", column->items));
    TRY(put(arena, &object, "present", column->present));
    TRY(json_put(arena, &object, STR("distinct"), column->distinct ? json_int(column->distinct) : json_null()));
    TRY(put(arena, &object, "bytes", column->bytes));
    TRY(put(arena, &object, "dictionary_bytes", column->dictionary_bytes));
    TRY(json_put(arena, &object, STR("bits_per_row"),
                 rows ? json_number((double)column->bytes * 8 / rows) : json_null()));
    TRY(put_types(arena, &object, column->types));
    return json_push(arena, list, object);
}

/* Profiles lie beside the project that they belong to (store/profiles.h). */
static enum status put_project(struct arena *arena, struct json *object, uint64_t project)
{
    TRY(put(arena, object, "project", store_profiles_owner(project)));
    return store_is_profiles(project) ? json_put(arena, object, STR("profiles"), json_bool(true)) : STATUS_OK;
}

static enum status add_section(struct arena *arena, const struct inspect_section *section, bool details,
                               struct json *list)
{
    struct json object = JSON_OBJECT_EMPTY, events = JSON_ARRAY_EMPTY;
    TRY(put_text(arena, &object, "file", str_of(section->file)));
    TRY(put(arena, &object, "section", section->ordinal));
    TRY(put_project(arena, &object, section->project));
    TRY(json_put(arena, &object, STR("window_day"), json_int(section->window_day)));
    TRY(put_text(arena, &object, "window_from", str_slice(command_time(arena, section->window_day * DAY_MS), 0, 10)));
    TRY(put(arena, &object, "window_days", (uint64_t)1 << section->window_log2));
    TRY(json_put(arena, &object, STR("time_min_ms"), json_int(section->time_min_ms)));
    TRY(json_put(arena, &object, STR("time_max_ms"), json_int(section->time_max_ms)));
    TRY(put(arena, &object, "rows", section->rows));
    TRY(put(arena, &object, "deleted", section->deleted));
    TRY(put(arena, &object, "bytes", section->bytes));
    TRY(put(arena, &object, "column_bytes", section->column_bytes));
    TRY(put(arena, &object, "links_applied", section->links_applied));
    TRY(json_put(arena, &object, STR("dropped"), json_bool(section->dropped)));
    TRY(put(arena, &object, "event_count", section->event_count));
    for (uint32_t e = 0; e < section->event_count && details; e++) {
        const struct inspect_event *event = &section->events[e];
        struct json item = JSON_OBJECT_EMPTY, columns = JSON_ARRAY_EMPTY;
        TRY(put(arena, &item, "event", event->event_id));
        TRY(put_text(arena, &item, "name", event->name));
        TRY(put(arena, &item, "rows", event->rows));
        TRY(put(arena, &item, "persons", event->persons));
        TRY(json_put(arena, &item, STR("time_min_ms"), json_int(event->time_min_ms)));
        TRY(json_put(arena, &item, STR("time_max_ms"), json_int(event->time_max_ms)));
        TRY(put(arena, &item, "bytes", event->bytes));
        for (uint32_t c = 0; c < event->column_count; c++)
            TRY(add_column(arena, &event->columns[c], event->rows, &columns));
        TRY(json_put(arena, &item, STR("columns"), columns));
        TRY(json_push(arena, &events, item));
    }
    if (details) TRY(json_put(arena, &object, STR("events"), events));
    return json_push(arena, list, object);
}

static enum status add_project(struct arena *arena, const struct inspect_project *project, struct json *list)
{
    struct json object = JSON_OBJECT_EMPTY, columns = JSON_ARRAY_EMPTY;
    TRY(put_project(arena, &object, project->id));
    TRY(put(arena, &object, "rows", project->rows));
    TRY(put(arena, &object, "deleted", project->deleted));
    TRY(put(arena, &object, "sections", project->sections));
    TRY(put(arena, &object, "bytes", project->bytes));
    TRY(put(arena, &object, "column_bytes", project->column_bytes));
    TRY(put(arena, &object, "event_names", project->event_names));
    TRY(put(arena, &object, "property_names", project->property_names));
    TRY(put(arena, &object, "ids", project->ids));
    TRY(put(arena, &object, "persons", project->persons));
    TRY(put(arena, &object, "links", project->links));
    for (size_t i = 0; i < project->total_count; i++) {
        const struct inspect_total *total = &project->totals[i];
        struct json item = JSON_OBJECT_EMPTY, encodings = JSON_ARRAY_EMPTY;
        bool core = inspect_core_name(total->property) != NULL;
        if (!core) TRY(put(arena, &item, "property", total->property));
        TRY(put_text(arena, &item, core ? "stream" : "name", total->name));
        TRY(put(arena, &item, "bytes", total->bytes));
        TRY(put(arena, &item, "dictionary_bytes", total->dictionary_bytes));
        TRY(put(arena, &item, "chunks", total->chunks));
        TRY(put(arena, &item, "rows", total->rows));
        TRY(put(arena, &item, "present", total->present));
        for (unsigned e = 0; e < 32; e++) {
            if (total->encodings >> e & 1) TRY(json_push(arena, &encodings, json_string(encoding_text(arena, e))));
        }
        TRY(json_put(arena, &item, STR("encodings"), encodings));
        TRY(put_types(arena, &item, total->types));
        TRY(json_push(arena, &columns, item));
    }
    TRY(json_put(arena, &object, STR("columns"), columns));
    return json_push(arena, list, object);
}

static enum status put_directory(struct arena *arena, const struct inspection *all, struct json *object)
{
    struct json manifest = JSON_OBJECT_EMPTY, dropped = JSON_ARRAY_EMPTY, log = JSON_ARRAY_EMPTY,
                catalogs = JSON_ARRAY_EMPTY, deletes = JSON_ARRAY_EMPTY, kinds = JSON_OBJECT_EMPTY;
    TRY(put(arena, &manifest, "number", all->manifest_number));
    TRY(put(arena, &manifest, "edits", all->edits));
    TRY(put(arena, &manifest, "bytes", all->manifest_bytes));
    TRY(put(arena, &manifest, "flushed_lsn", all->flushed_lsn));
    TRY(put(arena, &manifest, "next_file_id", all->next_file_id));
    for (size_t i = 0; i < all->dropped_count; i++) {
        if (!store_is_profiles(all->dropped_projects[i]))
            TRY(json_push(arena, &dropped, json_int((int64_t)all->dropped_projects[i])));
    }
    TRY(json_put(arena, &manifest, STR("dropped_projects"), dropped));
    TRY(json_put(arena, object, STR("manifest"), manifest));
    for (size_t i = 0; i < all->log_file_count; i++) {
        const struct inspect_log_file *file = &all->log_files[i];
        struct json item = JSON_OBJECT_EMPTY;
        TRY(put_text(arena, &item, "file", str_of(file->name)));
        TRY(put_text(arena, &item, "state",
                     file->problem   ? STR("damaged")
                     : file->spare   ? STR("spare")
                     : file->written ? STR("written")
                                     : STR("needed")));
        TRY(put(arena, &item, "bytes", file->info.size));
        if (!file->spare) {
            TRY(put(arena, &item, "from", file->info.base));
            TRY(put(arena, &item, "to", file->info.end_lsn));
            TRY(put(arena, &item, "frames", file->info.frames));
            TRY(put(arena, &item, "records", file->info.records));
        }
        TRY(json_push(arena, &log, item));
    }
    TRY(json_put(arena, object, STR("log"), log));
    for (size_t i = 0; i < all->catalog_count; i++) {
        struct json item = JSON_OBJECT_EMPTY;
        TRY(put(arena, &item, "file_id", all->catalogs[i].file_id));
        TRY(put(arena, &item, "bytes", all->catalogs[i].size));
        TRY(json_push(arena, &catalogs, item));
    }
    TRY(json_put(arena, object, STR("catalogs"), catalogs));
    for (unsigned k = 1; k < CATALOG_KINDS; k++)
        TRY(put(arena, &kinds, inspect_catalog_kind(k), all->catalog_bytes[k]));
    TRY(json_put(arena, object, STR("catalog_bytes"), kinds));
    for (size_t i = 0; i < all->delete_count; i++) {
        struct json item = JSON_OBJECT_EMPTY;
        TRY(put(arena, &item, "file_id", all->deletes[i].delete_file));
        TRY(put(arena, &item, "section_file_id", all->deletes[i].section_file));
        TRY(put(arena, &item, "section", all->deletes[i].ordinal));
        TRY(put(arena, &item, "bytes", all->deletes[i].size));
        TRY(json_push(arena, &deletes, item));
    }
    return json_put(arena, object, STR("deletes"), deletes);
}

enum status inspect_make_json(const struct inspect_view *view, struct json *ret_json)
{
    const struct inspection *all = view->all;
    struct arena *arena = view->arena;
    struct json object = JSON_OBJECT_EMPTY, sections = JSON_ARRAY_EMPTY, projects = JSON_ARRAY_EMPTY;
    TRY(put_text(arena, &object, view->single ? "file" : "directory", str_of(view->place)));
    TRY(json_put(arena, &object, STR("server_pid"), view->server ? json_int(view->server) : json_null()));
    if (!view->single) TRY(put_directory(arena, all, &object));
    for (size_t i = 0; i < all->section_count; i++)
        TRY(add_section(arena, &all->sections[i], view->details, &sections));
    TRY(json_put(arena, &object, STR("sections"), sections));
    for (size_t i = 0; i < all->project_count; i++) TRY(add_project(arena, &all->projects[i], &projects));
    TRY(json_put(arena, &object, STR("projects"), projects));
    TRY(put(arena, &object, "rows", all->rows));
    TRY(put(arena, &object, "deleted", all->deleted));
    TRY(put(arena, &object, "bytes", all->bytes));
    *ret_json = object;
    return STATUS_OK;
}
