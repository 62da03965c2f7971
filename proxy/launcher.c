/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BYTES_MAX = 128 * 1024, ARGUMENTS_MAX = 256 };

/* Our own arguments, with --takeover; `block` keeps their bytes. */
struct arguments {
    char *block;
    char *list[ARGUMENTS_MAX];
};

/* ---- what it starts ---- */

static void arguments_read(struct arguments *a)
{
    static char flag[] = "--takeover";
    a->block = calloc(1, BYTES_MAX);
    FILE *file = fopen("/proc/self/cmdline", "rbe");
    size_t length = a->block != NULL && file != NULL ? fread(a->block, 1, BYTES_MAX - 1, file) : 0;
    size_t count = 0;
    bool flagged = false;
    for (size_t at = 0; at < length && count < ARGUMENTS_MAX - 2; at += strlen(a->block + at) + 1) {
        flagged = flagged || strcmp(a->block + at, flag) == 0;
        a->list[count++] = a->block + at;
    }
    if (!flagged) {
        a->list[count++] = flag;
    }
    a->list[count] = NULL;
    if (file != NULL) {
        fclose(file);
    }
}

/* As it was called, so that what lies there by then is what starts; else the file we run. */
static char *command_find(const char *name)
{
    char folder[PATH_MAX], whole[2 * PATH_MAX];
    if (name[0] == '/') {
        return strdup(name);
    }
    if (strchr(name, '/') != NULL && getcwd(folder, sizeof folder) != NULL) {
        snprintf(whole, sizeof whole, "%s/%s", folder, name);
        return strdup(whole);
    }
    for (const char *path = getenv("PATH"); path != NULL && name[0] != '\0';) {
        size_t length = strcspn(path, ":");
        snprintf(whole, sizeof whole, "%.*s/%s", (int)length, path, name);
        if (path[0] == '/' && access(whole, X_OK) == 0) {
            return strdup(whole);
        }
        path = path[length] == ':' ? path + length + 1 : NULL;
    }
    ssize_t n = readlink("/proc/self/exe", whole, sizeof whole - 1);
    return n > 0 ? strndup(whole, (size_t)n) : NULL;
}

/* ---- the child ---- */

static void child_tell(int fd, enum launcher_kind kind, int value, int number)
{
    struct launcher_news news = {.kind = kind, .value = value, .signal = number};
    if (send(fd, &news, sizeof news, MSG_NOSIGNAL) < 0) {
        _exit(0); /* nobody is there any more */
    }
}

static void child_start(int fd, const char *command, char *const *arguments, const sigset_t *mask)
{
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) != 0) {
        child_tell(fd, LAUNCHER_FAILED, errno, 0);
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, mask, NULL);
        execv(command, arguments);
        int error = errno;
        _exit(write(failure[1], &error, sizeof error) == sizeof error ? 127 : 126);
    }
    int error = pid < 0 ? errno : 0;
    close(failure[1]);
    if (error != 0 || read(failure[0], &error, sizeof error) == sizeof error) {
        child_tell(fd, LAUNCHER_FAILED, error, 0);
    } else {
        child_tell(fd, LAUNCHER_STARTED, 0, 0);
    }
    close(failure[0]);
}

static void child_reap(int fd, int signals)
{
    struct signalfd_siginfo info;
    int status;
    if (read(signals, &info, sizeof info) < 0) {
        return; /* told already */
    }
    while (waitpid(-1, &status, WNOHANG) > 0) {
        if (WIFSIGNALED(status)) {
            child_tell(fd, LAUNCHER_ENDED, 0, WTERMSIG(status));
        } else if (WEXITSTATUS(status) != 127) { /* that one could not be started, which was told */
            child_tell(fd, LAUNCHER_ENDED, WEXITSTATUS(status), 0);
        }
    }
}

/* Never returns. Its memory is a copy of ours before anything was read, so it has nothing to wipe. */
static void child_serve(int fd, const char *command, char *const *arguments)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    sigset_t ended;
    sigemptyset(&ended);
    sigaddset(&ended, SIGCHLD);
    int signals = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
    prctl(PR_SET_NAME, "setu-launcher");
    struct pollfd polls[] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    while (signals >= 0) {
        if (poll(polls, 2, -1) < 0 && errno != EINTR) {
            break;
        }
        char word;
        ssize_t n = polls[0].revents != 0 ? recv(fd, &word, sizeof word, MSG_DONTWAIT) : -1;
        if (n == 0 || (n < 0 && polls[0].revents != 0 && errno != EAGAIN && errno != EINTR)) {
            break;
        }
        if (n > 0) {
            child_start(fd, command, arguments, &before);
        }
        child_reap(fd, signals);
    }
    _exit(0);
}

/* ---- the parent ---- */

bool launcher_begin(struct launcher *launcher)
{
    struct arguments arguments = {0};
    int pair[2];
    *launcher = (struct launcher){.fd = -1};
    arguments_read(&arguments);
    launcher->command = arguments.list[0] != NULL ? command_find(arguments.list[0]) : NULL;
    bool good = launcher->command != NULL &&
                socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
    pid_t pid = good ? fork() : -1;
    if (pid == 0) {
        close(pair[0]);
        child_serve(pair[1], launcher->command, arguments.list);
    }
    if (good) {
        int error = errno;
        close(pair[1]);
        launcher->fd = pair[0];
        if (pid < 0) {
            close(pair[0]);
            launcher->fd = -1;
            errno = error;
        }
    }
    free(arguments.block);
    return pid > 0;
}

bool launcher_start(struct launcher *launcher)
{
    return launcher->fd >= 0 && !launcher->gone &&
           send(launcher->fd, "s", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

bool launcher_hear(struct launcher *launcher, struct launcher_news *news_r)
{
    if (launcher->fd < 0 || launcher->gone) {
        return false;
    }
    ssize_t n = recv(launcher->fd, news_r, sizeof *news_r, MSG_DONTWAIT);
    if (n == (ssize_t)sizeof *news_r) {
        return true;
    }
    launcher->gone = n >= 0 || (errno != EAGAIN && errno != EINTR);
    return false;
}

void launcher_end(struct launcher *launcher)
{
    if (launcher->fd >= 0) {
        close(launcher->fd);
        launcher->fd = -1;
    }
}
