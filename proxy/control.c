/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/ops/log.h"

enum { CONTROL_PEERS_MAX = 16, CONTROL_BACKLOG = 16, CONTROL_REST_MS = 100, CONTROL_HANDLES = 2 };

struct peer {
    struct control *control;
    struct channel *channel;
    uint64_t number;
    struct ucred who;
    struct peer *next;
};

struct control {
    uv_poll_t poll;
    uv_timer_t rest;
    control_fn on_message;
    void *context;
    struct peer *peers;
    size_t peer_count;
    uint64_t last_number;
    int fd;
    int spare_fd; /* makes room for one peer when clients have taken all others; -1: it has */
    int open_handles;
    bool paused;
};

/* ---- where ---- */

/* FNV-1a: names must differ, nobody gains by making them equal. */
static uint64_t name_hash(const char *text)
{
    uint64_t hash = 14695981039346656037U;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (uint8_t)*text) * 1099511628211U;
    }
    return hash;
}

static bool fits(char path_r[CONTROL_PATH_SIZE], const char *folder, const char *config_file)
{
    char whole[PATH_MAX];
    const char *named = realpath(config_file, whole) != NULL ? whole : config_file;
    int n = snprintf(path_r, CONTROL_PATH_SIZE, "%s/setu-%016" PRIx64 ".sock", folder,
                     name_hash(named));
    return n > 0 && n < CONTROL_PATH_SIZE;
}

/* In /tmp everybody may have made it before us, as a link to anywhere. */
static bool own_folder(const char *path, bool make)
{
    struct stat st;
    if (make && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return false;
    }
    if (lstat(path, &st) != 0) {
        return !make && errno == ENOENT;
    }
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

enum { OWN_SIZE = 64 };

/* The first that can be written, or own. */
static const char *default_folder(char own[OWN_SIZE])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (access(CONTROL_FOLDER, W_OK | X_OK) == 0) {
        return CONTROL_FOLDER;
    }
    if (runtime != NULL && runtime[0] == '/' && access(runtime, W_OK | X_OK) == 0) {
        return runtime;
    }
    snprintf(own, OWN_SIZE, "/tmp/setu-%u", (unsigned)geteuid());
    return own;
}

static bool place(const char *configured, const char *config_file, char path_r[CONTROL_PATH_SIZE],
                  bool make)
{
    char own[OWN_SIZE];
    if (configured[0] != '\0') {
        return (size_t)snprintf(path_r, CONTROL_PATH_SIZE, "%s", configured) < CONTROL_PATH_SIZE;
    }
    const char *folder = default_folder(own);
    return (folder != own || own_folder(own, make)) && fits(path_r, folder, config_file);
}

bool control_place(const char *configured, const char *config_file, char path_r[CONTROL_PATH_SIZE])
{
    return place(configured, config_file, path_r, false);
}

bool control_path(const char *configured, const char *config_file, char path_r[CONTROL_PATH_SIZE])
{
    return place(configured, config_file, path_r, true);
}

/* ---- the socket ---- */

static int bind_at(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    mode_t before = umask(0177);
    int failed = bind(fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    umask(before);
    if (failed == 0 && listen(fd, CONTROL_BACKLOG) == 0) {
        return fd;
    }
    error = failed == 0 ? errno : error;
    close(fd);
    errno = error;
    return -1;
}

int control_listen(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = bind_at(&address);
    if (fd >= 0 || errno != EADDRINUSE) {
        return fd;
    }
    int somebody = channel_dial(path);
    if (somebody >= 0 || errno != ECONNREFUSED) {
        if (somebody >= 0) {
            close(somebody);
        }
        errno = EADDRINUSE;
        return -1;
    }
    (void)unlink(path);
    return bind_at(&address);
}

static void control_on_poll(uv_poll_t *poll, int status, int events);
static void control_on_rested(uv_timer_t *timer);

/* ---- peers ---- */

static void spare_take(struct control *control)
{
    if (control->spare_fd < 0) {
        control->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
}

static void peer_end(struct peer *gone)
{
    struct peer **link = &gone->control->peers;
    while (*link != gone) {
        link = &(*link)->next;
    }
    *link = gone->next;
    gone->control->peer_count--;
    channel_close(&gone->channel);
    free(gone);
}

static struct peer *peer_find(const struct control *control, uint64_t number)
{
    struct peer *peer = control->peers;
    while (peer != NULL && peer->number != number) {
        peer = peer->next;
    }
    return peer;
}

static void peer_on_message(struct channel *channel, int kind, struct view payload, const int *fds,
                            size_t fd_count)
{
    struct peer *peer = channel_owner(channel);
    struct control *control = peer->control;
    uint64_t number = peer->number;
    if (kind == 0) {
        peer_end(peer);
    }
    control->on_message(control->context, number, kind, payload, fds, fd_count);
}

static void peer_add(struct control *control, int fd)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        close(fd);
        return;
    }
    socklen_t size = sizeof peer->who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer->who, &size) != 0) {
        peer->who = (struct ucred){.uid = (uid_t)-1};
    }
    peer->control = control;
    peer->number = ++control->last_number;
    peer->channel = channel_new(control->poll.loop, fd, peer_on_message, peer);
    if (peer->channel == NULL) {
        free(peer);
        return;
    }
    peer->next = control->peers;
    control->peers = peer;
    control->peer_count++;
}

static bool is_exhaustion(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS;
}

/*
 * Whoever administers must be heard when clients have taken all descriptors: then the spare one
 * makes room. When that is in use as well, or another thread was faster, a rest: the backlog would
 * wake us again at once.
 */
static int control_accept(struct control *control)
{
    int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && is_exhaustion(errno) && control->spare_fd >= 0) {
        close(control->spare_fd);
        control->spare_fd = -1;
        fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd < 0 && is_exhaustion(errno)) {
        uv_poll_stop(&control->poll);
        uv_timer_start(&control->rest, control_on_rested, CONTROL_REST_MS, 0);
    }
    return fd;
}

static void control_on_poll(uv_poll_t *poll, int status, int events)
{
    struct control *control = poll->data;
    (void)events;
    int fd = status == 0 ? control_accept(control) : -1;
    if (fd < 0) {
        return;
    }
    if (!channel_peer_is(fd, geteuid())) {
        log_text(LOG_LEVEL_WARN, "control_refused", "neither our own user nor root");
        close(fd);
    } else if (control->peer_count >= CONTROL_PEERS_MAX) {
        log_text(LOG_LEVEL_WARN, "control_refused", "too many are connected");
        close(fd);
    } else {
        peer_add(control, fd);
    }
    spare_take(control);
}

static void control_on_rested(uv_timer_t *timer)
{
    struct control *control = timer->data;
    spare_take(control);
    if (!control->paused) {
        (void)uv_poll_start(&control->poll, UV_READABLE, control_on_poll);
    }
}

struct control *control_new(uv_loop_t *loop, int fd, control_fn on_message, void *context)
{
    struct control *control = calloc(1, sizeof *control);
    if (control == NULL || uv_poll_init(loop, &control->poll, fd) != 0) {
        free(control);
        close(fd);
        return NULL;
    }
    (void)uv_timer_init(loop, &control->rest); /* never fails; the loop knows it from here on */
    control->fd = fd;
    control->spare_fd = -1;
    control->on_message = on_message;
    control->context = context;
    control->poll.data = control->rest.data = control;
    control->open_handles = CONTROL_HANDLES;
    spare_take(control);
    control_resume(control);
    return control;
}

int control_descriptor(const struct control *control)
{
    return control->fd;
}

void control_pause(struct control *control)
{
    control->paused = true;
    uv_poll_stop(&control->poll);
}

void control_resume(struct control *control)
{
    control->paused = false;
    (void)uv_poll_start(&control->poll, UV_READABLE, control_on_poll);
}

bool control_send(struct control *control, uint64_t peer, enum handover_kind kind,
                  struct view payload, const int *fds, size_t fd_count)
{
    struct peer *to = control != NULL ? peer_find(control, peer) : NULL;
    return to != NULL && channel_send(to->channel, kind, payload, fds, fd_count);
}

const char *control_peer_who(const struct control *control, uint64_t peer,
                             char who_r[CONTROL_WHO_SIZE])
{
    const struct peer *of = control != NULL ? peer_find(control, peer) : NULL;
    if (of == NULL || of->who.uid == (uid_t)-1) {
        snprintf(who_r, CONTROL_WHO_SIZE, "somebody, control socket");
    } else {
        snprintf(who_r, CONTROL_WHO_SIZE, "uid %lu, pid %ld, control socket",
                 (unsigned long)of->who.uid, (long)of->who.pid);
    }
    return who_r;
}

void control_drop(struct control *control, uint64_t peer)
{
    struct peer *gone = control != NULL ? peer_find(control, peer) : NULL;
    if (gone != NULL) {
        peer_end(gone);
    }
}

bool control_kill(struct control *control, uint64_t peer)
{
    struct peer *of = control != NULL ? peer_find(control, peer) : NULL;
    pid_t pid = of != NULL ? channel_peer(of->channel) : 0;
    return pid > 1 && pid != getpid() && kill(pid, SIGKILL) == 0;
}

static void control_on_closed(uv_handle_t *handle)
{
    struct control *control = handle->data;
    if (--control->open_handles > 0) {
        return;
    }
    close(control->fd);
    if (control->spare_fd >= 0) {
        close(control->spare_fd);
    }
    free(control);
}

void control_close(struct control **control_p)
{
    struct control *control = *control_p;
    *control_p = NULL;
    if (control == NULL) {
        return;
    }
    while (control->peers != NULL) {
        peer_end(control->peers);
    }
    uv_close((uv_handle_t *)&control->poll, control_on_closed);
    uv_close((uv_handle_t *)&control->rest, control_on_closed);
}
