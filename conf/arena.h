/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that is taken in small pieces and given back all at once: one arena per tree, one per
 * snapshot. What an arena held is wiped when it is freed, since users and credentials files pass
 * through one. Out of memory aborts: sizes come from a local file of bounded length, never from a
 * peer.
 */
#pragma once

#include <stddef.h>

struct arena_block;

/* Zero-initialised = empty. */
struct arena {
    struct arena_block *blocks;
};

/* Zeroed memory, aligned for any type; lives until arena_deinit(). Never NULL, also for size 0. */
void *arena_take(struct arena *arena, size_t size) __attribute__((returns_nonnull));
/* Zeroed memory for count items of size bytes each. */
void *arena_array(struct arena *arena, size_t count, size_t size) __attribute__((returns_nonnull));
/* A NUL-terminated copy of length bytes. */
char *arena_text(struct arena *arena, const char *text, size_t length)
    __attribute__((returns_nonnull));
/* Wipes and frees everything; the arena is empty again. */
void arena_deinit(struct arena *arena);
