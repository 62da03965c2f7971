/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_set: the files of one audit log, for the verbs that read it: found, ordered, verified as one
 * chain. Reads only; the log may be written meanwhile, and is seen as it was when it was opened.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/audit_verify.h"

struct audit_set_file {
    char *path;        /* owned */
    struct view bytes; /* mapped, or with audit_set_add the caller's */
    bool borrowed;
    uint64_t first_seq; /* as its first record says; as its name says when that is damaged */
    uint64_t name_first, name_last; /* 0: its name says nothing */
};

struct audit_set {
    struct audit_set_file *files; /* in the order of their records; empty ones are left out */
    size_t count;
};

/*
 * Operands are files and folders. A file that is being written brings those that ended before it; of
 * a folder every file of the one audit log in it. False and a text: none, one that cannot be read,
 * or a folder with several audit logs.
 */
bool audit_set_open(struct audit_set *set, char *const *operands, size_t count, char *error_r,
                    size_t error_size) __attribute__((warn_unused_result));
void audit_set_close(struct audit_set *set);

/* One file that is in memory, for an empty set; then audit_set_order. */
void audit_set_add(struct audit_set *set, const char *name, struct view bytes);
void audit_set_order(struct audit_set *set);

struct audit_set_verdict {
    bool holds; /* a torn last record is no fault */
    uint64_t records, first_seq;
    struct audit_head head; /* after the last good record */
    size_t torn_bytes;      /* at the end of the last file */
    uint64_t bad_seq;       /* the first bad record; 0: none */
    const struct audit_set_file *bad_file;
    size_t bad_offset;
    char why[96];
};

/*
 * after: the record that the first one here must follow; all zero: the log must begin with record 1; NULL: it may begin
 * anywhere. expected: a head known from elsewhere, or NULL; one before `after`, or another of its number, is never in
 * order: nothing here could show it. signatures: keys set, the rest zero.
 */
void audit_set_verify(const struct audit_set *set, const struct audit_head *after,
                      const struct audit_head *expected, struct audit_signatures *signatures,
                      struct audit_set_verdict *verdict_r);

/* Each record in order, good or not, as far as it can be read. False from the function ends it. */
typedef bool (*audit_set_fn)(void *context, const struct audit_record *record);
void audit_set_each(const struct audit_set *set, audit_set_fn fn, void *context);
