/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/door.h"

#include <assert.h>
#include <stdlib.h>

#include "auth/rules.h"
#include "auth/tls_context.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/listener_private.h"
#include "proxy/ops/log.h"
#include "proxy/session/edition.h"
#include "proxy/session/node_address.h"
#include "proxy/visitors.h"

static void on_gone(struct gate *gate, const struct sockaddr *peer)
{
    struct door *door = (struct door *)gate;
    struct listener *listener = door->listener;
    assert(door->sessions > 0 && listener->sessions > 0);
    door->sessions--;
    listener->sessions--;
    visitors_leave(gate->edition->shared->visitors, peer);
    if (door != listener->door && door->sessions == 0) {
        door_free(&door);
    }
}

static const struct gate *newest(const struct gate *gate)
{
    const struct door *door = (const struct door *)gate;
    return &door->listener->door->gate;
}

static uint16_t node_port(struct gate *gate, int32_t node_id)
{
    struct listener *listener = ((struct door *)gate)->listener;
    char text[NODE_ADDRESS_TEXT_SIZE];
    struct view host;
    uint16_t port = 0;
    /* A draining listener still names the ports: the next connections are another process's. */
    bool open = listener->stopped || listener->suspended || listener_open_node(listener, node_id);
    return open && node_address_shown(gate->conf, node_id, text, &host, &port) ? port : 0;
}

static void log_all(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        log_text(LOG_LEVEL_ERROR, "listener_tls_failed", errors->items[i].text);
    }
}

/* NULL: logged. */
static SSL_CTX *context_of(const struct conf_listener *conf, const struct shared *shared)
{
    const struct tls_side *side = &shared->material->sides[conf - shared->config->listeners];
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx = tls_server_ctx_from(conf, &side->pair, side->clients, &errors);
    log_all(&errors);
    conf_errors_deinit(&errors);
    return ctx;
}

static bool secure(struct door *door)
{
    const struct conf_listener *conf = door->gate.conf;
    struct rule_fault rules_error;
    if (!conf->tls.present) {
        return true;
    }
    door->gate.tls = context_of(conf, door->gate.edition->shared);
    door->gate.rules =
        rules_parse(view_from_string(conf->tls.principal_mapping_rules), &rules_error);
    return door->gate.tls != NULL && door->gate.rules != NULL;
}

static const struct kerberos_acceptor *acceptor_of(const struct shared *shared,
                                                   const struct conf_listener *conf)
{
    return shared->acceptors != NULL ? shared->acceptors[conf - shared->config->listeners] : NULL;
}

struct door *door_new(struct world *world, struct edition *edition, struct cluster *cluster,
                      const struct conf_listener *conf)
{
    struct door *door = calloc(1, sizeof *door);
    if (door == NULL) {
        return NULL;
    }
    door->gate = (struct gate){.world = world,
                               .edition = edition_ref(edition),
                               .cluster = cluster,
                               .conf = conf,
                               .acceptor = acceptor_of(edition->shared, conf),
                               .node_port = node_port,
                               .newest = newest,
                               .on_gone = on_gone};
    if (!secure(door)) {
        door_free(&door);
    }
    return door;
}

void door_free(struct door **door)
{
    struct door *gone = *door;
    *door = NULL;
    if (gone == NULL) {
        return;
    }
    assert(gone->sessions == 0);
    SSL_CTX_free(gone->gate.tls);
    rules_free(&gone->gate.rules);
    edition_unref(&gone->gate.edition);
    free(gone);
}

void door_rotate(struct door *door, const struct shared *next)
{
    struct gate *gate = &door->gate;
    SSL_CTX *ctx = gate->tls != NULL ? context_of(gate->conf, next) : NULL;
    if (ctx != NULL) {
        SSL_CTX_free(gate->tls);
        gate->tls = ctx;
    }
}

struct listener *door_listener(const struct gate *gate)
{
    return ((const struct door *)gate)->listener;
}
