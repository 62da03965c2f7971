/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as two files of a ledger. First byte: bit 0 set, they are the files as they are; else pieces with two bytes
 * of length each are their blocks, with head and checksum as they must be, and bit 1 set, the last one is torn. Second
 * byte: how many pieces, or 256ths of the bytes, belong to the first file. Judged in one reading and in many, the
 * verdict is the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "protocol/batch.h"
#include "proxy/ops/ledger_verify.h"
#include "tests/fuzz/login_fuzz.h"

enum { FILES = 2, RAW = 1, TORN = 2, SIZE_MAX_USED = 16384 };

static void put(int file, const void *at, size_t length)
{
    must(length == 0 || write(file, at, length) == (ssize_t)length);
}

static void put_block(int file, struct view content)
{
    uint8_t head[LEDGER_HEAD_BYTES];
    bytes_store_u32(head, (uint32_t)content.length);
    bytes_store_u32(head + 4, batch_crc_end(2, batch_crc_update(2, batch_crc_begin(2), content.at,
                                                                content.length)));
    put(file, head, sizeof head);
    put(file, content.at, content.length);
}

static void write_blocks(const int *files, uint8_t first, const uint8_t *data, size_t size)
{
    for (int i = 0; i < FILES; i++) {
        put(files[i], ledger_magic, LEDGER_MAGIC_BYTES);
    }
    for (size_t n = 0; size >= 2; n++) {
        struct view content = login_fuzz_token(&data, &size);
        put_block(files[n < first ? 0 : 1], content);
    }
}

static void write_files(const int *files, const uint8_t *data, size_t size)
{
    uint8_t how = data[0], first = data[1];
    data += 2;
    size -= 2;
    if ((how & RAW) != 0) {
        size_t length = size * first / 256;
        put(files[0], data, length);
        put(files[1], data + length, size - length);
        return;
    }
    write_blocks(files, first, data, size);
    if ((how & TORN) != 0) {
        off_t end = lseek(files[1], 0, SEEK_END);
        must(ftruncate(files[1], end - 1) == 0);
    }
}

static void on_finding(void *context, const struct ledger_finding *finding)
{
    must(finding->kind < LEDGER_FINDINGS && finding->text != NULL && finding->record != NULL);
    ++*(uint64_t *)context;
}

static bool verify(char paths[FILES][64], size_t memory, struct ledger_verdict *verdict)
{
    const char *const named[FILES] = {paths[0], paths[1]};
    char error[512] = "";
    uint64_t told = 0;
    const struct ledger_verify_params params = {.paths = named,
                                                .path_count = FILES,
                                                .memory_bytes = memory,
                                                .finding = on_finding,
                                                .context = &told};
    bool good = ledger_verify(&params, verdict, error, sizeof error);
    must(good == (error[0] == '\0') && strlen(error) < sizeof error);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int files[FILES];
    char paths[FILES][64];
    struct ledger_verdict whole, parts;
    if (size < 2 || size > SIZE_MAX_USED) {
        return 0;
    }
    for (int i = 0; i < FILES; i++) {
        files[i] = memfd_create("ledger", MFD_CLOEXEC);
        must(files[i] >= 0);
        snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", files[i]);
    }
    write_files(files, data, size);
    bool good = verify(paths, 0, &whole);
    must(good == verify(paths, 1, &parts));
    must(!good || memcmp(&whole, &parts, sizeof whole) == 0);
    for (int i = 0; i < FILES; i++) {
        close(files[i]);
    }
    return 0;
}
