/*
 * Who is heavy is first taken from the graph, which keeps how many rows came in for a person; that number never falls,
 * so nobody is missed, and then the rows of those few are counted where they lie: runs are sorted by person, so the
 * list of a run's persons says whether it holds one of them, and two searches how many rows.
 */
#include "store/people_report.h"

#include "store/store.h"

#include <stdlib.h>

struct survey {
    const struct offline *offline;
    const struct offline_project *project;
    const struct people_report_options *options;
    struct arena *arena;
    struct error *error;
    struct snapshot snapshot; /* borrows everything */
    uint32_t *persons;        /* heavy ones, to begin with */
    uint64_t *rows;           /* theirs */
    uint32_t count;
    uint32_t *members; /* by person: how many ids */
    uint8_t *mark;     /* by number: 1 + place in persons, of those whose it is now */
};

static enum status out_of_memory(const struct survey *survey)
{
    return error_set(survey->error, STATUS_LIMIT, "out of memory for a report about %u ids", survey->project->id_count);
}

static enum status take_sections(struct survey *survey)
{
    const struct offline *offline = survey->offline;
    size_t most = 0;
    for (size_t f = 0; f < offline->file_count; f++) most += offline->files[f].section_count;
    struct snapshot *snapshot = &survey->snapshot;
    snapshot->sections = arena_new_array(survey->arena, struct version_section, most + 1);
    if (!snapshot->sections) return out_of_memory(survey);
    for (size_t f = 0; f < offline->file_count; f++) {
        for (uint32_t s = 0; s < offline->files[f].section_count; s++) {
            const struct offline_section *at = &offline->files[f].sections[s];
            if (at->project != survey->project->id || at->dropped || !at->section) continue;
            snapshot->sections[snapshot->section_count++] = (struct version_section){at->section, at->deletes};
        }
    }
    snapshot->project = survey->project->id;
    snapshot->ids = survey->project->view;
    snapshot->events = survey->project->events;
    snapshot->properties = survey->project->properties;
    snapshot->event_count = survey->project->event_count;
    snapshot->property_count = survey->project->property_count;
    return STATUS_OK;
}

/* Puts a person into a list of at most `most`, largest first, if it is large enough. */
static void rank(uint32_t *persons, uint64_t *sizes, uint32_t *count, uint32_t most, uint32_t person, uint64_t size)
{
    if (*count == most && size <= sizes[most - 1]) return;
    uint32_t at = *count < most ? (*count)++ : most - 1;
    for (; at > 0 && sizes[at - 1] < size; at--) {
        persons[at] = persons[at - 1];
        sizes[at] = sizes[at - 1];
    }
    persons[at] = person;
    sizes[at] = size;
}

static void find_heavy(struct survey *survey)
{
    const struct id_graph *graph = survey->project->ids;
    for (uint32_t id = 1; id <= survey->project->id_count; id++) {
        uint32_t person = id_graph_person(graph, id);
        if (person != id) continue;
        uint64_t rows = id_graph_rows(graph, person);
        if (rows && rows >= survey->options->rows_min)
            rank(survey->persons, survey->rows, &survey->count, survey->options->list_max, person, rows);
    }
    for (uint32_t i = 0; i < survey->count; i++) {
        survey->rows[i] = 0;
        survey->mark[survey->persons[i]] = (uint8_t)(i + 1);
    }
    for (uint32_t id = 1; id <= survey->project->id_count; id++) {
        uint32_t person = id_graph_person(graph, id);
        survey->mark[id] = person ? survey->mark[person] : 0;
    }
}

/* --- rows --- */

static enum status count_owner(struct survey *survey, struct scan *scan, const struct scan_run *run, uint32_t owner,
                               struct people_report *report)
{
    uint32_t from, to = run->rows;
    TRY(scan_seek_person(scan, owner, survey->error, &from));
    if (owner < UINT32_MAX) TRY(scan_seek_person(scan, owner + 1, survey->error, &to));
    if (owner == 0)
        report->rows_of_nobody += to - from;
    else
        survey->rows[survey->mark[owner] - 1] += to - from;
    return STATUS_OK;
}

static enum status count_run(struct survey *survey, struct scan *scan, const struct scan_run *run,
                             struct people_report *report)
{
    uint32_t wanted[VECTOR_ROWS_MAX];
    TRY(scan_open(scan, run, survey->error));
    report->rows += run->rows;
    for (uint32_t at = 0; at < run->persons; at += VECTOR_ROWS_MAX) {
        const uint32_t *owners;
        uint32_t count = run->persons - at < VECTOR_ROWS_MAX ? run->persons - at : VECTOR_ROWS_MAX, found = 0;
        TRY(scan_owners(scan, at / VECTOR_ROWS_MAX, survey->error, &owners));
        for (uint32_t i = 0; i < count; i++)
            if (owners[i] == 0 || (owners[i] <= survey->project->id_count && survey->mark[owners[i]]))
                wanted[found++] = owners[i];
        for (uint32_t i = 0; i < found; i++) TRY(count_owner(survey, scan, run, wanted[i], report));
    }
    return STATUS_OK;
}

static enum status count_rows(struct survey *survey, struct people_report *report)
{
    const struct scan_options options = {.from_ms = INT64_MIN, .to_ms = INT64_MAX};
    struct scan_run *runs;
    size_t count;
    struct scan *scan;
    TRY(scan_list(&survey->snapshot, &options, survey->arena, survey->error, &runs, &count));
    TRY(scan_new(&survey->snapshot, &options, survey->error, &scan));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) status = count_run(survey, scan, &runs[i], report);
    scan_free(scan);
    return status;
}

/* --- the report --- */

static enum status add_entry(struct survey *survey, struct people_report_entry *entries, uint32_t *count,
                             uint32_t person, uint64_t rows)
{
    const struct id_graph *graph = survey->project->ids;
    char room[ID_TEXT_ROOM];
    struct str shown = arena_str(survey->arena, id_graph_text(graph, id_graph_shown(graph, person), room));
    if (!shown.data) return out_of_memory(survey);
    entries[(*count)++] = (struct people_report_entry){shown, rows, survey->members[person]};
    return STATUS_OK;
}

static enum status list_heavy(struct survey *survey, struct people_report *report)
{
    uint32_t sorted[PEOPLE_REPORT_MAX], count = 0;
    uint64_t rows[PEOPLE_REPORT_MAX];
    for (uint32_t i = 0; i < survey->count; i++)
        if (survey->rows[i] && survey->rows[i] >= survey->options->rows_min &&
            (double)survey->rows[i] >= survey->options->share_min * (double)report->rows)
            rank(sorted, rows, &count, PEOPLE_REPORT_MAX, survey->persons[i], survey->rows[i]);
    for (uint32_t i = 0; i < count; i++)
        TRY(add_entry(survey, report->heavy, &report->heavy_count, sorted[i], rows[i]));
    return STATUS_OK;
}

static enum status list_large(struct survey *survey, struct people_report *report)
{
    uint32_t persons[PEOPLE_REPORT_MAX], count = 0;
    uint64_t sizes[PEOPLE_REPORT_MAX];
    for (uint32_t id = 1; id <= survey->project->id_count; id++) {
        if (survey->members[id] > report->largest_ids) report->largest_ids = survey->members[id];
        if (survey->members[id] >= survey->options->ids_min)
            rank(persons, sizes, &count, survey->options->list_max, id, survey->members[id]);
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mark = survey->mark[persons[i]];
        uint64_t rows = mark ? survey->rows[mark - 1] : id_graph_rows(survey->project->ids, persons[i]);
        TRY(add_entry(survey, report->large, &report->large_count, persons[i], rows));
    }
    return STATUS_OK;
}

static enum status make(struct survey *survey, struct people_report *report)
{
    size_t ids = (size_t)survey->project->id_count + 1, most = survey->options->list_max;
    const struct id_graph *graph = survey->project->ids;
    survey->persons = arena_new_array(survey->arena, uint32_t, most);
    survey->rows = arena_new_array(survey->arena, uint64_t, most);
    report->heavy = arena_new_array(survey->arena, struct people_report_entry, most);
    report->large = arena_new_array(survey->arena, struct people_report_entry, most);
    survey->members = calloc(ids, sizeof *survey->members);
    survey->mark = calloc(ids, 1);
    if (!survey->persons || !survey->rows || !report->heavy || !report->large || !survey->members || !survey->mark)
        return out_of_memory(survey);
    for (uint32_t id = 1; id <= survey->project->id_count; id++) {
        uint32_t person = id_graph_person(graph, id);
        if (!person || id_graph_is_bare(graph, id)) continue;
        survey->members[person]++;
        report->ids++;
    }
    TRY(take_sections(survey));
    find_heavy(survey);
    TRY(count_rows(survey, report));
    TRY(list_heavy(survey, report));
    return list_large(survey, report);
}

enum status people_report(const struct offline *offline, const struct offline_project *project,
                          const struct people_report_options *options, struct arena *arena, struct error *error,
                          struct people_report *ret_report)
{
    struct survey survey = {.offline = offline, .project = project, .options = options, .arena = arena, .error = error};
    struct people_report report = {0};
    enum status status = make(&survey, &report);
    free(survey.members);
    free(survey.mark);
    if (status == STATUS_OK) *ret_report = report;
    return status;
}
