/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/keytab.h"

#include <errno.h>
#include <krb5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth/secret.h"

enum { PATH_SIZE = 64 };

static void say_krb5(krb5_context context, krb5_error_code code, struct kerberos_fault *fault)
{
    const char *why = krb5_get_error_message(context, code);
    snprintf(fault->text, sizeof fault->text, "is no keytab: %s", why);
    krb5_free_error_message(context, why);
}

static bool is_weak(krb5_enctype enctype)
{
    switch (enctype) {
    case ENCTYPE_AES128_CTS_HMAC_SHA1_96:
    case ENCTYPE_AES256_CTS_HMAC_SHA1_96:
    case ENCTYPE_AES128_CTS_HMAC_SHA256_128:
    case ENCTYPE_AES256_CTS_HMAC_SHA384_192:
    case ENCTYPE_CAMELLIA128_CTS_CMAC:
    case ENCTYPE_CAMELLIA256_CTS_CMAC:
        return false;
    default:
        return true;
    }
}

static void copy_part(const krb5_data *part, char out[KEYTAB_NAME_BYTES])
{
    snprintf(out, KEYTAB_NAME_BYTES, "%.*s", (int)part->length, part->data);
}

static void describe(krb5_context context, const krb5_keytab_entry *from, struct keytab_entry *to)
{
    char *name = NULL;
    *to = (struct keytab_entry){.kvno = from->vno, .weak = is_weak(from->key.enctype)};
    if (krb5_unparse_name(context, from->principal, &name) == 0) {
        snprintf(to->principal, sizeof to->principal, "%s", name);
        krb5_free_unparsed_name(context, name);
    }
    if (from->principal->length == 2) {
        copy_part(&from->principal->data[0], to->service);
        copy_part(&from->principal->data[1], to->host);
    }
    if (krb5_enctype_to_name(from->key.enctype, FALSE, to->enctype, sizeof to->enctype) != 0) {
        snprintf(to->enctype, sizeof to->enctype, "enctype %d", (int)from->key.enctype);
    }
}

static krb5_error_code read_entries(krb5_context context, krb5_keytab table, keytab_fn fn,
                                    void *of)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    struct keytab_entry told;
    krb5_error_code code = krb5_kt_start_seq_get(context, table, &cursor);
    if (code != 0) {
        return code;
    }
    while ((code = krb5_kt_next_entry(context, table, &entry, &cursor)) == 0) {
        describe(context, &entry, &told);
        krb5_free_keytab_entry_contents(context, &entry);
        fn(of, &told);
    }
    (void)krb5_kt_end_seq_get(context, table, &cursor);
    return code == KRB5_KT_END ? 0 : code;
}

/* The open file is what was judged, so its descriptor is what libkrb5 is given. */
static bool read_file(int file, keytab_fn fn, void *of, struct kerberos_fault *fault_r)
{
    krb5_context context = NULL;
    krb5_keytab table = NULL;
    char name[PATH_SIZE];
    krb5_error_code code = krb5_init_context(&context);
    if (code != 0) {
        snprintf(fault_r->text, sizeof fault_r->text, "krb5.conf cannot be used");
        return false;
    }
    snprintf(name, sizeof name, "FILE:/proc/self/fd/%d", file);
    code = krb5_kt_resolve(context, name, &table);
    if (code == 0) {
        code = read_entries(context, table, fn, of);
        (void)krb5_kt_close(context, table);
    }
    if (code != 0) {
        say_krb5(context, code, fault_r);
    }
    krb5_free_context(context);
    return code == 0;
}

bool keytab_each(const char *path, keytab_fn fn, void *context, struct kerberos_fault *fault_r)
{
    enum secret_file_status status;
    int file = secret_open_file(path, KERBEROS_KEYTAB_BYTES_MAX, &status);
    if (file < 0) {
        snprintf(fault_r->text, sizeof fault_r->text, "%s%s%s", secret_file_text(status),
                 status == SECRET_FILE_UNREADABLE ? ": " : "",
                 status == SECRET_FILE_UNREADABLE ? strerror(errno) : "");
        return false;
    }
    bool good = read_file(file, fn, context, fault_r);
    close(file);
    return good;
}
