/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/shared.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/audit_key.h"
#include "auth/certificates.h"
#include "auth/credentials.h"
#include "auth/cyrus.h"
#include "auth/kerberos.h"
#include "auth/mapping_context.h"
#include "auth/mapping_predict.h"
#include "auth/mech.h"
#include "auth/passwords.h"
#include "auth/principal.h"
#include "auth/rules.h"
#include "auth/tls_context.h"
#include "auth/tls_material.h"
#include "auth/tokens.h"
#include "auth/trust.h"
#include "conf/config.h"
#include "conf/credential.h"
#include "conf/errors.h"
#include "proxy/cluster/identity.h"

/* ---- hashes ---- */

static EVP_MD_CTX *hash_begin(void)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        abort();
    }
    return md;
}

static void hash_text(EVP_MD_CTX *md, const char *text)
{
    EVP_DigestUpdate(md, text, strlen(text) + 1);
}

static void hash_texts(EVP_MD_CTX *md, const char *const *texts, size_t count)
{
    EVP_DigestUpdate(md, &count, sizeof count);
    for (size_t i = 0; i < count; i++) {
        hash_text(md, texts[i]);
    }
}

/* NULL is nothing. */
static void hash_bytes(EVP_MD_CTX *md, const uint8_t *at, size_t length)
{
    EVP_DigestUpdate(md, at != NULL ? (const void *)at : "", at != NULL ? length : 1);
}

/* The content, read again by its name. "" is no file. */
static void hash_content(EVP_MD_CTX *md, const char *path)
{
    unsigned char block[4096];
    FILE *file = path[0] != '\0' ? fopen(path, "rbe") : NULL;
    for (size_t n = 1; file != NULL && n > 0;) {
        n = fread(block, 1, sizeof block, file);
        EVP_DigestUpdate(md, block, n);
    }
    if (file != NULL) {
        fclose(file);
    }
    OPENSSL_cleanse(block, sizeof block);
}

static void hash_end(EVP_MD_CTX **md, char hex[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_DigestFinal_ex(*md, digest, &length);
    for (unsigned int i = 0; i < length && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    EVP_MD_CTX_free(*md);
    *md = NULL;
}

/* What counts is what was loaded a moment ago, shown in every audit record. */
static void hash_file(const char *path, char hex[65])
{
    EVP_MD_CTX *md = hash_begin();
    hash_content(md, path);
    hash_end(&md, hex);
}

static void hash_login(const struct conf_cluster *cluster, char hex[65])
{
    EVP_MD_CTX *md = hash_begin();
    /* A token is another one every hour; it is read anew at each look. */
    if (strcmp(cluster->identity.sasl.mechanism, "OAUTHBEARER") != 0) {
        hash_content(md, cluster->identity.sasl.password_file);
    }
    hash_content(md, cluster->identity.sasl.keytab);
    hash_end(&md, hex);
}

/* Everything that what is known of a cluster rests on: its text, and the files with whom Setu trusts and what it shows
 * when it looks. Passwords of clients are each snapshot's own. */
static void hash_cluster(const struct shared *shared, const struct conf_cluster *cluster,
                         char hex[65])
{
    EVP_MD_CTX *md = hash_begin();
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        abort();
    }
    config_dump_cluster(cluster, out);
    fclose(out);
    hash_text(md, text);
    free(text);
    const struct certificate *own =
        certificates_find(shared->certificates, cluster->identity.certificate);
    if (own != NULL) {
        hash_text(md, own->fingerprint);
        for (int i = 0; i < sk_X509_num(own->issuers); i++) {
            char fingerprint[CERTIFICATES_FINGERPRINT_SIZE];
            certificates_fingerprint(sk_X509_value(own->issuers, i), fingerprint);
            hash_text(md, fingerprint);
        }
    }
    hash_text(md, shared->login_hashes[cluster - shared->config->clusters]);
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_tls *tls = &cluster->generations[i].tls;
        const struct trust *trust = tls_material_trust(shared->material, tls->ca, tls->crl);
        hash_bytes(md, trust != NULL ? trust->hash : NULL, sizeof trust->hash);
    }
    hash_end(&md, hex);
}

/* By what a client certificate becomes a principal, or is refused; but for revocation, which is looked up for each. */
static void hash_peers(const struct conf_listener *listener, const struct tls_side *side,
                       char hex[65])
{
    EVP_MD_CTX *md = hash_begin();
    hash_text(md, listener->tls.present ? listener->tls.principal_mapping_rules : "");
    EVP_DigestUpdate(md, &listener->tls.client_auth, sizeof listener->tls.client_auth);
    hash_bytes(md, side->clients != NULL ? side->clients->authorities_hash : NULL,
               sizeof side->clients->authorities_hash);
    hash_end(&md, hex);
}

/* By what a ticket becomes a principal, or is refused. */
static void hash_tickets(const struct conf_listener *listener, char hex[65])
{
    const struct conf_listener_gssapi *gssapi = &listener->gssapi;
    EVP_MD_CTX *md = hash_begin();
    if (gssapi->present) {
        hash_text(md, gssapi->service_name);
        hash_text(md, gssapi->realm);
        hash_text(md, listener->advertised_host); /* the host, where none is named */
        hash_texts(md, gssapi->hosts, gssapi->hosts_count);
        hash_texts(md, gssapi->principal_to_local_rules, gssapi->principal_to_local_rules_count);
        hash_content(md, gssapi->keytab);
    }
    hash_end(&md, hex);
}

static void make_hashes(struct shared *shared)
{
    const size_t listeners = shared->config->listeners_count;
    const size_t clusters = shared->config->clusters_count;
    shared->peer_hashes = calloc(listeners, sizeof *shared->peer_hashes);
    shared->ticket_hashes = calloc(listeners, sizeof *shared->ticket_hashes);
    shared->cluster_hashes = calloc(clusters, sizeof *shared->cluster_hashes);
    shared->login_hashes = calloc(clusters, sizeof *shared->login_hashes);
    if (shared->peer_hashes == NULL || shared->ticket_hashes == NULL ||
        shared->cluster_hashes == NULL || shared->login_hashes == NULL) {
        abort();
    }
}

static void hash_logins(struct shared *shared)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        hash_tickets(&config->listeners[i], shared->ticket_hashes[i]);
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        hash_login(&config->clusters[i], shared->login_hashes[i]);
    }
}

static void hash_listeners(struct shared *shared)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        hash_peers(&config->listeners[i], &shared->material->sides[i], shared->peer_hashes[i]);
    }
}

static void hash_clusters(struct shared *shared)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        hash_cluster(shared, &config->clusters[i], shared->cluster_hashes[i]);
    }
}

/* ---- loading ---- */

static size_t count_sasl_generations(const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->clusters_count; i++) {
        for (size_t k = 0; k < config->clusters[i].generations_count; k++) {
            count += config->clusters[i].generations[k].login == CONF_LOGIN_SASL ? 1 : 0;
        }
    }
    return count;
}

static void load_passwords(struct shared *shared, struct conf_errors *errors)
{
    const struct config *config = shared->config;
    shared->secrets = calloc(count_sasl_generations(config) + 1, sizeof *shared->secrets);
    if (shared->secrets == NULL) {
        abort();
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            const struct conf_generation *generation = &cluster->generations[k];
            if (generation->login == CONF_LOGIN_SASL) {
                const char *file = generation->sasl.credentials_file;
                enum passwords_kind kind = passwords_kind_of(generation->sasl.mechanism);
                shared->secrets[shared->secret_count++] =
                    (struct generation_secrets){file, passwords_load(file, kind, errors)};
            }
        }
    }
}

static bool wants_users(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        for (size_t k = 0; k < listener->mechanisms_count; k++) {
            if (mech_needs_users(listener->mechanisms[k])) {
                return true;
            }
        }
    }
    return false;
}

static void load_acceptors(struct shared *shared, struct conf_errors *errors)
{
    const struct config *config = shared->config;
    shared->acceptors = calloc(config->listeners_count, sizeof(*shared->acceptors));
    if (shared->acceptors == NULL) {
        abort();
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        struct kerberos_fault fault;
        if (!listener->gssapi.present) {
            continue;
        }
        if (!cyrus_begin(&fault)) {
            conf_errors_add(errors, listener->gssapi.place, "%s", fault.text);
            return;
        }
        shared->acceptors[i] = kerberos_acceptor_load(config, listener, errors);
    }
}

static void check_listener_rules(const struct config *config, struct conf_errors *errors)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        struct rule_fault rules_error;
        if (!listener->tls.present) {
            continue;
        }
        struct rules *rules =
            rules_parse(view_from_string(listener->tls.principal_mapping_rules), &rules_error);
        if (rules == NULL) {
            conf_errors_add(errors, config_place(config, &listener->tls.principal_mapping_rules),
                            "%s", rules_error.text);
        }
        rules_free(&rules);
    }
}

/* Such a list lets nobody in: that is as it should be, and to be told. */
static void warn_of_list(const struct trust *trust, struct conf_place place,
                         struct conf_errors *errors)
{
    const int64_t now_s = world_now_ns() / 1000000000;
    if (trust != NULL && trust_is_stale(trust, now_s)) {
        conf_errors_warn(errors, place,
                         "%s: a revocation list in it has ended, so nobody is let in whom it is "
                         "about (get a newer one)",
                         trust->crl);
    }
    if (trust != NULL && trust_is_early(trust, now_s)) {
        conf_errors_warn(
            errors, place,
            "%s: a revocation list in it is not in force yet, so nobody is let in whom "
            "it alone is about (see that the clocks agree)",
            trust->crl);
    }
}

static void warn_of_lists(const struct shared *shared, struct conf_errors *errors)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        warn_of_list(shared->material->sides[i].clients, config->listeners[i].tls.place, errors);
    }
    for (size_t i = 0; i < shared->material->trusts_count; i++) {
        warn_of_list(shared->material->trusts[i], config->clusters[0].place, errors);
    }
}

/* Each worker makes its own; here it is seen that it can. */
static void check_contexts(const struct shared *shared, struct conf_errors *errors)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct tls_side *side = &shared->material->sides[i];
        if (config->listeners[i].tls.present) {
            SSL_CTX_free(
                tls_server_ctx_from(&config->listeners[i], &side->pair, side->clients, errors));
        }
    }
}

/* Each worker loads them for itself; here it is seen that it can. */
static void check_identities(const struct shared *shared, struct conf_errors *errors)
{
    const struct config *config = shared->config;
    for (size_t i = 0; i < config->clusters_count; i++) {
        struct identity identity;
        if (identity_load(&identity, &config->clusters[i], shared->material, errors)) {
            identity_free(&identity);
        }
    }
}

/* A broker that would be let in, only to be denied for want of a rule, is better missed now. */
static void check_peer_mapping(const struct shared *shared, const struct conf_listener *listener,
                               const char *name, struct conf_place place,
                               struct conf_errors *errors)
{
    struct mapping_context context;
    const struct mapping_query only = {.listener = listener->name};
    mapping_context_begin(&context, shared->config, &only);
    while (mapping_context_next(&context)) {
        struct mapping_decision decision;
        const struct mapping_query query = mapping_context_query(&context, name);
        if (!mapping_decide(shared->mapping, &query, &decision)) {
            conf_errors_warn(errors, place,
                             "peer '%s' has no certificate (%s) and will be denied "
                             "(see to it in 'mapping')",
                             name, mapping_outcome_name(decision.outcome));
            return;
        }
    }
}

static void check_peer(const struct shared *shared, const struct conf_listener *listener,
                       const char *const *peer, struct conf_errors *errors)
{
    char name[PRINCIPAL_SIZE];
    struct conf_place place = config_place(shared->config, peer);
    enum principal_status status = principal_canonical(view_from_string(*peer), name);
    if (status != PRINCIPAL_OK) {
        conf_errors_add(errors, place,
                        "the peer's name %s, so it can never log in (write it as "
                        "the broker sends it)",
                        principal_status_text(status));
    } else {
        check_peer_mapping(shared, listener, name, place, errors);
    }
}

static void check_peers(const struct shared *shared, struct conf_errors *errors)
{
    for (size_t i = 0; i < shared->config->listeners_count; i++) {
        const struct conf_listener *listener = &shared->config->listeners[i];
        for (size_t k = 0; k < listener->peers_count; k++) {
            check_peer(shared, listener, &listener->peers[k], errors);
        }
    }
}

static void load_audit_key(struct shared *shared, struct conf_errors *errors)
{
    const struct conf_audit *audit = &shared->config->audit;
    struct pem_fault fault;
    if (audit->signing_key[0] == '\0') {
        return;
    }
    shared->audit_key = audit_key_load(audit->signing_key, &fault);
    if (shared->audit_key == NULL) {
        conf_errors_add(errors, config_place(shared->config, &audit->signing_key), "%s",
                        fault.text);
    }
}

/* ---- as whom brokers will take what they are shown ---- */

struct prediction_check {
    const struct shared *shared;
    struct conf_errors *errors;
};

static const char *subject_of(void *context, const char *certificate)
{
    const struct prediction_check *check = context;
    const struct certificate *found = certificates_find(check->shared->certificates, certificate);
    return found != NULL ? found->subject : NULL;
}

static void on_predicted(void *context, const struct mapping_prediction *prediction)
{
    const struct prediction_check *check = context;
    const struct conf_mapping *rule = mapping_rule(check->shared->mapping, prediction->rule);
    char fault[DN_BYTES_MAX + 512];
    if (mapping_prediction_fault(prediction, rule->intended_principal, fault, sizeof fault)) {
        conf_errors_warn(check->errors, rule->place, "%s (see `setu map lint`, L06)", fault);
    }
}

static void check_predictions(const struct shared *shared, struct conf_errors *errors)
{
    struct prediction_check check = {shared, errors};
    const struct mapping_predict_params params = {
        .config = shared->config,
        .mapping = shared->mapping,
        .subject = subject_of,
        .predicted = on_predicted,
        .context = &check,
    };
    mapping_predict(&params, errors);
}

static void load_all(struct shared *shared, struct conf_errors *errors)
{
    struct config *config = shared->config;
    load_audit_key(shared, errors);
    shared->material = tls_material_load(config, world_now_ns() / 1000000000, errors);
    shared->certificates = shared->material != NULL ? shared->material->certificates : NULL;
    shared->mapping = mapping_build(config, errors);
    if (config->users.file[0] != '\0') {
        shared->users = credentials_load(config->users.file, errors);
    } else if (wants_users(config)) {
        conf_errors_add(
            errors, config_place(config, &config->users.file),
            "users.file is missing, but a listener offers SASL mechanisms (name the users file)");
    }
    if (config_offers(config, "OAUTHBEARER")) {
        shared->tokens = tokens_load(config, errors);
    }
    if (shared->mapping != NULL) {
        check_peers(shared, errors);
    }
    load_passwords(shared, errors);
    load_acceptors(shared, errors);
    check_listener_rules(config, errors);
    if (shared->certificates != NULL && shared->mapping != NULL) {
        check_predictions(shared, errors);
    }
    if (shared->material != NULL) {
        warn_of_lists(shared, errors);
        check_contexts(shared, errors);
        check_identities(shared, errors);
    }
}

struct shared *shared_load(const char *config_file, struct conf_errors *errors)
{
    struct shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) {
        abort();
    }
    atomic_init(&shared->references, 1);
    shared->config = config_load(config_file, errors);
    if (shared->config != NULL) {
        hash_file(config_file, shared->config_hash);
        hash_file(shared->config->users.file, shared->users_hash);
        if (credential_check(shared->config, errors)) {
            load_all(shared, errors);
        }
    }
    if (shared->material != NULL) {
        make_hashes(shared);
        hash_logins(shared);
        hash_clusters(shared);
        hash_listeners(shared);
    }
    if (conf_errors_failed(errors)) {
        shared_unref(&shared);
    }
    return shared;
}

/* ---- rotation ---- */

/* What a snapshot has beside TLS, and holds on to. */
static void hold_the_rest(struct shared *next, const struct shared *before)
{
    const struct config *config = before->config;
    next->config = config_ref(config);
    next->mapping = mapping_ref(before->mapping);
    next->users = before->users != NULL ? credentials_ref(before->users) : NULL;
    next->tokens = before->tokens != NULL ? tokens_ref(before->tokens) : NULL;
    next->audit_key = before->audit_key != NULL ? audit_key_ref(before->audit_key) : NULL;
    next->secrets = calloc(before->secret_count + 1, sizeof *next->secrets);
    next->acceptors = calloc(config->listeners_count, sizeof(*next->acceptors));
    if (next->secrets == NULL || next->acceptors == NULL) {
        abort();
    }
    for (size_t i = 0; i < before->secret_count; i++) {
        next->secrets[i] = (struct generation_secrets){
            before->secrets[i].file, passwords_ref(before->secrets[i].passwords)};
    }
    next->secret_count = before->secret_count;
    for (size_t i = 0; before->acceptors != NULL && i < config->listeners_count; i++) {
        next->acceptors[i] = before->acceptors[i] != NULL
                                 ? kerberos_acceptor_ref(before->acceptors[i])
                                 : NULL;
    }
}

static void copy_facts(struct shared *next, const struct shared *before)
{
    const struct config *config = before->config;
    memcpy(next->config_hash, before->config_hash, sizeof next->config_hash);
    memcpy(next->users_hash, before->users_hash, sizeof next->users_hash);
    memcpy(next->ticket_hashes, before->ticket_hashes,
           config->listeners_count * sizeof *next->ticket_hashes);
    memcpy(next->login_hashes, before->login_hashes,
           config->clusters_count * sizeof *next->login_hashes);
    next->audit = before->audit;
    next->ledger = before->ledger;
    next->visitors = before->visitors;
    next->session_ids = before->session_ids;
}

static struct shared *follow(const struct shared *before, struct tls_material *material)
{
    struct shared *next = calloc(1, sizeof *next);
    if (next == NULL) {
        abort();
    }
    atomic_init(&next->references, 1);
    next->material = material;
    next->certificates = material->certificates;
    hold_the_rest(next, before);
    make_hashes(next);
    copy_facts(next, before);
    hash_clusters(next);
    hash_listeners(next);
    return next;
}

struct shared *shared_rotate(const struct shared *before, struct conf_errors *errors)
{
    const int64_t now_s = world_now_ns() / 1000000000;
    struct tls_material *material = tls_material_load(before->config, now_s, errors);
    if (material == NULL) {
        return NULL;
    }
    if (tls_material_compare(before->material, material, NULL, NULL) == 0 ||
        !tls_material_may_follow(before->material, material, now_s, errors)) {
        tls_material_unref(&material);
        return NULL;
    }
    struct shared *next = follow(before, material);
    check_contexts(next, errors);
    if (conf_errors_failed(errors)) {
        shared_unref(&next);
    }
    return next;
}

struct shared *shared_ref(struct shared *shared)
{
    atomic_fetch_add(&shared->references, 1);
    return shared;
}

void shared_unref(struct shared **shared)
{
    struct shared *gone = *shared;
    *shared = NULL;
    if (gone == NULL || atomic_fetch_sub(&gone->references, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < gone->secret_count; i++) {
        passwords_unref(&gone->secrets[i].passwords);
    }
    free(gone->secrets);
    for (size_t i = 0; gone->acceptors != NULL && i < gone->config->listeners_count; i++) {
        kerberos_acceptor_unref(&gone->acceptors[i]);
    }
    free(gone->acceptors);
    credentials_unref(&gone->users);
    tokens_unref(&gone->tokens);
    mapping_unref(&gone->mapping);
    tls_material_unref(&gone->material);
    audit_key_unref(&gone->audit_key);
    config_unref(&gone->config);
    free(gone->cluster_hashes);
    free(gone->login_hashes);
    free(gone->peer_hashes);
    free(gone->ticket_hashes);
    free(gone);
}
