/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/gate/stand.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "auth/certificates.h"
#include "auth/mapping.h"
#include "auth/penalty.h"
#include "auth/tls_context.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/io/tls.h"
#include "proxy/ops/audit_log.h"
#include "tests/bench/common.h"
#include "tests/unit/pki_kit.h"

enum { TURNS_MAX = 1000 };

static const char text[] =
    "audit: {file: \"\"}\nusers: {file: /u.yaml}\n"
    "certificates: [{name: gate, chain: %s, key: %s}]\n"
    "mapping: [{principal: gate, certificate: gate}]\n"
    "clusters:\n  - name: main\n    bootstrap: [\"127.0.0.1:9092\"]\n"
    "    identity: {certificate: gate}\n    generations:\n"
    "      - {name: mtls, protocol: SSL, login: mapped-certificate,\n"
    "         tls: {ca: %s}}\n"
    "listeners:\n  - {name: clients, role: clients, cluster: main, bind: 127.0.0.1, port: 19092,\n"
    "     advertised_host: localhost, node_base_port: 19100, mechanisms: [SCRAM-SHA-512],\n"
    "     tls: {chain: %s, key: %s, client_auth: none}}\n";

static void on_gone(struct gate *gate, const struct sockaddr *peer)
{
    (void)gate;
    (void)peer;
}

/* ---- certificates ---- */

static void write_pair(const struct pki_cert *pair, const char *chain, const char *key)
{
    pki_write_cert(chain, pair->cert);
    pki_write_key(key, 0400, pair->key, NULL);
}

static SSL_CTX *peer_ctx(const SSL_METHOD *method, const struct pki_cert *pair,
                         const struct pki_cert *authority)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (ctx == NULL || SSL_CTX_use_certificate(ctx, pair->cert) != 1 ||
        SSL_CTX_use_PrivateKey(ctx, pair->key) != 1 ||
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), authority->cert) != 1) {
        die_tls("a peer's context");
    }
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return ctx;
}

/* ---- the parts of a worker ---- */

static void load(struct stand *stand)
{
    char yaml[4096];
    char error[200];
    struct conf_errors errors;
    const struct audit_log_params no_audit = {.file = ""};
    snprintf(yaml, sizeof yaml, text, pki_path("gate.pem"), pki_path("gate.key"),
             pki_path("ca.pem"), pki_path("listener.pem"), pki_path("listener.key"));
    conf_errors_init(&errors);
    struct shared *shared = &stand->shared;
    shared->config = config_parse(yaml, strlen(yaml), "setu.yaml", &errors);
    if (shared->config != NULL) {
        shared->certificates = certificates_load(shared->config, time(NULL), &errors);
        shared->mapping = mapping_build(shared->config, &errors);
        stand->gate.tls = tls_server_ctx_new(shared->config->listeners, time(NULL), &errors);
        stand->to_broker = tls_client_ctx_new(
            shared->certificates, "gate", &shared->config->clusters[0].generations[0].tls, &errors);
    }
    shared->audit = audit_log_open(&no_audit, error, sizeof error);
    if (errors.errors > 0 || shared->audit == NULL) {
        conf_errors_print(&errors, stderr);
        die("the configuration of the gate was refused");
    }
    conf_errors_deinit(&errors);
}

static void make_certificates(struct stand *stand)
{
    const struct pki_options authority = {
        .common_name = "Authority", .authority = true, .usage = "keyCertSign,cRLSign"};
    const struct pki_options end = {.common_name = "gate", .alt_name = "IP:127.0.0.1"};
    pki_open();
    struct pki_cert root = pki_make(&authority, NULL);
    struct pki_cert pair = pki_make(&end, &root);
    write_pair(&pair, "gate.pem", "gate.key");
    write_pair(&pair, "listener.pem", "listener.key");
    pki_write_cert("ca.pem", root.cert);
    load(stand);
    stand->client = peer_ctx(TLS_client_method(), &pair, &root);
    stand->broker = peer_ctx(TLS_server_method(), &pair, &root);
    pki_free(&pair);
    pki_free(&root);
}

void stand_start(struct stand *stand, bool client_tls, bool broker_tls)
{
    const struct penalty_limits limits = {.addresses_max = 64, .delay_base_ms = 300};
    const uint8_t key[16] = {0};
    memset(stand, 0, sizeof *stand);
    make_certificates(stand);
    if (uv_loop_init(&stand->loop) != 0) {
        die("no loop");
    }
    io_init(&stand->world.io, &stand->loop);
    stand->shared.session_ids = &stand->session_ids;
    stand->edition.shared = &stand->shared;
    stand->world.penalty = penalty_new(&limits, key);
    stand->generation = &stand->shared.config->clusters[0].generations[0];
    stand->gate.world = &stand->world;
    stand->gate.edition = &stand->edition;
    stand->gate.conf = stand->shared.config->listeners;
    stand->gate.on_gone = on_gone;
    if (!client_tls) {
        SSL_CTX_free(stand->gate.tls);
        SSL_CTX_free(stand->client);
        stand->gate.tls = stand->client = NULL;
    }
    if (!broker_tls) {
        SSL_CTX_free(stand->broker);
        stand->broker = NULL;
    }
    pki_close();
}

/* ---- turns ---- */

/*
 * In place of the C library's, for libuv: timers that came due by the host's clock would make runs differ. A turn takes
 * 100 us, however long it takes.
 */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    static int64_t ticks;
    if (clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, now);
    }
    ticks++;
    now->tv_sec = 1000 + ticks / 10000;
    now->tv_nsec = ticks % 10000 * 100000;
    return 0;
}

static bool turning;

void stand_turn(struct stand *stand)
{
    turning = true;
    uv_run(&stand->loop, UV_RUN_NOWAIT);
    turning = false;
}

bool stand_is_turning(void)
{
    return turning;
}

/* ---- sessions ---- */

static SSL *new_ssl(SSL_CTX *ctx)
{
    SSL *ssl = ctx != NULL ? SSL_new(ctx) : NULL;
    if (ctx != NULL && ssl == NULL) {
        die_tls("SSL_new");
    }
    return ssl;
}

static void wait_for(struct stand *stand, struct pair_of_peers *pair, enum session_state state)
{
    for (int turn = 0; stand->world.sessions->state != state; turn++) {
        if (turn == TURNS_MAX) {
            die("a session stays in %s", session_state_name(stand->world.sessions->state));
        }
        stand_turn(stand);
        peer_take(&pair->client, SIZE_MAX);
        if (state == SESSION_EXCHANGE) {
            peer_take(&pair->broker, SIZE_MAX);
        }
    }
}

/* leg_connect dials by itself; here the socket is there already, so the client's part is put in place. */
static void join_broker(struct stand *stand, struct session *s, struct peer *broker)
{
    SSL *theirs = new_ssl(stand->broker), *ours = NULL;
    if (theirs != NULL) {
        SSL_set_accept_state(theirs);
        ours = new_ssl(stand->to_broker);
        SSL_set_connect_state(ours);
    }
    int fd = peer_open(broker, theirs);
    if (!leg_accept(&s->broker, fd, NULL)) {
        die("the loop refuses a socket");
    }
    if (ours != NULL) {
        s->broker.ssl = ours;
        tls_attach(&s->broker);
    }
}

void stand_connect(struct stand *stand, struct pair_of_peers *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(4711)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SSL *ssl = new_ssl(stand->client);
    if (ssl != NULL) {
        SSL_set_connect_state(ssl);
    }
    int fd = peer_open(&pair->client, ssl);
    if (!session_start(&stand->gate, fd, (const struct sockaddr *)&address, 1)) {
        die("a session could not begin");
    }
    wait_for(stand, pair, SESSION_LOGIN);
    struct session *s = pair->session = stand->world.sessions;
    s->passthrough = true; /* so that no login follows: the client's would have been the broker's */
    s->route.generation = stand->generation;
    session_enter(s, SESSION_DIAL);
    join_broker(stand, s, &pair->broker);
    wait_for(stand, pair, SESSION_EXCHANGE);
    session_enter(s, SESSION_RELAY);
    leg_resume(&s->client);
}
