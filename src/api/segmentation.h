#pragma once
/*
 * GET|POST /api/2.0/segmentation and /api/query/segmentation, and what is below them: one event over time, broken down
 * by one or two expressions, by ranges of a number, or added up (docs/api/segmentation.md). The answers are Mixpanel's
 * JSON, or CSV.
 */
#include "http/request.h"

void api_segmentation(struct http_request *request);
void api_segmentation_numeric(struct http_request *request);
void api_segmentation_sum(struct http_request *request);
void api_segmentation_average(struct http_request *request);
void api_segmentation_multiseg(struct http_request *request);
