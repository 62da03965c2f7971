/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/ops/audit_file.h"

struct finding {
    struct audit_set *set;
    char *error;
    size_t error_size;
};

static bool fail(struct finding *finding, const char *path, const char *why)
{
    snprintf(finding->error, finding->error_size, "%s: %s", path, why);
    return false;
}

/* ---- one file ---- */

static bool have(const struct audit_set *set, const char *path)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->files[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static void number(struct audit_set_file *file)
{
    struct audit_reader reader;
    struct audit_record record;
    const char *slash = strrchr(file->path, '/');
    size_t stem = 0;
    if (!audit_file_name(slash != NULL ? slash + 1 : file->path, &stem, &file->name_first,
                         &file->name_last)) {
        file->name_first = file->name_last = 0;
    }
    audit_reader_init(&reader, file->bytes);
    bool good = audit_read(&reader, &record) == AUDIT_OK && record.hash_ok;
    file->first_seq = good ? record.seq : file->name_first > 0 ? file->name_first : UINT64_MAX;
    audit_reader_end(&reader);
}

static void add(struct audit_set *set, const char *path, struct view bytes, bool borrowed)
{
    struct audit_set_file *grown = realloc(set->files, (set->count + 1) * sizeof *grown);
    char *copy = strdup(path);
    if (grown == NULL || copy == NULL) {
        abort();
    }
    set->files = grown;
    grown[set->count] = (struct audit_set_file){.path = copy, .bytes = bytes, .borrowed = borrowed};
    number(&grown[set->count++]);
}

void audit_set_add(struct audit_set *set, const char *name, struct view bytes)
{
    add(set, name, bytes, true);
}

static bool add_file(struct finding *finding, const char *path)
{
    struct audit_set *set = finding->set;
    struct stat st;
    if (have(set, path)) {
        return true;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        bool odd = fd >= 0;
        fail(finding, path, odd ? "is no plain file" : strerror(errno));
        if (odd) {
            close(fd);
        }
        return false;
    }
    void *at =
        st.st_size == 0 ? NULL : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (at == MAP_FAILED) {
        return fail(finding, path, strerror(errno));
    }
    add(set, path, view_of(at, (size_t)st.st_size), false);
    return true;
}

static bool add_log(struct finding *finding, const char *path)
{
    struct audit_file_ended *ended = NULL;
    size_t count = audit_file_list(path, &ended);
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        good = good && add_file(finding, ended[i].path);
    }
    audit_file_list_free(ended, count);
    /* All that ended may have been handed over without the one being written. */
    return good && (count > 0 && access(path, F_OK) != 0 ? true : add_file(finding, path));
}

/* ---- a folder ---- */

static bool is_log_name(const char *name)
{
    size_t length = strlen(name);
    return strstr(name, "audit") != NULL && length > 4 && strcmp(name + length - 4, ".log") == 0;
}

/* The audit log a name belongs to, in stem; false: to none. */
static bool stem_of(const char *name, char stem[256])
{
    uint64_t first_seq = 0, last_seq = 0;
    size_t length = strlen(name);
    if (!audit_file_name(name, &length, &first_seq, &last_seq) && !is_log_name(name)) {
        return false;
    }
    return (size_t)snprintf(stem, 256, "%.*s", (int)length, name) < 256;
}

static bool add_folder(struct finding *finding, const char *folder)
{
    char found[256] = "", stem[256], path[AUDIT_FILE_NAME_SIZE];
    DIR *dir = opendir(folder);
    const struct dirent *entry = NULL;
    bool several = false;
    if (dir == NULL) {
        return fail(finding, folder, strerror(errno));
    }
    while ((entry = readdir(dir)) != NULL) {
        if (stem_of(entry->d_name, stem)) {
            several = several || (found[0] != '\0' && strcmp(found, stem) != 0);
            memcpy(found, stem, sizeof found);
        }
    }
    closedir(dir);
    if (several || found[0] == '\0') {
        return fail(finding, folder,
                    several ? "holds more than one audit log (name the files)"
                            : "holds no audit log (name the file)");
    }
    snprintf(path, sizeof path, "%s/%s", folder, found);
    return add_log(finding, path);
}

static bool add_operand(struct finding *finding, const char *operand)
{
    struct stat st;
    uint64_t first_seq = 0, last_seq = 0;
    size_t stem = 0;
    const char *slash = strrchr(operand, '/');
    if (stat(operand, &st) == 0 && S_ISDIR(st.st_mode)) {
        return add_folder(finding, operand);
    }
    bool ended = audit_file_name(slash != NULL ? slash + 1 : operand, &stem, &first_seq, &last_seq);
    return ended ? add_file(finding, operand) : add_log(finding, operand);
}

/* ---- all ---- */

static int by_number(const void *a, const void *b)
{
    const struct audit_set_file *one = a, *other = b;
    return one->first_seq < other->first_seq ? -1 : one->first_seq > other->first_seq ? 1 : 0;
}

static void drop(struct audit_set_file *file)
{
    if (file->bytes.length > 0 && !file->borrowed) {
        munmap((void *)(uintptr_t)file->bytes.at, file->bytes.length);
    }
    free(file->path);
}

void audit_set_order(struct audit_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->files[i].bytes.length == 0) {
            drop(&set->files[i]);
        } else {
            set->files[kept++] = set->files[i];
        }
    }
    set->count = kept;
    if (kept > 0) {
        qsort(set->files, kept, sizeof *set->files, by_number);
    }
}

bool audit_set_open(struct audit_set *set, char *const *operands, size_t count, char *error_r,
                    size_t error_size)
{
    struct finding finding = {set, error_r, error_size};
    *set = (struct audit_set){0};
    for (size_t i = 0; i < count; i++) {
        if (!add_operand(&finding, operands[i])) {
            audit_set_close(set);
            return false;
        }
    }
    audit_set_order(set);
    return true;
}

void audit_set_close(struct audit_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        drop(&set->files[i]);
    }
    free(set->files);
    *set = (struct audit_set){0};
}

/* ---- verifying ---- */

static void condemn(struct audit_set_verdict *verdict, const struct audit_set_file *file,
                    uint64_t seq, size_t offset, const char *why)
{
    verdict->holds = false;
    verdict->bad_file = file;
    verdict->bad_seq = seq;
    verdict->bad_offset = offset;
    snprintf(verdict->why, sizeof verdict->why, "%s", why);
}

/* Does the log begin behind the record that it must follow? */
static bool log_begins_well(const struct audit_set_file *file, struct audit_set_verdict *verdict)
{
    const uint64_t next = verdict->head.seq + 1;
    char why[sizeof verdict->why];
    if (file->first_seq != UINT64_MAX && file->first_seq > next) {
        snprintf(why, sizeof why, "records %" PRIu64 " to %" PRIu64 " are missing%s", next,
                 file->first_seq - 1, next > 1 ? "" : " (moved away? See --from)");
        condemn(verdict, file, next, 0, why);
        return false;
    }
    if (file->first_seq < next) {
        condemn(verdict, file, file->first_seq, 0,
                "it is here, and should be before the log's beginning");
        return false;
    }
    return true;
}

/* Does the file begin where the one before it ended? */
static bool goes_on_well(const struct audit_set_file *file, struct audit_set_verdict *verdict)
{
    const uint64_t next = verdict->head.seq + 1;
    if (file->first_seq != UINT64_MAX && file->first_seq > next) {
        condemn(verdict, file, next, 0,
                "it is missing: this file begins later, so a file before it is missing or was cut");
        return false;
    }
    if (file->first_seq < next) {
        condemn(verdict, file, file->first_seq, 0, "it is there twice: files overlap");
        return false;
    }
    return true;
}

static bool named_well(const struct audit_set_file *file, struct audit_set_verdict *verdict)
{
    if (file->name_first > 0 && file->name_first != file->first_seq) {
        condemn(verdict, file,
                file->first_seq < file->name_first ? file->first_seq : file->name_first, 0,
                "the file's name says that it begins with another record");
        return false;
    }
    return true;
}

static bool ends_well(const struct audit_set_file *file, bool last, const struct audit_verdict *of,
                      struct audit_set_verdict *verdict)
{
    const bool torn = of->status == AUDIT_TORN;
    if (of->status == AUDIT_BROKEN || (torn && !last)) {
        condemn(verdict, file, of->bad_seq, of->bad_offset, of->why);
    } else if (file->name_last > 0 && file->name_last != of->head.seq) {
        condemn(verdict, file, of->head.seq + 1, torn ? of->bad_offset : file->bytes.length,
                file->name_last > of->head.seq
                    ? "it is missing: the file's name says that it ends later"
                    : "the file's name says that it ends earlier");
    } else {
        verdict->torn_bytes = torn ? file->bytes.length - of->bad_offset : 0;
        return true;
    }
    return false;
}

/* What is said to be before the log must not hide the record expected, nor contradict it. */
static bool expected_well(const struct audit_head *after, const struct audit_head *expected,
                          struct audit_set_verdict *verdict)
{
    if (after == NULL || expected == NULL || expected->seq > after->seq) {
        return true;
    }
    const bool same = memcmp(expected->hash, after->hash, AUDIT_HASH_BYTES) == 0;
    if (expected->seq < after->seq || !same) {
        condemn(verdict, NULL, expected->seq, 0,
                expected->seq < after->seq ? "the log begins behind the record expected"
                                           : "it is another record than the one expected");
        return false;
    }
    return true;
}

void audit_set_verify(const struct audit_set *set, const struct audit_head *after,
                      const struct audit_head *expected, struct audit_signatures *signatures,
                      struct audit_set_verdict *verdict_r)
{
    struct audit_verdict of;
    *verdict_r = (struct audit_set_verdict){.holds = true, .why = ""};
    if (after != NULL) {
        verdict_r->head = *after;
    }
    if (!expected_well(after, expected, verdict_r)) {
        return;
    }
    for (size_t i = 0; verdict_r->holds && i < set->count; i++) {
        const struct audit_set_file *file = &set->files[i];
        const bool last = i + 1 == set->count;
        /* The head kept elsewhere is looked for in the file where it should be. */
        const bool here = expected != NULL && (last || set->files[i + 1].first_seq > expected->seq);
        const bool any = i == 0 && after == NULL;
        const bool begins = i > 0 ? goes_on_well(file, verdict_r)
                                  : any || log_begins_well(file, verdict_r);
        if (!begins || !named_well(file, verdict_r)) {
            return;
        }
        audit_verify_signed(file->bytes, any ? NULL : &verdict_r->head, here ? expected : NULL,
                            signatures, &of);
        verdict_r->records += of.records;
        verdict_r->first_seq = i == 0 ? of.first_seq : verdict_r->first_seq;
        verdict_r->head = of.head;
        (void)ends_well(file, last, &of, verdict_r);
    }
    if (set->count == 0 && expected != NULL) {
        condemn(verdict_r, NULL, 1, 0, "there are no records at all");
    }
}

void audit_set_each(const struct audit_set *set, audit_set_fn fn, void *context)
{
    bool more = true;
    for (size_t i = 0; more && i < set->count; i++) {
        struct audit_reader reader;
        struct audit_record record;
        audit_reader_init(&reader, set->files[i].bytes);
        while (more && audit_read(&reader, &record) == AUDIT_OK) {
            more = fn(context, &record);
        }
        audit_reader_end(&reader);
    }
}
