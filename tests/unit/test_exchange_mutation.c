/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our client against our server with a man in the middle who changes one byte of one message. If it
 * is one of the first three, the server must not let the client in; if it is the server's last, the
 * client must not believe the server.
 */
#include <criterion/criterion.h>

#include "auth/exchange.h"
#include "tests/unit/login_kit.h"

static struct credentials *users;

static void setup(void)
{
    users = kit_users();
}

static void teardown(void)
{
    credentials_unref(&users);
}

TestSuite(exchange_mutation, .init = setup, .fini = teardown, .timeout = 300);

struct mutation {
    int message; /* 0.. in the order they travel; -1: none */
    size_t at;
    uint8_t mask;
};

struct outcome {
    bool client_done, server_done;
    size_t lengths[4];
};

/* Keys of alice, so that the client does PBKDF2 only when the man in the middle made it to. */
static struct scram_keys kept;

static struct outcome run(const char *mechanism, const struct mutation *mutation)
{
    static struct kit_end client, server;
    struct outcome outcome = {0};
    uint8_t message[EXCHANGE_REPLY_BYTES_MAX];
    kit_client(&client, mechanism, "alice", "wonderland");
    kit_server(&server, mechanism, users);
    if (kept.iterations > 0) {
        exchange_offer_keys(client.ex, &kept);
    }
    enum exchange_status mine = kit_step(&client, view_of(NULL, 0)), theirs = EXCHANGE_CONTINUE;
    for (int i = 0; i < 4; i++) {
        struct kit_end *from = i % 2 == 0 ? &client : &server;
        struct view said = kit_said(from);
        outcome.lengths[i] = said.length;
        memcpy(message, said.at, said.length);
        if (mutation->message == i) {
            message[mutation->at] ^= mutation->mask;
        }
        enum exchange_status *status = i % 2 == 0 ? &theirs : &mine;
        *status = kit_step(i % 2 == 0 ? &server : &client, view_of(message, said.length));
        if (*status == EXCHANGE_DENIED || *status == EXCHANGE_ERROR ||
            (mine == EXCHANGE_DONE && theirs == EXCHANGE_DONE)) {
            break;
        }
    }
    if (mutation->message < 0 && mine == EXCHANGE_DONE && strcmp(mechanism, "PLAIN") != 0) {
        cr_assert(exchange_take_keys(client.ex, &kept));
    }
    outcome.client_done = mine == EXCHANGE_DONE;
    outcome.server_done = theirs == EXCHANGE_DONE;
    kit_free(&client);
    kit_free(&server);
    return outcome;
}

static void every_mutation_fails(const char *mechanism, int messages, const uint8_t *masks,
                                 size_t masks_count)
{
    struct mutation none = {.message = -1};
    struct outcome good = run(mechanism, &none);
    cr_assert(good.client_done && good.server_done);
    size_t runs = 0;
    for (int message = 0; message < messages; message++) {
        cr_assert_gt(good.lengths[message], 0);
        for (size_t at = 0; at < good.lengths[message]; at++) {
            for (size_t i = 0; i < masks_count; i++) {
                struct mutation mutation = {message, at, masks[i]};
                struct outcome bad = run(mechanism, &mutation);
                cr_assert_not(message == 3 ? bad.client_done : bad.server_done,
                              "%s: message %d, byte %zu, xor %02x", mechanism, message, at,
                              masks[i]);
                runs++;
            }
        }
    }
    cr_log_info("%s: %zu mutations", mechanism, runs);
}

static const uint8_t every_bit[] = {1, 2, 4, 8, 16, 32, 64, 128, 0x11, 0xff};

Test(exchange_mutation, no_changed_byte_of_scram_sha_256_succeeds)
{
    every_mutation_fails("SCRAM-SHA-256", 4, every_bit, sizeof every_bit);
}

Test(exchange_mutation, no_changed_byte_of_scram_sha_512_succeeds)
{
    every_mutation_fails("SCRAM-SHA-512", 4, every_bit, sizeof every_bit);
}

Test(exchange_mutation, no_changed_byte_of_plain_succeeds)
{
    every_mutation_fails("PLAIN", 1, every_bit, sizeof every_bit);
}

/* All 255 other values of every byte of what a client says to prove itself. */
Test(exchange_mutation, no_other_value_of_any_byte_of_client_final_succeeds)
{
    struct mutation none = {.message = -1};
    struct outcome good = run("SCRAM-SHA-256", &none);
    for (size_t at = 0; at < good.lengths[2]; at++) {
        for (unsigned mask = 1; mask < 256; mask++) {
            struct mutation mutation = {2, at, (uint8_t)mask};
            cr_assert_not(run("SCRAM-SHA-256", &mutation).server_done, "byte %zu, xor %02x", at,
                          mask);
        }
    }
}
