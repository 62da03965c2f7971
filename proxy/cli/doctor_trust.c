/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <inttypes.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "auth/certificates.h"
#include "auth/dn.h"
#include "auth/key_pair.h"
#include "auth/pem.h"
#include "auth/tls_origin.h"
#include "conf/config.h"

enum {
    HOUR_S = 3600,
    DAY_S = 86400,
    WARN_S = CERTIFICATES_WARN_DAYS * DAY_S,
    LIST_WARN_S = DAY_S, /* lists are short-lived by design */
    OWNER_SIZE = 192,
    END_SIZE = 64,
    ISSUER_SIZE = 160
};

/* One file of one tls block. */
struct trust {
    struct doctor *doctor;
    const char *owner; /* "listener l" */
    const char *path;
    int64_t now_s;
};

static enum doctor_status judge_end(const struct trust *trust, int64_t end_s, int64_t warn_s)
{
    return end_s < trust->now_s            ? DOCTOR_FAIL
           : end_s - trust->now_s < warn_s ? DOCTOR_WARN
                                           : DOCTOR_OK;
}

/* "ends in 12 days", "ended 5 hours ago". */
static const char *end_text(const struct trust *trust, int64_t end_s, char out[END_SIZE])
{
    const bool ended = end_s < trust->now_s;
    const int64_t span_s = ended ? trust->now_s - end_s : end_s - trust->now_s;
    const bool soon = span_s < 2 * DAY_S;
    snprintf(out, END_SIZE, "%s %" PRId64 " %s%s", ended ? "ended" : "ends in",
             span_s / (soon ? HOUR_S : DAY_S), soon ? "hours" : "days", ended ? " ago" : "");
    return out;
}

static void add_values(const struct trust *trust, struct doctor_finding *finding, int64_t end_s)
{
    finding->values = json_pack("{s:s,s:s,s:I}", "owner", trust->owner, "file", trust->path, "days",
                                (json_int_t)((end_s - trust->now_s) / DAY_S));
}

/* Certificates ------------------------------------------------------------------------------ */

/* Issuers count as the leaf does: clients verify the chain as it is sent. */
static void judge_chain(const struct trust *trust)
{
    struct pem_fault fault;
    char end[END_SIZE];
    int64_t end_s = INT64_MAX;
    STACK_OF(X509) *chain = pem_read_certificates(trust->path, false, &fault);
    if (chain != NULL && tls_origin_until(chain, &end_s)) {
        add_values(trust,
                   doctor_add(trust->doctor, "listener_cert", judge_end(trust, end_s, WARN_S),
                              "outside of its time clients refuse Setu, and Setu does not start",
                              "renew it, and start Setu anew: it reads certificates at its start",
                              "%s: %s: the first of its chain %s", trust->owner, trust->path,
                              end_text(trust, end_s, end)),
                   end_s);
    }
    sk_X509_pop_free(chain, X509_free);
}

/* A file of many authorities may well hold one that has ended; one of only such is of no use. */
static void judge_authorities(const struct trust *trust)
{
    struct pem_fault fault;
    char end[END_SIZE];
    STACK_OF(X509) *certs = pem_read_certificates(trust->path, true, &fault);
    const int count = certs == NULL ? 0 : sk_X509_num(certs);
    int64_t first_s = INT64_MAX;
    int ended = 0;
    for (int i = 0; i < count; i++) {
        int64_t end_s = 0; /* a time that cannot be read is none */
        if (!key_pair_time(X509_get0_notAfter(sk_X509_value(certs, i)), &end_s)) {
            end_s = 0;
        }
        ended += end_s < trust->now_s;
        first_s = end_s < first_s ? end_s : first_s;
    }
    if (count > 0) {
        const enum doctor_status first = judge_end(trust, first_s, WARN_S);
        add_values(trust,
                   doctor_add(trust->doctor, "authorities",
                              first == DOCTOR_FAIL && ended < count ? DOCTOR_WARN : first,
                              "whoever shows a certificate of an authority that has ended is "
                              "refused",
                              "put the authority's new certificate into the file, take the old one "
                              "out, and start Setu anew",
                              "%s: %s: %d of %d in force, the first %s", trust->owner, trust->path,
                              count - ended, count, end_text(trust, first_s, end)),
                   first_s);
    }
    sk_X509_pop_free(certs, X509_free);
}

/* Revocation lists -------------------------------------------------------------------------- */

struct span {
    int64_t from_s, to_s; /* to_s INT64_MAX: the list does not say */
};

/* A time that cannot be read makes a list that was never in force, as it does for OpenSSL. */
static struct span span_of(const X509_CRL *list)
{
    struct span span = {INT64_MAX, INT64_MAX};
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);
    if (!key_pair_time(X509_CRL_get0_lastUpdate(list), &span.from_s) ||
        (next != NULL && !key_pair_time(next, &span.to_s))) {
        span = (struct span){INT64_MAX, 0};
    }
    return span;
}

static bool in_force(struct span span, int64_t now_s)
{
    return span.from_s <= now_s && now_s <= span.to_s;
}

/* OpenSSL takes a list in force where an authority has several. */
static bool is_replaced(const STACK_OF(X509_CRL) * lists, int index, int64_t now_s)
{
    const X509_CRL *list = sk_X509_CRL_value(lists, index);
    const struct span span = span_of(list);
    for (int i = 0; i < sk_X509_CRL_num(lists); i++) {
        const X509_CRL *other = sk_X509_CRL_value(lists, i);
        const struct span others = span_of(other);
        if (X509_NAME_cmp(X509_CRL_get_issuer(other), X509_CRL_get_issuer(list)) == 0 &&
            in_force(others, now_s) && (!in_force(span, now_s) || others.to_s > span.to_s)) {
            return true;
        }
    }
    return false;
}

static void judge_list(const struct trust *trust, const X509_CRL *list)
{
    static const char why[] = "without a list in force every broker of that authority is refused";
    static const char fix[] =
        "put the authority's new list into the file, and start Setu anew: it reads lists at its "
        "start";
    char issuer[ISSUER_SIZE], end[END_SIZE];
    const struct span span = span_of(list);
    if (dn_print(X509_CRL_get_issuer(list), issuer, sizeof issuer, NULL) != DN_OK) {
        snprintf(issuer, sizeof issuer, "an authority of a long name");
    }
    if (span.from_s > trust->now_s) {
        doctor_add(trust->doctor, "revocation", DOCTOR_FAIL, why, fix,
                   "%s: %s: the list of %s is not in force yet", trust->owner, trust->path, issuer);
    } else if (span.to_s == INT64_MAX) {
        doctor_add(trust->doctor, "revocation", DOCTOR_WARN,
                   "nobody can tell when it is out of date, and no TLS session is resumed under it",
                   "have the authority issue its lists with a next update",
                   "%s: %s: the list of %s names no next update", trust->owner, trust->path,
                   issuer);
    } else {
        add_values(trust,
                   doctor_add(trust->doctor, "revocation", judge_end(trust, span.to_s, LIST_WARN_S),
                              why, fix, "%s: %s: the list of %s %s", trust->owner, trust->path,
                              issuer, end_text(trust, span.to_s, end)),
                   span.to_s);
    }
}

static void judge_lists(const struct trust *trust)
{
    struct pem_fault fault;
    STACK_OF(X509_CRL) *lists = pem_read_crls(trust->path, &fault);
    for (int i = 0; lists != NULL && i < sk_X509_CRL_num(lists); i++) {
        if (!is_replaced(lists, i, trust->now_s)) {
            judge_list(trust, sk_X509_CRL_value(lists, i));
        }
    }
    sk_X509_CRL_pop_free(lists, X509_CRL_free);
}

/* Every tls block --------------------------------------------------------------------------- */

static void judge_listener(struct trust trust, const struct conf_listener *listener)
{
    char owner[OWNER_SIZE];
    snprintf(owner, sizeof owner, "listener %s", listener->name);
    trust.owner = owner;
    trust.path = listener->tls.chain;
    judge_chain(&trust);
    if (listener->tls.client_auth == CONF_CLIENT_AUTH_REQUIRED) {
        trust.path = listener->tls.client_ca;
        judge_authorities(&trust);
    }
}

static void judge_generation(struct trust trust, const struct conf_cluster *cluster,
                             const struct conf_generation *generation)
{
    char owner[OWNER_SIZE];
    snprintf(owner, sizeof owner, "cluster %s, generation %s", cluster->name, generation->name);
    trust.owner = owner;
    trust.path = generation->tls.ca;
    judge_authorities(&trust);
    if (generation->tls.crl[0] != '\0') {
        trust.path = generation->tls.crl;
        judge_lists(&trust);
    }
}

void doctor_judge_trust(struct doctor *doctor, const struct config *config, int64_t now_s)
{
    const struct trust trust = {.doctor = doctor, .now_s = now_s};
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (config->listeners[i].tls.present) {
            judge_listener(trust, &config->listeners[i]);
        }
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            if (config_protocol_has_tls(cluster->generations[k].protocol)) {
                judge_generation(trust, cluster, &cluster->generations[k]);
            }
        }
    }
}
