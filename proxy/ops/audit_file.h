/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_file: the files of an audit log: the one that is written, and those that ended before it.
 *
 *   audit.log.000000000001-000000004711     ended: its first and last record, in its name
 *   audit.log.000000004712-000000009402
 *   audit.log                               being written; begins with a record that follows 9402
 *   audit.log.torn                          bytes of last records that a crash cut short
 *
 * One process writes: it holds a lock (flock) on the file being written. There is always one of that
 * name: a file ends by getting a second name, and the next one takes the first name from it. Whatever
 * a crash leaves of that is put in order by the next audit_file_open. Blocking: for the writer's
 * thread. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "auth/audit.h"

enum { AUDIT_FILE_NAME_SIZE = 4096 };

struct audit_file {
    const char *path;   /* the caller's */
    int fd;             /* -1: not open */
    off_t offset;       /* where the next record goes */
    uint64_t first_seq; /* of its first record; 0: there is none yet */
};

/* What was found at open. */
struct audit_file_past {
    uint64_t torn_bytes;               /* cut off its end; kept aside */
    char key_id[AUDIT_KEY_ID_SIZE];    /* of its last checkpoint; "" none */
    uint64_t records_behind;           /* after that checkpoint */
    char before[AUDIT_FILE_NAME_SIZE]; /* the file that ended before it, when it is new; else "" */
};

/*
 * Opens or makes the file, locks it, continues the chain where it ends: the chain's head is set. NULL, or what is
 * wrong, for a person; then nothing has changed but that a crash's leavings may be gone.
 */
const char *audit_file_open(struct audit_file *file, struct audit_chain *chain,
                            struct audit_file_past *past_r) __attribute__((warn_unused_result));

/* Could it be opened, were it not locked? NULL, or what is wrong. */
const char *audit_file_could_open(const char *path) __attribute__((warn_unused_result));

/* Writes at the offset and syncs. False: errno says why; the next try overwrites what this one left half done. The
 * offset moves with success. first_seq is the caller's to set. */
bool audit_file_append(struct audit_file *file, struct view bytes)
    __attribute__((warn_unused_result));

/* Ends the file and begins the next; last_seq is its last record. ended_r: its new name. False: errno says why, and it
 * goes on in the old one. */
bool audit_file_rotate(struct audit_file *file, uint64_t last_seq,
                       char ended_r[AUDIT_FILE_NAME_SIZE]) __attribute__((warn_unused_result));

/* Removes the oldest of those that ended, until `keep` are left; 0 keeps all. Returns how many. */
size_t audit_file_prune(const struct audit_file *file, size_t keep);

void audit_file_close(struct audit_file *file);

/* One that ended. */
struct audit_file_ended {
    char *path;                   /* owned */
    uint64_t first_seq, last_seq; /* as its name says */
};

/* Those that ended before the file `path`, oldest first. 0 and NULL when there is none. Free both. */
size_t audit_file_list(const char *path, struct audit_file_ended **ended_r);
void audit_file_list_free(struct audit_file_ended *ended, size_t count);

/* Does a name end like an ended file's? Sets the numbers, and the length of what is before them. */
bool audit_file_name(const char *name, size_t *stem_r, uint64_t *first_r, uint64_t *last_r);
