/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/hsm_kit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/unit/pki_kit.h"

static char directory[64];

__attribute__((format(printf, 1, 2))) static void run(const char *format, ...)
{
    char command[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    if (system(command) != 0) {
        fprintf(stderr, "failed (package softhsm2?): %s\n", command);
        abort();
    }
}

void hsm_open(void)
{
    char path[128];
    snprintf(directory, sizeof directory, "/tmp/setu-hsm-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        abort();
    }
    snprintf(path, sizeof path, "%s/tokens", directory);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/softhsm2.conf", directory);
    FILE *file = fopen(path, "w");
    if (file == NULL ||
        fprintf(file, "directories.tokendir = %s/tokens\nobjectstore.backend = file\n",
                directory) < 0 ||
        fclose(file) != 0) {
        abort();
    }
    setenv("SOFTHSM2_CONF", path, 1);
    run("softhsm2-util --init-token --free --label setu --pin %s --so-pin 12345678 >/dev/null",
        HSM_PIN);
}

void hsm_close(void)
{
    run("rm -rf %s", directory);
}

void hsm_import(const char *label, const char *id, const EVP_PKEY *key)
{
    pki_write_key("imported.key", 0400, key, NULL);
    run("softhsm2-util --import %s --token setu --label %s --id %s --pin %s >/dev/null",
        pki_path("imported.key"), label, id, HSM_PIN);
    remove(pki_path("imported.key"));
}
