#include "meta/meta.h"
#include "meta/meta_int.h"

#include "base/timezone.h"
#include "base/utf8.h"
#include "os/clock.h"

#include <stdlib.h>

static const char *const identity_names[] = {"simplified", "original", "legacy"};
static const char *const role_names[] = {"consumer", "analyst", "admin", "owner"};

const char *meta_identity_name(enum meta_identity identity)
{
    return identity_names[identity];
}
const char *meta_role_name(enum meta_role role)
{
    return role_names[role];
}

static bool find_name(const char *const *names, size_t count, struct str text, size_t *ret_index)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(text, str_of(names[i]))) {
            *ret_index = i;
            return true;
        }
    return false;
}

bool meta_identity_parse(struct str text, enum meta_identity *ret_identity)
{
    size_t index;
    if (!find_name(identity_names, sizeof identity_names / sizeof *identity_names, text, &index)) return false;
    *ret_identity = (enum meta_identity)index;
    return true;
}

bool meta_role_parse(struct str text, enum meta_role *ret_role)
{
    size_t index;
    if (!find_name(role_names, sizeof role_names / sizeof *role_names, text, &index)) return false;
    *ret_role = (enum meta_role)index;
    return true;
}

/* ---- Opening ---- */

enum status meta_open(const char *dir, const struct meta_options *options, struct error *error, struct meta **ret_meta)
{
    if (sodium_init() < 0) return error_set(error, STATUS_INTERNAL, "the libsodium library does not start");
    struct meta *meta = calloc(1, sizeof *meta);
    if (meta == NULL) return error_set(error, STATUS_LIMIT, "out of memory opening the control plane");
    meta->options = options ? *options : META_OPTIONS_DEFAULT;
    pthread_mutex_init(&meta->write_lock, NULL);
    pthread_mutex_init(&meta->view_lock, NULL);
    credentials_init(&meta->credentials);
    enum status status;
    if (asprintf(&meta->path, "%s/%s", dir, META_FILE_NAME) < 0) {
        meta->path = NULL;
        status = error_set(error, STATUS_LIMIT, "out of memory opening the control plane");
    } else {
        status = database_prepare(dir, meta->path, &meta->options, error, &meta->writer);
    }
    if (status == STATUS_OK)
        *ret_meta = meta;
    else
        meta_close(meta);
    return status;
}

void meta_close(struct meta *meta)
{
    if (meta == NULL) return;
    meta_view_unref(meta->view);
    sqlite3_close(meta->loader);
    sqlite3_close(meta->writer);
    credentials_fini(&meta->credentials);
    pthread_mutex_destroy(&meta->view_lock);
    pthread_mutex_destroy(&meta->write_lock);
    free(meta->path);
    free(meta);
}

/* Write transactions are immediate, so that what they read stays true until they write. */
enum status meta_begin(struct meta *meta, struct error *error)
{
    pthread_mutex_lock(&meta->write_lock);
    enum status status = database_run(meta->writer, meta->path, "BEGIN IMMEDIATE", error);
    if (status != STATUS_OK) pthread_mutex_unlock(&meta->write_lock);
    return status;
}

enum status meta_finish(struct meta *meta, enum status status, struct error *error)
{
    if (status == STATUS_OK) status = database_run(meta->writer, meta->path, "COMMIT", error);
    if (status != STATUS_OK) sqlite3_exec(meta->writer, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&meta->write_lock);
    return status;
}

/* The first column of the first row; *ret_found is false when there is no row. */
static enum status look_up(struct meta *meta, struct error *error, const char *sql, const char *types, struct str text,
                           int64_t number, int64_t *ret_number, bool *ret_found)
{
    sqlite3_stmt *statement = NULL;
    if (types[0] == 'i')
        TRY(database_query(meta->writer, meta->path, error, &statement, sql, "i", number));
    else
        TRY(database_query(meta->writer, meta->path, error, &statement, sql, "s", text));
    bool row = false;
    enum status status = database_step(statement, meta->path, error, &row);
    if (status == STATUS_OK) {
        *ret_found = row;
        if (row) *ret_number = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return status;
}

/* ---- Validation ---- */

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7F) return true;
    return false;
}

static enum status check_name(struct str name, const char *what, struct error *error)
{
    if (name.size < 1 || name.size > META_NAME_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "%s has %zu bytes, 1 to %u are allowed", what, name.size,
                         META_NAME_SIZE_MAX);
    if (!utf8_valid(name.data, name.size) || has_control(name))
        return error_set(error, STATUS_INVALID, "%s is not plain UTF-8 text without control characters", what);
    return STATUS_OK;
}

static enum status check_token(struct str token, struct error *error)
{
    bool ok = token.size == META_TOKEN_SIZE;
    for (size_t i = 0; ok && i < token.size; i++) ok = str_find_byte(ALPHABET_HEX, token.data[i], 0) != SIZE_MAX;
    if (ok) return STATUS_OK;
    (void)error_set(error, STATUS_INVALID, "project token \"" STR_FMT "\" is not 32 lower-case hexadecimal digits",
                    STR_ARG(str_slice(token, 0, 64)));
    error_hint(error, "leave it out and one is drawn at random");
    return STATUS_INVALID;
}

static enum status check_username(struct str username, struct error *error)
{
    TRY(check_name(username, "the username", error));
    if (str_find_byte(username, ':', 0) == SIZE_MAX) return STATUS_OK;
    return error_set(error, STATUS_INVALID,
                     "username \"" STR_FMT "\" contains a colon, which HTTP Basic authentication cannot carry",
                     STR_ARG(username));
}

static enum status check_secret(struct str secret, struct error *error)
{
    if (secret.size < META_SECRET_SIZE_MIN || secret.size > META_SECRET_SIZE_MAX)
        return error_set(error, STATUS_INVALID, "the secret has %zu bytes, %u to %u are allowed", secret.size,
                         META_SECRET_SIZE_MIN, META_SECRET_SIZE_MAX);
    if (has_control(secret)) return error_set(error, STATUS_INVALID, "the secret contains control characters");
    return STATUS_OK;
}

static enum status no_project(int64_t project_id, struct error *error)
{
    (void)error_set(error, STATUS_NOT_FOUND, "no project has the id %lld", (long long)project_id);
    error_hint(error, "cairn project list shows them all");
    return STATUS_NOT_FOUND;
}

static enum status no_account(struct str username, struct error *error)
{
    (void)error_set(error, STATUS_NOT_FOUND, "no account has the username \"" STR_FMT "\"", STR_ARG(username));
    error_hint(error, "cairn account list shows them all");
    return STATUS_NOT_FOUND;
}

static enum status out_of_memory(struct error *error)
{
    return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
}

static enum status copy(struct arena *arena, struct str s, struct error *error, struct str *ret_copy)
{
    struct str copied = arena_str(arena, s);
    if (copied.data == NULL) return out_of_memory(error);
    *ret_copy = copied;
    return STATUS_OK;
}

/* ---- Projects ---- */

static enum status project_id_choose(struct meta *meta, int64_t wanted, struct error *error, int64_t *ret_id)
{
    bool found = false;
    if (wanted != 0) {
        int64_t deleted = 0;
        TRY(look_up(meta, error, "SELECT deleted_ms IS NOT NULL FROM projects WHERE id = ?", "i", STR_NULL, wanted,
                    &deleted, &found));
        if (!found) {
            *ret_id = wanted;
            return STATUS_OK;
        }
        (void)error_set(error, STATUS_CONFLICT, "project %lld %s", (long long)wanted,
                        deleted ? "existed and was deleted; ids are never used again" : "exists already");
        error_hint(error, "choose another id, or leave it out");
        return STATUS_CONFLICT;
    }
    int64_t id = 0;
    TRY(look_up(meta, error,
                "SELECT min(id) FROM (SELECT 1 AS id UNION ALL SELECT id + 1 FROM projects)"
                " WHERE id NOT IN (SELECT id FROM projects) AND id <= ?",
                "i", STR_NULL, META_PROJECT_ID_MAX, &id, &found));
    if (id == 0) return error_set(error, STATUS_LIMIT, "there is no project id left");
    *ret_id = id;
    return STATUS_OK;
}

static enum status project_insert(struct meta *meta, const struct meta_project *project, struct error *error)
{
    int64_t owner = 0;
    bool found = false;
    TRY(look_up(meta, error, "SELECT id FROM projects WHERE token = ?", "s", project->token, 0, &owner, &found));
    if (found) {
        (void)error_set(error, STATUS_CONFLICT, "the project token is that of project %lld", (long long)owner);
        error_hint(error, "tokens are never used again, not even those of deleted projects: choose another");
        return STATUS_CONFLICT;
    }
    return database_change(meta->writer, meta->path, error,
                           "INSERT INTO projects (id, name, token, secret_digest, timezone, identity, created_ms)"
                           " VALUES (?, ?, ?, ?, ?, ?, ?)",
                           "issbssi", project->id, project->name, project->token,
                           str_from(project->secret_digest, META_DIGEST_SIZE), project->timezone,
                           str_of(meta_identity_name(project->identity)), project->created_ms);
}

enum status meta_project_create(struct meta *meta, const struct meta_project_spec *spec, struct arena *arena,
                                struct error *error, struct meta_project *ret_project, struct str *ret_secret)
{
    struct meta_project project = {.identity = spec->identity, .created_ms = os_now_ms()};
    struct str secret;
    if (spec->id < 0 || spec->id > META_PROJECT_ID_MAX)
        return error_set(error, STATUS_INVALID, "project id %lld is not between 1 and %lld", (long long)spec->id,
                         (long long)META_PROJECT_ID_MAX);
    TRY(check_name(spec->name, "the project name", error));
    TRY(copy(arena, spec->name, error, &project.name));
    TRY(copy(arena, spec->timezone.size ? spec->timezone : STR("UTC"), error, &project.timezone));
    const struct timezone_info *zone;
    TRY(timezone_load(project.timezone, error, &zone));
    if (spec->token.size != 0) {
        TRY(check_token(spec->token, error));
        TRY(copy(arena, spec->token, error, &project.token));
    } else if (random_text(arena, META_TOKEN_SIZE, ALPHABET_HEX, &project.token) != STATUS_OK) {
        return out_of_memory(error);
    }
    if (random_text(arena, META_SECRET_SIZE, ALPHABET_HEX, &secret) != STATUS_OK) return out_of_memory(error);
    project_secret_digest(secret, project.secret_digest);

    TRY(meta_begin(meta, error));
    enum status status = project_id_choose(meta, spec->id, error, &project.id);
    if (status == STATUS_OK) status = project_insert(meta, &project, error);
    TRY(meta_finish(meta, status, error));
    *ret_project = project;
    *ret_secret = secret;
    return STATUS_OK;
}

enum status meta_project_require(struct meta *meta, int64_t project_id, struct error *error)
{
    bool found = false;
    int64_t id;
    TRY(look_up(meta, error, "SELECT id FROM projects WHERE id = ? AND deleted_ms IS NULL", "i", STR_NULL, project_id,
                &id, &found));
    return found ? STATUS_OK : no_project(project_id, error);
}

static enum status project_bury(struct meta *meta, int64_t project_id, struct error *error)
{
    TRY(meta_project_require(meta, project_id, error));
    TRY(database_change(meta->writer, meta->path, error, "DELETE FROM memberships WHERE project_id = ?", "i",
                        project_id));
    TRY(database_change(meta->writer, meta->path, error, "DELETE FROM lookup_tables WHERE project_id = ?", "i",
                        project_id));
    TRY(database_change(meta->writer, meta->path, error, "DELETE FROM saved WHERE project_id = ?", "i", project_id));
    return database_change(meta->writer, meta->path, error, "UPDATE projects SET deleted_ms = ? WHERE id = ?", "ii",
                           os_now_ms(), project_id);
}

enum status meta_project_delete(struct meta *meta, int64_t project_id, struct error *error)
{
    TRY(meta_begin(meta, error));
    return meta_finish(meta, project_bury(meta, project_id, error), error);
}

enum status meta_project_set_retention(struct meta *meta, int64_t project_id, int64_t days, struct error *error)
{
    if (days < 0 || days > META_RETENTION_DAYS_MAX)
        return error_set(error, STATUS_INVALID, "a retention of %lld days is not possible, 0 to %d are",
                         (long long)days, META_RETENTION_DAYS_MAX);
    TRY(meta_begin(meta, error));
    enum status status = meta_project_require(meta, project_id, error);
    if (status == STATUS_OK)
        status = database_change(meta->writer, meta->path, error, "UPDATE projects SET retention_days = ? WHERE id = ?",
                                 "ii", days, project_id);
    return meta_finish(meta, status, error);
}

enum status meta_project_set_identity(struct meta *meta, int64_t project_id, enum meta_identity identity,
                                      struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status = meta_project_require(meta, project_id, error);
    if (status == STATUS_OK)
        status = database_change(meta->writer, meta->path, error, "UPDATE projects SET identity = ? WHERE id = ?", "si",
                                 str_of(meta_identity_name(identity)), project_id);
    return meta_finish(meta, status, error);
}

enum status meta_project_set_export_days(struct meta *meta, int64_t project_id, bool local, struct error *error)
{
    TRY(meta_begin(meta, error));
    enum status status = meta_project_require(meta, project_id, error);
    if (status == STATUS_OK)
        status = database_change(meta->writer, meta->path, error,
                                 "UPDATE projects SET export_local_days = ? WHERE id = ?", "ii", (int64_t)local,
                                 project_id);
    return meta_finish(meta, status, error);
}

/* ---- Accounts ---- */

/* The readable part of a generated username: letters, digits and dashes of the name, in lower case. */
static size_t slug(struct str name, char *out, size_t size_max)
{
    size_t size = 0;
    for (size_t i = 0; i < name.size && size < size_max; i++) {
        char c = name.data[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (plain)
            out[size++] = c;
        else if (size > 0 && out[size - 1] != '-')
            out[size++] = '-';
    }
    while (size > 0 && out[size - 1] == '-') size--;
    return size;
}

static enum status username_draw(struct arena *arena, struct str name, struct error *error, struct str *ret_username)
{
    char readable[64];
    size_t size = slug(name, readable, sizeof readable);
    struct str part = size ? str_from(readable, size) : STR("service");
    struct str random;
    if (random_text(arena, 6, ALPHABET_HEX, &random) != STATUS_OK) return out_of_memory(error);
    struct str username = arena_printf(arena, STR_FMT "." STR_FMT META_USERNAME_SUFFIX, STR_ARG(part), STR_ARG(random));
    if (username.data == NULL) return out_of_memory(error);
    *ret_username = username;
    return STATUS_OK;
}

/* The chosen or drawn secret and its hash. */
static enum status secret_choose(struct meta *meta, struct str chosen, struct arena *arena, struct error *error,
                                 struct str *ret_secret, struct str *ret_hash)
{
    struct str secret;
    if (chosen.size != 0) {
        TRY(check_secret(chosen, error));
        TRY(copy(arena, chosen, error, &secret));
    } else if (random_text(arena, META_SECRET_SIZE, ALPHABET_ALNUM, &secret) != STATUS_OK) {
        return out_of_memory(error);
    }
    TRY(secret_hash(&meta->options, secret, arena, error, ret_hash));
    *ret_secret = secret;
    return STATUS_OK;
}

static enum status account_find(struct meta *meta, struct str username, struct error *error, int64_t *ret_id,
                                bool *ret_found)
{
    return look_up(meta, error, "SELECT id FROM accounts WHERE username = ?", "s", username, 0, ret_id, ret_found);
}

static enum status membership_write(struct meta *meta, int64_t account_id, int64_t project_id, enum meta_role role,
                                    struct error *error)
{
    TRY(meta_project_require(meta, project_id, error));
    return database_change(meta->writer, meta->path, error,
                           "INSERT INTO memberships (account_id, project_id, role) VALUES (?, ?, ?)"
                           " ON CONFLICT (account_id, project_id) DO UPDATE SET role = excluded.role",
                           "iis", account_id, project_id, str_of(meta_role_name(role)));
}

static enum status account_insert(struct meta *meta, struct meta_account *account,
                                  const struct meta_membership *membership, struct error *error)
{
    bool found = false;
    TRY(account_find(meta, account->username, error, &account->id, &found));
    if (found) {
        (void)error_set(error, STATUS_CONFLICT, "an account with the username \"" STR_FMT "\" exists already",
                        STR_ARG(account->username));
        error_hint(error, "choose another username, or give that account a role: cairn account grant");
        return STATUS_CONFLICT;
    }
    TRY(database_change(meta->writer, meta->path, error,
                        "INSERT INTO accounts (username, name, secret_hash, created_ms) VALUES (?, ?, ?, ?)", "sssi",
                        account->username, account->name, account->secret_hash, account->created_ms));
    account->id = sqlite3_last_insert_rowid(meta->writer);
    return membership_write(meta, account->id, membership->project_id, membership->role, error);
}

enum status meta_account_create(struct meta *meta, const struct meta_account_spec *spec, struct arena *arena,
                                struct error *error, struct meta_account *ret_account, struct str *ret_secret)
{
    struct meta_account account = {.created_ms = os_now_ms(), .membership_count = 1};
    struct str secret;
    TRY(copy(arena, spec->name.size ? spec->name : STR("service"), error, &account.name));
    TRY(check_name(account.name, "the account name", error));
    if (spec->username.size != 0) {
        TRY(check_username(spec->username, error));
        TRY(copy(arena, spec->username, error, &account.username));
    } else {
        TRY(username_draw(arena, account.name, error, &account.username));
    }
    TRY(secret_choose(meta, spec->secret, arena, error, &secret, &account.secret_hash));
    struct meta_membership *membership = arena_new_array(arena, struct meta_membership, 1);
    if (membership == NULL) return out_of_memory(error);
    *membership = (struct meta_membership){spec->project_id, spec->role};
    account.memberships = membership;

    TRY(meta_begin(meta, error));
    TRY(meta_finish(meta, account_insert(meta, &account, membership, error), error));
    *ret_account = account;
    *ret_secret = secret;
    return STATUS_OK;
}

static enum status membership_write_named(struct meta *meta, struct str username, int64_t project_id,
                                          enum meta_role role, struct error *error)
{
    int64_t id = 0;
    bool found = false;
    TRY(account_find(meta, username, error, &id, &found));
    return found ? membership_write(meta, id, project_id, role, error) : no_account(username, error);
}

enum status meta_membership_put(struct meta *meta, struct str username, int64_t project_id, enum meta_role role,
                                struct error *error)
{
    TRY(meta_begin(meta, error));
    return meta_finish(meta, membership_write_named(meta, username, project_id, role, error), error);
}

static enum status secret_replace(struct meta *meta, struct str username, struct str hash, struct error *error)
{
    int64_t id = 0;
    bool found = false;
    TRY(account_find(meta, username, error, &id, &found));
    if (!found) return no_account(username, error);
    return database_change(meta->writer, meta->path, error, "UPDATE accounts SET secret_hash = ? WHERE id = ?", "si",
                           hash, id);
}

enum status meta_account_set_secret(struct meta *meta, struct str username, struct str secret, struct arena *arena,
                                    struct error *error, struct str *ret_secret)
{
    struct str chosen, hash;
    TRY(secret_choose(meta, secret, arena, error, &chosen, &hash));
    TRY(meta_begin(meta, error));
    TRY(meta_finish(meta, secret_replace(meta, username, hash, error), error));
    *ret_secret = chosen;
    return STATUS_OK;
}

static enum status account_remove(struct meta *meta, struct str username, struct error *error)
{
    int64_t id = 0;
    bool found = false;
    TRY(account_find(meta, username, error, &id, &found));
    if (!found) return no_account(username, error);
    return database_change(meta->writer, meta->path, error, "DELETE FROM accounts WHERE id = ?", "i", id);
}

enum status meta_account_delete(struct meta *meta, struct str username, struct error *error)
{
    TRY(meta_begin(meta, error));
    return meta_finish(meta, account_remove(meta, username, error), error);
}
