/* SPDX-License-Identifier: Apache-2.0 */
/*
 * launcher: a child that does nothing but start our own command again, with --takeover.
 *
 *   setu ── "start" ──▶ launcher ── fork, exec ──▶ successor
 *        ◀── started, ended ──
 *
 * The process that serves strangers must not be able to start programs (sandbox.h), so this is done by a child that
 * was forked before any secret was read and that hears one word only: what is started was settled at the fork. It
 * ignores the signals meant for its parent, and ends when the parent has.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct launcher {
    int fd;        /* -1: there is none */
    bool gone;     /* it has ended: nothing more comes, nothing can be started */
    char *command; /* what it starts, absolute; NULL: our own program could not be found. Owned. */
};

enum launcher_kind { LAUNCHER_STARTED = 1, LAUNCHER_FAILED, LAUNCHER_ENDED };

struct launcher_news {
    enum launcher_kind kind;
    int value; /* of LAUNCHER_FAILED: errno; of LAUNCHER_ENDED: exit status, 0 with a signal */
    int signal;
};

/**
 * Forks it. Call before threads exist and before anything secret is read. False: no child (errno); the launcher may be
 * used all the same and starts nothing.
 */
bool launcher_begin(struct launcher *launcher) __attribute__((warn_unused_result));

/** Asks for a start; the answer comes by launcher->fd (readable) to launcher_hear. False: it is gone. */
bool launcher_start(struct launcher *launcher) __attribute__((warn_unused_result));

/** One piece of news. False: there is none, or it is `gone` (fd stays open until launcher_end). Never blocks. */
bool launcher_hear(struct launcher *launcher, struct launcher_news *news_r)
    __attribute__((warn_unused_result));

/** Closes our end: the launcher ends. */
void launcher_end(struct launcher *launcher);
