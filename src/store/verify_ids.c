/* The invariants of the graph of ids (the essay in ids.c), and that what a catalog gave is complete. */
#include "store/profiles.h"
#include "store/verify_int.h"

#include <stdio.h>

static void finding(struct verify *v, const struct offline_project *project, const char *what, uint32_t id)
{
    char text[160];
    snprintf(text, sizeof text, "%sproject %llu: %s (id %u)", store_is_profiles(project->id) ? "profiles of " : "",
             (unsigned long long)store_profiles_owner(project->id), what, id);
    finding_report(&v->sink, FINDING_DAMAGE, "events", FINDING_NO_OFFSET, "%s", text);
}

/* Going round from the person's number visits all members, which all say that they are this person, and returns: how
 * many numbers there are. */
static uint32_t verify_cluster(struct verify *v, const struct offline_project *project, uint32_t person)
{
    const struct id_graph *graph = project->ids;
    uint32_t members = 0, steps = 0, id = person;
    do {
        if (id_graph_person(graph, id) != person) {
            finding(v, project, "a member of a person's ids belongs to another person", id);
            return steps;
        }
        members += !id_graph_is_bare(graph, id);
        steps++;
        id = id_graph_next_member(graph, id);
    } while (id != person && steps <= project->id_count);
    if (id != person || members != id_graph_members(graph, person) || !members)
        finding(v, project, "the ids of a person are not as many as were counted", person);
    uint32_t shown = id_graph_shown(graph, person);
    if (shown == 0 || shown > project->id_count || id_graph_person(graph, shown) != person ||
        id_graph_is_bare(graph, shown))
        finding(v, project, "the id shown for a person is not one of its ids", person);
    return steps;
}

void verify_project(struct verify *v, const struct offline_project *project)
{
    const struct id_graph *graph = project->ids;
    uint64_t members = 0;
    for (uint32_t id = 1; id <= project->id_count; id++) {
        uint32_t person = id_graph_person(graph, id), history[ID_HISTORY_MAX];
        if (person == 0) { /* forgotten with all ids of its person */
            members++;
            if (id_graph_person(graph, id_graph_next_member(graph, id)))
                finding(v, project, "an id was forgotten, and others of its person were not", id);
            continue;
        }
        if (person > project->id_count || id_graph_person(graph, person) != person) {
            finding(v, project, "an id's person does not exist", id);
            continue;
        }
        if (person == id) {
            members += verify_cluster(v, project, person);
            if (id_graph_is_mixed(graph, id))
                finding(v, project, "a person has a number under which rows of others may be stored", id);
        }
        uint32_t target = id_graph_alias_of(graph, id) + id_graph_stands_for(graph, id); /* one is 0 */
        if (target > project->id_count || target == id) finding(v, project, "an alias stands for no other id", id);
        size_t steps = id_graph_history(graph, id, history);
        if (steps == ID_HISTORY_MAX || history[0] != person || history[steps - 1] != id)
            finding(v, project, "the numbers that an id has had do not lead to its person", id);
        char room[ID_TEXT_ROOM];
        struct str text = id_graph_text(graph, id, room);
        if (id_graph_is_bare(graph, id)) {
            if (text.size) finding(v, project, "a number that stands for no id has a text", id);
            continue;
        }
        if (!text.size || id_graph_find(graph, text) != id) finding(v, project, "an id is not found by its text", id);
    }
    if (members != project->id_count) finding(v, project, "persons do not have all ids", project->id_count);
    v->report.ids += project->id_count;
}
