#pragma once
/* The documents that the tests of the runner share: three descriptions, a workflow like the ones the runner
 * exists for, answers that let it pass and inputs that fit it. */
#include "workflow/fixture_test.h"

static const char ingestion[] = "openapi: 3.1.0\n"
                                "info: {title: Ingestion, version: '1'}\n"
                                "servers:\n- url: https://api.test/\n"
                                "paths:\n"
                                "  /track:\n"
                                "    post:\n"
                                "      operationId: trackEvent\n"
                                "      security:\n      - projectToken: []\n"
                                "      parameters:\n"
                                "      - {name: verbose, in: query, schema: {type: integer}}\n"
                                "      requestBody: {content: {application/json: {schema: {type: object}}}}\n"
                                "      responses: {'200': {description: ok}}\n"
                                "components:\n"
                                "  securitySchemes:\n"
                                "    projectToken: {type: apiKey, in: query, name: token}\n";

static const char query[] = "openapi: 3.0.3\n"
                            "info: {title: Query, version: '1'}\n"
                            "servers:\n- url: https://{region}.test/api/2.0\n  variables: {region: {default: eu}}\n"
                            "security:\n- basicAuth: []\n"
                            "paths:\n"
                            "  /segmentation:\n"
                            "    get:\n"
                            "      operationId: querySegmentation\n"
                            "      parameters:\n"
                            "      - {name: project_id, in: query, required: true, schema: {type: integer}}\n"
                            "      - $ref: '#/components/parameters/event'\n"
                            "      - {name: on, in: query, schema: {type: string}}\n"
                            "components:\n"
                            "  parameters:\n"
                            "    event: {name: event, in: query, required: true, schema: {type: string}}\n"
                            "  securitySchemes:\n"
                            "    basicAuth: {type: http, scheme: basic}\n";

static const char identity[] =
    "openapi: 3.1.0\n"
    "info: {title: Identity, version: '1'}\n"
    "servers: [{url: 'https://api.test'}]\n"
    "security: [{basicAuth: []}]\n"
    "paths:\n"
    "  /identity/create:\n"
    "    post: {operationId: createIdentity, requestBody: {content: {application/json: {}}}}\n"
    "components: {securitySchemes: {basicAuth: {type: http, scheme: basic}}}\n";

static const struct file files[] = {{"openapi/ingestion.yml", ingestion},
                                    {"openapi/query.yml", query},
                                    {"openapi/identity.yml", identity},
                                    {NULL, NULL}};

#define HEAD                                                                                                           \
    "arazzo: 1.0.1\n"                                                                                                  \
    "info: {title: T, version: '1'}\n"                                                                                 \
    "sourceDescriptions:\n"                                                                                            \
    "- {name: ingestionApi, url: ../openapi/ingestion.yml, type: openapi}\n"                                           \
    "- {name: queryApi, url: ../openapi/query.yml, type: openapi}\n"

static const char track_and_segment[] =
    HEAD "workflows:\n"
         "- workflowId: track-and-segment\n"
         "  summary: Track, then segment.\n"
         "  inputs:\n"
         "    type: object\n"
         "    required: [projectToken, projectId, eventName]\n"
         "    properties:\n"
         "      projectToken: {type: string}\n"
         "      projectId: {type: integer}\n"
         "      eventName: {type: string}\n"
         "      unit: {type: string, default: day}\n"
         "      segmentOn: {type: string}\n"
         "  steps:\n"
         "  - stepId: trackEvent\n"
         "    operationId: trackEvent\n"
         "    parameters:\n"
         "    - {name: token, in: query, value: $inputs.projectToken}\n"
         "    - {name: verbose, in: query, value: 1}\n"
         "    requestBody:\n"
         "      contentType: application/json\n"
         "      payload:\n"
         "        data:\n"
         "          event: $inputs.eventName\n"
         "          properties: {token: $inputs.projectToken, $price: $5, missing: $inputs.segmentOn}\n"
         "    successCriteria:\n"
         "    - condition: $statusCode == 200\n"
         "    outputs:\n"
         "      ingestStatus: $response.body#/status\n"
         "  - stepId: segmentEvent\n"
         "    operationId: querySegmentation\n"
         "    parameters:\n"
         "    - {name: project_id, in: query, value: $inputs.projectId}\n"
         "    - {name: event, in: query, value: $inputs.eventName}\n"
         "    - {name: 'on', in: query, value: $inputs.segmentOn}\n"
         "    - {name: unit, in: query, value: '{$inputs.unit}'}\n"
         "    successCriteria:\n"
         "    - condition: $statusCode == 200\n"
         "    outputs:\n"
         "      series: $response.body#/data/series\n"
         "      values: $response.body#/data/values\n"
         "  outputs:\n"
         "    ingestStatus: $steps.trackEvent.outputs.ingestStatus\n"
         "    series: $steps.segmentEvent.outputs.series\n"
         "    values: $steps.segmentEvent.outputs.values\n";

static const struct answer good_answers[] = {
    {200, "application/json", "{\"status\":1,\"error\":null}", STATUS_OK, NULL},
    {200, "application/json; charset=utf-8",
     "{\"data\":{\"series\":[\"2024-01-01\"],\"values\":{\"Sign up\":{\"2024-01-01\":3}}}}", STATUS_OK, NULL},
};

static const struct workflow_input good_inputs[] = {
    {STR("projectToken"), STR("abcdef123456")}, {STR("projectId"), STR("42")}, {STR("eventName"), STR("Sign up & =?")}};
static const struct workflow_auth basic[] = {{STR("basicAuth"), STR("user:s3cret:x"), STR_NULL}};
