/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/mapped.h"

#include <string.h>

#include "auth/certificates.h"
#include "auth/mapping.h"
#include "conf/config.h"
#include "proxy/session/evidence.h"
#include "proxy/session/session.h"

static struct mapping_query query_of(const struct session *s, const struct conf_listener *conf,
                                     const char *generation)
{
    return (struct mapping_query){
        .principal = s->principal,
        .cluster = conf->cluster,
        .generation = generation,
        .listener = conf->name,
        .mechanism = s->mechanism,
    };
}

static const char *generation_of(const struct session *s)
{
    return s->route.generation != NULL ? s->route.generation->name : NULL;
}

/* NULL: s->certificate is set; else why there is none. */
static const char *decide(struct session *s, const char *generation,
                          struct mapping_decision *decision_r)
{
    const struct shared *shared = session_shared(s);
    const struct mapping_query query = query_of(s, s->gate->conf, generation);
    s->certificate = NULL;
    s->mapped_for = generation;
    if (!mapping_decide(shared->mapping, &query, decision_r)) {
        return mapping_outcome_name(decision_r->outcome);
    }
    const struct certificate *found =
        certificates_find(shared->certificates, decision_r->certificate);
    if (found == NULL || !certificates_valid_at(found, world_now_ns() / 1000000000)) {
        return "certificate_expired";
    }
    s->certificate = found;
    return NULL;
}

static bool decide_and_record(struct session *s, const char *generation, const char **reason_r)
{
    struct mapping_decision decision;
    *reason_r = decide(s, generation, &decision);
    evidence_mapping(s, &decision, *reason_r == NULL, *reason_r);
    return *reason_r == NULL;
}

static const struct conf_cluster *cluster_of(const struct session *s)
{
    return config_cluster(session_shared(s)->config, s->gate->conf->cluster);
}

/* Whether somebody speaks for the principal at brokers of any generation. */
static bool somewhere(struct session *s)
{
    const struct conf_cluster *cluster = cluster_of(s);
    bool found = false;
    for (size_t i = 0; i < cluster->generations_count && !found; i++) {
        struct mapping_decision decision;
        found = cluster->generations[i].login != CONF_LOGIN_PASSTHROUGH &&
                decide(s, cluster->generations[i].name, &decision) == NULL;
    }
    return found;
}

bool mapped_at_login(struct session *s, const char **reason_r)
{
    const char *generation = generation_of(s);
    if (generation != NULL || !mapping_by_generation(session_shared(s)->mapping)) {
        return decide_and_record(s, generation, reason_r);
    }
    if (!somewhere(s)) {
        return decide_and_record(s, cluster_of(s)->generations[0].name, reason_r);
    }
    s->certificate = NULL;
    s->mapped_for = NULL;
    *reason_r = NULL;
    return true;
}

bool mapped_at_dial(struct session *s)
{
    const char *generation = generation_of(s), *reason = NULL;
    bool decided = s->mapped_for != NULL && strcmp(s->mapped_for, generation) == 0;
    if (decided || !mapping_by_generation(session_shared(s)->mapping)) {
        return s->certificate != NULL;
    }
    return decide_and_record(s, generation, &reason);
}

static bool is_shown(const struct session *s)
{
    return s->route.generation == NULL ||
           s->route.generation->login == CONF_LOGIN_MAPPED_CERTIFICATE;
}

enum mapped_verdict mapped_now(const struct session *s, const struct shared *now,
                               const struct conf_listener *conf)
{
    struct mapping_decision decision;
    const struct mapping_query query = query_of(s, conf, generation_of(s));
    if (!mapping_decide(now->mapping, &query, &decision)) {
        return MAPPED_OTHER;
    }
    const struct certificate *found = certificates_find(now->certificates, decision.certificate);
    if (found != NULL && strcmp(found->fingerprint, s->certificate->fingerprint) == 0) {
        return MAPPED_SAME;
    }
    bool same = found != NULL && strcmp(found->name, s->certificate->name) == 0 &&
                strcmp(found->subject, s->certificate->subject) == 0;
    if (!same) {
        return MAPPED_OTHER;
    }
    return is_shown(s) ? MAPPED_RENEWED : MAPPED_SAME;
}
