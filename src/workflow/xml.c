#include "workflow/xml.h"

#include "base/utf8.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <stdio.h>

#define XPATH_SIZE_MAX   65536u
#define XPATH_EFFORT_MAX 10000000ul
#define REPLACED_MAX     10000

/* One document and one expression over it, for as long as a call lasts. */
struct reading {
    xmlGenericErrorFunc said; /* what libxml2 of this thread printed errors with */
    void *said_to;
    xmlDocPtr document;
    xmlXPathContextPtr context;
    xmlXPathObjectPtr result;
    char reason[200];
};

static void keep_reason(void *ctx, xmlErrorPtr problem)
{
    struct reading *r = ctx;
    if (r->reason[0] || !problem->message) return;
    snprintf(r->reason, sizeof r->reason, "%s", problem->message);
    size_t size = strlen(r->reason);
    while (size && (r->reason[size - 1] == '\n' || r->reason[size - 1] == ' ')) r->reason[--size] = 0;
}

/* Some errors libxml2 would print, whatever handlers its objects have. */
static void say_nothing(void *ctx, const char *format, ...)
{
    (void)ctx, (void)format;
}

static void open_reading(struct reading *r)
{
    xmlInitParser();
    r->said = xmlGenericError;
    r->said_to = xmlGenericErrorContext;
    xmlSetGenericErrorFunc(NULL, say_nothing);
}

static void close_reading(struct reading *r)
{
    xmlSetGenericErrorFunc(r->said_to, r->said);
    xmlXPathFreeObject(r->result);
    if (r->context) xmlXPathFreeContext(r->context);
    if (r->document) xmlFreeDoc(r->document);
}

static enum status parse(struct reading *r, struct str document, struct error *error)
{
    if (document.size > XML_SIZE_MAX)
        return error_set(error, STATUS_LIMIT, "an XML document of more than %zu bytes", XML_SIZE_MAX);
    xmlParserCtxtPtr parser = xmlNewParserCtxt();
    if (!parser) return error_set(error, STATUS_LIMIT, "no memory for an XML document");
    r->document = xmlCtxtReadMemory(parser, document.data ? document.data : "", (int)document.size, NULL, NULL,
                                    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_NOCDATA);
    const xmlError *problem = xmlCtxtGetLastError(parser);
    unsigned line = problem && problem->line > 0 ? (unsigned)problem->line : 0;
    if (problem && problem->message)
        snprintf(r->reason, sizeof r->reason, "%.*s", (int)strcspn(problem->message, "\n"), problem->message);
    xmlFreeParserCtxt(parser);
    if (!r->document || r->reason[0]) {
        error_set(error, STATUS_INVALID, "it is no well-formed XML: %s", r->reason[0] ? r->reason : "it is empty");
        if (line) error_detail(error, "in line %u", line);
        return STATUS_INVALID;
    }
    if (r->document->intSubset || r->document->extSubset)
        return error_set(error, STATUS_INVALID, "XML with a document type declaration is refused");
    return STATUS_OK;
}

static void use_prefixes(struct reading *r)
{
    xmlNodePtr root = xmlDocGetRootElement(r->document);
    for (xmlNsPtr ns = root ? root->nsDef : NULL; ns; ns = ns->next)
        if (ns->prefix && ns->href) xmlXPathRegisterNs(r->context, ns->prefix, ns->href);
}

static enum status new_context(struct reading *r, struct error *error)
{
    r->context = xmlXPathNewContext(r->document);
    if (!r->context) return error_set(error, STATUS_LIMIT, "no memory for an XPath expression");
    r->context->error = keep_reason;
    r->context->userData = r;
    r->context->opLimit = XPATH_EFFORT_MAX;
    return STATUS_OK;
}

static enum status expression_text_of(struct str xpath, char text[XPATH_SIZE_MAX + 1], struct error *error)
{
    if (xpath.size > XPATH_SIZE_MAX || (xpath.size && memchr(xpath.data, 0, xpath.size)))
        return error_set(error, STATUS_INVALID, "the XPath expression is too long or has a zero byte");
    if (xpath.size) memcpy(text, xpath.data, xpath.size);
    text[xpath.size] = 0;
    return STATUS_OK;
}

static enum status evaluate(struct reading *r, struct str xpath, struct error *error)
{
    char text[XPATH_SIZE_MAX + 1];
    TRY(expression_text_of(xpath, text, error));
    TRY(new_context(r, error));
    use_prefixes(r);
    r->result = xmlXPathEvalExpression((const xmlChar *)text, r->context);
    if (r->result) return STATUS_OK;
    bool limit = r->context->lastError.code == XML_XPATH_EXPRESSION_OK + XPATH_OP_LIMIT_EXCEEDED;
    return error_set(error, limit ? STATUS_LIMIT : STATUS_INVALID, "XPath \"%.200s\": %s", text,
                     r->reason[0] ? r->reason : "it cannot be evaluated");
}

enum status xml_check_xpath(struct str xpath, struct error *error)
{
    struct reading r = {.reason = ""};
    char text[XPATH_SIZE_MAX + 1];
    TRY(expression_text_of(xpath, text, error));
    open_reading(&r);
    enum status status = new_context(&r, error);
    xmlXPathCompExprPtr compiled = status == STATUS_OK ? xmlXPathCtxtCompile(r.context, (const xmlChar *)text) : NULL;
    bool good = compiled != NULL;
    if (good) xmlXPathFreeCompExpr(compiled);
    close_reading(&r);
    if (good || status != STATUS_OK) return status;
    return error_set(error, STATUS_INVALID, "malformed XPath \"%.200s\": %s", text,
                     r.reason[0] ? r.reason : "it cannot be read");
}

enum status xml_xpath_holds(struct str document, struct str xpath, struct error *error, bool *ret_holds)
{
    struct reading r = {.reason = ""};
    open_reading(&r);
    enum status status = parse(&r, document, error);
    if (status == STATUS_OK) status = evaluate(&r, xpath, error);
    if (status == STATUS_OK) *ret_holds = xmlXPathCastToBoolean(r.result) != 0;
    close_reading(&r);
    return status;
}

static enum status replace_nodes(struct reading *r, struct str text, struct error *error)
{
    xmlNodeSetPtr nodes = r->result->type == XPATH_NODESET ? r->result->nodesetval : NULL;
    if (!nodes || nodes->nodeNr == 0) return error_set(error, STATUS_NOT_FOUND, "the XPath selects nothing");
    if (nodes->nodeNr > REPLACED_MAX)
        return error_set(error, STATUS_LIMIT, "the XPath selects more than %d nodes", REPLACED_MAX);
    xmlXPathNodeSetSort(nodes);
    /* From the last to the first: replacing the content of a node frees the nodes in it, which come after it. */
    for (int i = nodes->nodeNr - 1; i >= 0; i--) {
        xmlNodePtr node = nodes->nodeTab[i];
        if (node->type != XML_ELEMENT_NODE && node->type != XML_ATTRIBUTE_NODE && node->type != XML_TEXT_NODE)
            return error_set(error, STATUS_INVALID, "the XPath selects what cannot be replaced");
        xmlChar *escaped = xmlEncodeSpecialChars(r->document, (const xmlChar *)text.data);
        if (!escaped) return error_set(error, STATUS_LIMIT, "no memory for an XML document");
        xmlNodeSetContent(node, node->type == XML_ELEMENT_NODE || node->type == XML_ATTRIBUTE_NODE
                                    ? escaped
                                    : (const xmlChar *)text.data);
        xmlFree(escaped);
        nodes->nodeTab[i] = NULL;
    }
    nodes->nodeNr = 0;
    return STATUS_OK;
}

/* XML 1.0 has no way to write control characters, not even escaped. */
static bool can_be_xml(struct str text)
{
    for (size_t i = 0; i < text.size;) {
        size_t from = i;
        uint32_t point = utf8_next(text.data, text.size, &i);
        if (point == 0xFFFD && i - from == 1) return false; /* no UTF-8 */
        if (point == 0xFFFE || point == 0xFFFF) return false;
        if (point < 0x20 && point != '\t' && point != '\n' && point != '\r') return false;
    }
    return true;
}

enum status xml_replace(struct arena *arena, struct str document, struct str xpath, struct str text,
                        struct error *error, struct str *ret_document)
{
    struct reading r = {.reason = ""};
    struct str content = {arena_cstr(arena, text), text.size};
    if (!content.data) return error_set(error, STATUS_LIMIT, "no memory for an XML document");
    if (!can_be_xml(text)) return error_set(error, STATUS_INVALID, "the value has characters that XML cannot have");
    open_reading(&r);
    enum status status = parse(&r, document, error);
    if (status == STATUS_OK) status = evaluate(&r, xpath, error);
    if (status == STATUS_OK) status = replace_nodes(&r, content, error);
    xmlChar *written = NULL;
    int size = 0;
    if (status == STATUS_OK) {
        bool declared = str_starts(str_trim(document), STR("<?xml"));
        if (declared) {
            xmlDocDumpMemoryEnc(r.document, &written, &size, "UTF-8");
        } else {
            xmlBufferPtr buffer = xmlBufferCreate();
            if (buffer && xmlNodeDump(buffer, r.document, xmlDocGetRootElement(r.document), 0, 0) >= 0) {
                written = xmlBufferDetach(buffer);
                size = written ? (int)strlen((const char *)written) : 0;
            }
            if (buffer) xmlBufferFree(buffer);
        }
        *ret_document = written ? arena_str(arena, str_from(written, (size_t)size)) : STR_NULL;
        if (!ret_document->data) status = error_set(error, STATUS_LIMIT, "no memory for an XML document");
    }
    if (written) xmlFree(written);
    close_reading(&r);
    return status;
}
