/* SPDX-License-Identifier: Apache-2.0 */
/*
 * privileges: from root to the user that the configuration names, for those who start Setu without a service manager.
 *
 *   root ── reads the configuration ──▶ security.user, group ── reads keys, opens everything, serves ──▶
 *           nothing else                for good
 *
 * What could not be read again at a reload, or made again at a rotation, is refused at the start: keys, logs and
 * folders must be that user's, as with User= of a unit. Of root's capabilities one is kept, and that only where a
 * listener has ports for it: CAP_NET_BIND_SERVICE, for nodes that come and for reloads.
 *
 * Who runs as root cannot be taken over from by who does no longer: that first start is one without a takeover, and the
 * error says so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct conf_errors;
struct config;

enum { PRIVILEGES_NAME_SIZE = 64 };

struct privileges {
    char user[PRIVILEGES_NAME_SIZE]; /* whom the configuration names; "" nobody */
    uid_t uid;
    gid_t gid;
    bool dropped;   /* from root, by us */
    bool low_ports; /* CAP_NET_BIND_SERVICE was kept */
};

/**
 * Whom the configuration names. False: no such user or group; errors has it, at its place. Asks the name service.
 */
bool privileges_find(const struct config *config, struct privileges *who_r,
                     struct conf_errors *errors) __attribute__((warn_unused_result));

/**
 * Becomes that user, when we are root: groups, ids, capabilities, and sees to it that there is no way back. No core and
 * no ptrace afterwards either. Before threads. False: errors says what failed, and the process must end. When nobody is
 * named, or we are that user already, nothing is done.
 */
bool privileges_drop(const struct config *config, struct privileges *who_r,
                     struct conf_errors *errors) __attribute__((warn_unused_result));

/** privileges_drop as the file says. True too when it cannot be loaded: who loads it next says why. */
bool privileges_leave(const char *config_file, struct privileges *who_r, struct conf_errors *errors)
    __attribute__((warn_unused_result));

/**
 * For verbs that say whether Setu would start: asked by root, they go on as the user Setu would run as, and find what
 * that one would find. Asked by anybody else they only see whether there is such a user. False: errors.
 */
bool privileges_judge(const char *config_file, struct conf_errors *errors);

/** Whether some listener may want ports that only CAP_NET_BIND_SERVICE gives. */
bool privileges_wants_low_ports(const struct config *config);
