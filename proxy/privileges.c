/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/errors.h"
#include "proxy/control.h"

enum { LOW_PORTS_DEFAULT = 1024, ENTRY_BYTES = 65536 /* a group can be long */ };

/* ---- who ---- */

static bool find_user(const struct config *config, struct privileges *who,
                      struct conf_errors *errors)
{
    const char *name = config->security.user;
    const struct conf_place place = config_place(config, &config->security.user);
    char text[ENTRY_BYTES];
    struct passwd entry, *found = NULL;
    int error = getpwnam_r(name, &entry, text, sizeof text, &found);
    if (found == NULL) {
        conf_errors_add(errors, place,
                        "there is no user '%.64s' here%s%s (add it, or name another one)", name,
                        error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
    } else if (entry.pw_uid == 0) {
        conf_errors_add(errors, place, "'%.64s' is root (name a user of Setu's own)", name);
    } else {
        snprintf(who->user, sizeof who->user, "%s", name);
        who->uid = entry.pw_uid;
        who->gid = entry.pw_gid;
    }
    return who->user[0] != '\0';
}

static bool find_group(const struct config *config, struct privileges *who,
                       struct conf_errors *errors)
{
    const char *name = config->security.group;
    char text[ENTRY_BYTES];
    struct group entry, *found = NULL;
    if (name[0] == '\0') {
        return true;
    }
    int error = getgrnam_r(name, &entry, text, sizeof text, &found);
    if (found == NULL) {
        conf_errors_add(errors, config_place(config, &config->security.group),
                        "there is no group '%.64s' here%s%s (add it, or name another one)", name,
                        error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
        return false;
    }
    who->gid = entry.gr_gid;
    return true;
}

bool privileges_find(const struct config *config, struct privileges *who_r,
                     struct conf_errors *errors)
{
    *who_r = (struct privileges){.uid = geteuid(), .gid = getegid()};
    return config->security.user[0] == '\0' ||
           (find_user(config, who_r, errors) && find_group(config, who_r, errors));
}

static int low_ports_end(void)
{
    int end = LOW_PORTS_DEFAULT;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    char line[16] = "";
    if (file != NULL && fgets(line, sizeof line, file) != NULL) {
        end = (int)strtol(line, NULL, 10);
    }
    if (file != NULL) {
        fclose(file);
    }
    return end;
}

bool privileges_wants_low_ports(const struct config *config)
{
    const int end = low_ports_end();
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        if (listener->port < end ||
            (listener->node_base_port > 0 && listener->node_base_port < end)) {
            return true;
        }
    }
    return false;
}

/* ---- become it ---- */

static bool set_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        const uint32_t part = (uint32_t)(kept >> (32 * i));
        data[i] = (struct __user_cap_data_struct){part, part, part};
    }
    return syscall(SYS_capset, &header, data) == 0;
}

static bool has_only(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    if (syscall(SYS_capget, &header, data) != 0) {
        return false;
    }
    for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
        const uint32_t part = (uint32_t)(kept >> (32 * i));
        if (data[i].permitted != part || data[i].effective != part) {
            return false;
        }
    }
    return true;
}

/*
 * What no program started later can get either. In a container root may not be allowed to do this;
 * what counts is what we hold, which is looked at in the end.
 */
static void bound_capabilities(uint64_t kept)
{
    for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        if ((kept >> i & 1) == 0) {
            (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        }
    }
}

/* A successor is started by a child of ours, which is nobody special: what it needs is passed on. */
static bool pass_on(uint64_t kept)
{
    return kept == 0 ||
           prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0;
}

static bool is_for_good(const struct privileges *who, uint64_t kept)
{
    uid_t uids[3];
    gid_t gids[3];
    if (getresuid(&uids[0], &uids[1], &uids[2]) != 0 ||
        getresgid(&gids[0], &gids[1], &gids[2]) != 0 || !has_only(kept)) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (uids[i] != who->uid || gids[i] != who->gid) {
            return false;
        }
    }
    return setresuid(0, 0, 0) != 0 && setresgid(0, 0, 0) != 0 && setgroups(0, NULL) != 0;
}

/* The step that failed, or NULL. */
static const char *become(const struct privileges *who, uint64_t kept)
{
    bound_capabilities(kept);
    if (prctl(PR_SET_KEEPCAPS, kept != 0 ? 1 : 0, 0, 0, 0) != 0 ||
        initgroups(who->user, who->gid) != 0) {
        return "its groups cannot be set";
    }
    if (setresgid(who->gid, who->gid, who->gid) != 0 ||
        setresuid(who->uid, who->uid, who->uid) != 0) {
        return "its ids cannot be set";
    }
    if (!set_capabilities(kept) || !pass_on(kept) || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) {
        return "the capabilities cannot be set";
    }
    bool good = is_for_good(who, kept); /* tries what must fail */
    errno = 0;
    return good ? NULL : "there is a way back to root";
}

/* /run is empty after a boot, and only root can make a folder there. */
static void make_runtime_folder(const struct config *config, const struct privileges *who)
{
    if (config->control.socket[0] == '\0' && mkdir(CONTROL_FOLDER, 0700) == 0 &&
        chown(CONTROL_FOLDER, who->uid, who->gid) != 0) {
        (void)rmdir(CONTROL_FOLDER);
    }
}

/* From root. The step that failed, or NULL. */
static const char *leave_root(const struct config *config, struct privileges *who)
{
    who->low_ports = privileges_wants_low_ports(config);
    make_runtime_folder(config, who);
    const char *failed = become(who, who->low_ports ? UINT64_C(1) << CAP_NET_BIND_SERVICE : 0);
    /* A change of ids lets the kernel's default in again. */
    return failed == NULL && prctl(PR_SET_DUMPABLE, 0) != 0 ? "it would leave a core" : failed;
}

bool privileges_drop(const struct config *config, struct privileges *who_r,
                     struct conf_errors *errors)
{
    if (!privileges_find(config, who_r, errors)) {
        return false;
    }
    if (who_r->user[0] == '\0' || (geteuid() == who_r->uid && getuid() == who_r->uid)) {
        return true;
    }
    errno = 0;
    const char *failed =
        geteuid() == 0 ? leave_root(config, who_r) : "only root can become another user";
    if (failed != NULL) {
        conf_errors_add(errors, config_place(config, &config->security.user),
                        "cannot become '%s': %s%s%s (start Setu as root or as that user)",
                        who_r->user, failed, errno != 0 ? ": " : "",
                        errno != 0 ? strerror(errno) : "");
    }
    who_r->dropped = failed == NULL;
    return failed == NULL;
}

/* A configuration that cannot be read is complained of when it is loaded as a whole. */
static struct config *load(const char *config_file)
{
    struct conf_errors ignored;
    conf_errors_init(&ignored);
    struct config *config = config_load(config_file, &ignored);
    conf_errors_deinit(&ignored);
    return config;
}

bool privileges_leave(const char *config_file, struct privileges *who_r, struct conf_errors *errors)
{
    struct config *config = load(config_file);
    bool good = config == NULL || privileges_drop(config, who_r, errors);
    config_unref(&config);
    return good;
}

bool privileges_judge(const char *config_file, struct conf_errors *errors)
{
    struct privileges who;
    struct config *config = load(config_file);
    bool good = config == NULL || (geteuid() == 0 ? privileges_drop(config, &who, errors)
                                                  : privileges_find(config, &who, errors));
    config_unref(&config);
    return good;
}
