/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "tests/sim/sim.h"

enum { SOCKETS_MAX = 4096, BACKLOG = 256, SMALL_BYTES = 6000, PIECE_LARGE = 16384 };

/* A descriptor of Setu's. */
struct sock {
    struct end *end; /* NULL: not a stream (yet) */
    struct end *backlog[BACKLOG];
    size_t waiting;
    uint16_t port; /* bound to; 0 not */
    bool open, listening;
};

net_accept_fn net_on_connect;
bool (*net_on_resolve)(const char *host, uint32_t *address_r);

static struct sock *socks[SOCKETS_MAX]; /* by descriptor */
static size_t sock_count;
static uint32_t link_count;

void net_begin(void)
{
    memset(socks, 0, sizeof socks);
    sock_count = 0;
    link_count = 0;
}

void net_end(void)
{
    for (size_t i = 0; i < sock_count; i++) {
        if (socks[i]->open) {
            sim_violated("leftovers", "descriptor %zu is still open", i);
        }
    }
}

/* ---- pipes ---- */

/* How a direction of a link behaves, drawn once. */
static void pipe_init(struct pipe *pipe)
{
    static const size_t pieces[] = {65536, 65536, 65536, 1460, 1460, 200, 9};
    static const size_t windows[] = {262144, 65536, 65536, 16384, 4096, 600};
    bool slow = rng_chance(&sim.rng, 60);
    pipe->piece_max = pieces[rng_below(&sim.rng, sizeof pieces / sizeof pieces[0])];
    pipe->window = windows[rng_below(&sim.rng, sizeof windows / sizeof windows[0])];
    pipe->delay_min_ns = slow ? SIM_MS : 5 * SIM_US;
    pipe->delay_max_ns = slow ? 40 * SIM_MS : 400 * SIM_US;
    pipe->small_left = SMALL_BYTES;
    if (pipe->piece_max < 1000) {
        pipe->delay_max_ns = 20 * SIM_US; /* many small pieces are enough of a burden */
    }
}

static void pipe_append(struct pipe *pipe, const uint8_t *bytes, size_t length)
{
    if (pipe->start > 0 && pipe->start + pipe->length + length > pipe->capacity) {
        memmove(pipe->at, pipe->at + pipe->start, pipe->length);
        pipe->start = 0;
    }
    if (pipe->length + length > pipe->capacity) {
        size_t capacity = pipe->capacity == 0 ? 1024 : pipe->capacity;
        while (capacity < pipe->length + length) {
            capacity *= 2;
        }
        uint8_t *grown = sim_alloc(capacity);
        if (pipe->length > 0) {
            memcpy(grown, pipe->at + pipe->start, pipe->length);
        }
        pipe->at = grown;
        pipe->start = 0;
        pipe->capacity = capacity;
    }
    memcpy(pipe->at + pipe->start + pipe->length, bytes, length);
    pipe->length += length;
}

static void pipe_consume(struct pipe *pipe, size_t length)
{
    pipe->start += length;
    pipe->arrived -= length;
    pipe->length -= length;
    if (pipe->length == 0) {
        pipe->start = 0;
    }
}

static size_t pipe_room(const struct pipe *pipe)
{
    return pipe->length < pipe->window ? pipe->window - pipe->length : 0;
}

/* ---- telling actors ---- */

static void tell_now(void *context)
{
    struct end *end = context;
    end->told = false;
    if (end->on_change != NULL && !end->closed) {
        end->on_change(end);
    }
}

static void tell(struct end *end)
{
    if (end->on_change != NULL && !end->told && end->fd < 0) {
        end->told = true;
        sim_after(rng_between(&sim.rng, SIM_US, 50 * SIM_US), tell_now, end);
    }
}

/* ---- arrivals ---- */

static void arrive(void *context);

/* An end's out pipe has something to bring. */
static void move(struct end *sender)
{
    struct pipe *pipe = sender->out;
    if (pipe->moving || pipe->dead || sender->link->silent) {
        return;
    }
    pipe->moving = true;
    sim_after(rng_between(&sim.rng, pipe->delay_min_ns, pipe->delay_max_ns), arrive, sender);
}

static void reset_arrives(void *context)
{
    struct end *end = context;
    struct link *link = end->link;
    if (link->silent || end->reset) {
        return;
    }
    sim_note("reset arrives", link->number, end == &link->setu);
    end->in->length = end->in->arrived;
    end->in->dead = end->out->dead = true;
    end->reset = true;
    end->error = end->state == END_UP ? ECONNRESET : ECONNREFUSED;
    tell(end);
}

static void send_reset(struct end *from)
{
    from->in->dead = from->out->dead = true;
    sim_after(rng_between(&sim.rng, 5 * SIM_US, 300 * SIM_US), reset_arrives, from->peer);
}

static void arrive(void *context)
{
    struct end *sender = context, *reader = sender->peer;
    struct pipe *pipe = sender->out;
    size_t under_way = pipe->length - pipe->arrived;
    pipe->moving = false;
    if (pipe->dead || sender->link->silent) {
        return;
    }
    if (reader->closed) {
        if (under_way > 0) {
            pipe->length = pipe->arrived;
            send_reset(reader);
        }
        return;
    }
    if (under_way > 0) {
        size_t most = pipe->small_left > 0 ? pipe->piece_max : PIECE_LARGE;
        most = under_way < most ? under_way : most;
        size_t piece = rng_chance(&sim.rng, 700) ? most : rng_between(&sim.rng, 1, most);
        pipe->arrived += piece;
        pipe->small_left -= piece < pipe->small_left ? piece : pipe->small_left;
    }
    if (pipe->arrived < pipe->length) {
        move(sender);
    } else if (pipe->fin) {
        pipe->fin_arrived = true;
    }
    tell(reader);
}

/* ---- links ---- */

static struct link *link_new(bool to_broker)
{
    struct link *link = sim_alloc(sizeof *link);
    link->setu = (struct end){
        .link = link, .peer = &link->actor, .in = &link->to_setu, .out = &link->to_actor, .fd = -1};
    link->actor = (struct end){
        .link = link, .peer = &link->setu, .in = &link->to_actor, .out = &link->to_setu, .fd = -1};
    link->to_broker = to_broker;
    link->number = ++link_count;
    pipe_init(&link->to_actor);
    pipe_init(&link->to_setu);
    return link;
}

/* ---- for actors ---- */

size_t net_put(struct end *end, const uint8_t *bytes, size_t length)
{
    size_t room = pipe_room(end->out);
    size_t taken = length < room ? length : room;
    if (end->state != END_UP || end->closed || end->finished || end->out->dead) {
        return 0;
    }
    if (taken > 0) {
        pipe_append(end->out, bytes, taken);
        move(end);
    }
    return taken;
}

struct view net_arrived(const struct end *end)
{
    const struct pipe *in = end->in;
    return view_of(in->at != NULL ? in->at + in->start : NULL, in->arrived);
}

void net_take(struct end *end, size_t length)
{
    pipe_consume(end->in, length);
    tell(end->peer);
}

bool net_ended(const struct end *end)
{
    return end->in->arrived == 0 && (end->in->fin_arrived || end->reset);
}

void net_finish(struct end *end)
{
    if (!end->finished && !end->closed) {
        end->finished = true;
        end->out->fin = true;
        move(end);
    }
}

void net_reset(struct end *end)
{
    if (!end->closed && !end->reset) {
        end->out->length = end->out->arrived; /* what was under way is lost */
        send_reset(end);
    }
    end->closed = true;
}

void net_close(struct end *end)
{
    if (end->closed) {
        return;
    }
    if (end->in->arrived > 0 && !end->reset) {
        net_reset(end);
        return;
    }
    net_finish(end);
    end->closed = true;
}

void net_silence(struct end *end)
{
    sim_see(SEEN_LINK_HOLE);
    sim_note("black hole", end->link->number, 0);
    end->link->silent = true;
}

/* ---- descriptors ---- */

static struct sock *sock_of(int fd)
{
    size_t at = (size_t)(fd - NET_FD_FIRST);
    return fd >= NET_FD_FIRST && at < sock_count && socks[at]->open ? socks[at] : NULL;
}

bool net_is_ours(int fd)
{
    return fd >= NET_FD_FIRST;
}

struct end *net_end_of(int fd)
{
    struct sock *sock = sock_of(fd);
    return sock != NULL ? sock->end : NULL;
}

bool net_is_stream(int fd)
{
    return net_end_of(fd) != NULL;
}

size_t net_unread(int fd)
{
    const struct end *end = net_end_of(fd);
    return end != NULL ? end->in->arrived : 0;
}

size_t net_room(int fd)
{
    const struct end *end = net_end_of(fd);
    return end != NULL && end->state == END_UP ? pipe_room(end->out) : 0;
}

int net_socket(void)
{
    if (sock_count == SOCKETS_MAX || (sim.faults && !sim.ending && rng_chance(&sim.rng, 3))) {
        sim_see(SEEN_NO_DESCRIPTOR);
        errno = EMFILE;
        return -1;
    }
    socks[sock_count] = sim_alloc(sizeof(struct sock));
    socks[sock_count]->open = true;
    return NET_FD_FIRST + (int)sock_count++;
}

int net_bind(int fd, uint16_t port)
{
    struct sock *sock = sock_of(fd);
    for (size_t i = 0; i < sock_count; i++) {
        if (socks[i]->open && socks[i] != sock && socks[i]->port == port) {
            errno = EADDRINUSE;
            return -1;
        }
    }
    sock->port = port;
    return 0;
}

int net_listen(int fd)
{
    sock_of(fd)->listening = true;
    sim_note("listen", sock_of(fd)->port, 0);
    return 0;
}

static struct sock *listener_at(uint16_t port)
{
    for (size_t i = 0; i < sock_count; i++) {
        if (socks[i]->open && socks[i]->listening && socks[i]->port == port) {
            return socks[i];
        }
    }
    return NULL;
}

struct end *net_dial(uint16_t port, end_fn on_change, void *owner)
{
    struct sock *sock = listener_at(port);
    if (sock == NULL || sock->waiting == BACKLOG) {
        return NULL;
    }
    struct link *link = link_new(false);
    link->actor.state = link->setu.state = END_UP;
    link->actor.on_change = on_change;
    link->actor.owner = owner;
    sock->backlog[sock->waiting++] = &link->setu;
    sim_note("client dials", port, link->number);
    tell(&link->actor);
    return &link->actor;
}

int net_accept(int fd, struct sockaddr *peer, socklen_t *length)
{
    struct sock *sock = sock_of(fd);
    if (sock->waiting == 0) {
        errno = EAGAIN;
        return -1;
    }
    int accepted = net_socket();
    if (accepted < 0) {
        return -1;
    }
    struct end *end = sock->backlog[0];
    memmove(sock->backlog, sock->backlog + 1, --sock->waiting * sizeof sock->backlog[0]);
    sock_of(accepted)->end = end;
    end->fd = accepted;
    sim_note("Setu accepts", end->link->number, 0);
    if (peer != NULL) {
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)(30000 + end->link->number))};
        in.sin_addr.s_addr = htonl(0x0a010000u + end->link->number % 200);
        memcpy(peer, &in, sizeof in);
        *length = sizeof in;
    }
    return accepted;
}

struct connecting {
    struct end *end;
    struct sockaddr_storage address;
};

static void connect_ends(void *context)
{
    struct connecting *connecting = context;
    struct end *end = connecting->end;
    if (end->closed) {
        return;
    }
    switch (net_on_connect(end->peer, (const struct sockaddr *)&connecting->address)) {
    case NET_ACCEPTS:
        end->state = end->peer->state = END_UP;
        tell(end->peer);
        break;
    case NET_REFUSES:
        sim_see(SEEN_BROKER_REFUSES);
        end->state = END_FAILED;
        end->error = ECONNREFUSED;
        end->reset = true;
        break;
    case NET_SILENT:
        sim_see(SEEN_BROKER_HOLE);
        break;
    }
}

int net_connect(int fd, const struct sockaddr *address)
{
    struct connecting *connecting = sim_alloc(sizeof *connecting);
    struct link *link = link_new(true);
    connecting->end = &link->setu;
    memcpy(&connecting->address, address, sizeof(struct sockaddr_in));
    sock_of(fd)->end = &link->setu;
    link->setu.fd = fd;
    sim_note("Setu connects", link->number, ntohs(((const struct sockaddr_in *)address)->sin_port));
    sim_after(rng_between(&sim.rng, 10 * SIM_US, 2 * SIM_MS), connect_ends, connecting);
    errno = EINPROGRESS;
    return -1;
}

int net_ready(int fd)
{
    const struct sock *sock = sock_of(fd);
    if (sock == NULL) {
        sim_violated("loop", "a closed descriptor is polled");
    }
    const struct end *end = sock->end;
    if (end == NULL) {
        return sock->waiting > 0 ? UV_READABLE : 0;
    }
    if (end->state == END_CONNECTING) {
        return 0;
    }
    bool readable = end->in->arrived > 0 || end->in->fin_arrived || end->reset;
    bool writable = pipe_room(end->out) > 0 || end->reset;
    return (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0) |
           (end->error != 0 ? UV_DISCONNECT : 0);
}

int net_take_error(int fd)
{
    struct end *end = net_end_of(fd);
    int error = end != NULL ? end->error : 0;
    if (end != NULL) {
        end->error = 0;
    }
    return error;
}

ssize_t net_send(int fd, const uint8_t *bytes, size_t length)
{
    struct end *end = net_end_of(fd);
    int error = net_take_error(fd);
    if (error != 0 || end->reset || end->finished) {
        errno = error != 0 ? error : EPIPE;
        return -1;
    }
    size_t room = pipe_room(end->out);
    if (room == 0) {
        sim_see(SEEN_FULL_WRITE);
        errno = EAGAIN;
        return -1;
    }
    size_t taken = length < room ? length : room;
    if (taken < length) {
        sim_see(SEEN_PARTIAL_WRITE);
    }
    if (!end->out->dead) {
        pipe_append(end->out, bytes, taken);
        move(end);
    }
    sim_note(end->link->to_broker ? "Setu to broker" : "Setu to client", end->link->number, taken);
    return (ssize_t)taken;
}

ssize_t net_recv(int fd, uint8_t *into, size_t capacity)
{
    struct end *end = net_end_of(fd);
    size_t taken = end->in->arrived < capacity ? end->in->arrived : capacity;
    if (taken > 0) {
        memcpy(into, end->in->at + end->in->start, taken);
        pipe_consume(end->in, taken);
        sim_note(end->link->to_broker ? "Setu from broker" : "Setu from client", end->link->number,
                 taken);
        tell(end->peer);
        return (ssize_t)taken;
    }
    int error = net_take_error(fd);
    if (error != 0) {
        errno = error;
        return -1;
    }
    if (end->in->fin_arrived || end->reset) {
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

int net_shutdown(int fd)
{
    struct end *end = net_end_of(fd);
    if (end->reset || end->state != END_UP) {
        errno = ENOTCONN;
        return -1;
    }
    sim_note("Setu ends its side", end->link->number, 0);
    net_finish(end);
    return 0;
}

int net_close_fd(int fd)
{
    struct sock *sock = sock_of(fd);
    if (sock == NULL) {
        sim_violated("loop", "a descriptor is closed twice");
    }
    sock->open = sock->listening = false;
    for (size_t i = 0; i < sock->waiting; i++) {
        net_reset(sock->backlog[i]);
    }
    if (sock->end != NULL) {
        sim_note("Setu closes", sock->end->link->number, sock->end->in->length);
        if (sock->end->state == END_UP) {
            net_close(sock->end);
        }
        sock->end->closed = true;
    }
    return 0;
}

/* ---- names ---- */

int net_resolve(const char *host, const char *service, struct addrinfo **list_r)
{
    uint32_t address;
    if (!net_on_resolve(host, &address)) {
        sim_see(SEEN_NO_NAME);
        return UV_EAI_NONAME;
    }
    struct addrinfo *found = calloc(1, sizeof *found);
    struct sockaddr_in *in = calloc(1, sizeof *in);
    if (found == NULL || in == NULL) {
        abort();
    }
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
    in->sin_addr.s_addr = htonl(address);
    found->ai_family = AF_INET;
    found->ai_addrlen = sizeof *in;
    found->ai_addr = (struct sockaddr *)in;
    *list_r = found;
    return 0;
}

void net_free_addresses(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *gone = list;
        list = gone->ai_next;
        free(gone->ai_addr);
        free(gone);
    }
}
