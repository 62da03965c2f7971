/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/tls_material.h"

#include "auth/certificates.h"
#include "auth/dn.h"
#include "auth/tls_context.h"
#include "auth/trust.h"
#include "conf/config.h"
#include "conf/errors.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct counted {
    struct tls_material material; /* first */
    atomic_size_t references;
};

static bool generation_has_tls(const struct conf_generation *generation)
{
    return config_protocol_has_tls(generation->protocol);
}

const struct trust *tls_material_trust(const struct tls_material *material, const char *ca,
                                       const char *crl)
{
    for (size_t i = 0; i < material->trusts_count; i++) {
        const struct trust *trust = material->trusts[i];
        if (strcmp(trust->ca, ca) == 0 && strcmp(trust->crl, crl) == 0) {
            return trust;
        }
    }
    return NULL;
}

/* Loading ----------------------------------------------------------------------------------- */

static void add_trust(struct tls_material *material, const struct conf_tls *tls,
                      struct conf_errors *errors)
{
    if (tls_material_trust(material, tls->ca, tls->crl) != NULL) {
        return;
    }
    struct trust *trust = tls_client_trust_load(tls, errors);
    if (trust != NULL) {
        material->trusts[material->trusts_count++] = trust;
    }
}

static size_t count_generations(const struct config *config)
{
    size_t count = 0;
    for (size_t i = 0; i < config->clusters_count; i++) {
        count += config->clusters[i].generations_count;
    }
    return count;
}

static void load_trusts(struct tls_material *material, struct conf_errors *errors)
{
    const struct config *config = material->config;
    material->trusts = calloc(count_generations(config) + 1, sizeof(struct trust *));
    if (material->trusts == NULL) {
        abort();
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            if (generation_has_tls(&cluster->generations[k])) {
                add_trust(material, &cluster->generations[k].tls, errors);
            }
        }
    }
}

static void describe_side(struct tls_side *side)
{
    char subject[DN_BYTES_MAX];
    size_t length = 0;
    certificates_fingerprint(side->pair.leaf, side->fingerprint);
    if (!key_pair_time(X509_get0_notBefore(side->pair.leaf), &side->not_before_s) ||
        !key_pair_time(X509_get0_notAfter(side->pair.leaf), &side->not_after_s)) {
        abort(); /* key_pair_load has read both */
    }
    if (dn_print(X509_get_subject_name(side->pair.leaf), subject, sizeof(subject), &length) ==
            DN_OK &&
        length < sizeof(side->subject)) {
        memcpy(side->subject, subject, length + 1);
    }
}

/* What is not read is in errors, and refuses the whole. */
static bool load_side(const struct conf_listener_tls *tls, int64_t now_s, struct tls_side *side,
                      struct conf_errors *errors)
{
    const bool shown = tls_server_pair_load(tls, now_s, errors, &side->pair);
    if (shown) {
        describe_side(side);
    }
    return tls_server_trust_load(tls, errors, &side->clients) && shown;
}

static bool load_sides(struct tls_material *material, int64_t now_s, struct conf_errors *errors)
{
    const struct config *config = material->config;
    material->sides = calloc(config->listeners_count + 1, sizeof(struct tls_side));
    if (material->sides == NULL) {
        abort();
    }
    bool good = true;
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener_tls *tls = &config->listeners[i].tls;
        good = (!tls->present || load_side(tls, now_s, &material->sides[i], errors)) && good;
    }
    return good;
}

struct tls_material *tls_material_load(const struct config *config, int64_t now_s,
                                       struct conf_errors *errors)
{
    struct counted *made = calloc(1, sizeof(*made));
    const size_t before = errors->errors;
    if (made == NULL) {
        abort();
    }
    struct tls_material *material = &made->material;
    atomic_init(&made->references, 1);
    material->config = config_ref(config);
    material->certificates = certificates_load(config, now_s, errors);
    load_trusts(material, errors);
    if (!load_sides(material, now_s, errors) || errors->errors != before) {
        tls_material_unref(&material);
    }
    return material;
}

struct tls_material *tls_material_ref(struct tls_material *material)
{
    struct counted *of = (struct counted *)material;
    atomic_fetch_add_explicit(&of->references, 1, memory_order_relaxed);
    return material;
}

void tls_material_unref(struct tls_material **material)
{
    struct counted *gone = (struct counted *)*material;
    *material = NULL;
    if (gone == NULL ||
        atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct tls_material *of = &gone->material;
    for (size_t i = 0; i < of->trusts_count; i++) {
        trust_unref(&of->trusts[i]);
    }
    free(of->trusts);
    for (size_t i = 0; of->sides != NULL && i < of->config->listeners_count; i++) {
        key_pair_free(&of->sides[i].pair);
        trust_unref(&of->sides[i].clients);
    }
    free(of->sides);
    certificates_unref(&of->certificates);
    config_unref(&of->config);
    free(gone);
}

/* Comparing --------------------------------------------------------------------------------- */

struct comparison {
    tls_change_fn fn;
    void *context;
    size_t count;
};

static void differs(struct comparison *comparison, struct tls_change change)
{
    comparison->count++;
    if (comparison->fn != NULL) {
        comparison->fn(comparison->context, &change);
    }
}

static bool same_trust(const struct trust *a, const struct trust *b)
{
    return a == b || (a != NULL && b != NULL && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0);
}

static void compare_identities(const struct tls_material *before, const struct tls_material *now,
                               struct comparison *comparison)
{
    for (size_t i = 0; i < certificates_count(now->certificates); i++) {
        const struct certificate *new = certificates_at(now->certificates, i);
        const struct certificate *old = certificates_find(before->certificates, new->name);
        if (old == NULL || !certificates_same(old, new)) {
            differs(comparison, (struct tls_change){TLS_CHANGE_IDENTITY, new->name,
                                                    old != NULL ? old->fingerprint : NULL,
                                                    new->fingerprint});
        }
    }
}

size_t tls_material_compare(const struct tls_material *before, const struct tls_material *now,
                            tls_change_fn fn, void *context)
{
    struct comparison comparison = {fn, context, 0};
    compare_identities(before, now, &comparison);
    for (size_t i = 0; i < now->config->listeners_count; i++) {
        const char *name = now->config->listeners[i].name;
        const struct conf_listener *was = config_listener(before->config, name);
        if (was == NULL) {
            continue;
        }
        const struct tls_side *old = &before->sides[was - before->config->listeners];
        const struct tls_side *new = &now->sides[i];
        if (!key_pair_same_chain(old->pair.leaf, old->pair.issuers, new->pair.leaf,
                                 new->pair.issuers)) {
            differs(&comparison, (struct tls_change){TLS_CHANGE_LISTENER, name, old->fingerprint,
                                                     new->fingerprint});
        }
        if (!same_trust(old->clients, new->clients)) {
            differs(&comparison, (struct tls_change){TLS_CHANGE_CLIENT_TRUST, name, NULL, NULL});
        }
    }
    for (size_t i = 0; i < now->trusts_count; i++) {
        const struct trust *new = now->trusts[i];
        const struct trust *old = tls_material_trust(before, new->ca, new->crl);
        if (old != NULL && !same_trust(old, new)) {
            differs(&comparison, (struct tls_change){TLS_CHANGE_BROKER_TRUST, new->ca, NULL, NULL});
        }
    }
    return comparison.count;
}

/* Whether it may follow --------------------------------------------------------------------- */

static void check_trust(const struct trust *before, const struct trust *now, int64_t now_s,
                        struct conf_place place, struct conf_errors *errors)
{
    if (now == NULL || same_trust(before, now)) {
        return;
    }
    if (before != NULL && trust_widens(before, now)) {
        conf_errors_add(errors, place,
                        "%s: has an authority that is not believed so far (a reload by hand takes "
                        "it)",
                        now->ca);
    }
    if (trust_is_stale(now, now_s)) {
        conf_errors_add(errors, place,
                        "%s: a revocation list in it has ended (get a newer one; a reload by hand "
                        "takes it all the same, and then nobody is let in by it)",
                        now->crl);
    }
    if (trust_is_early(now, now_s)) {
        conf_errors_add(
            errors, place,
            "%s: a revocation list in it is not in force yet (it is taken when its time "
            "has come; see that the clocks agree)",
            now->crl);
    }
    if (trust_is_forged(now)) {
        conf_errors_add(errors, place,
                        "%s: a revocation list in it is not signed by its issuer (a reload by hand "
                        "takes it all the same, and then nobody of that issuer is let in)",
                        now->crl);
    }
    if (before != NULL && trust_goes_back(before, now)) {
        conf_errors_add(errors, place,
                        "%s: a revocation list in it is older than the one in use, or one by the "
                        "same key and of the same certificates is missing (get the newest ones; a "
                        "reload by hand takes them all the same)",
                        now->crl);
    }
}

struct shown {
    const char *subject;
    int64_t not_before_s;
};

static void check_shown(const char *what, struct shown before, struct shown now,
                        struct conf_place place, struct conf_errors *errors)
{
    if (strcmp(before.subject, now.subject) != 0) {
        conf_errors_add(errors, place,
                        "%s: speaks for '%.200s', and the one in use for '%.200s' (that is another "
                        "identity: reload by hand)",
                        what, now.subject, before.subject);
    }
    if (now.not_before_s < before.not_before_s) {
        conf_errors_add(errors, place,
                        "%s: is older than the one in use (a reload by hand takes it all the same)",
                        what);
    }
}

bool tls_material_may_follow(const struct tls_material *before, const struct tls_material *now,
                             int64_t now_s, struct conf_errors *errors)
{
    const struct config *config = now->config;
    const size_t faults = errors->errors;
    for (size_t i = 0; i < certificates_count(now->certificates); i++) {
        const struct certificate *new = certificates_at(now->certificates, i);
        const struct certificate *old = certificates_find(before->certificates, new->name);
        if (old != NULL) {
            check_shown(new->path, (struct shown){old->subject, old->not_before_s},
                        (struct shown){new->subject, new->not_before_s},
                        config_place(config, &config->certificates[i].chain), errors);
        }
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener_tls *tls = &config->listeners[i].tls;
        const struct tls_side *old = &before->sides[i], *new = &now->sides[i];
        check_shown(tls->chain, (struct shown){old->subject, old->not_before_s},
                    (struct shown){new->subject, new->not_before_s}, tls->place, errors);
        check_trust(old->clients, new->clients, now_s, tls->place, errors);
    }
    for (size_t i = 0; i < now->trusts_count; i++) {
        const struct trust *new = now->trusts[i];
        check_trust(tls_material_trust(before, new->ca, new->crl), new, now_s,
                    config->clusters[0].place, errors);
    }
    return errors->errors == faults;
}
