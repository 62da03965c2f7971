/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/kerberos.h"

#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <krb5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "auth/secret.h"
#include "conf/config.h"
#include "conf/errors.h"

enum { NAME_SIZE = 64, PATH_SIZE = 64, REALM_SIZE = 256 };

static void say(struct kerberos_fault *fault, const char *what, const char *why)
{
    snprintf(fault->text, sizeof fault->text, "%s%s%s", what, why[0] != '\0' ? ": " : "", why);
}

static void say_krb5(krb5_context context, krb5_error_code code, const char *what,
                     struct kerberos_fault *fault)
{
    const char *why = krb5_get_error_message(context, code);
    say(fault, what, why);
    krb5_free_error_message(context, why);
}

/* ---- keys ---- */

/* A MEMORY key table lives as long as somebody holds it; no two have one name. */
struct keys {
    krb5_context context;
    krb5_keytab table;
    char name[NAME_SIZE];
};

/* Which keys of a file are taken: its own principal's, or those of a service on some hosts. */
struct wanted {
    krb5_const_principal principal; /* NULL: by service and hosts */
    const char *service;
    const char *const *hosts;
    size_t hosts_count;
    size_t *found; /* of each host, or of the principal: how many */
};

static void unique_name(const char *prefix, char name_r[NAME_SIZE])
{
    static atomic_uint last;
    snprintf(name_r, NAME_SIZE, "MEMORY:setu-%s-%u", prefix, atomic_fetch_add(&last, 1));
}

static bool component_is(const krb5_data *data, const char *text)
{
    return data->length == strlen(text) && strncasecmp(data->data, text, data->length) == 0;
}

static bool is_wanted(krb5_context context, krb5_const_principal principal, struct wanted *wanted)
{
    bool good = false;
    if (wanted->principal != NULL) {
        good = krb5_principal_compare(context, principal, wanted->principal);
        wanted->found[0] += good ? 1 : 0;
        return good;
    }
    if (principal->length != 2 || !component_is(&principal->data[0], wanted->service)) {
        return false;
    }
    for (size_t i = 0; i < wanted->hosts_count; i++) {
        if (component_is(&principal->data[1], wanted->hosts[i])) {
            wanted->found[i]++;
            good = true;
        }
    }
    return good;
}

static krb5_error_code copy_wanted(struct keys *keys, krb5_keytab from, struct wanted *wanted)
{
    krb5_kt_cursor cursor;
    krb5_keytab_entry entry;
    krb5_error_code code = krb5_kt_start_seq_get(keys->context, from, &cursor);
    if (code != 0) {
        return code;
    }
    while ((code = krb5_kt_next_entry(keys->context, from, &entry, &cursor)) == 0) {
        if (is_wanted(keys->context, entry.principal, wanted)) {
            code = krb5_kt_add_entry(keys->context, keys->table, &entry);
        }
        krb5_free_keytab_entry_contents(keys->context, &entry);
        if (code != 0) {
            break;
        }
    }
    (void)krb5_kt_end_seq_get(keys->context, from, &cursor);
    return code == KRB5_KT_END ? 0 : code;
}

/* The open file is what was judged, so its descriptor is what libkrb5 is given. */
static bool copy_file(struct keys *keys, const char *path, struct wanted *wanted,
                      struct kerberos_fault *fault_r)
{
    enum secret_file_status status;
    char name[PATH_SIZE];
    krb5_keytab from = NULL;
    int file = secret_open_file(path, KERBEROS_KEYTAB_BYTES_MAX, &status);
    if (file < 0) {
        say(fault_r, secret_file_text(status),
            status == SECRET_FILE_UNREADABLE ? strerror(errno) : "");
        return false;
    }
    snprintf(name, sizeof name, "FILE:/proc/self/fd/%d", file);
    krb5_error_code code = krb5_kt_resolve(keys->context, name, &from);
    if (code == 0) {
        code = copy_wanted(keys, from, wanted);
        (void)krb5_kt_close(keys->context, from);
    }
    close(file);
    if (code != 0) {
        say_krb5(keys->context, code, "is no keytab", fault_r);
    }
    return code == 0;
}

static void keys_drop(struct keys *keys)
{
    if (keys->table != NULL) {
        (void)krb5_kt_close(keys->context, keys->table);
    }
    if (keys->context != NULL) {
        krb5_free_context(keys->context);
    }
    *keys = (struct keys){0};
}

static bool keys_begin(struct keys *keys, struct kerberos_fault *fault_r)
{
    *keys = (struct keys){0};
    krb5_error_code code = krb5_init_context(&keys->context);
    if (code != 0) {
        say_krb5(NULL, code, "krb5.conf cannot be used", fault_r);
        return false;
    }
    unique_name("keys", keys->name);
    code = krb5_kt_resolve(keys->context, keys->name, &keys->table);
    if (code != 0) {
        say_krb5(keys->context, code, "no memory for keys", fault_r);
        keys_drop(keys);
    }
    return code == 0;
}

/* ---- texts ---- */

void kerberos_explain(uint32_t major, uint32_t minor, struct kerberos_fault *fault_r)
{
    gss_buffer_desc text = GSS_C_EMPTY_BUFFER;
    OM_uint32 ignored, more = 0;
    int kind = minor != 0 ? GSS_C_MECH_CODE : GSS_C_GSS_CODE;
    OM_uint32 status =
        gss_display_status(&ignored, minor != 0 ? minor : major, kind, gss_mech_krb5, &more, &text);
    if (GSS_ERROR(status)) {
        say(fault_r, "GSSAPI failed", "");
        return;
    }
    snprintf(fault_r->text, sizeof fault_r->text, "%.*s", (int)text.length, (char *)text.value);
    gss_release_buffer(&ignored, &text);
}

static gss_cred_id_t acquire(gss_name_t name, gss_cred_usage_t usage,
                             gss_key_value_element_desc *elements, size_t count,
                             struct kerberos_fault *fault_r)
{
    gss_key_value_set_desc store = {.count = (OM_uint32)count, .elements = elements};
    gss_OID_set_desc only = {.count = 1, .elements = (gss_OID)gss_mech_krb5};
    gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
    OM_uint32 minor;
    OM_uint32 major = gss_acquire_cred_from(&minor, name, GSS_C_INDEFINITE, &only, usage, &store,
                                            &credential, NULL, NULL);
    if (GSS_ERROR(major)) {
        kerberos_explain(major, minor, fault_r);
        return GSS_C_NO_CREDENTIAL;
    }
    return credential;
}

/* ---- the acceptor ---- */

struct kerberos_acceptor {
    atomic_size_t references;
    struct keys keys;
    gss_cred_id_t credential;
    struct kerberos_rules *rules;
    char *service;
    char system_realm[REALM_SIZE];
};

static void read_system_realm(struct kerberos_acceptor *acceptor)
{
    char *realm = NULL;
    if (krb5_get_default_realm(acceptor->keys.context, &realm) == 0) {
        snprintf(acceptor->system_realm, sizeof acceptor->system_realm, "%s", realm);
        krb5_free_default_realm(acceptor->keys.context, realm);
    }
}

static void read_rules(struct kerberos_acceptor *acceptor, const struct config *config,
                       const struct conf_listener_gssapi *conf, struct conf_errors *errors)
{
    struct rule_fault error;
    const char *realm = conf->realm[0] != '\0' ? conf->realm : acceptor->system_realm;
    if (realm[0] == '\0') {
        conf_errors_add(errors, conf->place,
                        "krb5.conf has no default_realm (set one there, or 'realm' here)");
    }
    acceptor->rules = kerberos_rules_new(realm);
    for (size_t i = 0; i < conf->principal_to_local_rules_count; i++) {
        const char *const *rule = &conf->principal_to_local_rules[i];
        if (!kerberos_rules_add(acceptor->rules, view_from_string(*rule), &error)) {
            conf_errors_add(errors, config_place(config, rule), "at character %zu: %s",
                            error.offset + 1, error.text);
        }
    }
    if (conf->principal_to_local_rules_count == 0 &&
        !kerberos_rules_add(acceptor->rules, view_from_string("DEFAULT"), &error)) {
        abort();
    }
}

static void read_keys(struct kerberos_acceptor *acceptor, const struct config *config,
                      const struct conf_listener *listener, struct conf_errors *errors)
{
    const struct conf_listener_gssapi *conf = &listener->gssapi;
    struct conf_place place = config_place(config, &conf->keytab);
    struct kerberos_fault fault;
    struct wanted wanted = {
        .service = conf->service_name, .hosts = conf->hosts, .hosts_count = conf->hosts_count};
    if (conf->hosts_count == 0) {
        wanted.hosts = &listener->advertised_host;
        wanted.hosts_count = 1;
    }
    wanted.found = calloc(wanted.hosts_count, sizeof *wanted.found);
    if (wanted.found == NULL) {
        abort();
    }
    if (!copy_file(&acceptor->keys, conf->keytab, &wanted, &fault)) {
        conf_errors_add(errors, place, "keytab %s %s", conf->keytab, fault.text);
    } else {
        for (size_t i = 0; i < wanted.hosts_count; i++) {
            if (wanted.found[i] == 0) {
                conf_errors_add(errors, place,
                                "keytab %s holds no key for %s/%s, the name clients will ask "
                                "tickets for (add it, or say 'hosts')",
                                conf->keytab, conf->service_name, wanted.hosts[i]);
            }
        }
    }
    free(wanted.found);
}

struct kerberos_acceptor *kerberos_acceptor_load(const struct config *config,
                                                 const struct conf_listener *listener,
                                                 struct conf_errors *errors)
{
    struct kerberos_fault fault;
    size_t errors_before = errors->errors;
    struct kerberos_acceptor *acceptor = calloc(1, sizeof *acceptor);
    if (acceptor == NULL || (acceptor->service = strdup(listener->gssapi.service_name)) == NULL) {
        abort();
    }
    atomic_init(&acceptor->references, 1);
    if (!keys_begin(&acceptor->keys, &fault)) {
        conf_errors_add(errors, listener->gssapi.place, "%s", fault.text);
    } else {
        read_system_realm(acceptor);
        read_rules(acceptor, config, &listener->gssapi, errors);
        read_keys(acceptor, config, listener, errors);
    }
    if (errors->errors == errors_before) {
        gss_key_value_element_desc store[] = {{"keytab", acceptor->keys.name}};
        acceptor->credential = acquire(GSS_C_NO_NAME, GSS_C_ACCEPT, store, 1, &fault);
        if (acceptor->credential == GSS_C_NO_CREDENTIAL) {
            conf_errors_add(errors, listener->gssapi.place, "%s", fault.text);
        }
    }
    if (errors->errors > errors_before) {
        kerberos_acceptor_unref(&acceptor);
    }
    return acceptor;
}

struct kerberos_acceptor *kerberos_acceptor_ref(const struct kerberos_acceptor *acceptor)
{
    struct kerberos_acceptor *it = (struct kerberos_acceptor *)acceptor;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void kerberos_acceptor_unref(struct kerberos_acceptor **acceptor)
{
    struct kerberos_acceptor *it = *acceptor;
    OM_uint32 ignored;
    *acceptor = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    gss_release_cred(&ignored, &it->credential);
    keys_drop(&it->keys);
    kerberos_rules_free(&it->rules);
    free(it->service);
    free(it);
}

void *kerberos_acceptor_credential(const struct kerberos_acceptor *acceptor)
{
    return acceptor->credential;
}

const char *kerberos_acceptor_service(const struct kerberos_acceptor *acceptor)
{
    return acceptor->service;
}

const char *kerberos_acceptor_system_realm(const struct kerberos_acceptor *acceptor)
{
    return acceptor->system_realm;
}

enum kerberos_name_status kerberos_acceptor_name(const struct kerberos_acceptor *acceptor,
                                                 struct view principal, char *out, size_t capacity)
{
    return kerberos_name_short(acceptor->rules, principal, out, capacity, NULL);
}

/* ---- our own logins ---- */

struct kerberos_login {
    atomic_size_t references;
    struct keys keys;
    krb5_ccache tickets;
    char tickets_name[NAME_SIZE];
    gss_name_t name;
    pthread_mutex_t turn;
};

static bool import(const char *text, gss_name_t *name_r, struct kerberos_fault *fault_r)
{
    gss_buffer_desc buffer = {.length = strlen(text), .value = (void *)(uintptr_t)text};
    OM_uint32 minor;
    OM_uint32 major = gss_import_name(&minor, &buffer, (gss_OID)GSS_KRB5_NT_PRINCIPAL_NAME, name_r);
    if (GSS_ERROR(major)) {
        kerberos_explain(major, minor, fault_r);
        return false;
    }
    return true;
}

static bool login_read(struct kerberos_login *login, krb5_const_principal principal,
                       const char *keytab, struct kerberos_fault *fault_r)
{
    size_t found = 0;
    struct wanted wanted = {.principal = principal, .found = &found};
    if (!copy_file(&login->keys, keytab, &wanted, fault_r)) {
        return false;
    }
    if (found == 0) {
        say(fault_r, "holds no key for this principal (kinit -k would fail, too)", "");
        return false;
    }
    unique_name("tickets", login->tickets_name);
    krb5_error_code code =
        krb5_cc_resolve(login->keys.context, login->tickets_name, &login->tickets);
    if (code != 0) {
        say_krb5(login->keys.context, code, "no memory for tickets", fault_r);
    }
    return code == 0;
}

static bool login_begin(struct kerberos_login *login, const char *text, const char *keytab,
                        struct kerberos_fault *fault_r)
{
    krb5_principal principal = NULL;
    char *whole = NULL;
    if (!keys_begin(&login->keys, fault_r)) {
        return false;
    }
    krb5_error_code code = krb5_parse_name(login->keys.context, text, &principal);
    if (code == 0) {
        code = krb5_unparse_name(login->keys.context, principal, &whole);
    }
    bool good = code == 0;
    if (!good) {
        say_krb5(login->keys.context, code, "is no Kerberos principal", fault_r);
    }
    good = good && import(whole, &login->name, fault_r) &&
           login_read(login, principal, keytab, fault_r);
    krb5_free_unparsed_name(login->keys.context, whole);
    krb5_free_principal(login->keys.context, principal);
    return good;
}

struct kerberos_login *kerberos_login_new(const char *principal, const char *keytab,
                                          struct kerberos_fault *fault_r)
{
    struct kerberos_login *login = calloc(1, sizeof *login);
    fault_r->text[0] = '\0';
    if (login == NULL || pthread_mutex_init(&login->turn, NULL) != 0) {
        abort();
    }
    atomic_init(&login->references, 1);
    if (!login_begin(login, principal, keytab, fault_r)) {
        kerberos_login_unref(&login);
    }
    return login;
}

struct kerberos_login *kerberos_login_ref(const struct kerberos_login *login)
{
    struct kerberos_login *it = (struct kerberos_login *)login;
    atomic_fetch_add_explicit(&it->references, 1, memory_order_relaxed);
    return it;
}

void kerberos_login_unref(struct kerberos_login **login)
{
    struct kerberos_login *it = *login;
    OM_uint32 ignored;
    *login = NULL;
    if (it == NULL || atomic_fetch_sub_explicit(&it->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    gss_release_name(&ignored, &it->name);
    if (it->tickets != NULL) {
        (void)krb5_cc_destroy(it->keys.context, it->tickets);
    }
    keys_drop(&it->keys);
    pthread_mutex_destroy(&it->turn);
    free(it);
}

void kerberos_login_lock(struct kerberos_login *login)
{
    pthread_mutex_lock(&login->turn);
}

void kerberos_login_unlock(struct kerberos_login *login)
{
    pthread_mutex_unlock(&login->turn);
}

void *kerberos_login_acquire(struct kerberos_login *login, struct kerberos_fault *fault_r)
{
    gss_key_value_element_desc store[] = {{"client_keytab", login->keys.name},
                                          {"ccache", login->tickets_name}};
    return acquire(login->name, GSS_C_INITIATE, store, 2, fault_r);
}

void *kerberos_service_name(const char *service, const char *host, struct kerberos_fault *fault_r)
{
    krb5_context context = NULL;
    krb5_principal principal = NULL;
    gss_name_t name = GSS_C_NO_NAME;
    char *text = NULL;
    krb5_error_code code = krb5_init_context(&context);
    if (code == 0) {
        code = krb5_sname_to_principal(context, host, service, KRB5_NT_UNKNOWN, &principal);
    }
    if (code == 0) {
        code = krb5_unparse_name(context, principal, &text);
    }
    if (code != 0) {
        say_krb5(context, code, "no name for the broker", fault_r);
    } else {
        (void)import(text, &name, fault_r);
    }
    if (context != NULL) {
        krb5_free_unparsed_name(context, text);
        krb5_free_principal(context, principal);
        krb5_free_context(context);
    }
    return name;
}
