/* SPDX-License-Identifier: Apache-2.0 */
/* The cache against servers that really resume: OpenSSL's own, joined to the client in memory. */
#include "auth/tls_sessions.h"

#include "auth/certificates.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "tests/unit/pki_kit.h"

#include <criterion/criterion.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct pki_cert root, broker, alice, bob;
static struct config *config;
static struct certificates *certs;
static struct tls_sessions *cache;

static int64_t now(void)
{
    return (int64_t)time(NULL);
}

static const char config_text[] =
    "certificates: [{name: alice, chain: %s, key: %s}, {name: bob, chain: %s, key: %s}]\n"
    "mapping: [{principal: alice, certificate: alice}, {principal: bob, certificate: bob}]\n"
    "clusters:\n"
    "  - name: main\n"
    "    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: bob}\n"
    "    generations:\n"
    "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
    "listeners:\n"
    "  - {name: l, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512]}\n"
    "users: {file: /u.yaml}\n"
    "audit: {file: /a.log}\n";

static void load_identities(void)
{
    char text[2048];
    struct conf_errors errors;
    snprintf(text, sizeof(text), config_text, pki_path("alice.pem"), pki_path("alice.key"),
             pki_path("bob.pem"), pki_path("bob.key"));
    conf_errors_init(&errors);
    config_unref(&config);
    certificates_unref(&certs);
    config = config_parse(text, strlen(text), "setu.yaml", &errors);
    cr_assert_not_null(config);
    certs = certificates_load(config, now(), &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(certs);
    conf_errors_deinit(&errors);
}

static struct pki_cert make_client(const char *name, int64_t to_s)
{
    const struct pki_options options = {.common_name = name, .to_s = to_s};
    struct pki_cert made = pki_make(&options, &root);
    char file[64];
    snprintf(file, sizeof(file), "%s.pem", name);
    pki_write_cert(file, made.cert);
    snprintf(file, sizeof(file), "%s.key", name);
    remove(pki_path(file));
    pki_write_key(file, 0400, made.key, NULL);
    return made;
}

static void make_broker(int64_t to_s)
{
    const struct pki_options options = {
        .common_name = "broker", .to_s = to_s, .alt_name = "DNS:a.example.com,DNS:b.example.com"};
    pki_free(&broker);
    broker = pki_make(&options, &root);
}

static void prepare(void)
{
    pki_open();
    const struct pki_options authority = {
        .common_name = "Root", .authority = true, .usage = "keyCertSign,cRLSign"};
    root = pki_make(&authority, NULL);
    pki_write_cert("ca.pem", root.cert);
    make_broker(0);
    alice = make_client("alice", 0);
    bob = make_client("bob", 0);
    load_identities();
    cache = tls_sessions_new(&tls_sessions_limits_default);
}

static void tidy(void)
{
    tls_sessions_free(&cache);
    certificates_unref(&certs);
    config_unref(&config);
    pki_free(&root);
    pki_free(&broker);
    pki_free(&alice);
    pki_free(&bob);
    pki_close();
}

TestSuite(tls_sessions, .init = prepare, .fini = tidy);

/* Servers ----------------------------------------------------------------------------------- */

enum kind { TLS_1_3, TLS_1_2_TICKET, TLS_1_2_ID, KINDS };

static SSL_CTX *server_new(enum kind kind)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_max_proto_version(ctx, kind == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (kind == TLS_1_2_ID) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    }
    SSL_CTX_set_num_tickets(ctx, 1);
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"broker", 6);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    cr_assert_eq(SSL_CTX_load_verify_locations(ctx, pki_path("ca.pem"), NULL), 1);
    cr_assert_eq(SSL_CTX_use_cert_and_key(ctx, broker.cert, broker.key, NULL, 1), 1);
    return ctx;
}

/* Clients ----------------------------------------------------------------------------------- */

struct user {
    const char *name;
    SSL_CTX *ctx;
    struct tls_facts facts;
};

static struct user user_with(const char *name, const struct conf_tls *tls)
{
    struct conf_errors errors;
    struct user user = {.name = name};
    conf_errors_init(&errors);
    user.ctx = tls_client_ctx_new(certs, name, tls, &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(user.ctx);
    conf_errors_deinit(&errors);
    cr_assert(tls_facts_of(user.ctx, &user.facts));
    tls_sessions_enable(user.ctx);
    return user;
}

static struct user user_new(const char *name)
{
    const struct conf_tls tls = {.ca = pki_path("ca.pem"), .crl = ""};
    return user_with(name, &tls);
}

static struct tls_origin origin_of(const struct user *user)
{
    return (struct tls_origin){.cluster = "main",
                               .generation = "g",
                               .host = "a.example.com",
                               .node_id = 1,
                               .port = 9093,
                               .identity = user->name,
                               .facts = &user->facts};
}

/* One connection ---------------------------------------------------------------------------- */

struct seen {
    bool good, offered, resumed;
    char as[32]; /* the common name the server takes the client for */
};

static struct seen talk(SSL *client, SSL *server)
{
    struct seen seen = {0};
    char byte;
    for (int i = 0; i < 40; i++) {
        ERR_clear_error();
        (void)SSL_do_handshake(client);
        ERR_clear_error();
        (void)SSL_do_handshake(server);
    }
    if (SSL_is_init_finished(server)) {
        (void)SSL_write(server, "x", 1);
    }
    for (int i = 0; i < 40 && SSL_read(client, &byte, 1) != 1; i++) {
    }
    ERR_clear_error();
    seen.good = SSL_is_init_finished(client) && SSL_is_init_finished(server);
    X509 *peer = SSL_get0_peer_certificate(server);
    if (peer != NULL) {
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, seen.as,
                                  sizeof(seen.as));
    }
    return seen;
}

static struct seen visit_at(const struct tls_origin *origin, SSL_CTX *client_ctx,
                            SSL_CTX *server_ctx, int64_t now_s)
{
    BIO *left = NULL, *right = NULL;
    SSL *client = SSL_new(client_ctx), *server = SSL_new(server_ctx);
    cr_assert_eq(BIO_new_bio_pair(&left, 1 << 20, &right, 1 << 20), 1);
    SSL_set_bio(client, left, left);
    SSL_set_bio(server, right, right);
    SSL_set_connect_state(client);
    SSL_set_accept_state(server);
    cr_assert(tls_expect_host(client, origin->host));
    const bool offered = tls_sessions_offer(cache, client, origin, now_s);
    struct seen seen = talk(client, server);
    seen.offered = offered;
    if (seen.good) {
        seen.resumed = tls_sessions_settle(client);
        cr_assert_eq(seen.resumed, SSL_session_reused(server) == 1);
        cr_assert_eq(SSL_get0_peer_certificate(client) == NULL, seen.resumed);
    } else {
        tls_sessions_forget(client);
    }
    /* Or OpenSSL's server takes the end for a fault, and forgets a session it keeps by its id. */
    SSL_set_shutdown(server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(client);
    SSL_free(server);
    return seen;
}

static struct seen visit(const struct user *user, SSL_CTX *server)
{
    const struct tls_origin origin = origin_of(user);
    return visit_at(&origin, user->ctx, server, now());
}

/* Would a session be offered? Takes it, if so, and does not connect. */
static bool found(const struct tls_origin *origin, SSL_CTX *ctx, int64_t now_s)
{
    SSL *ssl = SSL_new(ctx);
    const bool offered = tls_sessions_offer(cache, ssl, origin, now_s);
    SSL_free(ssl);
    return offered;
}

/* Identities -------------------------------------------------------------------------------- */

/* T44 */
Test(tls_sessions, t44_each_is_seen_as_himself)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user users[] = {user_new("alice"), user_new("bob")};
        unsigned resumed = 0;
        for (int i = 0; i < 100; i++) {
            const struct user *user = &users[i * 7 % 5 % 2];
            const struct seen seen = visit(user, server);
            cr_assert(seen.good);
            cr_assert_str_eq(seen.as, user->name, "kind %d, connection %d", kind, i);
            resumed += seen.resumed;
        }
        cr_assert_eq(resumed, 98, "kind %d: all but the first of each, not %u", kind, resumed);
        for (size_t i = 0; i < 2; i++) {
            SSL_CTX_free(users[i].ctx);
        }
        SSL_CTX_free(server);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

/* The attack works where nothing keeps them apart: or the test above would show nothing. */
Test(tls_sessions, t44_a_session_of_another_would_be_taken_for_him)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user first = user_new("alice"), second = user_new("bob");
        const struct tls_origin origin = origin_of(&first);
        cr_assert_str_eq(visit(&first, server).as, "alice");
        const struct seen seen = visit_at(&origin, second.ctx, server, now());
        cr_assert(seen.resumed);
        cr_assert_str_eq(seen.as, "alice");
        SSL_CTX_free(first.ctx);
        SSL_CTX_free(second.ctx);
        SSL_CTX_free(server);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

/* T46 */
Test(tls_sessions, t46_a_rotated_certificate_is_shown_at_once)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user before = user_new("alice");
        cr_assert_not(visit(&before, server).resumed);
        cr_assert(visit(&before, server).resumed);
        pki_free(&alice);
        alice = make_client("alice", 0);
        load_identities();
        struct user after = user_new("alice");
        cr_assert_neq(memcmp(before.facts.shown, after.facts.shown, TLS_ORIGIN_KEY_BYTES), 0);
        cr_assert_eq(memcmp(before.facts.trusted, after.facts.trusted, TLS_ORIGIN_KEY_BYTES), 0);
        cr_assert_not(visit(&after, server).offered);
        cr_assert(visit(&after, server).resumed);
        SSL_CTX_free(before.ctx);
        SSL_CTX_free(after.ctx);
        SSL_CTX_free(server);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

Test(tls_sessions, an_origin_that_differs_anywhere_finds_nothing)
{
    SSL_CTX *server = server_new(TLS_1_2_TICKET);
    struct user user = user_new("alice");
    struct tls_facts shown = user.facts, trusted = user.facts;
    shown.shown[31] ^= 1;
    trusted.trusted[0] ^= 1;
    cr_assert(visit(&user, server).good);
    const struct tls_origin same = origin_of(&user);
    struct tls_origin other[12];
    for (size_t i = 0; i < 12; i++) {
        other[i] = same;
    }
    other[0].cluster = "mai";
    other[1].generation = "g2";
    other[2].host = "b.example.com";
    other[3].node_id = 2;
    other[4].port = 9094;
    other[5].identity = "bob";
    other[6].identity = NULL;
    other[7].identity = "";
    other[8].facts = &shown;
    other[9].facts = &trusted;
    other[10].cluster = "maing"; /* the same letters, parted elsewhere */
    other[10].generation = "";
    other[11].flips = 2; /* it was another in between */
    for (size_t i = 0; i < 12; i++) {
        cr_assert_not(found(&other[i], user.ctx, now()), "origin %zu", i);
    }
    cr_assert(found(&same, user.ctx, now()));
    SSL_CTX_free(user.ctx);
    SSL_CTX_free(server);
}

Test(tls_sessions, trust_that_differs_anywhere_is_another)
{
    struct pki_cert other_root = pki_make(
        &(struct pki_options){.common_name = "Root", .authority = true}, NULL);
    pki_write_cert("other.pem", other_root.cert);
    pki_write_certs("both.pem", 0644, (X509 *const[]){root.cert, other_root.cert, NULL});
    static const int64_t ends[] = {7200, 7200, 9000};
    static const char *const lists[] = {"list-0.pem", "list-1.pem", "list-2.pem"};
    for (size_t i = 0; i < 3; i++) {
        X509_CRL *list = pki_crl(&root, i == 0 ? NULL : bob.cert, now() + ends[i]);
        pki_write_crl(lists[i], list);
        X509_CRL_free(list);
    }
    static const struct {
        const char *ca, *crl;
        enum conf_tls_version min_version;
    } trusts[] = {
        {"ca.pem", NULL, CONF_TLS_1_2},         {"other.pem", NULL, CONF_TLS_1_2},
        {"both.pem", NULL, CONF_TLS_1_2},       {"ca.pem", NULL, CONF_TLS_1_3},
        {"ca.pem", "list-0.pem", CONF_TLS_1_2}, {"ca.pem", "list-1.pem", CONF_TLS_1_2},
        {"ca.pem", "list-2.pem", CONF_TLS_1_2},
    };
    enum { TRUSTS = sizeof(trusts) / sizeof(trusts[0]) };
    struct user users[TRUSTS];
    for (size_t i = 0; i < TRUSTS; i++) {
        const struct conf_tls tls = {.ca = pki_path(trusts[i].ca),
                                     .crl = trusts[i].crl == NULL ? "" : pki_path(trusts[i].crl),
                                     .min_version = trusts[i].min_version};
        users[i] = user_with("alice", &tls);
        cr_assert_eq(memcmp(users[i].facts.shown, users[0].facts.shown, TLS_ORIGIN_KEY_BYTES), 0);
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(memcmp(users[i].facts.trusted, users[j].facts.trusted,
                                 TLS_ORIGIN_KEY_BYTES),
                          0, "%zu and %zu", i, j);
        }
    }
    cr_assert_leq(users[4].facts.until_s, now() + 7200, "a list ends before the certificates");
    cr_assert_gt(users[0].facts.until_s, now() + 86400);
    for (size_t i = 0; i < TRUSTS; i++) {
        SSL_CTX_free(users[i].ctx);
    }
    pki_free(&other_root);
}

/* Time -------------------------------------------------------------------------------------- */

Test(tls_sessions, a_ticket_is_offered_once_and_a_session_again)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user user = user_new("alice");
        const struct tls_origin origin = origin_of(&user);
        cr_assert(visit(&user, server).good);
        cr_assert_eq(tls_sessions_count(cache), 1);
        cr_assert(found(&origin, user.ctx, now()));
        cr_assert_eq(found(&origin, user.ctx, now()), kind != TLS_1_3);
        cr_assert_eq(tls_sessions_count(cache), kind == TLS_1_3 ? 0 : 1);
        SSL_CTX_free(user.ctx);
        SSL_CTX_free(server);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

static void expect_until(const struct user *user, SSL_CTX *server, int64_t begun_s, int64_t last_s)
{
    const struct tls_origin origin = origin_of(user);
    for (int64_t late = 0; late < 2; late++) {
        cr_assert(visit_at(&origin, user->ctx, server, begun_s).good);
        cr_assert_eq(found(&origin, user->ctx, last_s + late), late == 0, "%+d", (int)late);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

Test(tls_sessions, nothing_is_offered_after_its_time)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct user user = user_new("alice");
        SSL_CTX *server = server_new(kind);
        const int64_t begun_s = now() - 100; /* as the worker's clock has it */
        expect_until(&user, server, begun_s, begun_s + TLS_SESSIONS_AGE_MAX_S - 1);
        SSL_CTX_free(server);
        const int64_t end_s = now() + 300;
        make_broker(end_s);
        server = server_new(kind);
        expect_until(&user, server, now(), end_s - 1);
        SSL_CTX_free(server);
        make_broker(0);
        SSL_CTX_free(user.ctx);
        pki_free(&alice);
        alice = make_client("alice", end_s);
        load_identities();
        user = user_new("alice");
        server = server_new(kind);
        expect_until(&user, server, now(), end_s - 1);
        SSL_CTX_free(server);
        SSL_CTX_free(user.ctx);
        pki_free(&alice);
        alice = make_client("alice", 0);
        load_identities();
    }
}

/* T55 */
Test(tls_sessions, a_clock_set_back_offers_nothing)
{
    SSL_CTX *server = server_new(TLS_1_2_ID);
    struct user user = user_new("alice");
    const struct tls_origin origin = origin_of(&user);
    cr_assert(visit(&user, server).good);
    cr_assert_not(found(&origin, user.ctx, now() - 60));
    cr_assert_eq(tls_sessions_count(cache), 0);
    SSL_CTX_free(user.ctx);
    SSL_CTX_free(server);
}

Test(tls_sessions, renewal_does_not_put_off_the_next_whole_handshake)
{
    SSL_CTX *server = server_new(TLS_1_3);
    struct user user = user_new("alice");
    const struct tls_origin origin = origin_of(&user);
    const int64_t begun_s = now() - TLS_SESSIONS_AGE_MAX_S + 50;
    cr_assert_not(visit_at(&origin, user.ctx, server, begun_s).resumed);
    for (int i = 0; i < 10; i++) {
        cr_assert(visit_at(&origin, user.ctx, server, now() + 5 * i).resumed);
    }
    cr_assert_eq(tls_sessions_count(cache), 1);
    cr_assert_not(found(&origin, user.ctx, begun_s + TLS_SESSIONS_AGE_MAX_S));
    SSL_CTX_free(user.ctx);
    SSL_CTX_free(server);
}

Test(tls_sessions, a_lifetime_told_is_kept_to)
{
    for (enum kind kind = 0; kind < TLS_1_2_ID; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user user = user_new("alice");
        SSL_CTX_set_timeout(server, 120);
        const struct tls_origin origin = origin_of(&user);
        cr_assert(visit(&user, server).good);
        cr_assert_not(found(&origin, user.ctx, now() + 120));
        cr_assert(visit(&user, server).good);
        cr_assert(found(&origin, user.ctx, now() + 110));
        SSL_CTX_free(user.ctx);
        SSL_CTX_free(server);
    }
}

/* Servers that forget, lie or are many ------------------------------------------------------ */

Test(tls_sessions, a_broker_that_has_forgotten_is_met_anew)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct user user = user_new("alice");
        SSL_CTX *server = server_new(kind);
        SSL_CTX_set_num_tickets(server, 4);
        cr_assert(visit(&user, server).good);
        cr_assert_eq(tls_sessions_count(cache), kind == TLS_1_3 ? 4 : 1);
        SSL_CTX_free(server);
        server = server_new(kind);
        const struct seen seen = visit(&user, server);
        cr_assert(seen.offered && seen.good && !seen.resumed, "kind %d", kind);
        cr_assert_str_eq(seen.as, "alice");
        unsigned resumed = 0;
        for (int i = 0; i < 40; i++) {
            const struct seen later = visit(&user, server);
            cr_assert(later.good);
            cr_assert_str_eq(later.as, "alice");
            resumed += later.resumed;
        }
        /* each old ticket is offered four times at most */
        cr_assert_geq(resumed, kind == TLS_1_3 ? 40 - 4 * 4 + 1 : 40);
        cr_assert_lt(tls_sessions_count(cache), 30);
        SSL_CTX_free(server);
        SSL_CTX_free(user.ctx);
        tls_sessions_free(&cache);
        cache = tls_sessions_new(&tls_sessions_limits_default);
    }
}

/* As Kafka's network threads: each with keys of its own, and one connection after the other. */
Test(tls_sessions, a_broker_of_many_minds_is_resumed_now_and_then)
{
    enum { THREADS = 3, ROUNDS = 300 };
    struct user users[] = {user_new("alice"), user_new("bob")};
    SSL_CTX *servers[THREADS];
    unsigned resumed = 0;
    for (size_t i = 0; i < THREADS; i++) {
        servers[i] = server_new(TLS_1_3);
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        const struct user *user = &users[i / 7 % 2];
        const struct seen seen = visit(user, servers[i % THREADS]);
        cr_assert(seen.good);
        cr_assert_str_eq(seen.as, user->name);
        resumed += seen.resumed;
    }
    cr_assert_gt(resumed, ROUNDS / THREADS / 2, "%u", resumed);
    cr_assert_leq(tls_sessions_count(cache), 20);
    for (size_t i = 0; i < THREADS; i++) {
        SSL_CTX_free(servers[i]);
    }
    SSL_CTX_free(users[0].ctx);
    SSL_CTX_free(users[1].ctx);
}

Test(tls_sessions, a_failed_handshake_drops_what_was_offered_and_no_more)
{
    struct user first = user_new("alice"), second = user_new("bob");
    SSL_CTX *server = server_new(TLS_1_3);
    SSL_CTX_set_num_tickets(server, 3);
    cr_assert(visit(&first, server).good);
    cr_assert(visit(&second, server).good);
    cr_assert_eq(tls_sessions_count(cache), 6);
    SSL_CTX_set_cipher_list(server, "NULL");
    SSL_CTX_set_ciphersuites(server, "");
    const struct seen seen = visit(&first, server);
    cr_assert(seen.offered && !seen.good);
    cr_assert_eq(tls_sessions_count(cache), 3);
    SSL_CTX_free(server);
    SSL_CTX_free(first.ctx);
    SSL_CTX_free(second.ctx);
}

Test(tls_sessions, a_flood_of_tickets_is_not_heard)
{
    struct user user = user_new("alice");
    SSL_CTX *server = server_new(TLS_1_3);
    SSL_CTX_set_num_tickets(server, 500);
    cr_assert(visit(&user, server).good);
    cr_assert_eq(tls_sessions_count(cache), TLS_SESSIONS_PER_CONNECTION_MAX);
    SSL_CTX_free(server);
    SSL_CTX_free(user.ctx);
}

static int grow_ticket(SSL *ssl, void *unused)
{
    static const uint8_t filling[20000];
    (void)unused;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), filling, sizeof(filling));
}

static SSL_TICKET_RETURN take_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                     size_t length, SSL_TICKET_STATUS status, void *unused)
{
    (void)ssl, (void)session, (void)name, (void)length, (void)unused;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE;
}

Test(tls_sessions, a_huge_ticket_is_not_kept)
{
    struct user user = user_new("alice");
    SSL_CTX *server = server_new(TLS_1_3);
    SSL_CTX_set_session_ticket_cb(server, grow_ticket, take_ticket, NULL);
    cr_assert(visit(&user, server).good);
    cr_assert_eq(tls_sessions_count(cache), 0);
    SSL_CTX_free(server);
    SSL_CTX_free(user.ctx);
}

static void limit(size_t bytes, size_t key_bytes, size_t key_count)
{
    const struct tls_sessions_limits limits = {.bytes_max = bytes,
                                               .key_bytes_max = key_bytes,
                                               .key_count_max = key_count,
                                               .session_bytes_max = 16384};
    tls_sessions_free(&cache);
    cache = tls_sessions_new(&limits);
}

Test(tls_sessions, a_key_has_room_for_so_many)
{
    struct user user = user_new("alice");
    const struct tls_origin origin = origin_of(&user);
    SSL_CTX *server = server_new(TLS_1_3);
    SSL_CTX_set_num_tickets(server, 8);
    limit(1 << 20, 1 << 20, 5);
    cr_assert(visit(&user, server).good);
    cr_assert_eq(tls_sessions_count(cache), 5);
    const size_t each = tls_sessions_bytes(cache) / 5;
    limit(1 << 20, 3 * each + each / 2, 100);
    cr_assert(visit(&user, server).good);
    cr_assert_eq(tls_sessions_count(cache), 3);
    for (int i = 0; i < 3; i++) {
        cr_assert(found(&origin, user.ctx, now()));
    }
    cr_assert_eq(tls_sessions_bytes(cache), 0);
    SSL_CTX_free(server);
    SSL_CTX_free(user.ctx);
}

Test(tls_sessions, when_all_is_full_the_oldest_goes)
{
    enum { KEYS = 40, ROOM = 10 };
    struct user user = user_new("alice");
    struct tls_origin origin = origin_of(&user);
    SSL_CTX *server = server_new(TLS_1_2_TICKET);
    cr_assert(visit(&user, server).good);
    const size_t each = tls_sessions_bytes(cache);
    limit(ROOM * each + each / 2, 1 << 20, 100);
    for (int i = 0; i < KEYS; i++) {
        origin.node_id = i;
        cr_assert(visit_at(&origin, user.ctx, server, now()).good);
        cr_assert_leq(tls_sessions_bytes(cache), ROOM * each + each / 2);
    }
    cr_assert_eq(tls_sessions_count(cache), ROOM);
    for (int i = 0; i < KEYS; i++) {
        origin.node_id = i;
        cr_assert_eq(found(&origin, user.ctx, now()), i >= KEYS - ROOM, "key %d", i);
    }
    SSL_CTX_free(server);
    SSL_CTX_free(user.ctx);
}

/* Without ----------------------------------------------------------------------------------- */

Test(tls_sessions, without_leave_nothing_is_kept)
{
    const struct conf_tls tls = {.ca = pki_path("ca.pem"), .crl = ""};
    SSL_CTX *server = server_new(TLS_1_3);
    struct user user = user_new("alice");
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *plain = tls_client_ctx_new(certs, "alice", &tls, &errors);
    const struct tls_origin origin = origin_of(&user);
    cr_assert(visit_at(&origin, plain, server, now()).good);
    cr_assert_eq(tls_sessions_count(cache), 0);
    tls_sessions_free(&cache);
    cr_assert(visit(&user, server).good);
    cr_assert_not(visit(&user, server).offered);
    conf_errors_deinit(&errors);
    SSL_CTX_free(plain);
    SSL_CTX_free(user.ctx);
    SSL_CTX_free(server);
}

/* A broker that is not the one dialled gives nothing that could be resumed. */
Test(tls_sessions, of_a_broker_not_trusted_nothing_is_kept)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        SSL_CTX *server = server_new(kind);
        struct user user = user_new("alice");
        struct tls_origin origin = origin_of(&user);
        origin.host = "c.example.com";
        cr_assert_not(visit_at(&origin, user.ctx, server, now()).good);
        cr_assert_eq(tls_sessions_count(cache), 0);
        SSL_CTX_free(user.ctx);
        SSL_CTX_free(server);
    }
}
