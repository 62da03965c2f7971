/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>

/* The sanitizers' leak check stops the process from a clone of it when it ends. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_TRACED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_TRACED 1
#endif
#endif
#ifndef SANDBOX_TRACED
#define SANDBOX_TRACED 0
#endif

/* clang-format off */
static const char *const allowed[] = {
    /* the relay; first, since libseccomp keeps the order and the kernel caches the rest */
    "read", "write", "readv", "writev", "recvfrom", "sendto", "recvmsg", "sendmsg", "epoll_wait",
    "epoll_pwait", "epoll_pwait2", "epoll_ctl", "futex", "clock_gettime",
    /* sockets */
    "accept", "accept4", "bind", "connect", "listen", "shutdown", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "socketpair", "recvmmsg", "sendmmsg",
    /* descriptors */
    "close", "close_range", "dup", "dup2", "dup3", "fcntl", "ioctl", "pipe", "pipe2", "poll",
    "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "eventfd", "eventfd2",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "inotify_init", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch", "signalfd4",
    /* files: configuration, keys, log, audit, ledger, ticket caches */
    "open", "openat", "openat2", "stat", "fstat", "lstat", "newfstatat", "statx", "statfs",
    "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents",
    "getdents64", "getcwd", "lseek", "pread64", "pwrite64", "preadv", "pwritev", "ftruncate",
    "fallocate", "fsync", "fdatasync", "flock", "rename", "renameat", "renameat2", "unlink",
    "unlinkat", "mkdir", "mkdirat", "link", "linkat", "chmod", "fchmod", "fchmodat", "umask",
    "fadvise64", "utimensat", "sync_file_range",
    /* memory; mmap and mprotect have rules of their own */
    "munmap", "mremap", "brk", "madvise", "mlock", "mlock2", "munlock", "mincore", "membarrier",
    /* threads, signals, time, limits, who we are */
    "set_robust_list", "get_robust_list", "set_tid_address", "rseq", "exit", "exit_group",
    "sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
    "sched_getscheduler", "sched_get_priority_max", "sched_get_priority_min", "getcpu",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait",
    "rt_sigsuspend", "sigaltstack", "restart_syscall", "kill", "tkill", "tgkill", "wait4",
    "waitid", "pause", "nanosleep", "clock_nanosleep", "clock_getres", "gettimeofday", "time",
    "times", "getrusage", "getrlimit", "setrlimit", "prlimit64", "sysinfo", "uname", "getrandom",
    "getpid", "getppid", "gettid", "getpgrp", "getpgid", "getsid", "getuid", "geteuid", "getgid",
    "getegid", "getresuid", "getresgid", "getgroups", "prctl", "arch_prctl",
};

static const char *const deadly[] = {
    "execve", "execveat", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "bpf",
    "perf_event_open", "userfaultfd", "mount", "umount2", "pivot_root", "chroot", "setns",
    "unshare", "open_by_handle_at", "kexec_load", "kexec_file_load", "init_module", "finit_module",
    "delete_module", "reboot", "swapon", "swapoff", "acct", "settimeofday", "clock_settime",
    "clock_adjtime", "adjtimex", "iopl", "ioperm", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "setgroups", "capset",
};
/* clang-format on */

static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};

/* Calls that this architecture does not have are passed over. */
static int add_named(scmp_filter_ctx filter, uint32_t action, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int call = seccomp_syscall_resolve_name(names[i]);
        int error = call >= 0 ? seccomp_rule_add(filter, action, call, 0) : 0;
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* A family that is none of ours is a raw or a packet socket, or a way into the kernel. */
static int add_sockets(scmp_filter_ctx filter)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < sizeof families / sizeof families[0]; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
    }
    static const int refused[] = {AF_PACKET, AF_KEY, AF_ALG, AF_BLUETOOTH, AF_CAN, AF_VSOCK};
    for (size_t i = 0; error == 0 && i < sizeof refused / sizeof refused[0]; i++) {
        error = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                                 SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)refused[i], 0));
    }
    return error;
}

static int add_memory(scmp_filter_ctx filter)
{
    const scmp_datum_t both = PROT_WRITE | PROT_EXEC;
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_WRITE, 0));
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, both, PROT_WRITE));
    }
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mmap), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, both, both));
    }
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    }
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mprotect), 1,
                                 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    }
    return error;
}

/* clone3's arguments lie in memory, where a filter cannot look: without it the C library uses clone. */
static int add_threads(scmp_filter_ctx filter)
{
    const scmp_datum_t thread = CLONE_THREAD;
    int error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
    if (error == 0) {
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                 SCMP_A0(SCMP_CMP_MASKED_EQ, thread, 0));
    }
    static const char *const forks[] = {"fork", "vfork"};
    return error == 0 ? add_named(filter, SCMP_ACT_ERRNO(EPERM), forks, 2) : error;
}

static int add_rules(scmp_filter_ctx filter)
{
    static const char *const traced[] = {"ptrace", "clone", "personality"};
    int error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (error == 0) {
        error = add_named(filter, SCMP_ACT_ALLOW, allowed, sizeof allowed / sizeof allowed[0]);
    }
    if (error == 0) {
        error = add_named(filter, SCMP_ACT_KILL_PROCESS, deadly, sizeof deadly / sizeof deadly[0]);
    }
    if (error == 0) {
        error = SANDBOX_TRACED ? add_named(filter, SCMP_ACT_ALLOW, traced, 3)
                               : add_named(filter, SCMP_ACT_KILL_PROCESS, traced, 1);
    }
    if (error == 0 && !SANDBOX_TRACED) {
        error = add_threads(filter);
    }
    error = error == 0 ? add_sockets(filter) : error;
    return error == 0 ? add_memory(filter) : error;
}

bool sandbox_enter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    int error = filter != NULL ? add_rules(filter) : -ENOMEM;
    if (error == 0) {
        error = seccomp_load(filter); /* sets no_new_privs */
    }
    if (filter != NULL) {
        seccomp_release(filter);
    }
    errno = -error;
    return error == 0;
}
