/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file. One that is accepted must dump to a file that is accepted and
 * dumps the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *parse(const char *text, size_t length)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, length, "fuzz.yaml", &errors);
    if ((config != NULL) == conf_errors_failed(&errors)) {
        abort();
    }
    conf_errors_deinit(&errors);
    return config;
}

static char *dump(const struct config *config, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    config_dump(config, out);
    fclose(out);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = parse((const char *)data, size);
    if (config == NULL) {
        return 0;
    }
    size_t first_length = 0;
    size_t second_length = 0;
    char *first = dump(config, &first_length);
    struct config *again = parse(first, first_length);
    if (again == NULL) {
        abort();
    }
    char *second = dump(again, &second_length);
    if (first_length != second_length || memcmp(first, second, first_length) != 0) {
        abort();
    }
    free(first);
    free(second);
    config_unref(&config);
    config_unref(&again);
    return 0;
}
