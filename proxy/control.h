/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control: the control socket of a running Setu: who may connect, and which message came from whom. What the messages
 * mean is process_control.c's business; their form is ops/handover.h's.
 *
 * Mode 0600, in a folder of ours or a configured one; besides, the kernel is asked who connects (SO_PEERCRED): the user
 * who runs Setu, or root. A descriptor is kept in reserve, so that one of them is heard when clients have taken all
 * others (T09).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/ops/channel.h"

struct control;

enum { CONTROL_PATH_SIZE = 108, CONTROL_WHO_SIZE = 80 };

#define CONTROL_FOLDER "/run/setu"

/** One message of a peer, or with kind 0 its end. fds are the receiver's. Peers are numbered from 1, never again. */
typedef void (*control_fn)(void *context, uint64_t peer, int kind, struct view payload,
                           const int *fds, size_t fd_count);

/**
 * Where the socket lies: `configured`, or when that is "" one named after the configuration file, in /run/setu,
 * $XDG_RUNTIME_DIR or /tmp/setu-UID, the first that can be written (the last is made). False: nowhere; the last may be
 * somebody else's.
 */
bool control_path(const char *configured, const char *config_file, char path_r[CONTROL_PATH_SIZE])
    __attribute__((warn_unused_result));

/** The same, but nothing is made. */
bool control_place(const char *configured, const char *config_file, char path_r[CONTROL_PATH_SIZE])
    __attribute__((warn_unused_result));

/** A listening socket at path, in place of one that nobody listens on any more. -1: errno; EADDRINUSE: one lives. */
int control_listen(const char *path) __attribute__((warn_unused_result));

/** Accepts from fd, which is its own. NULL: no memory, or the loop refuses it. */
struct control *control_new(uv_loop_t *loop, int fd, control_fn on_message, void *context)
    __attribute__((warn_unused_result));

int control_descriptor(const struct control *control);

/** Accepts no more, or again; peers stay. */
void control_pause(struct control *control);
void control_resume(struct control *control);

/** False: it has gone, or does not take it. */
bool control_send(struct control *control, uint64_t peer, enum handover_kind kind,
                  struct view payload, const int *fds, size_t fd_count);

/** "uid 0, pid 4711, control socket": who a peer is, as the kernel said when it connected. Returns who_r. */
const char *control_peer_who(const struct control *control, uint64_t peer,
                             char who_r[CONTROL_WHO_SIZE]);

/** Ends a peer; no call for it any more. */
void control_drop(struct control *control, uint64_t peer);

/** Kills the process behind a peer, which hangs and holds what we need. False: it is not known who that is. */
bool control_kill(struct control *control, uint64_t peer);

/** Ends all; the path stays. The memory goes later. Nulls; NULL is fine. */
void control_close(struct control **control);
