/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/sandbox.h"

enum { FINE = 0, REFUSED = 40, WRONG = 41, NO_SANDBOX = 42 };

/* In a process of its own: how it ended. */
static int inside(int (*act)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(sandbox_enter() ? act() : NO_SANDBOX);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static void ends(int (*act)(void), const char *what)
{
    int status = inside(act);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s went on: %x", what, status);
}

static void answers(int (*act)(void), int expected, const char *what)
{
    int status = inside(act);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == expected, "%s: %x", what, status);
}

/* ---- what ends it ---- */

static int run_a_program(void)
{
    char *const arguments[] = {"/bin/true", NULL};
    execv(arguments[0], arguments);
    return WRONG;
}

static int read_another_process(void)
{
    return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0) < 0 ? REFUSED : FINE;
}

static int capture_packets(void)
{
    return socket(AF_PACKET, SOCK_RAW, 0) < 0 ? REFUSED : FINE;
}

static int become_somebody(void)
{
    return syscall(SYS_setuid, 0) != 0 ? REFUSED : FINE;
}

static int set_the_clock(void)
{
    struct timespec now = {0};
    return clock_settime(CLOCK_REALTIME, &now) != 0 ? REFUSED : FINE;
}

static int new_namespace(void)
{
    return syscall(SYS_unshare, 0) != 0 ? REFUSED : FINE;
}

Test(sandbox, a_break_in_ends_the_process)
{
    ends(run_a_program, "execve");
    ends(read_another_process, "process_vm_readv");
    ends(capture_packets, "a packet socket");
    ends(become_somebody, "setuid");
    ends(set_the_clock, "clock_settime");
    ends(new_namespace, "unshare");
}

static atomic_int begun;

static void *program_in_a_thread(void *context)
{
    while (!atomic_load(&begun)) {
        usleep(1000);
    }
    (void)run_a_program();
    return context;
}

Test(sandbox, holds_for_threads_that_ran_before)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, program_in_a_thread, NULL) != 0 || !sandbox_enter()) {
            _exit(NO_SANDBOX);
        }
        atomic_store(&begun, 1);
        pthread_join(thread, NULL);
        _exit(WRONG);
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%x", status);
}

/* ---- what is refused ---- */

static int code_of_our_own(void)
{
    void *at =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED && errno == EPERM ? REFUSED : FINE;
}

static int code_in_two_steps(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return WRONG;
    }
    return mprotect(at, 4096, PROT_READ | PROT_EXEC) != 0 && errno == EPERM ? REFUSED : FINE;
}

static int unknown_call(void)
{
    return syscall(SYS_add_key, "user", "x", "y", 1, -1) < 0 && errno == ENOSYS ? REFUSED : FINE;
}

Test(sandbox, refuses_what_libraries_can_do_without)
{
    answers(code_of_our_own, REFUSED, "memory to write and to execute");
    answers(code_in_two_steps, REFUSED, "memory made executable");
    answers(unknown_call, REFUSED, "add_key");
}

/* ---- what goes on ---- */

static void *nothing(void *context)
{
    return context;
}

static int threads_and_sockets(void)
{
    pthread_t thread;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool good =
        fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof here) == 0 && listen(fd, 1) == 0;
    good = good && pthread_create(&thread, NULL, nothing, NULL) == 0 &&
           pthread_join(thread, NULL) == 0;
    int file = open("/dev/null", O_RDWR | O_CLOEXEC);
    return good && file >= 0 && write(file, "x", 1) == 1 ? FINE : WRONG;
}

Test(sandbox, what_setu_does_goes_on)
{
    answers(threads_and_sockets, FINE, "threads and sockets");
}
