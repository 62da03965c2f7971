/* SPDX-License-Identifier: Apache-2.0 */
/* What a listener's role asks of its other keys, and of its cluster. */
#include "conf/snapshot.h"

static bool given(const struct check *check, const void *field)
{
    return check_place(check, field).line > 0;
}

/* ---- clients ---- */

static void check_reached(const struct check *check, const struct conf_listener *listener)
{
    bool network = listener->node_network_count > 0 || !check_sound(check, &listener->node_network);
    if (network && listener->node_base_port > 0) {
        conf_errors_add(check->errors, check_place(check, &listener->node_network),
                        "'node_network' and 'node_base_port' are two answers to where nodes are "
                        "(keep one)");
    }
    if (network) {
        return;
    }
    if (listener->advertised_host[0] == '\0' && check_sound(check, &listener->advertised_host)) {
        conf_errors_add(check->errors, listener->place,
                        "missing key 'advertised_host' (add it: the host under which clients "
                        "reach this listener)");
    }
    if (listener->node_base_port == 0 && check_sound(check, &listener->node_base_port)) {
        conf_errors_add(check->errors, listener->place,
                        "missing key 'node_base_port' (add it: clients reach the broker with node "
                        "id n at this port + n; or 'node_network')");
    }
}

static void refuse_for_clients(const struct check *check, const void *field, const char *what)
{
    conf_errors_add(check->errors, check_place(check, field),
                    "%s is for role: brokers only (remove it, or set 'role: brokers')", what);
}

static void check_clients(const struct check *check, const struct conf_listener *listener)
{
    check_reached(check, listener);
    if (listener->peers_count > 0) {
        refuse_for_clients(check, &listener->peers, "'peers'");
    }
    if (listener->tls.optional) {
        refuse_for_clients(check, &listener->tls.optional, "'optional: true'");
    }
    if (listener->tls.client_auth == CONF_CLIENT_AUTH_REQUESTED) {
        refuse_for_clients(check, &listener->tls.client_auth, "'client_auth: requested'");
    }
}

/* ---- brokers ---- */

static void refuse_for_brokers(const struct check *check, const void *field, const char *key)
{
    if (given(check, field)) {
        conf_errors_add(check->errors, check_place(check, field),
                        "'%s' has no use with role: brokers, where no address is rewritten "
                        "(remove it)",
                        key);
    }
}

/* Each peer comes in one way: with a certificate, by SASL over TLS, or by SASL in plaintext. */
static void check_ways_in(const struct check *check, const struct conf_listener *listener)
{
    const struct conf_listener_tls *tls = &listener->tls;
    bool sasl = listener->mechanisms_count > 0;
    if (!tls->present || !check_sound(check, &listener->mechanisms) ||
        !check_sound(check, &tls->client_auth) || !check_sound(check, &tls->optional)) {
        return;
    }
    if (tls->optional && !sasl) {
        conf_errors_add(check->errors, check_place(check, &tls->optional),
                        "'optional: true' needs 'mechanisms' (without TLS a peer can only log in "
                        "by SASL)");
    }
    if (tls->client_auth == CONF_CLIENT_AUTH_REQUESTED && !sasl) {
        conf_errors_add(check->errors, check_place(check, &tls->client_auth),
                        "'client_auth: requested' needs 'mechanisms' for peers without a "
                        "certificate (give them, or set 'required')");
    }
    if (tls->client_auth == CONF_CLIENT_AUTH_REQUIRED && !tls->optional && sasl) {
        conf_errors_add(check->errors, check_place(check, &listener->mechanisms),
                        "'mechanisms' has no use where every peer shows a certificate (set "
                        "'optional: true' or 'client_auth: requested' in 'tls', or remove it)");
    }
}

static void check_brokers(const struct check *check, const struct conf_listener *listener)
{
    refuse_for_brokers(check, &listener->advertised_host, "advertised_host");
    refuse_for_brokers(check, &listener->node_base_port, "node_base_port");
    refuse_for_brokers(check, &listener->node_ports_max, "node_ports_max");
    refuse_for_brokers(check, &listener->node_network, "node_network");
    if (listener->peers_count == 0 && check_sound(check, &listener->peers)) {
        conf_errors_add(check->errors, listener->place,
                        "role: brokers needs 'peers' (name the principals that brokers log in "
                        "as)");
    }
    check_ways_in(check, listener);
}

/* ---- the cluster ---- */

static void check_one_broker(const struct check *check, const struct conf_listener *listener,
                             const struct conf_cluster *cluster)
{
    bool brokers = listener->role == CONF_ROLE_BROKERS;
    struct conf_place place = check_place(check, &listener->cluster);
    if (brokers && cluster->follow && check_sound(check, &cluster->follow)) {
        conf_errors_add(check->errors, place,
                        "role: brokers needs a cluster of one broker, and '%s' is learned from "
                        "its brokers (set 'follow: false' there)",
                        cluster->name);
    }
    if (!brokers && !cluster->follow) {
        conf_errors_add(check->errors, place,
                        "cluster '%s' has 'follow: false', so clients would not reach its other "
                        "brokers (set 'follow: true', or 'role: brokers' here)",
                        cluster->name);
    }
}

static void check_no_passthrough(const struct check *check, const struct conf_listener *listener,
                                 const struct conf_cluster *cluster)
{
    for (size_t i = 0; i < cluster->generations_count; i++) {
        const struct conf_generation *generation = &cluster->generations[i];
        if (generation->login == CONF_LOGIN_PASSTHROUGH) {
            conf_errors_add(check->errors, check_place(check, &listener->cluster),
                            "generation '%s' passes the login through, but not every broker comes "
                            "with one that could be passed (use login: sasl)",
                            generation->name);
        }
    }
}

void check_role(const struct check *check, const struct conf_listener *listener,
                const struct conf_cluster *cluster)
{
    if (!check_sound(check, &listener->role)) {
        return;
    }
    bool brokers = listener->role == CONF_ROLE_BROKERS;
    if (brokers) {
        check_brokers(check, listener);
    } else {
        check_clients(check, listener);
    }
    if (cluster != NULL) {
        check_one_broker(check, listener, cluster);
    }
    if (cluster != NULL && brokers) {
        check_no_passthrough(check, listener, cluster);
    }
}
