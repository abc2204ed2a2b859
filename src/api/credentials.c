#include "api/credentials.h"

#include "base/base64.h"

static void split(struct str text, struct credentials *credentials)
{
    size_t colon = str_find_byte(text, ':', 0);
    credentials->username = str_slice(text, 0, colon);
    credentials->secret = colon == SIZE_MAX ? STR("") : str_slice(text, colon + 1, text.size);
}

enum status credentials_parse(struct http_request *request, struct error *error, struct credentials *ret_credentials)
{
    struct credentials credentials = {STR_NULL, STR_NULL};
    struct str header = str_trim(http_request_field(request, "authorization")), text;
    if (header.size) {
        if (!str_eq_nocase(str_slice(header, 0, 6), STR("basic "))) {
            error_set(error, STATUS_INVALID, "Authorization scheme not supported");
            error_hint(error, "use Basic with a service account's username and secret");
            return STATUS_INVALID;
        }
        header = str_trim(str_slice(header, 6, header.size));
        /* A colon is no base64 digit, so `user:secret` without encoding cannot be taken for it. */
        if (str_find_byte(header, ':', 0) != SIZE_MAX)
            split(header, &credentials);
        else if (base64_decode(request->arena, header, &text) == STATUS_OK)
            split(text, &credentials);
        else
            return error_set(error, STATUS_INVALID, "Authorization is not base64");
        if (credentials.username.size == 0) credentials.username = STR_NULL;
    }
    *ret_credentials = credentials;
    return STATUS_OK;
}

enum status credentials_parse_any(struct http_request *request, struct error *error,
                                  struct credentials *ret_credentials)
{
    struct str header = str_trim(http_request_field(request, "authorization"));
    if (!str_eq_nocase(str_slice(header, 0, 7), STR("bearer ")))
        return credentials_parse(request, error, ret_credentials);
    split(str_trim(str_slice(header, 7, header.size)), ret_credentials);
    if (ret_credentials->username.size == 0) ret_credentials->username = STR_NULL;
    return STATUS_OK;
}

bool credentials_resolve(struct meta *meta, const struct meta_view *view, const struct credentials *credentials,
                         struct meta_credential *ret_credential)
{
    struct meta_credential credential = {.kind = META_CREDENTIAL_NONE};
    if ((credential.project = meta_view_project_by_token(view, credentials->username))) {
        credential.kind = META_CREDENTIAL_PROJECT_TOKEN;
    } else if ((credential.project = meta_view_project_by_secret(view, credentials->username))) {
        credential.kind = META_CREDENTIAL_PROJECT_SECRET;
    } else if ((credential.account = meta_account_cached(meta, view, credentials->username, credentials->secret))) {
        credential.kind = META_CREDENTIAL_ACCOUNT;
    } else {
        return false;
    }
    *ret_credential = credential;
    return true;
}

enum status credentials_verify(struct meta *meta, const struct meta_view *view, const struct credentials *credentials,
                               struct error *error, struct meta_credential *ret_credential, int *ret_status)
{
    struct meta_credential credential = {.kind = META_CREDENTIAL_ACCOUNT};
    if (!credentials->username.size) {
        error_set(error, STATUS_DENIED, "Unable to authenticate request");
        error_hint(error, "send Basic credentials: a service account's username and secret");
        *ret_status = 401;
        return STATUS_DENIED;
    }
    if (!credentials_resolve(meta, view, credentials, &credential)) {
        enum status status =
            meta_account_verify(meta, view, credentials->username, credentials->secret, error, &credential.account);
        if (status == STATUS_DENIED) {
            error_set(error, STATUS_DENIED, "Unable to authenticate request");
            *ret_status = 401;
        }
        TRY(status);
    }
    *ret_credential = credential;
    return STATUS_OK;
}
