/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of Kerberos share: a folder with a krb5.conf of a realm whose KDC nobody is, and keytabs made here.
 * Include criterion first.
 */
#pragma once

#include <krb5.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/errors.h"

static char kit_folder[] = "/tmp/setu-kerberos-XXXXXX";

static inline const char *kit_path(const char *name)
{
    static char paths[4][256];
    static size_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", kit_folder, name);
    return path;
}

static inline void kit_write(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(kit_path(name), "w");
    cr_assert_not_null(file);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(kit_path(name), mode), 0);
}

/* Port 1 of this machine refuses at once. */
static inline void kit_krb5_conf(const char *realm_line)
{
    char text[512];
    snprintf(text, sizeof text,
             "[libdefaults]\n %s\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
             "[realms]\n EXAMPLE.COM = {\n  kdc = 127.0.0.1:1\n }\n",
             realm_line);
    kit_write("krb5.conf", text, 0644);
}

static inline void kit_open(void)
{
    cr_assert_not_null(mkdtemp(kit_folder));
    cr_assert_eq(setenv("KRB5_CONFIG", kit_path("krb5.conf"), 1), 0);
    cr_assert_eq(setenv("KRB5RCACHEDIR", kit_folder, 1), 0);
    kit_krb5_conf("default_realm = EXAMPLE.COM");
}

static inline void kit_close(void)
{
    char command[320];
    snprintf(command, sizeof command, "rm -rf %s", kit_folder);
    cr_assert_eq(system(command), 0);
}

static inline void kit_keytab(const char *name, const char *const *principals, mode_t mode)
{
    krb5_context context;
    krb5_keytab table;
    char full[300];
    cr_assert_eq(krb5_init_context(&context), 0);
    snprintf(full, sizeof full, "WRFILE:%s", kit_path(name));
    cr_assert_eq(krb5_kt_resolve(context, full, &table), 0);
    for (size_t i = 0; principals[i] != NULL; i++) {
        krb5_keytab_entry entry = {.vno = 1};
        cr_assert_eq(krb5_parse_name(context, principals[i], &entry.principal), 0);
        cr_assert_eq(krb5_c_make_random_key(context, ENCTYPE_AES256_CTS_HMAC_SHA1_96, &entry.key),
                     0);
        cr_assert_eq(krb5_kt_add_entry(context, table, &entry), 0);
        krb5_free_keytab_entry_contents(context, &entry);
    }
    cr_assert_eq(krb5_kt_close(context, table), 0);
    krb5_free_context(context);
    cr_assert_eq(chmod(kit_path(name), mode), 0);
}

/* A configuration with one listener that offers GSSAPI; `gssapi` is what stands in its section. */
static inline struct config *kit_config(const char *gssapi)
{
    char text[4096];
    struct conf_errors errors;
    conf_errors_init(&errors);
    snprintf(text, sizeof text,
             "audit: {file: /a.log}\n"
             "certificates: [{name: setu, chain: /c.pem, key: /c.key}]\n"
             "clusters:\n"
             "  - name: main\n"
             "    bootstrap: ['127.0.0.1:9092']\n"
             "    identity: {certificate: setu}\n"
             "    generations:\n"
             "      - {name: g, protocol: SSL, login: mapped-certificate, tls: {ca: /ca.pem}}\n"
             "listeners:\n"
             "  - name: l\n"
             "    cluster: main\n"
             "    bind: 127.0.0.1\n"
             "    port: 19092\n"
             "    advertised_host: localhost\n"
             "    node_base_port: 19100\n"
             "    mechanisms: [GSSAPI]\n"
             "    gssapi: {%s}\n",
             gssapi);
    struct config *config = config_parse(text, strlen(text), "setu.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(config);
    conf_errors_deinit(&errors);
    return config;
}
