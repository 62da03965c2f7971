/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/io/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define MEMORY_IS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_IS_WATCHED 1
#endif
#endif

enum {
    /* A record of 16 KiB, its header, its padding and OpenSSL's alignment lie between the two. */
    BUFFER_MIN_BYTES = 16 * 1024,
    BUFFER_BYTES = 20 * 1024,
    BUFFERS_MAX = 16,
};

static _Thread_local void *waiting[BUFFERS_MAX];
static _Thread_local size_t waiting_count;

static void *memory_take(size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    if (bytes < BUFFER_MIN_BYTES || bytes > BUFFER_BYTES) {
        return malloc(bytes);
    }
    return waiting_count > 0 ? waiting[--waiting_count] : malloc(BUFFER_BYTES);
}

static void *memory_resize(void *memory, size_t bytes, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(memory, bytes);
}

static void memory_give(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    /* Any block that is large enough will do; one that is much larger would be wasted here. */
    size_t bytes = memory != NULL ? malloc_usable_size(memory) : 0;
    if (bytes < BUFFER_BYTES || bytes >= 2 * (size_t)BUFFER_BYTES || waiting_count == BUFFERS_MAX) {
        free(memory);
        return;
    }
    waiting[waiting_count++] = memory;
}

void tls_memory_install(void)
{
#ifndef MEMORY_IS_WATCHED
    (void)CRYPTO_set_mem_functions(memory_take, memory_resize, memory_give);
#else
    (void)memory_take, (void)memory_resize, (void)memory_give;
#endif
}

void tls_memory_release(void)
{
    while (waiting_count > 0) {
        free(waiting[--waiting_count]);
    }
}
