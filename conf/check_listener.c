/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "conf/forms.h"
#include "conf/names.h"
#include "conf/snapshot.h"

enum { PORT_MAX = 65535 };

/* Ports of a listener, with the key that claims them. */
struct claim {
    const char *key;
    const void *field;
    int first, last;
    bool network; /* at the addresses of node_network; else at those of bind */
};

static bool claims(const struct check *check, const struct conf_listener *listener,
                   struct claim claims_r[static 2])
{
    /* With role brokers there are none: a range that ends before it begins overlaps nothing. */
    bool nodes = listener->node_base_port > 0;
    int last = nodes ? listener->node_base_port + listener->node_ports_max - 1 : -1;
    claims_r[0] = (struct claim){"port", &listener->port, listener->port, listener->port, false};
    claims_r[1] = (struct claim){"node_base_port", &listener->node_base_port,
                                 listener->node_base_port, last, false};
    if (listener->node_network_count > 0) {
        claims_r[1] = (struct claim){"node_network", &listener->node_network, listener->port,
                                     listener->port, true};
    }
    return check_sound(check, &listener->bind) && check_sound(check, &listener->node_network) &&
           check_sound(check, &listener->port) && check_sound(check, &listener->node_base_port) &&
           check_sound(check, &listener->node_ports_max) && last <= PORT_MAX;
}

static bool overlap(const struct claim *a, const struct claim *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static bool binds_meet_network(const struct conf_listener *a, const struct conf_listener *b)
{
    for (size_t i = 0; i < a->bind_count; i++) {
        if (form_meets_network(a->bind[i], b->node_network_first, b->node_network_count)) {
            return true;
        }
    }
    return false;
}

static bool networks_meet(const struct conf_listener *a, const struct conf_listener *b)
{
    uint64_t a_end = (uint64_t)a->node_network_first + a->node_network_count;
    uint64_t b_end = (uint64_t)b->node_network_first + b->node_network_count;
    return a->node_network_first < b_end && b->node_network_first < a_end;
}

static bool binds_meet(const struct conf_listener *a, const struct conf_listener *b)
{
    for (size_t i = 0; i < a->bind_count * b->bind_count; i++) {
        if (form_binds_collide(a->bind[i / b->bind_count], b->bind[i % b->bind_count])) {
            return true;
        }
    }
    return false;
}

/* Whether two claims want the same socket. */
static bool collide(const struct conf_listener *a, const struct claim *claim,
                    const struct conf_listener *b, const struct claim *other)
{
    if (!overlap(claim, other)) {
        return false;
    }
    if (claim->network && other->network) {
        return networks_meet(a, b);
    }
    if (claim->network) {
        return binds_meet_network(b, a);
    }
    return other->network ? binds_meet_network(a, b) : binds_meet(a, b);
}

static void check_binds(const struct check *check, const struct conf_listener *listener)
{
    for (size_t i = 1; i < listener->bind_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (form_binds_collide(listener->bind[i], listener->bind[j])) {
                conf_errors_add(check->errors, check_place(check, &listener->bind[i]),
                                "'%s' takes connections that '%s' takes (keep one)",
                                listener->bind[i], listener->bind[j]);
                break;
            }
        }
    }
}

static void check_own_ports(const struct check *check, const struct conf_listener *listener)
{
    struct claim own[2];
    bool sound = claims(check, listener, own);
    if (sound && own[1].network && collide(listener, &own[0], listener, &own[1])) {
        conf_errors_add(check->errors, check_place(check, own[1].field),
                        "'node_network' holds an address that 'bind' takes (choose another "
                        "network)");
    }
    if (sound && !own[1].network && overlap(&own[0], &own[1])) {
        conf_errors_add(check->errors, check_place(check, own[0].field),
                        "'port' %d is one of the listener's own node ports %d-%d (move one)",
                        own[0].first, own[1].first, own[1].last);
    }
    if (own[1].last > PORT_MAX && check_sound(check, &listener->node_base_port) &&
        check_sound(check, &listener->node_ports_max)) {
        conf_errors_add(check->errors, check_place(check, own[1].field),
                        "node ports would reach %d, past %d (lower 'node_base_port' or "
                        "'node_ports_max')",
                        own[1].last, PORT_MAX);
    }
}

static void check_ports_against(const struct check *check, const struct conf_listener *listener,
                                const struct conf_listener *other)
{
    struct claim own[2];
    struct claim others[2];
    if (!claims(check, listener, own) || !claims(check, other, others)) {
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        const struct claim *a = &own[i / 2];
        const struct claim *b = &others[i % 2];
        if (collide(listener, a, other, b)) {
            conf_errors_add(check->errors, check_place(check, a->field),
                            "'%s' (%d-%d) overlaps '%s' (%d-%d) of listener '%s' at line %d (move "
                            "one)",
                            a->key, a->first, a->last, b->key, b->first, b->last, other->name,
                            other->place.line);
        }
    }
}

static bool offers(const struct conf_listener *listener, const char *mechanism)
{
    for (size_t i = 0; i < listener->mechanisms_count; i++) {
        if (strcmp(listener->mechanisms[i], mechanism) == 0) {
            return true;
        }
    }
    return false;
}

/* The first address that is not loopback; NULL = all are. */
static const char *open_bind(const struct conf_listener *listener)
{
    for (size_t i = 0; i < listener->bind_count; i++) {
        if (!form_is_loopback(listener->bind[i])) {
            return listener->bind[i];
        }
    }
    return NULL;
}

static void check_mechanisms(const struct check *check, const struct conf_listener *listener)
{
    for (size_t i = 1; i < listener->mechanisms_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(listener->mechanisms[i], listener->mechanisms[j]) == 0) {
                conf_errors_add(check->errors, check_place(check, &listener->mechanisms[i]),
                                "mechanism '%s' is given again (keep one)",
                                listener->mechanisms[i]);
                break;
            }
        }
    }
    bool plaintext =
        (!listener->tls.present && check_sound(check, &listener->tls)) || listener->tls.optional;
    const char *open = open_bind(listener);
    bool allowed = listener->allow_plain_without_tls;
    bool shown = plaintext && open != NULL && !allowed &&
                 check_sound(check, &listener->allow_plain_without_tls);
    if (offers(listener, "PLAIN") && shown) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "PLAIN without TLS on '%s' shows passwords to the network (%s, bind to "
                        "loopback, or set 'allow_plain_without_tls: true')",
                        open, listener->tls.optional ? "set 'optional: false'" : "add 'tls'");
    }
    if (offers(listener, "OAUTHBEARER") && shown) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "OAUTHBEARER without TLS on '%s' shows tokens to the network (%s, bind to "
                        "loopback, or set 'allow_plain_without_tls: true')",
                        open, listener->tls.optional ? "set 'optional: false'" : "add 'tls'");
    }
}

/* A login by certificate lasts as long as its connection: Kafka knows no way to renew it. */
static void check_lifetime(const struct check *check, const struct conf_listener *listener)
{
    if (listener->session_lifetime_ms > 0 && listener->mechanisms_count == 0 &&
        check_sound(check, &listener->mechanisms)) {
        conf_errors_add(check->errors, check_place(check, &listener->session_lifetime_ms),
                        "'session_lifetime_ms' has no use without 'mechanisms': a login by "
                        "certificate cannot be renewed (remove it)");
    }
}

/* A client must have one way to say who it is. */
static void check_way_in(const struct check *check, const struct conf_listener *listener)
{
    bool certificate = listener->tls.present && listener->tls.client_auth != CONF_CLIENT_AUTH_NONE;
    bool sound = check_sound(check, &listener->mechanisms) && check_sound(check, &listener->tls) &&
                 check_sound(check, &listener->tls.client_auth);
    if (sound && listener->mechanisms_count == 0 && !certificate) {
        conf_errors_add(check->errors, listener->place,
                        "listener has no way to log in (give 'mechanisms', or 'tls' with "
                        "'client_auth: required')");
    }
}

static void check_client_ca(const struct check *check, const struct conf_listener *listener)
{
    const struct conf_listener_tls *tls = &listener->tls;
    if (!tls->present || !check_sound(check, &tls->client_ca) ||
        !check_sound(check, &tls->client_auth)) {
        return;
    }
    bool given = tls->client_ca[0] != '\0';
    if (tls->client_auth != CONF_CLIENT_AUTH_NONE && !given) {
        conf_errors_add(check->errors, check_place(check, &tls->client_auth),
                        "'client_auth: %s' needs 'client_ca' (name the authorities' file)",
                        tls->client_auth == CONF_CLIENT_AUTH_REQUIRED ? "required" : "requested");
    }
    if (tls->client_auth == CONF_CLIENT_AUTH_NONE && given) {
        conf_errors_warn(check->errors, check_place(check, &tls->client_ca),
                         "'client_ca' has no use with 'client_auth: none' (set 'client_auth: "
                         "required')");
    }
    if (tls->client_auth == CONF_CLIENT_AUTH_NONE && tls->client_crl[0] != '\0') {
        conf_errors_add(check->errors, check_place(check, &tls->client_crl),
                        "'client_crl' has no use with 'client_auth: none' (set 'client_auth: "
                        "required')");
    }
}

/* Whether some mechanism is judged by the users file. */
static bool needs_users(const struct conf_listener *listener)
{
    size_t without = offers(listener, "OAUTHBEARER") + offers(listener, "GSSAPI");
    return listener->mechanisms_count > without;
}

/* With scram-relay the client's own SCRAM login is all there is to show. */
static void check_relay(const struct check *check, const struct conf_listener *listener,
                        const struct conf_cluster *cluster)
{
    size_t scrams = offers(listener, "SCRAM-SHA-512") + offers(listener, "SCRAM-SHA-256");
    if (!config_cluster_logs_in(cluster, CONF_LOGIN_SCRAM_RELAY) ||
        !check_sound(check, &listener->mechanisms)) {
        return;
    }
    if (scrams == 0) {
        conf_errors_add(check->errors, check_place(check, &listener->cluster),
                        "cluster '%s' has login 'scram-relay', which takes the key of the client's "
                        "own SCRAM login, but this listener offers none (give 'mechanisms')",
                        cluster->name);
    } else if (scrams < listener->mechanisms_count) {
        conf_errors_warn(check->errors, check_place(check, &listener->mechanisms),
                         "who does not log in by SCRAM cannot reach brokers with login "
                         "'scram-relay' (offer SCRAM alone)");
    }
}

/* Keys, and a name for them, exactly where Setu itself judges tickets. */
static void check_gssapi(const struct check *check, const struct conf_listener *listener,
                         bool verified_here)
{
    const struct conf_listener_gssapi *gssapi = &listener->gssapi;
    bool offered = offers(listener, "GSSAPI");
    if (!check_sound(check, &listener->mechanisms) || !check_sound(check, gssapi)) {
        return;
    }
    if (offered && verified_here && !gssapi->present) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "GSSAPI needs the section 'gssapi' (add at least 'keytab')");
    }
    if (gssapi->present && !(offered && verified_here)) {
        conf_errors_add(check->errors, gssapi->place, "section 'gssapi' has no use %s",
                        offered ? "where every broker judges the login itself (remove it)"
                                : "without GSSAPI (add it to 'mechanisms')");
    }
    if (gssapi->present && gssapi->hosts_count == 0 && listener->advertised_host[0] == '\0' &&
        check_sound(check, &gssapi->hosts) && check_sound(check, &listener->advertised_host)) {
        conf_errors_add(check->errors, gssapi->place,
                        "clients ask tickets for the host they dial, which is not said here (add "
                        "'hosts')");
    }
}

/* Who logs in by these is not said in words that Setu could read on the way. */
static const char *const opaque[] = {"OAUTHBEARER", "GSSAPI"};

/* What the listener's cluster asks of it. */
static void check_fit(const struct check *check, const struct conf_listener *listener,
                      const struct conf_cluster *cluster)
{
    bool verified_here = false;
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        bool passed = generation->login == CONF_LOGIN_PASSTHROUGH;
        verified_here = verified_here || !passed;
        if (passed && listener->mechanisms_count == 0 &&
            check_sound(check, &listener->mechanisms)) {
            conf_errors_add(check->errors, check_place(check, &listener->cluster),
                            "generation '%s' passes the client's SASL login through, but this "
                            "listener offers none (give 'mechanisms')",
                            generation->name);
        }
        for (size_t j = 0; passed && j < sizeof opaque / sizeof opaque[0]; j++) {
            if (offers(listener, opaque[j])) {
                conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                                "generation '%s' passes the client's SASL login through, where "
                                "whose token it is would be the broker's secret (take %s out, or "
                                "use another login there)",
                                generation->name, opaque[j]);
            }
        }
    }
    check_relay(check, listener, cluster);
    const struct conf_oauth *oauth = &check->config->oauth;
    if (offers(listener, "OAUTHBEARER") && oauth->jwks_file[0] == '\0' &&
        !oauth->allow_unsecured_jws && check_sound(check, &oauth->jwks_file)) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "OAUTHBEARER needs keys to verify tokens with (set 'oauth.jwks_file')");
    }
    check_gssapi(check, listener, verified_here);
    const struct conf_users *users = &check->config->users;
    if (verified_here && needs_users(listener) && users->file[0] == '\0' &&
        check_sound(check, &users->file)) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "'mechanisms' needs users to verify clients against (set 'users.file')");
    }
}

static bool is_bound(const char *host, const struct conf_listener *listener)
{
    for (size_t i = 0; i < listener->bind_count; i++) {
        if (strcasecmp(host, listener->bind[i]) == 0 ||
            (form_is_loopback(host) && form_binds_collide(host, listener->bind[i]))) {
            return true;
        }
    }
    return false;
}

static bool leads_here(const struct check *check, const struct conf_address *address,
                       const struct conf_listener *listener)
{
    struct claim own[2];
    if (!claims(check, listener, own)) {
        return false;
    }
    struct claim dialled = {.first = address->port, .last = address->port};
    bool host = strcasecmp(address->host, listener->advertised_host) == 0 ||
                is_bound(address->host, listener);
    if (own[1].network && overlap(&dialled, &own[1]) &&
        form_meets_network(address->host, listener->node_network_first,
                           listener->node_network_count)) {
        return true;
    }
    return host && (overlap(&dialled, &own[0]) || (!own[1].network && overlap(&dialled, &own[1])));
}

/* A proxy that takes itself for a broker would call itself without end. */
static void check_loop(const struct check *check, const struct conf_cluster *cluster,
                       const struct conf_listener *listener)
{
    for (size_t i = 0; i < cluster->bootstrap_count; i++) {
        const struct conf_address *address = &cluster->bootstrap[i];
        if (leads_here(check, address, listener)) {
            conf_errors_add(check->errors, address->place,
                            "broker '%s' port %d is Setu's own listener '%s' at line %d (name the "
                            "broker itself, or move the listener)",
                            address->host, address->port, listener->name, listener->place.line);
        }
    }
}

static void check_listener(const struct check *check, const struct conf_listener *listener)
{
    const struct config *config = check->config;
    names_refer(check->clusters, listener->cluster, check_place(check, &listener->cluster),
                check->errors);
    check_binds(check, listener);
    check_own_ports(check, listener);
    check_mechanisms(check, listener);
    check_way_in(check, listener);
    check_lifetime(check, listener);
    check_client_ca(check, listener);
    const struct conf_cluster *cluster = config_cluster(config, listener->cluster);
    check_role(check, listener, cluster);
    if (cluster != NULL) {
        check_fit(check, listener, cluster);
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        check_loop(check, &config->clusters[i], listener);
    }
}

void check_listeners(const struct check *check)
{
    const struct config *config = check->config;
    struct names names;
    names_init(&names, "listener", config->listeners_count);
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        names_add(&names, listener->name, check_place(check, &listener->name));
        check_listener(check, listener);
        for (size_t j = 0; j < i; j++) {
            check_ports_against(check, listener, &config->listeners[j]);
        }
    }
    names_seal(&names, check->errors);
    names_deinit(&names);
}
