/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: one connection of the control socket: messages of handover.h with descriptors, in one loop.
 *
 * Whom we speak with is asked of the kernel (SO_PEERCRED): the same user as we are, or root. The control socket is no
 * data path: a peer that does not take what it is sent within two seconds is given up.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "proxy/ops/handover.h"

struct channel;

/**
 * One message, or the end: kind 0, once, after which nothing comes. fds are the receiver's, which closes them.
 * The channel may be closed from here.
 */
typedef void (*channel_fn)(struct channel *channel, int kind, struct view payload, const int *fds,
                           size_t fd_count);


/** Connects to path. -1: errno says why (ENOENT, ECONNREFUSED: nobody is there; EPERM: somebody else is). */
int channel_dial(const char *path) __attribute__((warn_unused_result));

/** Is the process at the other end run by `uid` or root? */
bool channel_peer_is(int fd, uid_t uid);

/** Takes fd in any case. NULL: no memory, or the loop refuses it. */
struct channel *channel_new(uv_loop_t *loop, int fd, channel_fn on_message, void *owner)
    __attribute__((warn_unused_result));

void *channel_owner(const struct channel *channel);

/** The process that connected, as the kernel says; 0: not known. */
pid_t channel_peer(const struct channel *channel);

/** false: it failed, and the end is told soon. fds stay the caller's. */
bool channel_send(struct channel *channel, enum handover_kind kind, struct view payload,
                  const int *fds, size_t fd_count);

/** No call any more; the memory goes later. *channel = NULL; NULL is fine. */
void channel_close(struct channel **channel);

/** The same without a loop, for the command line: blocking, at most timeout_ms for each step. */
bool channel_send_to(int fd, enum handover_kind kind, struct view payload, const int *fds,
                     size_t fd_count);
/** The payload of the next message, NUL-terminated, for the caller to free. NULL: the end, too late, or nonsense. */
char *channel_receive_from(int fd, int timeout_ms, enum handover_kind *kind_r);
