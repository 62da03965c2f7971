/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "auth/tls_context.h"
#include "auth/tls_sessions.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"

static void log_errors(const struct conf_errors *errors)
{
    for (size_t i = 0; i < errors->count; i++) {
        struct log_field fields[] = {
            log_str("file", errors->items[i].file),
            log_int("line", errors->items[i].line),
            log_int("column", errors->items[i].column),
            log_str("text", errors->items[i].text),
        };
        log_write(LOG_LEVEL_ERROR, "tls_context_failed", fields, sizeof fields / sizeof fields[0]);
    }
}

static SSL_CTX *client_ctx_new(const struct world *world, const struct conf_generation *generation,
                               const char *certificate)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    SSL_CTX *ctx =
        tls_client_ctx_new(world->shared->certificates, certificate, &generation->tls, &errors);
    if (ctx == NULL) {
        log_errors(&errors);
    }
    conf_errors_deinit(&errors);
    return ctx;
}

const struct world_context *world_client_context(struct world *world,
                                                 const struct conf_generation *generation,
                                                 const char *certificate)
{
    for (const struct world_context *c = world->contexts; c != NULL; c = c->next) {
        if (c->generation == generation &&
            (c->certificate == certificate || (c->certificate != NULL && certificate != NULL &&
                                               strcmp(c->certificate, certificate) == 0))) {
            return c;
        }
    }
    SSL_CTX *ctx = client_ctx_new(world, generation, certificate);
    struct world_context *kept = ctx != NULL ? calloc(1, sizeof *kept) : NULL;
    if (kept == NULL) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    *kept = (struct world_context){generation, certificate, ctx, .next = world->contexts};
    kept->resumes = generation->tls.resumption && tls_facts_of(ctx, &kept->facts);
    if (kept->resumes) {
        tls_sessions_enable(ctx);
    }
    world->contexts = kept;
    return kept;
}

void world_free(struct world *world)
{
    while (world->contexts != NULL) {
        struct world_context *gone = world->contexts;
        world->contexts = gone->next;
        SSL_CTX_free(gone->ctx);
        free(gone);
    }
    tls_sessions_free(&world->tls_sessions);
    while (world->keys != NULL) {
        struct world_keys *gone = world->keys;
        world->keys = gone->next;
        scram_keys_wipe(&gone->keys);
        free(gone);
    }
}

static struct world_keys *find_keys(const struct world *world, const struct password *password)
{
    struct world_keys *kept = world->keys;
    while (kept != NULL && kept->password != password) {
        kept = kept->next;
    }
    return kept;
}

const struct scram_keys *world_find_keys(const struct world *world, const struct password *password)
{
    const struct world_keys *kept = find_keys(world, password);
    return kept != NULL ? &kept->keys : NULL;
}

void world_keep_keys(struct world *world, const struct password *password,
                     const struct scram_keys *keys)
{
    struct world_keys *kept = find_keys(world, password);
    if (kept == NULL) {
        kept = calloc(1, sizeof *kept);
        if (kept == NULL) {
            return; /* only slower */
        }
        kept->password = password;
        kept->next = world->keys;
        world->keys = kept;
    }
    kept->keys = *keys;
}

const struct passwords *world_passwords(const struct world *world,
                                        const struct conf_generation *generation)
{
    const struct shared *shared = world->shared;
    for (size_t i = 0; i < shared->secret_count; i++) {
        if (shared->secrets[i].generation == generation) {
            return shared->secrets[i].passwords;
        }
    }
    return NULL;
}

bool world_random(void *context, uint8_t *at, size_t length)
{
    (void)context;
    while (length > 0) {
        ssize_t n = getrandom(at, length, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        length -= (size_t)n;
    }
    return true;
}

int64_t world_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
