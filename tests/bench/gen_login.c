/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "auth/exchange.h"
#include "auth/secret.h"
#include "protocol/api.h"
#include "protocol/handshake.h"
#include "tests/bench/clock.h"
#include "tests/bench/common.h"
#include "tests/bench/gen_talk.h"
#include "tests/bench/payload.h"

enum {
    API_VERSIONS_VERSION = 3,
    SASL_HANDSHAKE_VERSION = 1,
    SASL_AUTHENTICATE_VERSION = 2,
    METADATA_VERSION = 9,
    AT_ONCE = 64,
    EVENTS = 256,
    PATIENCE_MS = 30000
};

enum step { STEP_SECURE, STEP_VERSIONS, STEP_MECHANISM, STEP_TOKEN, STEP_METADATA, STEP_PRODUCE };

/* All logins of one run. */
struct login {
    const struct gen_options *options;
    SSL_CTX *tls;
    struct gen_link *links;
    struct histogram *took;
    uint64_t began_ns;
    size_t begun, done;
    int epoll;
    struct view client;
    struct secret password;
    struct payload produce;
    bool has_keys; /* of the first login, so that PBKDF2 runs once */
    struct scram_keys keys;
};

struct visitor {
    struct talk talk;
    enum step step;
    struct exchange *exchange;
};

/* ---- SASL ---- */

static bool random_bytes(void *context, uint8_t *at, size_t length)
{
    (void)context;
    return RAND_bytes(at, (int)length) == 1;
}

static void exchange_begin(const struct login *login, struct visitor *visitor)
{
    struct exchange_client client = {
        .username = view_from_string(login->options->user),
        .password = secret_view(&login->password),
        .random = random_bytes,
    };
    visitor->exchange = exchange_client_new(login->options->mechanism, &client);
    if (visitor->exchange == NULL) {
        die("no login can be made of this user and password");
    }
    if (login->has_keys) {
        exchange_offer_keys(visitor->exchange, &login->keys);
    }
}

/* True: the peer waits for the token now in out. */
static bool exchange_go_on(struct login *login, struct visitor *visitor, struct view token)
{
    struct writer reply;
    struct talk *talk = &visitor->talk;
    writer_init_growing(&reply, EXCHANGE_REPLY_BYTES_MAX);
    enum exchange_status status = exchange_step(visitor->exchange, token, &reply);
    if (status == EXCHANGE_PENDING) {
        exchange_work(visitor->exchange);
        status = exchange_resume(visitor->exchange, &reply);
    }
    if (status == EXCHANGE_CONTINUE) {
        sasl_authenticate_encode_request(&talk->out, SASL_AUTHENTICATE_VERSION, talk->id,
                                         &login->client, writer_view(&reply));
    } else if (status != EXCHANGE_DONE) {
        die("login: the peer does not know the password itself");
    } else if (!login->has_keys) {
        login->has_keys = exchange_take_keys(visitor->exchange, &login->keys);
    }
    writer_free(&reply);
    return status == EXCHANGE_CONTINUE;
}

/* ---- the questions ---- */

static void ask(struct login *login, struct visitor *visitor, enum step step)
{
    struct talk *talk = &visitor->talk;
    const struct view *client = &login->client;
    visitor->step = step;
    switch (step) {
    case STEP_VERSIONS:
        api_versions_encode_request(&talk->out, API_VERSIONS_VERSION, talk->id, client, *client,
                                    view_from_string(SETU_VERSION));
        talk_ask(talk, API_API_VERSIONS, API_VERSIONS_VERSION);
        break;
    case STEP_MECHANISM:
        sasl_handshake_encode_request(&talk->out, SASL_HANDSHAKE_VERSION, talk->id, client,
                                      view_from_string(login->options->mechanism));
        talk_ask(talk, API_SASL_HANDSHAKE, SASL_HANDSHAKE_VERSION);
        break;
    case STEP_TOKEN:
        talk_ask(talk, API_SASL_AUTHENTICATE, SASL_AUTHENTICATE_VERSION);
        break;
    case STEP_METADATA:
        metadata_encode_request(&talk->out, METADATA_VERSION, talk->id, client, view_of(NULL, 0));
        talk_ask(talk, API_METADATA, METADATA_VERSION);
        break;
    case STEP_PRODUCE:
        writer_put(&talk->out, writer_view(&login->produce.frame));
        bytes_store_u32(talk->out.at + PAYLOAD_ID_AT, (uint32_t)talk->id);
        talk_ask(talk, API_PRODUCE, PAYLOAD_PRODUCE_VERSION);
        break;
    case STEP_SECURE:
    default:
        break;
    }
}

/* ---- the answers ---- */

static void versions_judge(struct view body)
{
    static struct api_versions versions;
    if (!api_versions_decode_response(API_VERSIONS_VERSION, body, &versions) ||
        versions.error_code != HANDSHAKE_NONE ||
        api_versions_find(&versions, API_PRODUCE) == NULL) {
        die("login: ApiVersions is refused, or offers no Produce");
    }
}

static void mechanism_judge(struct view body, const char *mechanism)
{
    struct sasl_handshake_response response;
    if (!sasl_handshake_decode_response(body, &response) || response.error_code != HANDSHAKE_NONE) {
        die("login: %s is refused", mechanism);
    }
}

static struct view token_judge(struct view body)
{
    struct sasl_authenticate_response response;
    if (!sasl_authenticate_decode_response(SASL_AUTHENTICATE_VERSION, body, &response) ||
        response.error_code != HANDSHAKE_NONE) {
        die("login: denied");
    }
    return response.auth_bytes;
}

/* Array, name, array, partition, error. */
static void produce_judge(const struct login *login, struct view body)
{
    size_t topic = strlen(login->options->topic);
    size_t error_at = 1 + 1 + topic + 1 + 4;
    if (body.length < error_at + 2 || bytes_load_u16(body.at + error_at) != 0) {
        die("login: Produce is answered with an error");
    }
}

/* True: this connection is up and has done what it should. */
static bool take_answer(struct login *login, struct visitor *visitor, struct view body)
{
    bool user = login->options->user != NULL;
    switch (visitor->step) {
    case STEP_VERSIONS:
        versions_judge(body);
        ask(login, visitor, user ? STEP_MECHANISM : STEP_METADATA);
        return false;
    case STEP_MECHANISM:
        mechanism_judge(body, login->options->mechanism);
        exchange_begin(login, visitor);
        body = view_from_string("");
        break;
    case STEP_TOKEN:
        body = token_judge(body);
        break;
    case STEP_METADATA:
        if (login->options->mode == GEN_LOAD) {
            return true;
        }
        ask(login, visitor, STEP_PRODUCE);
        return false;
    case STEP_PRODUCE:
        produce_judge(login, body);
        return true;
    case STEP_SECURE:
    default:
        return false;
    }
    bool more = exchange_go_on(login, visitor, body);
    ask(login, visitor, more ? STEP_TOKEN : STEP_METADATA);
    return false;
}

/* ---- all of them ---- */

static void visitor_watch(struct login *login, struct visitor *visitor, int what)
{
    struct epoll_event event = {.events = visitor->talk.events, .data.ptr = visitor};
    if (epoll_ctl(login->epoll, what, visitor->talk.link.fd, &event) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

static void visitor_begin(struct login *login)
{
    struct visitor *visitor = allocate(sizeof *visitor);
    visitor->talk.index = login->begun++;
    talk_dial(&visitor->talk, login->options);
    visitor_watch(login, visitor, EPOLL_CTL_ADD);
}

static void visitor_end(struct login *login, struct visitor *visitor)
{
    login->links[visitor->talk.index] = visitor->talk.link;
    login->done++;
    if (login->took != NULL) {
        histogram_add(login->took, clock_now_ns() - login->began_ns);
    }
    if (epoll_ctl(login->epoll, EPOLL_CTL_DEL, visitor->talk.link.fd, NULL) != 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    exchange_free(&visitor->exchange);
    talk_free(&visitor->talk);
    free(visitor);
}

static void visitor_turn(struct login *login, struct visitor *visitor)
{
    struct view body;
    uint32_t events = visitor->talk.events;
    if (visitor->step == STEP_SECURE && talk_secure(&visitor->talk, login->tls)) {
        ask(login, visitor, STEP_VERSIONS);
    }
    while (visitor->step != STEP_SECURE && talk_listen(&visitor->talk, &body)) {
        if (take_answer(login, visitor, body)) {
            visitor_end(login, visitor);
            return;
        }
    }
    if (visitor->talk.events != events) {
        visitor_watch(login, visitor, EPOLL_CTL_MOD);
    }
}

static void login_run(struct login *login)
{
    struct epoll_event events[EVENTS];
    const struct gen_options *options = login->options;
    size_t usual = options->mode == GEN_STORM ? options->conns : AT_ONCE;
    size_t at_once = options->at_once > 0 ? options->at_once : usual;
    while (login->done < options->conns) {
        while (login->begun < options->conns && login->begun - login->done < at_once) {
            visitor_begin(login);
        }
        int count = epoll_wait(login->epoll, events, EVENTS, PATIENCE_MS);
        if (count == 0 || (count < 0 && errno != EINTR)) {
            die("login: nothing happens after %zu of %zu", login->done, options->conns);
        }
        for (int i = 0; i < count; i++) {
            visitor_turn(login, events[i].data.ptr);
        }
    }
}

void gen_login(const struct gen_options *options, SSL_CTX *tls, struct gen_link *links_r,
               struct histogram *took)
{
    static struct login login; /* keeps the keys for the next time */
    login.options = options;
    login.tls = tls;
    login.links = links_r;
    login.took = took;
    login.client = view_from_string("setu-gen");
    login.begun = 0;
    login.done = 0;
    login.produce = payload_produce(options->topic, options->batch_bytes);
    if (options->user != NULL) {
        enum secret_file_status status =
            secret_read_password(&login.password, options->password_file);
        if (status != SECRET_FILE_OK) {
            die("%s: %s", options->password_file, secret_file_text(status));
        }
    }
    login.epoll = epoll_create1(EPOLL_CLOEXEC);
    login.began_ns = clock_now_ns();
    login_run(&login);
    close(login.epoll);
    secret_wipe(&login.password);
    writer_free(&login.produce.frame);
}

void gen_close(struct gen_link *links, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        SSL_free(links[i].ssl);
        close(links[i].fd);
    }
}

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
