#pragma once
/*
 * For the tests of handlers that ask for credentials, beside api_testing.h: the accounts ann, with the secret "right",
 * an admin of project 1, and bob, with the same secret, an analyst there; the project secret "project-secret" of
 * project 1; and a worker that runs when the test says so.
 */
#include "api/api_testing.h"

static struct meta_account ann = {.id = 1, .username = {"ann", 3}}, bob = {.id = 2, .username = {"bob", 3}};
static bool accounts_cached, workers_busy;
static void (*work)(void *arg);
static void *work_arg;
static int view_references;

struct meta_view *meta_view_ref(struct meta_view *view)
{
    view_references++;
    return view;
}

void meta_view_unref(struct meta_view *view)
{
    assert_ptr_equal(view, &fake_view);
    view_references--;
}

const struct meta_project *meta_view_project_by_secret(const struct meta_view *view, struct str secret)
{
    assert_ptr_equal(view, &fake_view);
    return str_is(secret, "project-secret") ? &fake_projects[0] : NULL;
}

static const struct meta_account *account_of(struct str username, struct str secret)
{
    if (!str_is(secret, "right")) return NULL;
    return str_is(username, "ann") ? &ann : str_is(username, "bob") ? &bob : NULL;
}

const struct meta_account *meta_account_cached(struct meta *meta, const struct meta_view *view, struct str username,
                                               struct str secret)
{
    (void)meta;
    (void)view;
    return accounts_cached ? account_of(username, secret) : NULL;
}

enum status meta_account_verify(struct meta *meta, const struct meta_view *view, struct str username, struct str secret,
                                struct error *error, const struct meta_account **ret_account)
{
    (void)meta;
    assert_ptr_equal(view, &fake_view);
    const struct meta_account *account = account_of(username, secret);
    if (!account) return error_set(error, STATUS_DENIED, "Invalid service account credentials");
    *ret_account = account;
    return STATUS_OK;
}

enum status meta_authorize(const struct meta_view *view, const struct meta_credential *credential, int64_t project_id,
                           enum meta_permission permission, struct error *error,
                           const struct meta_project **ret_project)
{
    (void)view;
    if (credential->kind != META_CREDENTIAL_ACCOUNT) {
        *ret_project = credential->project;
        return STATUS_OK;
    }
    if (project_id == 0) return error_set(error, STATUS_INVALID, "project_id is missing");
    if (project_id != 1) return error_set(error, STATUS_DENIED, "not a project member");
    if (credential->account == &bob && permission > META_PERMISSION_DEFINE)
        return error_set(error, STATUS_DENIED, "the role analyst may not import data");
    *ret_project = &fake_projects[0];
    return STATUS_OK;
}

enum status api_run_blocking(struct api *api, void (*run)(void *arg), void *arg)
{
    (void)api;
    if (workers_busy) return STATUS_UNAVAILABLE;
    work = run;
    work_arg = arg;
    return STATUS_OK;
}

static int account_setup(void **state)
{
    accounts_cached = workers_busy = false;
    work = NULL;
    view_references = 0;
    return fake_setup(state);
}

static int account_teardown(void **state)
{
    assert_int_equal(view_references, 0);
    return fake_teardown(state);
}
