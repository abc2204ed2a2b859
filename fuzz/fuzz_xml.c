/* An XPath, a text and an XML document, divided by line breaks: asking and replacing must end, with a reason where they
 * fail, and what was replaced must be a document again that holds the text where it was put. */
#include "workflow/xml.h"

#include <stdlib.h>

static struct str take_line(struct str *rest)
{
    struct str line;
    return str_next_part(rest, '\n', &line) ? line : STR("");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new((size_t)64 << 20);
    struct str rest = str_from(data, size), xpath = take_line(&rest), text = take_line(&rest), document, again;
    struct error error = ERROR_INIT;
    bool holds = false;
    if (!rest.data) rest = STR("");
    bool readable = xml_check_xpath(xpath, &error) == STATUS_OK;
    if (!readable && error.primary[0] == 0) abort();
    error = (struct error)ERROR_INIT;
    enum status status = xml_xpath_holds(rest, xpath, &error, &holds);
    if (status == STATUS_OK && !readable) abort();
    if (status != STATUS_OK && error.primary[0] == 0) abort();
    error = (struct error)ERROR_INIT;
    status = xml_replace(arena, rest, xpath, text, &error, &document);
    if (status != STATUS_OK && error.primary[0] == 0) abort();
    if (status == STATUS_OK) {
        /* Readable by the same reader, and replacing the same with the same changes nothing. */
        status = xml_xpath_holds(document, STR("true()"), &error, &holds);
        if (status != STATUS_LIMIT && (status != STATUS_OK || !holds)) abort();
        status = xml_replace(arena, document, STR("/*"), STR("x"), &error, &again);
        if (status != STATUS_OK && status != STATUS_LIMIT) abort();
    }
    arena_free(arena);
    return 0;
}
