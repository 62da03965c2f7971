/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock: which files this process may open from here on (Landlock, Linux 5.13), for all that root or its user could
 * open otherwise.
 *
 *   read      the folders of the files that the configuration names, and what the C library, OpenSSL and Kerberos read
 *             of the machine: /etc, /usr, /lib, /proc, /sys
 *   written   the folders of what written.h lists
 *   started   nothing
 *
 * Folders, not files: a certificate that is renewed is another file under the old name. Symbolic links are followed
 * once, at the start. What lies in a folder that nobody named then cannot be opened after a reload either: that takes a
 * new process, for which the launcher is outside of this.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct conf_errors;
struct config;

enum { LANDLOCK_ROOM = 512 };

struct landlock {
    bool on;
    size_t count;
    char *folders[LANDLOCK_ROOM]; /* that were opened up; owned, absolute, without links */
};

/** What the kernel speaks: 1 and up; 0: nothing of the kind, or it is switched off. */
int landlock_version(void);

/** Opens a folder up, as it is now. False: it is not there, or there are too many. */
bool landlock_add(struct landlock *landlock, const char *folder, bool written);

/** The folder of a file, and that of the file behind it when it is a link. */
bool landlock_add_file(struct landlock *landlock, const char *file, bool written);

/**
 * For this thread and those it will start, for good: before there are others. False, with errno: the kernel cannot
 * (ENOSYS, EOPNOTSUPP), or refuses; nothing was done then.
 */
bool landlock_enter(struct landlock *landlock) __attribute__((warn_unused_result));

/**
 * Whether to write a file, or in a folder, opens up one where much else lies, /tmp, /etc, /var/log and the like, and
 * which: all of that can be written then. A file that is only read is opened up alone in the worst of these; one that
 * is written is made anew, or renamed.
 */
bool landlock_is_broad(const char *path, bool folder, char broad_r[PATH_MAX])
    __attribute__((warn_unused_result));

/** Whether a file may be opened as far as this goes: always, when it is not on. */
bool landlock_reaches(const struct landlock *landlock, const char *file);

void landlock_free(struct landlock *landlock);
