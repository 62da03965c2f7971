/* SPDX-License-Identifier: Apache-2.0 */
/* mutate: faults of Setu's that it does not have, put into what it sends. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/book.h"
#include "tests/sim/broker.h"
#include "tests/sim/client.h"
#include "tests/sim/fake_os.h"
#include "tests/sim/net.h"
#include "tests/sim/sim.h"

/* Changes one byte of what is taken. */
static ssize_t send_altered(int fd, const uint8_t *bytes, size_t length)
{
    uint8_t *altered = sim_alloc(length);
    memcpy(altered, bytes, length);
    altered[rng_below(&sim.rng, length)] ^= 0x20;
    return net_send(fd, altered, length);
}

static ssize_t to_client(int fd, const uint8_t *bytes, size_t length)
{
    static const char shown[] = "setu.sim.invalid", real[] = "bb1.real.invalid";
    const uint8_t *name = memmem(bytes, length, shown, sizeof shown - 1);
    if (sim_mutates(MUTATION_DROP_RESPONSE, 100)) {
        return (ssize_t)length;
    }
    if (sim_mutates(MUTATION_ALTER_RESPONSE, 100)) {
        return send_altered(fd, bytes, length);
    }
    if (name != NULL && sim_mutates(MUTATION_SHOW_ADDRESS, 300)) {
        uint8_t *altered = sim_alloc(length);
        memcpy(altered, bytes, length);
        memcpy(altered + (name - bytes), real, sizeof real - 1);
        return net_send(fd, altered, length);
    }
    return net_send(fd, bytes, length);
}

static ssize_t to_broker(int fd, const uint8_t *bytes, size_t length)
{
    struct end *end = net_end_of(fd);
    if (sim_mutates(MUTATION_ALTER_REQUEST, 100)) {
        return send_altered(fd, bytes, length);
    }
    if (sim_mutates(MUTATION_LOSE_REQUEST, 100)) {
        return (ssize_t)length;
    }
    if (sim_mutates(MUTATION_REPEAT_REQUEST, 100)) {
        ssize_t sent = net_send(fd, bytes, length);
        if (sent > 0) {
            (void)net_send(fd, bytes, (size_t)sent);
        }
        return sent;
    }
    struct end *other = broker_other(end->peer);
    if (other != NULL && sim_mutates(MUTATION_CROSS_REQUESTS, 100)) {
        return net_send(other->peer->fd, bytes, length);
    }
    return net_send(fd, bytes, length);
}

ssize_t fake_os_mutate(int fd, const void *bytes, size_t length)
{
    struct end *end = net_end_of(fd);
    if (sim_mutation == MUTATION_NONE || sim_has_mutated() || end->peer->owner == NULL) {
        return net_send(fd, bytes, length);
    }
    if (end->link->to_broker) {
        return broker_relays(end->peer) ? to_broker(fd, bytes, length)
                                        : net_send(fd, bytes, length);
    }
    struct book *book = client_book(end->peer);
    if (book != NULL && !book->proven && sim_mutates(MUTATION_EARLY_REQUEST, 100)) {
        broker_invent(book);
    }
    return client_talks(end->peer) ? to_client(fd, bytes, length) : net_send(fd, bytes, length);
}
