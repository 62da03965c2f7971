/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/broker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/exchange.h"
#include "protocol/api.h"
#include "tests/sim/book.h"
#include "tests/sim/broker_private.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

enum { PORT = 9092, NETWORK = 0x0a090000, CONNS_MAX = 8192 };

static struct node nodes[BROKER_NODES_MAX];
static int32_t node_count;
static struct conn *conns[CONNS_MAX];
static size_t conn_count;
static const struct credentials *all_users;

void broker_begin(int32_t count, int32_t sasl, const struct credentials *users)
{
    node_count = count;
    conn_count = 0;
    all_users = users;
    for (int32_t i = 0; i < count; i++) {
        nodes[i] = (struct node){.id = i + 1, .sasl = i < sasl, .answer = NET_ACCEPTS};
        nodes[i].versions_max = rng_chance(&sim.rng, 300) ? 2 : 4;
        nodes[i].session_ms =
            rng_chance(&sim.rng, 500) ? (int64_t)rng_between(&sim.rng, 1500, 9000) : 0;
        snprintf(nodes[i].host, sizeof nodes[i].host, "b%d.real.invalid", i + 1);
    }
}

void broker_end(void)
{
    for (size_t i = 0; i < conn_count; i++) {
        exchange_free(&conns[i]->exchange);
    }
    conn_count = 0;
}

/* ---- who is where ---- */

static struct node *node_at(const struct sockaddr *address)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *)address;
    int32_t place = (int32_t)(ntohl(in->sin_addr.s_addr) - NETWORK);
    bool known = place >= 1 && place <= node_count && ntohs(in->sin_port) == PORT;
    return known ? &nodes[place - 1] : NULL;
}

bool broker_resolve(const char *host, uint32_t *address_r)
{
    if (sim.faults && !sim.ending && rng_chance(&sim.rng, 20)) {
        return false;
    }
    for (int32_t i = 0; i < node_count; i++) {
        if (strcmp(host, nodes[i].host) == 0) {
            *address_r = NETWORK + (uint32_t)i + 1;
            return true;
        }
    }
    return false;
}

struct wire_address broker_real_address(void *context, int32_t node_id)
{
    (void)context;
    const char *host = "b99.real.invalid";
    for (int32_t i = 0; i < node_count; i++) {
        host = nodes[i].id == node_id ? nodes[i].host : host;
    }
    return (struct wire_address){view_from_string(host), PORT};
}

struct wire_nodes broker_nodes(const struct conn *conn, bool real)
{
    static int32_t ids[BROKER_NODES_MAX];
    for (int32_t i = 0; i < node_count; i++) {
        ids[i] = 1 + (conn->node->id - 1 + i) % node_count;
    }
    return (struct wire_nodes){ids, node_count, real ? broker_real_address : stage_shown_address,
                               NULL};
}

const struct credentials *broker_users(void)
{
    return all_users;
}

/* ---- connections ---- */

void broker_leave(struct conn *conn, bool reset)
{
    if (conn->gone) {
        return;
    }
    conn->gone = true;
    if (reset) {
        net_reset(conn->end);
    } else {
        net_close(conn->end);
    }
}

void broker_flush(struct conn *conn)
{
    struct view out = queue_view(&conn->out);
    if (!conn->gone) {
        queue_drop(&conn->out, net_put(conn->end, out.at, out.length));
    }
    if (conn->out.length == 0 && conn->leaves) {
        broker_leave(conn, false);
    }
}

/* What is left is at most the beginning of the next request. */
static void check_rest(const struct conn *conn)
{
    if (conn->book != NULL && conn->relaying) {
        book_reached_part(conn->book, queue_view(&conn->in));
    }
}

static void on_change(struct end *end)
{
    struct conn *conn = end->owner;
    if (conn->gone || conn->stalled) {
        return;
    }
    struct view arrived = net_arrived(end);
    if (arrived.length > 0) {
        queue_put(&conn->in, arrived);
        net_take(end, arrived.length);
    }
    broker_flush(conn);
    broker_serve(conn);
    if (!conn->gone && !conn->busy && net_ended(end)) {
        check_rest(conn);
        broker_leave(conn, false);
    }
}

enum net_answer broker_accept(struct end *end, const struct sockaddr *address)
{
    struct node *node = node_at(address);
    if (node == NULL || node->answer != NET_ACCEPTS) {
        return node == NULL ? NET_REFUSES : node->answer;
    }
    struct conn *conn = sim_alloc(sizeof *conn);
    if (conn_count == CONNS_MAX) {
        abort();
    }
    conns[conn_count++] = conn;
    conn->node = node;
    conn->end = end;
    conn->open = !node->sasl;
    conn->sasl = node->sasl;
    end->owner = conn;
    end->on_change = on_change;
    return NET_ACCEPTS;
}

/* ---- what happens to nodes ---- */

static void cut_all(const struct node *node)
{
    for (size_t i = 0; i < conn_count; i++) {
        if (conns[i]->node == node && !conns[i]->gone) {
            broker_leave(conns[i], rng_chance(&sim.rng, 700));
        }
    }
}

static void silence_all(const struct node *node)
{
    for (size_t i = 0; i < conn_count; i++) {
        if (conns[i]->node == node && !conns[i]->gone) {
            net_silence(conns[i]->end);
        }
    }
}

static void swap_ids(struct node *node)
{
    struct node *other = &nodes[rng_below(&sim.rng, (uint64_t)node_count)];
    int32_t id = node->id;
    sim_see(SEEN_BROKER_SWAP);
    node->id = other->id;
    other->id = id;
    cut_all(node);
    cut_all(other);
}

static void change_release(struct node *node)
{
    sim_see(SEEN_BROKER_OLDER);
    node->older = !node->older;
    cut_all(node);
}

void broker_event(bool flips)
{
    struct node *node = &nodes[rng_below(&sim.rng, (uint64_t)node_count)];
    uint64_t kind = rng_below(&sim.rng, flips ? 8 : 6);
    sim_note("broker event", (uint64_t)node->id, kind);
    switch (kind) {
    case 0:
        node->answer = NET_REFUSES;
        cut_all(node);
        break;
    case 1:
        node->answer = NET_SILENT;
        silence_all(node);
        break;
    case 2:
        cut_all(node); /* a restart too quick to be seen otherwise */
        break;
    case 3:
        node->answer = NET_ACCEPTS;
        break;
    case 4:
        swap_ids(node);
        break;
    case 5:
        change_release(node);
        break;
    default:
        sim_see(SEEN_BROKER_FLIP);
        node->sasl = !node->sasl;
        node->answer = NET_ACCEPTS;
        cut_all(node);
        break;
    }
}

void broker_heal(void)
{
    for (int32_t i = 0; i < node_count; i++) {
        nodes[i].answer = NET_ACCEPTS;
    }
}

/* ---- for planted faults ---- */

bool broker_relays(const struct end *end)
{
    const struct conn *conn = end->owner;
    return conn != NULL && !conn->gone && conn->relaying;
}

struct end *broker_other(const struct end *end)
{
    for (size_t i = 0; i < conn_count; i++) {
        if (conns[i]->end != end && !conns[i]->end->peer->closed && broker_relays(conns[i]->end)) {
            return conns[i]->end;
        }
    }
    return NULL;
}

void broker_invent(struct book *book)
{
    struct writer w;
    writer_init_growing(&w, WIRE_FRAME_MAX);
    wire_metadata(&w, 1, 1, book_client_id(book));
    book_reached(book, NULL, writer_view(&w));
    writer_free(&w);
}
