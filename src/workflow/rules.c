#include "workflow/rules.h"

#include <assert.h>
#include <string.h>

const struct workflow_rule workflow_rules[] = {
    {"document-invalid", "The document can be read, but not as what it is meant to be."},
    {"document-unreadable", "The document cannot be read, or is no YAML or JSON."},
    {"document-version", "The version of Arazzo is one that the runner knows."},
    {"field-missing", "Required fields are there."},
    {"field-type", "Fields have the type that the specification gives them."},
    {"field-unknown", "Fields that the specification does not know begin with x-."},
    {"field-value", "Fields that choose among words use one of them."},
    {"id-pattern", "Ids consist of letters, digits, _ and -."},
    {"name-pattern", "Names of outputs and components consist of letters, digits, ., - and _."},
    {"id-duplicate", "Ids and names are unique where they are defined."},
    {"list-size", "Lists are neither empty where they must not be, nor larger than the runner allows."},
    {"source-unreadable", "Every source description can be read."},
    {"source-unknown", "References to sources name a source of the document."},
    {"source-kind", "A source is of the kind that its use needs."},
    {"source-qualified", "With several sources an operationId says which one it belongs to."},
    {"step-target", "A step names exactly one of operationId, operationPath and workflowId."},
    {"operation-unknown", "Operations exist in the description that is named."},
    {"operation-ambiguous", "An operationId leads to one operation only."},
    {"operation-path", "An operationPath leads to an operation."},
    {"workflow-unknown", "References to workflows lead to one."},
    {"workflow-cycle", "Dependencies and calls of workflows do not lead in circles."},
    {"step-unknown", "References to steps lead to one of the same workflow."},
    {"component-unknown", "References to components lead to one of the right kind."},
    {"parameter-incomplete", "Parameters have name, in and value."},
    {"parameter-duplicate", "A parameter is given once in a list."},
    {"parameter-required", "Parameters that the operation requires are given."},
    {"parameter-path", "The parameters of the path are those of its template."},
    {"parameter-header", "Headers have names that requests can carry, and none that the transport writes itself."},
    {"parameter-unknown", "Parameters of a called workflow are among its inputs."},
    {"body-invalid", "The request body can be written as its content type says."},
    {"replacement-invalid", "Replacements have a target that can be read."},
    {"criterion-invalid", "Conditions can be read and have the context that their type needs."},
    {"criterion-remark", "Conditions mean what they seem to mean."},
    {"action-invalid", "Actions have a name, a known type, and lead to what that type allows."},
    {"expression-invalid", "Runtime expressions can be read."},
    {"expression-unknown", "Runtime expressions name something that exists."},
    {"expression-early", "Runtime expressions name something that has a value by then."},
    {"expression-literal", "Texts that look like expressions are expressions."},
    {"input-unknown", "Inputs are declared by a workflow that runs."},
    {"input-invalid", "Inputs fit the schema of their workflow."},
    {"schema-invalid", "The schema of the inputs is a JSON Schema."},
    {"schema-remark", "The schema of the inputs uses what the runner knows."},
    {"server-url", "Requests have a server to go to."},
    {"credential-missing", "Credentials that an operation asks for are given."},
    {"credential-unused", "Credentials that are given belong to a security scheme."},
    {"credential-invalid", "Credentials can be sent."},
    {"unsupported", "The document uses nothing that the runner does not have."},
    {0},
};

size_t workflow_rule_index(const char *name)
{
    size_t index = 0;
    while (workflow_rules[index].name && strcmp(workflow_rules[index].name, name) != 0) index++;
    assert(workflow_rules[index].name);
    return index;
}
