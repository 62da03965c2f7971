/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net: the network of a run, in memory.
 *
 *   actor ── end ══ link: two pipes ══ end ── descriptor ── Setu (send, recv, … of fake_os)
 *
 *   pipe   |== arrived: can be read ==|-- under way --|.. room: the window ..|
 *
 * Bytes arrive later than they were sent, in pieces of any size; a pipe takes no more than its window. A side may end
 * (FIN), reset (RST: what was under way is lost, what has arrived can still be read) or fall silent for good. As on
 * Linux, to close on unread bytes resets, and to send to a side that has closed is answered by a reset.
 *
 * Actors are told of changes from events only, never from inside a call of Setu's.
 */
#pragma once

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "protocol/bytes.h"

enum { NET_FD_FIRST = 1 << 20 };

struct end;
struct link;
typedef void (*end_fn)(struct end *end);

struct pipe {
    uint8_t *at; /* bytes[start … start + length), of them `arrived` can be read */
    size_t start, arrived, length, capacity;
    size_t window;
    uint64_t delay_min_ns, delay_max_ns;
    size_t piece_max;  /* most bytes that arrive at once… */
    size_t small_left; /* …for so many bytes, then more: small pieces of much would take long */
    bool fin, fin_arrived;
    bool moving; /* an arrival is under way */
    bool dead;   /* a reset ended it: takes and brings nothing more */
};

enum end_state { END_CONNECTING, END_UP, END_FAILED };

struct end {
    struct link *link;
    struct end *peer;
    struct pipe *in, *out;
    enum end_state state;
    int fd;    /* Setu's end: its descriptor; -1: an actor's, or not accepted yet */
    int error; /* SO_ERROR; 0 none */
    bool reset, closed, finished;
    bool told;        /* an on_change is under way */
    end_fn on_change; /* an actor's */
    void *owner;      /* an actor's */
};

struct link {
    struct end setu, actor;
    struct pipe to_actor, to_setu;
    bool silent; /* a black hole */
    bool to_broker;
    uint32_t number;
};

void net_begin(void);
/** Setu is to have closed all it had: "leftovers" is violated otherwise. */
void net_end(void);

/* ---- for actors ---- */

/** A client dials a port of Setu's. NULL: nobody listens. The link is up when on_change is called. */
struct end *net_dial(uint16_t port, end_fn on_change, void *owner);

/** Who takes Setu's connects; asked at the time of the connect's arrival. on_accept sets on_change and owner. */
enum net_answer { NET_ACCEPTS, NET_REFUSES, NET_SILENT };
typedef enum net_answer (*net_accept_fn)(struct end *end, const struct sockaddr *address);
extern net_accept_fn net_on_connect;
/** host → an IPv4 address; false: unknown now. */
extern bool (*net_on_resolve)(const char *host, uint32_t *address_r);

/** Takes up to length bytes; returns how many. */
size_t net_put(struct end *end, const uint8_t *bytes, size_t length);
/** What has arrived; valid until the next call. */
struct view net_arrived(const struct end *end);
void net_take(struct end *end, size_t length);
/** The other side has said its end, and everything before it was taken. */
bool net_ended(const struct end *end);
void net_finish(struct end *end); /* ends its own side */
void net_reset(struct end *end);
void net_close(struct end *end);
/** From now on nothing arrives on either side. */
void net_silence(struct end *end);

/* ---- for fake_os and fake_uv ---- */

bool net_is_ours(int fd);
bool net_is_stream(int fd);
/** UV_READABLE | UV_WRITABLE; UV_DISCONNECT: an error waits. */
int net_ready(int fd);
/** Bytes that the descriptor could read; 0 for any other descriptor. */
size_t net_unread(int fd);
/** Bytes that the descriptor would take now. */
size_t net_room(int fd);

int net_socket(void);
int net_bind(int fd, uint16_t port);
int net_listen(int fd);
int net_accept(int fd, struct sockaddr *peer, socklen_t *length);
int net_connect(int fd, const struct sockaddr *address);
ssize_t net_send(int fd, const uint8_t *bytes, size_t length);
ssize_t net_recv(int fd, uint8_t *into, size_t capacity);
int net_shutdown(int fd);
int net_close_fd(int fd);
int net_take_error(int fd);
struct end *net_end_of(int fd);

int net_resolve(const char *host, const char *service, struct addrinfo **list_r);
void net_free_addresses(struct addrinfo *list);
