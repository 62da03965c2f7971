/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/edition.h"

#include <stdlib.h>
#include <string.h>

#include "auth/certificates.h"
#include "auth/tls_context.h"
#include "auth/tls_material.h"
#include "auth/tls_sessions.h"
#include "auth/trust.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"
#include "proxy/session/world.h"

static void log_errors(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        struct log_field fields[] = {
            log_str("file", errors->items[i].file),
            log_int("line", errors->items[i].line),
            log_int("column", errors->items[i].column),
            log_str("text", errors->items[i].text),
        };
        log_write(LOG_LEVEL_ERROR, "tls_context_failed", fields, sizeof fields / sizeof fields[0]);
    }
}

static SSL_CTX *client_ctx_new(const struct edition *edition,
                               const struct conf_generation *generation, const char *certificate)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    const struct conf_tls *tls = &generation->tls;
    const struct trust *trust = tls_material_trust(edition->shared->material, tls->ca, tls->crl);
    SSL_CTX *ctx = trust != NULL ? tls_client_ctx_from(edition->shared->certificates, trust,
                                                       certificate, tls, &errors)
                                 : NULL;
    if (ctx == NULL) {
        log_errors(&errors);
    }
    conf_errors_deinit(&errors);
    return ctx;
}

const struct edition_context *edition_client_context(struct edition *edition,
                                                     const struct conf_generation *generation,
                                                     const char *certificate)
{
    for (const struct edition_context *c = edition->contexts; c != NULL; c = c->next) {
        if (c->generation == generation &&
            (c->certificate == certificate || (c->certificate != NULL && certificate != NULL &&
                                               strcmp(c->certificate, certificate) == 0))) {
            return c;
        }
    }
    SSL_CTX *ctx = client_ctx_new(edition, generation, certificate);
    struct edition_context *kept = ctx != NULL ? calloc(1, sizeof *kept) : NULL;
    if (kept == NULL) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    *kept = (struct edition_context){generation, certificate, ctx, .next = edition->contexts};
    kept->resumes = generation->tls.resumption && tls_facts_of(ctx, &kept->facts);
    if (kept->resumes) {
        tls_sessions_enable(ctx);
    }
    edition->contexts = kept;
    return kept;
}

/* ---- rotation ---- */

static bool is_same_certificate(const struct shared *before, const struct shared *next,
                                const char *name)
{
    if (name == NULL) {
        return true;
    }
    const struct certificate *was = certificates_find(before->certificates, name);
    const struct certificate *now = certificates_find(next->certificates, name);
    return was != NULL && now != NULL && certificates_same(was, now);
}

/* false: it is to be made anew, by whoever needs it next. */
static bool context_rotate(struct edition_context *context, const struct shared *before,
                           const struct shared *next)
{
    const struct conf_tls *tls = &context->generation->tls;
    const struct trust *was = tls_material_trust(before->material, tls->ca, tls->crl);
    const struct trust *now = tls_material_trust(next->material, tls->ca, tls->crl);
    if (now == NULL || !is_same_certificate(before, next, context->certificate)) {
        return false;
    }
    if (was == NULL || memcmp(was->hash, now->hash, sizeof now->hash) != 0) {
        SSL_CTX_set1_cert_store(context->ctx, now->store);
        return !context->resumes || tls_facts_of(context->ctx, &context->facts);
    }
    return true;
}

void edition_rotate(struct edition *edition, const struct shared *next)
{
    struct edition_context **link = &edition->contexts;
    while (*link != NULL) {
        struct edition_context *context = *link;
        if (context_rotate(context, edition->shared, next)) {
            link = &context->next;
        } else {
            *link = context->next;
            SSL_CTX_free(context->ctx);
            free(context);
        }
    }
}

struct edition *edition_ref(struct edition *edition)
{
    edition->references++;
    return edition;
}

void edition_unref(struct edition **edition)
{
    struct edition *gone = *edition;
    *edition = NULL;
    if (--gone->references == 0 && gone->on_unused != NULL) {
        gone->on_unused(gone);
    }
}

void edition_free(struct edition *edition)
{
    while (edition->contexts != NULL) {
        struct edition_context *gone = edition->contexts;
        edition->contexts = gone->next;
        SSL_CTX_free(gone->ctx);
        free(gone);
    }
    while (edition->keys != NULL) {
        struct edition_keys *gone = edition->keys;
        edition->keys = gone->next;
        scram_keys_wipe(&gone->keys);
        free(gone);
    }
}

static struct edition_keys *find_keys(const struct edition *edition,
                                      const struct password *password)
{
    struct edition_keys *kept = edition->keys;
    while (kept != NULL && kept->password != password) {
        kept = kept->next;
    }
    return kept;
}

const struct scram_keys *edition_find_keys(const struct edition *edition,
                                           const struct password *password)
{
    const struct edition_keys *kept = find_keys(edition, password);
    return kept != NULL ? &kept->keys : NULL;
}

void edition_keep_keys(struct edition *edition, const struct password *password,
                       const struct scram_keys *keys)
{
    struct edition_keys *kept = find_keys(edition, password);
    if (kept == NULL) {
        kept = calloc(1, sizeof *kept);
        if (kept == NULL) {
            return; /* only slower */
        }
        kept->password = password;
        kept->next = edition->keys;
        edition->keys = kept;
    }
    kept->keys = *keys;
}

const struct passwords *edition_passwords(const struct edition *edition,
                                          const struct conf_generation *generation)
{
    const struct shared *shared = edition->shared;
    for (size_t i = 0; i < shared->secret_count; i++) {
        /* By name: the generation may be an earlier snapshot's, of a cluster that lives on. */
        const struct generation_secrets *of = &shared->secrets[i];
        if (strcmp(of->file, generation->sasl.credentials_file) == 0) {
            return of->passwords;
        }
    }
    return NULL;
}
