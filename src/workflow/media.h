#pragma once
/* Media types (RFC 9110, 8.3.1): what the part before the parameters says. */
#include "base/str.h"

/* `type` is lower case: "text/csv". */
bool media_is(struct str content_type, const char *type);
/* application/json, text/json and anything +json. */
bool media_is_json(struct str content_type);
/* application/xml, text/xml and anything +xml. */
bool media_is_xml(struct str content_type);
/* The value of a parameter, quotes removed; NULL data when it is not there. */
struct str media_parameter(struct str content_type, const char *name);
