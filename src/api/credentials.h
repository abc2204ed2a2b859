#pragma once
/*
 * Who is asking: the Authorization field in the forms that Mixpanel's clients send (ingestion.md §8 of the references):
 *
 *   Basic base64(user:secret), base64(secret) without a colon, and user:secret as it is
 *
 * where `user` is a service account, or a project's secret or token by itself (then the password is ignored).
 */
#include "http/request.h"
#include "meta/meta.h"

struct credentials {
    struct str username, secret; /* in the request or its arena; username NULL: none were sent */
};
/* INVALID for a scheme or a form that is not understood; a request without the field has no credentials, and is OK. */
enum status credentials_parse(struct http_request *request, struct error *error,
                              struct credentials *ret_credentials) MUST_USE;
/* The same, and `Bearer`: scripts send what Mixpanel gave them as a bearer token; here that is a project's secret or
 * token, or user:secret. */
enum status credentials_parse_any(struct http_request *request, struct error *error,
                                  struct credentials *ret_credentials) MUST_USE;
/* The project whose secret or token it is, or an account verified before. False: only meta_account_verify can tell. */
bool credentials_resolve(struct meta *meta, const struct meta_view *view, const struct credentials *credentials,
                         struct meta_credential *ret_credential);
/* The same, and otherwise the account is verified, which takes a while: on a worker thread. DENIED, and 401 in
 * *ret_status, when there are no credentials or nobody has them. */
enum status credentials_verify(struct meta *meta, const struct meta_view *view, const struct credentials *credentials,
                               struct error *error, struct meta_credential *ret_credential, int *ret_status) MUST_USE;
