/* SPDX-License-Identifier: Apache-2.0 */
/* What both tools of the benchmark need: a way to give up, and checked arguments. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>

/* What a Produce writes to and a Fetch asks for: partition 0 of this topic. */
#define BENCH_TOPIC "bench"

/* Prints "PROGRAM: text" and ends the process with status 2. A benchmark that limps is worse than
 * none. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* As die, with OpenSSL's first error. */
void die_tls(const char *what) __attribute__((noreturn));

/* die unless text is a number in [min, max]. */
double number_of(const char *option, const char *text, double min, double max);
/* IPV4:PORT, else die. */
struct sockaddr_in address_of(const char *text);
/* Never NULL. */
void *allocate(size_t size);
/* Allows as many descriptors as the system does; dies if those are fewer than wanted. */
void raise_descriptors(size_t wanted);
