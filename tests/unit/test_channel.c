/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/channel.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/control.h"

static uv_loop_t loop;
static int theirs;
static struct channel *ours;
static int messages, ends, last_kind, last_fd;
static size_t last_length, last_fds;

static void on_message(struct channel *channel, int kind, struct view payload, const int *fds,
                       size_t fd_count)
{
    cr_assert_eq(channel_owner(channel), &loop);
    if (kind == 0) {
        ends++;
        return;
    }
    messages++;
    last_kind = kind;
    last_length = payload.length;
    last_fds = fd_count;
    last_fd = fd_count > 0 ? fds[0] : -1;
    for (size_t i = 1; i < fd_count; i++) {
        close(fds[i]);
    }
}

static void setup(void)
{
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(uv_loop_init(&loop), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    theirs = fds[0];
    ours = channel_new(&loop, fds[1], on_message, &loop);
    cr_assert_not_null(ours);
}

static void teardown(void)
{
    channel_close(&ours);
    close(theirs);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(uv_loop_close(&loop), 0);
}

TestSuite(channel, .init = setup, .fini = teardown);

static void turns(void)
{
    for (int i = 0; i < 10; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
    }
}

Test(channel, a_message_comes_whole_however_it_was_cut)
{
    struct writer w;
    writer_init_growing(&w, 4096);
    handover_write(&w, HANDOVER_HELLO, 0, view_from_string("payload"));
    handover_write(&w, HANDOVER_READY, 0, view_of(NULL, 0));
    for (size_t cut = 0; cut <= w.length; cut++) {
        messages = 0;
        cr_assert_eq(send(theirs, w.at, cut, 0), (ssize_t)cut);
        turns();
        cr_assert_eq(send(theirs, w.at + cut, w.length - cut, 0), (ssize_t)(w.length - cut));
        turns();
        cr_assert_eq(messages, 2, "cut at %zu", cut);
        cr_assert_eq(last_kind, HANDOVER_READY);
    }
    cr_assert_eq(ends, 0);
    writer_free(&w);
}

Test(channel, descriptors_come_with_their_message)
{
    struct stat sent, got;
    int files[3];
    for (int i = 0; i < 3; i++) {
        files[i] = open("/dev/null", O_RDONLY);
    }
    cr_assert(channel_send_to(theirs, HANDOVER_READY, view_of(NULL, 0), NULL, 0));
    cr_assert(channel_send_to(theirs, HANDOVER_SOCKETS, view_from_string("x"), files, 3));
    turns();
    cr_assert_eq(messages, 2);
    cr_assert_eq(last_fds, 3u);
    cr_assert(fstat(files[0], &sent) == 0 && fstat(last_fd, &got) == 0);
    cr_assert_eq(sent.st_rdev, got.st_rdev);
    cr_assert_neq(fcntl(last_fd, F_GETFD) & FD_CLOEXEC, 0);
    close(last_fd);
    for (int i = 0; i < 3; i++) {
        close(files[i]);
    }
}

Test(channel, descriptors_that_were_said_and_not_sent_end_it)
{
    struct writer w;
    writer_init_growing(&w, 64);
    handover_write(&w, HANDOVER_SOCKETS, 2, view_of(NULL, 0));
    cr_assert_eq(send(theirs, w.at, w.length, 0), (ssize_t)w.length);
    turns();
    cr_assert_eq(messages, 0);
    cr_assert_eq(ends, 1);
    writer_free(&w);
}

static size_t descriptors(void)
{
    size_t count = 0;
    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    }
    return count;
}

Test(channel, descriptors_that_nobody_asked_for_are_closed)
{
    int file = open("/dev/null", O_RDONLY);
    size_t before = descriptors();
    cr_assert(channel_send_to(theirs, HANDOVER_READY, view_of(NULL, 0), NULL, 0));
    /* The head says none. */
    struct writer w;
    writer_init_growing(&w, 64);
    handover_write(&w, HANDOVER_READY, 0, view_of(NULL, 0));
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {w.at, w.length};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control.room,
                             .msg_controllen = sizeof control.room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(header), &file, sizeof file);
    cr_assert_eq(sendmsg(theirs, &message, 0), (ssize_t)w.length);
    turns();
    cr_assert_eq(messages, 2);
    channel_close(&ours);
    uv_run(&loop, UV_RUN_DEFAULT);
    cr_assert_eq(descriptors(), before - 1, "all but ours");
    close(file);
    writer_free(&w);
}

Test(channel, what_is_not_ours_ends_it_once)
{
    cr_assert_eq(send(theirs, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    turns();
    cr_assert_eq(send(theirs, "more", 4, 0), 4);
    turns();
    cr_assert_eq(messages, 0);
    cr_assert_eq(ends, 1);
}

Test(channel, an_end_in_the_middle_is_an_end)
{
    cr_assert_eq(send(theirs, "STU2\x01", 5, 0), 5);
    shutdown(theirs, SHUT_WR);
    turns();
    cr_assert_eq(messages, 0);
    cr_assert_eq(ends, 1);
}

Test(channel, the_command_line_reads_what_the_loop_sends)
{
    enum handover_kind kind = HANDOVER_HELLO;
    cr_assert(channel_send(ours, HANDOVER_REPLY, view_from_string("{\"ok\":true}"), NULL, 0));
    char *text = channel_receive_from(theirs, 1000, &kind);
    cr_assert_not_null(text);
    cr_assert_str_eq(text, "{\"ok\":true}");
    cr_assert_eq(kind, HANDOVER_REPLY);
    free(text);
    cr_assert_null(channel_receive_from(theirs, 50, &kind), "nothing came");
}

/* ---- who it is ---- */

static void ignore(void *context, uint64_t peer, int kind, struct view payload, const int *fds,
                   size_t fd_count)
{
    (void)context, (void)peer, (void)payload, (void)fds, (void)fd_count;
    messages += kind != 0;
    ends += kind == 0;
}

Test(channel, another_user_is_not_heard)
{
    char folder[] = "/tmp/setu-control-XXXXXX", path[CONTROL_PATH_SIZE];
    if (geteuid() != 0) {
        cr_skip_test("needs root to be somebody else");
    }
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chmod(folder, 0755), 0);
    snprintf(path, sizeof path, "%s/control.sock", folder);
    int fd = control_listen(path);
    struct stat st;
    cr_assert(fd >= 0 && stat(path, &st) == 0);
    cr_assert_eq(st.st_mode & 0777, 0600u);
    cr_assert_eq(control_listen(path), -1, "one lives");
    cr_assert_eq(chmod(path, 0666), 0); /* what the mode would have refused the kernel tells */
    struct control *control = control_new(&loop, fd, ignore, NULL);
    pid_t other = fork();
    if (other == 0) {
        if (setuid(65534) != 0) {
            _exit(3);
        }
        int to = channel_dial(path);
        bool refused = to < 0;
        if (to >= 0) {
            char byte;
            (void)channel_send_to(to, HANDOVER_HELLO, view_of(NULL, 0), NULL, 0);
            refused = recv(to, &byte, 1, 0) <= 0;
        }
        _exit(refused ? 0 : 1);
    }
    int status = -1;
    for (int i = 0; i < 500 && waitpid(other, &status, WNOHANG) == 0; i++) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(2000);
    }
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert_eq(messages, 0);
    control_close(&control);
    unlink(path);
    rmdir(folder);
}

Test(channel, a_dead_socket_is_replaced)
{
    char folder[] = "/tmp/setu-control-XXXXXX", path[CONTROL_PATH_SIZE];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/control.sock", folder);
    close(control_listen(path));
    int fd = control_listen(path);
    cr_assert(fd >= 0);
    close(fd);
    unlink(path);
    rmdir(folder);
}
