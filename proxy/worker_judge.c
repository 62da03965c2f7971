/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "auth/certificates.h"
#include "auth/tls_material.h"
#include "auth/trust.h"
#include "conf/config.h"
#include "proxy/door.h"
#include "proxy/listener.h"
#include "proxy/session/mapped.h"
#include "proxy/session/session.h"
#include "proxy/session/standing.h"
#include "proxy/worker_private.h"

enum { LEAVES_MAX = 64 };

/* What was found of a broker's certificate: hundreds of sessions have the same one. */
struct leaf_verdict {
    const struct trust *trust;
    X509 *leaf; /* a reference: its session may end meanwhile */
    bool holds;
};

struct judgement {
    struct worker *worker;
    const struct shared *now;
    struct leaf_verdict leaves[LEAVES_MAX];
    size_t leaf_count;
    size_t renewed; /* sessions whose renew_ms is RENEW_LATER */
};

static const uint64_t RENEW_LATER = UINT64_MAX;

/* ---- who the client is, and as whom it is shown ---- */

/* A client that is logging in is judged by what was valid when it came: it comes again if that is another now. */
static enum mapped_verdict identity_verdict(const struct session *s, const struct shared *now,
                                            const struct conf_listener *conf)
{
    if (s->passthrough) {
        return MAPPED_SAME; /* the broker judges */
    }
    if (s->principal == NULL || s->certificate == NULL) {
        bool same = strcmp(session_shared(s)->config_hash, now->config_hash) == 0;
        return same ? MAPPED_SAME : MAPPED_OTHER;
    }
    return mapped_now(s, now, conf);
}

static bool is_still_a_peer(const struct session *s, const struct conf_listener *conf)
{
    bool listed = conf->role != CONF_ROLE_BROKERS || s->principal == NULL;
    for (size_t i = 0; i < conf->peers_count; i++) {
        listed = listed || strcmp(conf->peers[i], s->principal) == 0;
    }
    return listed;
}

/* The authorities of clients are the standing's part; here it is who was taken off by a newer list. */
static bool client_revoked(const struct session *s, const struct shared *now,
                           const struct conf_listener *conf)
{
    const struct tls_side *side = &now->material->sides[conf - now->config->listeners];
    if (side->clients == NULL || side->clients->lists == NULL || s->client.ssl == NULL) {
        return false;
    }
    STACK_OF(X509) *chain = SSL_get0_verified_chain(s->client.ssl);
    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (trust_revokes(side->clients, sk_X509_value(chain, i))) {
            return true;
        }
    }
    return false;
}

/* ---- the broker ---- */

static const struct conf_generation *generation_now(const struct session *s,
                                                    const struct config *config)
{
    const struct conf_cluster *cluster = config_cluster(config, s->gate->conf->cluster);
    return cluster != NULL && s->route.generation != NULL
               ? config_generation(cluster, s->route.generation->name)
               : NULL;
}

static bool leaf_holds(struct judgement *j, const struct trust *trust, SSL *ssl, X509 *leaf)
{
    for (size_t i = 0; i < j->leaf_count; i++) {
        if (j->leaves[i].trust == trust && X509_cmp(j->leaves[i].leaf, leaf) == 0) {
            return j->leaves[i].holds;
        }
    }
    bool holds = trust_holds(trust, leaf, SSL_get_peer_cert_chain(ssl), true);
    if (j->leaf_count < LEAVES_MAX && X509_up_ref(leaf) == 1) {
        j->leaves[j->leaf_count++] = (struct leaf_verdict){trust, leaf, holds};
    }
    return holds;
}

enum broker_verdict { BROKER_HOLDS, BROKER_UNKNOWN, BROKER_DISTRUSTED };

static enum broker_verdict broker_verdict(struct judgement *j, const struct session *s)
{
    const struct conf_generation *generation = generation_now(s, j->now->config);
    if (s->broker.ssl == NULL || generation == NULL || !generation->tls.present) {
        return BROKER_HOLDS;
    }
    const struct conf_tls *then = &s->route.generation->tls, *tls = &generation->tls;
    const struct trust *was =
        tls_material_trust(session_shared(s)->material, then->ca, then->crl);
    const struct trust *now = tls_material_trust(j->now->material, tls->ca, tls->crl);
    if (now == NULL ||
        (was != NULL && memcmp(was->hash, now->hash, sizeof now->hash) == 0)) {
        return BROKER_HOLDS;
    }
    /* A resumed connection has shown none, and one that is being made has not yet. */
    X509 *leaf = SSL_get0_peer_certificate(s->broker.ssl);
    if (leaf == NULL) {
        return BROKER_UNKNOWN;
    }
    return leaf_holds(j, now, s->broker.ssl, leaf) ? BROKER_HOLDS : BROKER_DISTRUSTED;
}

/* ---- the sentence ---- */

static void renew_later(struct judgement *j, struct session *s)
{
    if (s->renew_ms == 0 && s->state <= SESSION_RELAY && !s->draining) {
        s->renew_ms = RENEW_LATER;
        j->renewed++;
    }
}

static void judge_broker(struct judgement *j, struct session *s)
{
    switch (broker_verdict(j, s)) {
    case BROKER_HOLDS:
        break;
    case BROKER_UNKNOWN:
        renew_later(j, s);
        break;
    case BROKER_DISTRUSTED:
        session_drain(s, CLOSE_BROKER_DISTRUSTED, false);
        break;
    }
}

static void judge(struct judgement *j, struct session *s, const struct conf_listener *conf)
{
    enum mapped_verdict identity = MAPPED_SAME;
    if (conf == NULL || strcmp(conf->cluster, s->gate->conf->cluster) != 0) {
        session_drain(s, CLOSE_LISTENER_REMOVED, true);
        return;
    }
    if (client_revoked(s, j->now, conf)) {
        session_drain(s, CLOSE_CLIENT_REVOKED, false);
        return;
    }
    identity = identity_verdict(s, j->now, conf);
    if (identity == MAPPED_OTHER || !is_still_a_peer(s, conf) ||
        !standing_holds(s, j->now, conf)) {
        session_drain(s, CLOSE_IDENTITY_CHANGED, true);
        return;
    }
    if (identity == MAPPED_RENEWED) {
        renew_later(j, s);
    }
    judge_broker(j, s);
}

/* One after the other, evenly, and before the old certificate ends. */
static void spread(struct judgement *j)
{
    const uint64_t now_ms = uv_now(&j->worker->loop);
    const int64_t now_s = world_now_ns() / 1000000000;
    const uint64_t overlap_ms = j->now->config->rotation.overlap_ms;
    size_t place = 0;
    for (struct session *s = j->worker->world.sessions; s != NULL; s = s->next) {
        if (s->renew_ms != RENEW_LATER) {
            continue;
        }
        uint64_t after_ms = overlap_ms * place++ / j->renewed;
        int64_t left_s = s->certificate != NULL ? s->certificate->not_after_s - now_s : INT32_MAX;
        uint64_t left_ms = left_s > 0 ? (uint64_t)left_s * 1000 : 0;
        session_renew_at(s, now_ms + (after_ms < left_ms ? after_ms : left_ms));
    }
}

static const struct conf_listener *conf_of(const struct worker *worker, const struct session *s,
                                           const struct shared *now)
{
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i] == door_listener(s->gate)) {
            return &now->config->listeners[i];
        }
    }
    return NULL;
}

void worker_judge(struct worker *worker, const struct shared *now)
{
    struct judgement *j = calloc(1, sizeof *j);
    struct session *next = NULL;
    if (j == NULL) {
        abort();
    }
    j->worker = worker;
    j->now = now;
    for (struct session *s = worker->world.sessions; s != NULL; s = next) {
        next = s->next;
        if (s->state != SESSION_CLOSED) {
            judge(j, s, conf_of(worker, s, now));
        }
    }
    spread(j);
    for (size_t i = 0; i < j->leaf_count; i++) {
        X509_free(j->leaves[i].leaf);
    }
    free(j);
}
