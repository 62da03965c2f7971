/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration as YAML, with or without the key table's sentences as comments. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct config;
struct key;

/* With comments, a key is explained where it stands first. */
void dump_config(const struct config *config, FILE *out, bool comments);

/* What a key accepts and its default, in words: "One of a, b. Default: a." */
void dump_key_facts(const struct key *key, char *text, size_t size);
