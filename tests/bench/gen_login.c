/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "auth/exchange.h"
#include "auth/secret.h"
#include "protocol/api.h"
#include "protocol/frame.h"
#include "protocol/handshake.h"
#include "tests/bench/common.h"
#include "tests/bench/gen.h"

enum {
    API_VERSIONS_VERSION = 3,
    SASL_HANDSHAKE_VERSION = 1,
    SASL_AUTHENTICATE_VERSION = 2,
    METADATA_VERSION = 9,
    ANSWER_BYTES_MAX = 16 * 1024 * 1024,
    TIMEOUT_S = 15,
    READ_BYTES = 4096
};

/* One question at a time. */
struct talk {
    struct gen_link link;
    int32_t id;
    struct view client;
    struct writer out;
    struct frame_collector in;
};

/* ---- bytes ---- */

static void talk_send(struct talk *talk)
{
    if (!writer_ok(&talk->out)) {
        die("a request of the login cannot be made");
    }
    for (size_t at = 0; at < talk->out.length;) {
        const uint8_t *bytes = talk->out.at + at;
        size_t left = talk->out.length - at;
        ssize_t n = talk->link.ssl != NULL ? SSL_write(talk->link.ssl, bytes, (int)left)
                                           : send(talk->link.fd, bytes, left, MSG_NOSIGNAL);
        if (n <= 0) {
            die("login: the peer takes nothing: %s", strerror(errno));
        }
        at += (size_t)n;
    }
    writer_reset(&talk->out);
}

/* The body of the answer; dies with the next talk_ask. */
static struct view talk_ask(struct talk *talk, int16_t key, int16_t version)
{
    uint8_t bytes[READ_BYTES];
    enum frame_status status = FRAME_MORE;
    int32_t id = 0;
    size_t header = 0;
    talk_send(talk);
    frame_collector_next(&talk->in);
    while (status == FRAME_MORE) {
        size_t used = 0;
        ssize_t n = talk->link.ssl != NULL ? SSL_read(talk->link.ssl, bytes, sizeof bytes)
                                           : recv(talk->link.fd, bytes, sizeof bytes, 0);
        if (n <= 0) {
            die("login: no answer to %s: %s", api_name(key), n == 0 ? "closed" : strerror(errno));
        }
        status = frame_collector_feed(&talk->in, view_of(bytes, (size_t)n), &used);
    }
    struct view payload = frame_collector_payload(&talk->in);
    if (status != FRAME_OK ||
        response_header_decode(payload, key, version, &id, &header) != FRAME_OK || id != talk->id) {
        die("login: the answer to %s makes no sense", api_name(key));
    }
    talk->id++;
    return view_from(payload, header);
}

/* ---- the questions ---- */

static void ask_versions(struct talk *talk)
{
    static struct api_versions versions;
    api_versions_encode_request(&talk->out, API_VERSIONS_VERSION, talk->id, &talk->client,
                                talk->client, view_from_string(SETU_VERSION));
    struct view body = talk_ask(talk, API_API_VERSIONS, API_VERSIONS_VERSION);
    if (!api_versions_decode_response(API_VERSIONS_VERSION, body, &versions) ||
        versions.error_code != HANDSHAKE_NONE ||
        api_versions_find(&versions, API_PRODUCE) == NULL) {
        die("login: ApiVersions is refused, or offers no Produce");
    }
}

static bool random_bytes(void *context, uint8_t *at, size_t length)
{
    (void)context;
    return RAND_bytes(at, (int)length) == 1;
}

static struct exchange *exchange_of(const struct gen_options *options)
{
    struct secret password;
    enum secret_file_status status = secret_read_password(&password, options->password_file);
    if (status != SECRET_FILE_OK) {
        die("%s: %s", options->password_file, secret_file_text(status));
    }
    struct exchange_client client = {
        .username = view_from_string(options->user),
        .password = secret_view(&password),
        .random = random_bytes,
    };
    struct exchange *exchange = exchange_client_new(options->mechanism, &client);
    secret_wipe(&password);
    if (exchange == NULL) {
        die("no login can be made of this user and password");
    }
    return exchange;
}

static void ask_mechanism(struct talk *talk, const char *mechanism)
{
    struct sasl_handshake_response response;
    sasl_handshake_encode_request(&talk->out, SASL_HANDSHAKE_VERSION, talk->id, &talk->client,
                                  view_from_string(mechanism));
    struct view body = talk_ask(talk, API_SASL_HANDSHAKE, SASL_HANDSHAKE_VERSION);
    if (!sasl_handshake_decode_response(body, &response) || response.error_code != HANDSHAKE_NONE) {
        die("login: %s is refused", mechanism);
    }
}

/* The token in the answer to one of ours. */
static struct view ask_token(struct talk *talk, struct view token)
{
    struct sasl_authenticate_response response;
    sasl_authenticate_encode_request(&talk->out, SASL_AUTHENTICATE_VERSION, talk->id, &talk->client,
                                     token);
    struct view body = talk_ask(talk, API_SASL_AUTHENTICATE, SASL_AUTHENTICATE_VERSION);
    if (!sasl_authenticate_decode_response(SASL_AUTHENTICATE_VERSION, body, &response) ||
        response.error_code != HANDSHAKE_NONE) {
        die("login: denied");
    }
    return response.auth_bytes;
}

static void ask_login(struct talk *talk, const struct gen_options *options)
{
    struct exchange *exchange = exchange_of(options);
    struct view token = view_from_string("");
    struct writer reply;
    enum exchange_status status = EXCHANGE_CONTINUE;
    ask_mechanism(talk, options->mechanism);
    writer_init_growing(&reply, EXCHANGE_REPLY_BYTES_MAX);
    while (status == EXCHANGE_CONTINUE) {
        writer_reset(&reply);
        status = exchange_step(exchange, token, &reply);
        if (status == EXCHANGE_PENDING) {
            exchange_work(exchange);
            status = exchange_resume(exchange, &reply);
        }
        if (status == EXCHANGE_CONTINUE) {
            token = ask_token(talk, writer_view(&reply));
        }
    }
    if (status != EXCHANGE_DONE) {
        die("login: the peer does not know the password itself");
    }
    writer_free(&reply);
    exchange_free(&exchange);
}

static void ask_metadata(struct talk *talk)
{
    metadata_encode_request(&talk->out, METADATA_VERSION, talk->id, &talk->client);
    (void)talk_ask(talk, API_METADATA, METADATA_VERSION);
}

/* ---- the connection ---- */

SSL_CTX *gen_tls(const struct gen_options *options)
{
    if (options->ca == NULL) {
        return NULL;
    }
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_load_verify_locations(ctx, options->ca, NULL) != 1) {
        die_tls(options->ca);
    }
    if (options->chain != NULL &&
        (SSL_CTX_use_certificate_chain_file(ctx, options->chain) != 1 ||
         SSL_CTX_use_PrivateKey_file(ctx, options->key, SSL_FILETYPE_PEM) != 1)) {
        die_tls(options->chain);
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_AUTO_RETRY);
    return ctx;
}

static int dial(const struct gen_options *options)
{
    int one = 1;
    struct timeval patience = {.tv_sec = TIMEOUT_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 ||
        connect(fd, (const struct sockaddr *)&options->target, sizeof options->target) != 0) {
        die("connect: %s", strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    return fd;
}

struct gen_link gen_login(const struct gen_options *options, SSL_CTX *tls)
{
    struct talk talk = {.link.fd = dial(options), .client = view_from_string("setu-gen")};
    if (tls != NULL) {
        talk.link.ssl = SSL_new(tls);
        if (talk.link.ssl == NULL || SSL_set_fd(talk.link.ssl, talk.link.fd) != 1 ||
            SSL_connect(talk.link.ssl) != 1) {
            die_tls("TLS handshake");
        }
    }
    writer_init_growing(&talk.out, ANSWER_BYTES_MAX);
    frame_collector_init(&talk.in, ANSWER_BYTES_MAX);
    ask_versions(&talk);
    if (options->user != NULL) {
        ask_login(&talk, options);
    }
    ask_metadata(&talk);
    writer_free(&talk.out);
    frame_collector_free(&talk.in);
    if (fcntl(talk.link.fd, F_SETFL, O_NONBLOCK) != 0) {
        die("fcntl: %s", strerror(errno));
    }
    return talk.link;
}
