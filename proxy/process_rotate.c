/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "auth/audit.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/ops/log.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"
#include "proxy/shared.h"

enum {
    FOLDERS_MAX = 32,  /* told of by the kernel; files in others are only looked at */
    SETTLE_MS = 100,   /* a chain and its key are replaced one after the other */
    AGAIN_MS = 500,    /* what did not fit together is tried again soon at first */
    PATIENCE_MS = 5000 /* and told of as a fault when it still does not */
};

/* The work of one look, on a thread of the pool: nothing here is the loop's while it runs. */
struct look {
    uv_work_t request;
    struct shared *base;      /* a reference */
    struct shared *made;      /* what is to be used from now on; NULL: nothing */
    struct conf_errors errors;
    uint8_t seen[32], now[32]; /* the files as they were, and are */
    bool all;                  /* read them even if they seem to be the same */
    bool moved;                /* they changed while they were read */
};

struct rotation {
    struct process *process;
    uv_timer_t timer;
    uv_fs_event_t folders[FOLDERS_MAX];
    size_t folder_count;
    struct look look;
    bool looking;
    bool closing;
    bool waiting;         /* something did not fit, and is tried again */
    bool told;            /* that it does not */
    uint64_t wrong_since; /* loop time */
    uint64_t again_ms;
    uint8_t seen[32];
    char fault[256];
};

/* ---- which files ---- */

typedef void (*path_fn)(void *context, const char *path);

static void each_path(const struct config *config, path_fn fn, void *context)
{
    for (size_t i = 0; i < config->certificates_count; i++) {
        fn(context, config->certificates[i].chain);
        fn(context, config->certificates[i].key);
    }
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener_tls *tls = &config->listeners[i].tls;
        fn(context, tls->chain);
        fn(context, tls->key);
        fn(context, tls->client_ca);
        fn(context, tls->client_crl);
    }
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        for (size_t k = 0; k < cluster->generations_count; k++) {
            fn(context, cluster->generations[k].tls.ca);
            fn(context, cluster->generations[k].tls.crl);
        }
    }
}

/* What is there under this name, links followed. A new file, or new bytes in the old one, is another. */
static void stamp_path(void *context, const char *path)
{
    EVP_MD_CTX *md = context;
    struct stat st;
    uint64_t facts[7] = {0};
    if (path == NULL || path[0] == '\0') {
        return;
    }
    if (stat(path, &st) == 0) {
        facts[0] = st.st_dev;
        facts[1] = st.st_ino;
        facts[2] = (uint64_t)st.st_size;
        facts[3] = (uint64_t)st.st_mtim.tv_sec;
        facts[4] = (uint64_t)st.st_mtim.tv_nsec;
        facts[5] = (uint64_t)st.st_ctim.tv_sec;
        facts[6] = (uint64_t)st.st_ctim.tv_nsec;
    } else {
        facts[0] = (uint64_t)errno;
    }
    EVP_DigestUpdate(md, facts, sizeof facts);
}

static void stamp(const struct config *config, uint8_t stamp_r[32])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1) {
        abort();
    }
    each_path(config, stamp_path, md);
    EVP_DigestFinal_ex(md, stamp_r, NULL);
    EVP_MD_CTX_free(md);
}

/* ---- a look, off the loop ---- */

static void look_run(uv_work_t *request)
{
    struct look *look = request->data;
    uint8_t after[32];
    stamp(look->base->config, look->now);
    if (!look->all && memcmp(look->now, look->seen, sizeof look->now) == 0) {
        return;
    }
    look->made = shared_rotate(look->base, &look->errors);
    stamp(look->base->config, after);
    look->moved = memcmp(after, look->now, sizeof after) != 0;
    if (look->moved) {
        shared_unref(&look->made);
    }
}

/* ---- what comes of it ---- */

static void rotation_on_timer(uv_timer_t *timer);

static void rotation_wait(struct rotation *r, uint64_t ms)
{
    if (!r->closing) {
        uv_timer_start(&r->timer, rotation_on_timer, ms, 0);
    }
}

static uint64_t interval_ms(const struct rotation *r)
{
    return r->process->shared->config->rotation.interval_ms;
}

static void rotation_fault_text(const struct conf_errors *errors, char out[256])
{
    const struct conf_error *first = NULL;
    for (size_t i = 0; i < errors->count && first == NULL; i++) {
        first = errors->items[i].severity == CONF_ERROR ? &errors->items[i] : NULL;
    }
    snprintf(out, 256, "%s", first != NULL ? first->text : "cannot be read");
}

/* The old ones serve on. A chain whose key comes a moment later is nothing to be told of but in passing. */
static void rotation_refused(struct rotation *r)
{
    struct process *process = r->process;
    const uint64_t now_ms = uv_now(&process->loop);
    char fault[256];
    rotation_fault_text(&r->look.errors, fault);
    if (!r->waiting) {
        r->waiting = true;
        r->told = false;
        r->wrong_since = now_ms;
        r->again_ms = AGAIN_MS;
        r->fault[0] = '\0';
        process->rotation_pending = true;
        process_certificates_publish(process);
    }
    if (strcmp(fault, r->fault) != 0) {
        snprintf(r->fault, sizeof r->fault, "%s", fault);
        log_text(LOG_LEVEL_WARN, "certificates_not_yet", fault);
    }
    if (!r->told && now_ms - r->wrong_since >= PATIENCE_MS) {
        r->told = true;
        process->rotations_refused++;
        process_certificates_publish(process);
        log_text(LOG_LEVEL_ERROR, "certificates_refused", fault);
        process_audit(process, AUDIT_CERTIFICATES_REFUSED, fault);
    }
    rotation_wait(r, r->again_ms < interval_ms(r) ? r->again_ms : interval_ms(r));
    r->again_ms *= 2;
}

static void rotation_over(struct rotation *r)
{
    if (r->waiting) {
        r->waiting = false;
        r->process->rotation_pending = false;
        process_certificates_publish(r->process);
        log_text(LOG_LEVEL_INFO, "certificates_in_order", "the files fit together again");
    }
    memcpy(r->seen, r->look.now, sizeof r->seen);
    rotation_wait(r, interval_ms(r));
}

static void rotate_run(struct process_worker *of)
{
    worker_rotate(of->worker, of->process->next);
}

static void rotated(struct process *process)
{
    struct shared *before = process->shared;
    process->shared = process->next;
    process->next = NULL;
    process->phase = PHASE_SERVING;
    process->rotations++;
    process->rotation_pending = false;
    process_certificates_publish(process);
    process_audit_rotation(process, before);
    shared_unref(&before);
    rotation_over(process->rotation);
}

static void look_back(uv_work_t *request, int status)
{
    struct look *look = request->data;
    struct rotation *r = (struct rotation *)((char *)look - offsetof(struct rotation, look));
    struct process *process = r->process;
    const bool current = status == 0 && look->base == process->shared && !r->closing &&
                         process->phase == PHASE_SERVING && process->round_then == NULL;
    r->looking = false;
    if (!current || look->moved) {
        shared_unref(&look->made);
        rotation_wait(r, SETTLE_MS);
    } else if (look->made != NULL) {
        process->next = look->made;
        look->made = NULL;
        process->phase = PHASE_RELOADING;
        if (!process_round(process, rotate_run, rotated)) {
            process->phase = PHASE_SERVING;
            shared_unref(&process->next);
        }
    } else if (conf_errors_failed(&look->errors)) {
        rotation_refused(r);
    } else {
        rotation_over(r);
    }
    shared_unref(&look->base);
    conf_errors_deinit(&look->errors);
    if (r->closing) {
        process_rotation_closed(process);
    }
}

static void rotation_on_timer(uv_timer_t *timer)
{
    struct rotation *r = timer->data;
    struct process *process = r->process;
    struct look *look = &r->look;
    if (r->looking) {
        return;
    }
    if (process->phase != PHASE_SERVING || process->round_then != NULL) {
        rotation_wait(r, SETTLE_MS);
        return;
    }
    *look = (struct look){.request.data = look, .base = shared_ref(process->shared)};
    look->all = r->waiting;
    memcpy(look->seen, r->seen, sizeof look->seen);
    conf_errors_init(&look->errors);
    r->looking = uv_queue_work(&process->loop, &look->request, look_run, look_back) == 0;
    if (!r->looking) {
        shared_unref(&look->base);
        conf_errors_deinit(&look->errors);
        rotation_wait(r, interval_ms(r));
    }
}

/* ---- being told ---- */

static void rotation_on_event(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct rotation *r = handle->data;
    (void)name;
    (void)events;
    (void)status;
    if (!r->looking) {
        rotation_wait(r, SETTLE_MS);
    }
}

static void folder_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash != NULL ? (size_t)(slash - path) : 0;
    if (slash == NULL || length >= PATH_MAX) {
        snprintf(out, PATH_MAX, ".");
    } else {
        snprintf(out, PATH_MAX, "%.*s", length > 0 ? (int)length : 1, path);
    }
}

static void watch_path(void *context, const char *path)
{
    struct rotation *r = context;
    char folder[PATH_MAX], known[PATH_MAX];
    if (path == NULL || path[0] == '\0') {
        return;
    }
    folder_of(path, folder);
    for (size_t i = 0; i < r->folder_count; i++) {
        size_t size = sizeof known;
        if (uv_fs_event_getpath(&r->folders[i], known, &size) == 0 && strcmp(known, folder) == 0) {
            return;
        }
    }
    if (r->folder_count == FOLDERS_MAX) {
        return;
    }
    uv_fs_event_t *handle = &r->folders[r->folder_count];
    if (uv_fs_event_init(&r->process->loop, handle) != 0) {
        return;
    }
    handle->data = r;
    r->folder_count++;
    if (uv_fs_event_start(handle, rotation_on_event, folder, 0) != 0) {
        log_text(LOG_LEVEL_WARN, "folder_not_watched", folder); /* it is looked at all the same */
    }
}

/* ---- life ---- */

static void rotation_on_closed(uv_handle_t *handle)
{
    struct rotation *r = handle->data;
    if (--r->process->rotation_handles == 0) {
        process_rotation_closed(r->process);
    }
}

/* The last handle, and the last look, have gone. */
void process_rotation_closed(struct process *process)
{
    struct rotation *r = process->rotation_closing;
    if (r != NULL && process->rotation_handles == 0 && !r->looking) {
        process->rotation_closing = NULL;
        free(r);
        process_rotation_start(process);
    }
}

void process_rotation_stop(struct process *process)
{
    struct rotation *r = process->rotation;
    if (r == NULL) {
        return;
    }
    process->rotation = NULL;
    process->rotation_closing = r;
    r->closing = true;
    process->rotation_handles = r->folder_count + 1;
    uv_close((uv_handle_t *)&r->timer, rotation_on_closed);
    for (size_t i = 0; i < r->folder_count; i++) {
        uv_close((uv_handle_t *)&r->folders[i], rotation_on_closed);
    }
}

void process_rotation_start(struct process *process)
{
    if (!process->shared->config->rotation.watch || process->rotation != NULL ||
        process->rotation_closing != NULL || !process->handles) {
        return;
    }
    struct rotation *r = calloc(1, sizeof *r);
    if (r == NULL || uv_timer_init(&process->loop, &r->timer) != 0) {
        abort();
    }
    r->process = process;
    r->timer.data = r;
    process->rotation = r;
    each_path(process->shared->config, watch_path, r);
    rotation_wait(r, SETTLE_MS);
}
