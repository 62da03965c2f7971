/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

void die_tls(const char *what)
{
    char text[200];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    die("%s: %s", what, text);
}

double number_of(const char *option, const char *text, double min, double max)
{
    char *end = NULL;
    errno = 0;
    double value = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= min && value <= max)) {
        die("--%s %s: a number from %g to %g is wanted", option, text, min, max);
    }
    return value;
}

struct sockaddr_in address_of(const char *text)
{
    char host[INET_ADDRSTRLEN] = "";
    struct sockaddr_in address = {.sin_family = AF_INET};
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof host) {
        die("%s is not IPV4:PORT", text);
    }
    memcpy(host, text, (size_t)(colon - text));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        die("%s is not IPV4:PORT", text);
    }
    address.sin_port = htons((uint16_t)number_of("port", colon + 1, 1, 65535));
    return address;
}

void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (memory == NULL) {
        die("no memory for %zu bytes", size);
    }
    return memory;
}

void raise_descriptors(size_t wanted)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_max < wanted) {
        die("%zu descriptors are needed, the system allows fewer", wanted);
    }
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        die("descriptors: %s", strerror(errno));
    }
}
