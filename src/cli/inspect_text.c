#include "cli/command.h"
#include "cli/figures.h"
#include "cli/inspect_print.h"
#include "cli/table.h"

#include "base/civil.h"
#include "store/profiles.h"

#define NAME_MAX_BYTES 48

static struct str count_cell(const struct inspect_view *view, uint64_t count)
{
    return figure_count(view->arena, count);
}

static struct str bits(const struct inspect_view *view, uint64_t bytes, uint64_t rows)
{
    return figure_ratio(view->arena, (double)bytes * 8, (double)rows);
}

/* A name may hold anything: what would move the cursor is shown as `?`. */
static struct str shown_name(const struct inspect_view *view, struct str name, const char *kind, uint32_t number)
{
    if (!name.data) return arena_printf(view->arena, "%s %u", kind, number);
    struct str cut = str_slice(name, 0, name.size < NAME_MAX_BYTES ? name.size : NAME_MAX_BYTES);
    char *copy = arena_cstr(view->arena, cut);
    if (!copy) return STR("");
    for (size_t i = 0; i < cut.size; i++) {
        if ((unsigned char)copy[i] < 32 || copy[i] == 127) copy[i] = '?';
    }
    return str_from(copy, cut.size);
}

static struct str window_text(const struct inspect_view *view, const struct inspect_section *section)
{
    struct str day = command_time(view->arena, section->window_day * DAY_MS);
    return arena_printf(view->arena, STR_FMT " +%ud", STR_ARG(str_slice(day, 0, 10)), 1u << section->window_log2);
}

static void print_manifest(const struct inspect_view *view)
{
    const struct inspection *all = view->all;
    printf("manifest   MANIFEST-%016llx: " STR_FMT " edits, " STR_FMT "; log needed from %llu on; next file %llx\n",
           (unsigned long long)all->manifest_number, STR_ARG(count_cell(view, all->edits)),
           STR_ARG(figure_bytes(view->arena, all->manifest_bytes)), (unsigned long long)all->flushed_lsn,
           (unsigned long long)all->next_file_id);
    uint64_t bytes = 0;
    for (size_t i = 0; i < all->catalog_count; i++) bytes += all->catalogs[i].size;
    printf("catalogs   " STR_FMT " files, " STR_FMT, STR_ARG(count_cell(view, all->catalog_count)),
           STR_ARG(figure_bytes(view->arena, bytes)));
    const char *separator = ": ";
    for (unsigned k = 1; k < CATALOG_KINDS; k++) {
        if (!all->catalog_bytes[k]) continue;
        printf("%s%s " STR_FMT, separator, inspect_catalog_kind(k),
               STR_ARG(figure_bytes(view->arena, all->catalog_bytes[k])));
        separator = ", ";
    }
    printf("\n");
    if (all->delete_count) printf("deletes    in " STR_FMT " sections\n", STR_ARG(count_cell(view, all->delete_count)));
    for (size_t i = 0; i < all->dropped_count; i++) {
        if (store_is_profiles(all->dropped_projects[i])) continue; /* goes with the project */
        printf("deleted    project %llu: its events do not count\n", (unsigned long long)all->dropped_projects[i]);
    }
}

static void print_log(const struct inspect_view *view)
{
    struct table table;
    table_init(&table, view->arena, "LOG_FILE >FROM >TO >FRAMES >RECORDS >SIZE STATE");
    for (size_t i = 0; i < view->all->log_file_count; i++) {
        const struct inspect_log_file *file = &view->all->log_files[i];
        const struct wal_file_info *info = &file->info;
        table_cell(&table, str_of(file->name));
        table_cell(&table, file->spare ? STR("") : arena_printf(view->arena, "%llu", (unsigned long long)info->base));
        table_cell(&table,
                   file->spare ? STR("") : arena_printf(view->arena, "%llu", (unsigned long long)info->end_lsn));
        table_cell(&table, file->spare ? STR("") : count_cell(view, info->frames));
        table_cell(&table, file->spare ? STR("") : count_cell(view, info->records));
        table_cell(&table, figure_bytes(view->arena, info->size));
        table_cell(&table, file->problem   ? str_of(file->problem)
                           : file->spare   ? STR("spare, for reuse")
                           : file->written ? STR("in sections, for reuse")
                                           : STR("needed"));
    }
    printf("\n");
    table_print(&table, "");
}

static void print_columns(const struct inspect_view *view, uint64_t project_id, const struct inspect_event *event)
{
    struct table table;
    char encoding[24], types[96];
    table_init(&table, view->arena, "COLUMN ENCODING >PRESENT >DISTINCT >BYTES >BITS/ROW TYPES");
    for (uint32_t c = 0; c < event->column_count; c++) {
        const struct inspect_column *column = &event->columns[c];
        const char *core = inspect_core_name(column->property);
        struct str name = STR_NULL;
        for (size_t p = 0; p < view->all->project_count && !core; p++) {
            const struct inspect_project *project = &view->all->projects[p];
            for (size_t t = 0; project->id == project_id && t < project->total_count && !name.data; t++) {
                if (project->totals[t].property == column->property) name = project->totals[t].name;
            }
        }
        table_cell(&table, core ? arena_printf(view->arena, "(%s)", core)
                                : shown_name(view, name, "property", column->property));
        table_cell(&table, arena_str(view->arena, str_of(inspect_encoding_name(column->encoding, encoding))));
        table_cell(&table, count_cell(view, column->present));
        table_cell(&table, column->distinct ? count_cell(view, column->distinct) : STR(""));
        table_cell(&table, count_cell(view, column->bytes));
        table_cell(&table, bits(view, column->bytes, event->rows));
        table_cell(&table, arena_str(view->arena, str_of(inspect_types(column->types, types))));
    }
    table_print(&table, "    ");
}

static void print_details(const struct inspect_view *view, const struct inspect_section *section)
{
    printf("\n%s, section %u: %sproject %llu, window " STR_FMT ", %u links of ids applied\n", section->file,
           section->ordinal, store_is_profiles(section->project) ? "profiles of " : "",
           (unsigned long long)store_profiles_owner(section->project), STR_ARG(window_text(view, section)),
           section->links_applied);
    for (uint32_t e = 0; e < section->event_count; e++) {
        const struct inspect_event *event = &section->events[e];
        struct str name = shown_name(view, event->name, "event", event->event_id);
        printf("  " STR_FMT ": " STR_FMT " rows of " STR_FMT " persons, " STR_FMT " to " STR_FMT ", " STR_FMT "\n",
               STR_ARG(name), STR_ARG(count_cell(view, event->rows)), STR_ARG(count_cell(view, event->persons)),
               STR_ARG(command_time(view->arena, event->time_min_ms)),
               STR_ARG(command_time(view->arena, event->time_max_ms)),
               STR_ARG(figure_bytes(view->arena, event->bytes)));
        print_columns(view, section->project, event);
    }
}

static void print_sections(const struct inspect_view *view)
{
    struct table table;
    table_init(&table, view->arena, "SECTION_FILE >SECTION >PROJECT WINDOW >ROWS >DELETED >EVENTS >SIZE >BYTES/ROW");
    for (size_t i = 0; i < view->all->section_count; i++) {
        const struct inspect_section *section = &view->all->sections[i];
        table_cell(&table, str_of(section->file));
        table_cell(&table, count_cell(view, section->ordinal));
        table_cell(&table,
                   arena_printf(view->arena, "%llu%s", (unsigned long long)store_profiles_owner(section->project),
                                store_is_profiles(section->project) ? " profiles" : ""));
        table_cell(&table, window_text(view, section));
        table_cell(&table, count_cell(view, section->rows));
        table_cell(&table, count_cell(view, section->deleted));
        table_cell(&table, count_cell(view, section->event_count));
        table_cell(&table, figure_bytes(view->arena, section->bytes));
        table_cell(&table, figure_ratio(view->arena, (double)section->bytes, section->rows));
    }
    printf("\n");
    table_print(&table, "");
    for (size_t i = 0; i < view->all->section_count && view->details; i++) print_details(view, &view->all->sections[i]);
}

static struct str encodings_text(const struct inspect_view *view, uint32_t encodings)
{
    char buffer[24], text[256];
    size_t size = 0;
    text[0] = 0;
    for (unsigned i = 0; i < 32 && size < sizeof text - 32; i++) {
        if (encodings >> i & 1)
            size += (size_t)snprintf(text + size, sizeof text - size, "%s%s", size ? " " : "",
                                     inspect_encoding_name(i, buffer));
    }
    return arena_str(view->arena, str_of(text));
}

static void total_row(const struct inspect_view *view, struct table *table, const struct inspect_project *project,
                      struct str name, struct str encodings, uint64_t present, uint64_t bytes, struct str types)
{
    table_cell(table, name);
    table_cell(table, count_cell(view, bytes));
    table_cell(table, figure_ratio(view->arena, (double)bytes * 100, (double)project->bytes));
    table_cell(table, bits(view, bytes, project->rows));
    table_cell(table, count_cell(view, present));
    table_cell(table, encodings);
    table_cell(table, types);
}

static void print_project(const struct inspect_view *view, const struct inspect_project *project)
{
    struct table table;
    char types[96];
    printf("\n%sproject %llu: " STR_FMT " rows (" STR_FMT " deleted) in " STR_FMT " sections, " STR_FMT ", " STR_FMT
           " bytes a row\n",
           store_is_profiles(project->id) ? "profiles of " : "", (unsigned long long)store_profiles_owner(project->id),
           STR_ARG(count_cell(view, project->rows)), STR_ARG(count_cell(view, project->deleted)),
           STR_ARG(count_cell(view, project->sections)), STR_ARG(figure_bytes(view->arena, project->bytes)),
           STR_ARG(figure_ratio(view->arena, (double)project->bytes, (double)project->rows)));
    if (project->event_names)
        printf("  " STR_FMT " event names, " STR_FMT " property names, " STR_FMT " ids of " STR_FMT " persons, " STR_FMT
               " links\n",
               STR_ARG(count_cell(view, project->event_names)), STR_ARG(count_cell(view, project->property_names)),
               STR_ARG(count_cell(view, project->ids)), STR_ARG(count_cell(view, project->persons)),
               STR_ARG(count_cell(view, project->links)));
    table_init(&table, view->arena, "COLUMN >BYTES >% >BITS/ROW >PRESENT ENCODINGS TYPES");
    for (size_t i = 0; i < project->total_count; i++) {
        const struct inspect_total *total = &project->totals[i];
        const char *core = inspect_core_name(total->property);
        total_row(view, &table, project,
                  core ? arena_printf(view->arena, "(%s)", core)
                       : shown_name(view, total->name, "property", total->property),
                  encodings_text(view, total->encodings), total->present, total->bytes,
                  arena_str(view->arena, str_of(inspect_types(total->types, types))));
    }
    total_row(view, &table, project, STR("(directories, tables, filters, statistics)"), STR(""), project->rows,
              project->bytes - project->column_bytes, STR(""));
    table_print(&table, "  ");
}

void inspect_print_text(const struct inspect_view *view)
{
    const struct inspection *all = view->all;
    printf("%s", view->place);
    if (view->server) printf(" (a server runs on it, pid %ld; this is how it is on disk now)", view->server);
    printf("\n");
    if (!view->single) {
        print_manifest(view);
        print_log(view);
    }
    if (all->section_count) print_sections(view);
    for (size_t i = 0; i < all->project_count; i++) print_project(view, &all->projects[i]);
    printf("\nin all " STR_FMT " rows (" STR_FMT " deleted), " STR_FMT " of section files, " STR_FMT " bytes a row\n",
           STR_ARG(count_cell(view, all->rows)), STR_ARG(count_cell(view, all->deleted)),
           STR_ARG(figure_bytes(view->arena, all->bytes)),
           STR_ARG(figure_ratio(view->arena, (double)all->bytes, (double)all->rows)));
}
