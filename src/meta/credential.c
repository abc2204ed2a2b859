#include "meta/meta.h"
#include "meta/meta_int.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Accounts' secrets may be chosen by people, so they are kept as argon2id hashes, which are slow and hungry by
 * design. Three things keep that from hurting the server:
 *
 *   A cache remembers verified pairs, as a digest of username and secret under a key that lives and dies with the
 *   process. An entry holds the stored hash it was verified against and counts only while the view has that very hash,
 *   so a new secret or a deleted account ends it at once. Only successes are remembered: a guess always costs its
 *   guesser the full time.
 *
 *   A gate lets few threads compute at a time (each takes the memory of one hash), lets some more wait, and turns the
 *   rest away. Whoever waited looks into the cache again, for the usual crowd is one client's requests after a restart.
 *
 *   An unknown username costs the same computation as a known one, so that time does not tell who exists.
 *
 * The cache is an array of small sets: the digest chooses the set, and in a full set the entry that was not used for
 * the longest time makes room. So its size is fixed and every operation touches CACHE_WAYS entries.
 */
#define CACHE_WAYS 4u

void credentials_init(struct credentials *credentials)
{
    randombytes_buf(credentials->cache_key, sizeof credentials->cache_key);
    randombytes_buf(credentials->decoy_salt, sizeof credentials->decoy_salt);
    pthread_mutex_init(&credentials->cache_lock, NULL);
    pthread_mutex_init(&credentials->gate_lock, NULL);
    pthread_cond_init(&credentials->gate_free, NULL);
}

void credentials_fini(struct credentials *credentials)
{
    free(credentials->cache);
    sodium_memzero(credentials->cache_key, sizeof credentials->cache_key);
    pthread_cond_destroy(&credentials->gate_free);
    pthread_mutex_destroy(&credentials->gate_lock);
    pthread_mutex_destroy(&credentials->cache_lock);
}

/* ---- Making secrets ---- */

enum status random_text(struct arena *arena, size_t size, struct str alphabet, struct str *ret_text)
{
    char *text = arena_alloc(arena, size + 1);
    if (text == NULL) return STATUS_LIMIT;
    for (size_t i = 0; i < size; i++) text[i] = alphabet.data[randombytes_uniform((uint32_t)alphabet.size)];
    text[size] = '\0';
    *ret_text = str_from(text, size);
    return STATUS_OK;
}

void project_secret_digest(struct str secret, unsigned char digest[META_DIGEST_SIZE])
{
    /* The personalisation keeps these digests apart from any other use of BLAKE2b. */
    static const unsigned char purpose[crypto_generichash_blake2b_PERSONALBYTES] = "cairn project 1";
    static const unsigned char salt[crypto_generichash_blake2b_SALTBYTES];
    int failed = crypto_generichash_blake2b_salt_personal(digest, META_DIGEST_SIZE, (const unsigned char *)secret.data,
                                                          secret.size, NULL, 0, salt, purpose);
    if (failed) abort(); /* only for impossible sizes */
}

enum status secret_hash(const struct meta_options *options, struct str secret, struct arena *arena, struct error *error,
                        struct str *ret_hash)
{
    char hash[crypto_pwhash_STRBYTES];
    if (crypto_pwhash_str_alg(hash, secret.data, secret.size, options->argon2_ops, options->argon2_memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0) {
        (void)error_set(error, STATUS_LIMIT, "cannot compute argon2id with %zu bytes of memory and %u passes",
                        options->argon2_memory_bytes, options->argon2_ops);
        error_hint(error, "lower auth.argon2_memory, or give the process more memory");
        return STATUS_LIMIT;
    }
    struct str copy = arena_str(arena, str_of(hash));
    if (copy.data == NULL) return error_set(error, STATUS_LIMIT, "out of memory in the control plane");
    *ret_hash = copy;
    return STATUS_OK;
}

/* ---- The cache ---- */

static void cache_key(const struct credentials *credentials, struct str username, struct str secret,
                      unsigned char key[32])
{
    crypto_generichash_state state;
    uint64_t size = username.size; /* says where the username ends */
    crypto_generichash_init(&state, credentials->cache_key, sizeof credentials->cache_key, 32);
    crypto_generichash_update(&state, (const unsigned char *)&size, sizeof size);
    crypto_generichash_update(&state, (const unsigned char *)username.data, username.size);
    crypto_generichash_update(&state, (const unsigned char *)secret.data, secret.size);
    crypto_generichash_final(&state, key, 32);
}

static struct cached_credential *cache_set(const struct credentials *credentials, const unsigned char key[32])
{
    uint64_t number;
    memcpy(&number, key, sizeof number);
    return &credentials->cache[number % credentials->cache_sets * CACHE_WAYS];
}

static bool cache_has(struct credentials *credentials, const unsigned char key[32], struct str hash)
{
    bool found = false;
    pthread_mutex_lock(&credentials->cache_lock);
    struct cached_credential *set = credentials->cache ? cache_set(credentials, key) : NULL;
    for (unsigned i = 0; set != NULL && i < CACHE_WAYS; i++) {
        if (set[i].used == 0 || sodium_memcmp(set[i].key, key, 32) != 0) continue;
        found = str_eq(str_from(set[i].hash, set[i].hash_size), hash);
        if (found) set[i].used = ++credentials->cache_clock;
        break;
    }
    pthread_mutex_unlock(&credentials->cache_lock);
    return found;
}

static void cache_put(struct meta *meta, const unsigned char key[32], struct str hash)
{
    struct credentials *credentials = &meta->credentials;
    if (hash.size > sizeof credentials->cache->hash || meta->options.cache_entries_max == 0) return;
    pthread_mutex_lock(&credentials->cache_lock);
    if (credentials->cache == NULL) {
        credentials->cache_sets = (meta->options.cache_entries_max + CACHE_WAYS - 1) / CACHE_WAYS;
        credentials->cache = calloc(credentials->cache_sets, CACHE_WAYS * sizeof *credentials->cache);
    }
    if (credentials->cache != NULL) { /* without memory there is no cache, which is only slower */
        struct cached_credential *set = cache_set(credentials, key), *oldest = set;
        for (unsigned i = 0; i < CACHE_WAYS; i++) {
            if (set[i].used < oldest->used) oldest = &set[i];
            if (set[i].used == 0 || sodium_memcmp(set[i].key, key, 32) != 0) continue;
            oldest = &set[i]; /* the same pair, verified against an earlier hash */
            break;
        }
        memcpy(oldest->key, key, 32);
        memcpy(oldest->hash, hash.data, hash.size);
        oldest->hash_size = (unsigned char)hash.size;
        oldest->used = ++credentials->cache_clock;
    }
    pthread_mutex_unlock(&credentials->cache_lock);
}

const struct meta_account *meta_account_cached(struct meta *meta, const struct meta_view *view, struct str username,
                                               struct str secret)
{
    const struct meta_account *account = meta_view_account(view, username);
    if (account == NULL || secret.size > META_SECRET_SIZE_MAX) return NULL;
    unsigned char key[32];
    cache_key(&meta->credentials, username, secret, key);
    return cache_has(&meta->credentials, key, account->secret_hash) ? account : NULL;
}

/* ---- The gate ---- */

static enum status gate_enter(struct meta *meta, struct error *error)
{
    struct credentials *credentials = &meta->credentials;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&credentials->gate_lock);
    if (credentials->computing >= meta->options.argon2_threads_max) {
        if (credentials->waiting >= meta->options.argon2_waiting_max) {
            status = error_set(error, STATUS_UNAVAILABLE, "too many credentials are being checked");
            error_hint(error, "try again in a moment");
        } else {
            credentials->waiting++;
            while (credentials->computing >= meta->options.argon2_threads_max)
                pthread_cond_wait(&credentials->gate_free, &credentials->gate_lock);
            credentials->waiting--;
        }
    }
    if (status == STATUS_OK) credentials->computing++;
    pthread_mutex_unlock(&credentials->gate_lock);
    return status;
}

static void gate_leave(struct meta *meta)
{
    struct credentials *credentials = &meta->credentials;
    pthread_mutex_lock(&credentials->gate_lock);
    credentials->computing--;
    pthread_cond_signal(&credentials->gate_free);
    pthread_mutex_unlock(&credentials->gate_lock);
}

/* ---- Verifying ---- */

static enum status wrong(struct error *error)
{
    return error_set(error, STATUS_DENIED, "invalid service account credentials");
}

static enum status cannot_compute(struct error *error)
{
    (void)error_set(error, STATUS_UNAVAILABLE, "no memory to check the credentials");
    error_hint(error, "try again in a moment");
    return STATUS_UNAVAILABLE;
}

/* One argon2id computation, for a known account and for an unknown one alike. */
static enum status compute(struct meta *meta, const struct meta_account *account, struct str secret,
                           struct error *error)
{
    errno = 0;
    if (account == NULL) {
        unsigned char decoy[32];
        if (crypto_pwhash(decoy, sizeof decoy, secret.data, secret.size, meta->credentials.decoy_salt,
                          meta->options.argon2_ops, meta->options.argon2_memory_bytes,
                          crypto_pwhash_ALG_ARGON2ID13) != 0)
            return cannot_compute(error);
        return wrong(error);
    }
    char hash[crypto_pwhash_STRBYTES] = "";
    if (account->secret_hash.size < sizeof hash) memcpy(hash, account->secret_hash.data, account->secret_hash.size);
    if (crypto_pwhash_str_verify(hash, secret.data, secret.size) == 0) return STATUS_OK;
    if (errno == EINVAL) return wrong(error); /* libsodium's mark of a mismatch */
    if (errno == ENOMEM) return cannot_compute(error);
    return error_set(error, STATUS_CORRUPT, "the stored secret of account \"" STR_FMT "\" is damaged",
                     STR_ARG(account->username));
}

enum status meta_account_verify(struct meta *meta, const struct meta_view *view, struct str username, struct str secret,
                                struct error *error, const struct meta_account **ret_account)
{
    if (secret.data == NULL) secret = STR("");
    if (secret.size > META_SECRET_SIZE_MAX) return wrong(error);
    const struct meta_account *account = meta_view_account(view, username);
    unsigned char key[32];
    cache_key(&meta->credentials, username, secret, key);
    if (account != NULL && cache_has(&meta->credentials, key, account->secret_hash)) {
        *ret_account = account;
        return STATUS_OK;
    }
    TRY(gate_enter(meta, error));
    enum status status = STATUS_OK;
    if (account == NULL || !cache_has(&meta->credentials, key, account->secret_hash))
        status = compute(meta, account, secret, error);
    if (status == STATUS_OK) cache_put(meta, key, account->secret_hash);
    gate_leave(meta);
    if (status == STATUS_OK) *ret_account = account;
    return status;
}

/* ---- What a credential may do ---- */

static const struct {
    enum meta_role role_min;
    bool project_secret, project_token;
    const char *text;
} permissions[] = {
    [META_PERMISSION_READ] = {META_ROLE_CONSUMER, true, false, "run queries"},
    [META_PERMISSION_DEFINE] = {META_ROLE_ANALYST, true, false, "change reports and annotations"},
    [META_PERMISSION_IMPORT] = {META_ROLE_ADMIN, true, true, "import data"},
    [META_PERMISSION_SETTINGS] = {META_ROLE_ADMIN, false, false, "change the project's settings"},
    [META_PERMISSION_OWN] = {META_ROLE_OWNER, false, false, "delete the project or manage its accounts"},
    [META_PERMISSION_WATCH] = {META_ROLE_ADMIN, true, false, "see or stop the queries of others"},
};

static const struct meta_membership *membership_find(const struct meta_account *account, int64_t project_id)
{
    size_t low = 0, high = account->membership_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (account->memberships[middle].project_id < project_id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < account->membership_count && account->memberships[low].project_id == project_id;
    return found ? &account->memberships[low] : NULL;
}

static enum status authorize_account(const struct meta_view *view, const struct meta_account *account,
                                     int64_t project_id, enum meta_permission permission, struct error *error,
                                     const struct meta_project **ret_project)
{
    if (project_id == 0) {
        (void)error_set(error, STATUS_INVALID, "project_id is missing");
        error_hint(error, "a service account can belong to several projects: say which one with project_id");
        return STATUS_INVALID;
    }
    const struct meta_membership *membership = membership_find(account, project_id);
    const struct meta_project *project = meta_view_project(view, project_id);
    if (membership == NULL || project == NULL)
        return error_set(error, STATUS_DENIED, "not a member of project %lld", (long long)project_id);
    if (membership->role < permissions[permission].role_min) {
        (void)error_set(error, STATUS_DENIED, "the role %s may not %s", meta_role_name(membership->role),
                        permissions[permission].text);
        error_hint(error, "the role %s may", meta_role_name(permissions[permission].role_min));
        return STATUS_DENIED;
    }
    *ret_project = project;
    return STATUS_OK;
}

enum status meta_authorize(const struct meta_view *view, const struct meta_credential *credential, int64_t project_id,
                           enum meta_permission permission, struct error *error,
                           const struct meta_project **ret_project)
{
    if (credential->kind == META_CREDENTIAL_NONE)
        return error_set(error, STATUS_DENIED, "the request carries no credentials");
    if (credential->kind == META_CREDENTIAL_ACCOUNT)
        return authorize_account(view, credential->account, project_id, permission, error, ret_project);
    bool secret = credential->kind == META_CREDENTIAL_PROJECT_SECRET;
    if (secret ? !permissions[permission].project_secret : !permissions[permission].project_token)
        return error_set(error, STATUS_DENIED, "a project %s may not %s", secret ? "secret" : "token",
                         permissions[permission].text);
    if (project_id != 0 && project_id != credential->project->id)
        return error_set(error, STATUS_DENIED, "the credentials do not belong to project %lld", (long long)project_id);
    *ret_project = credential->project;
    return STATUS_OK;
}
