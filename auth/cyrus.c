/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/cyrus.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PRINCIPAL_ROOM = KERBEROS_NAME_BYTES_MAX + 1 };

/* libsasl2 has one type for functions of every kind. */
typedef int (*callback_fn)(void);
typedef void (*any_fn)(void);

/* ---- the process's part ---- */

static void *mutex_new(void)
{
    pthread_mutex_t *mutex = calloc(1, sizeof *mutex);
    if (mutex != NULL && pthread_mutex_init(mutex, NULL) != 0) {
        free(mutex);
        mutex = NULL;
    }
    return mutex;
}

static int mutex_lock(void *mutex)
{
    return pthread_mutex_lock(mutex) == 0 ? SASL_OK : SASL_FAIL;
}

static int mutex_unlock(void *mutex)
{
    return pthread_mutex_unlock(mutex) == 0 ? SASL_OK : SASL_FAIL;
}

static void mutex_free(void *mutex)
{
    pthread_mutex_destroy(mutex);
    free(mutex);
}

static int on_path(void *context, const char **path_r)
{
    (void)context;
    *path_r = SETU_SASL_PLUGINS;
    return SASL_OK;
}

/* Plugins by name and owner; nothing else that libsasl2 would read. */
static int on_file(void *context, const char *file, sasl_verify_type_t type)
{
    static const char wanted[] = SETU_SASL_PLUGINS "/libgssapiv2.so";
    struct stat st;
    (void)context;
    if (type != SASL_VRFY_PLUGIN || strcmp(file, wanted) != 0) {
        return SASL_CONTINUE;
    }
    bool safe = stat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 &&
                (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
    return safe ? SASL_OK : SASL_CONTINUE;
}

static int on_option(void *context, const char *plugin, const char *option, const char **value_r,
                     unsigned *length_r)
{
    static const char *const options[][2] = {
        {"mech_list", "GSSAPI"},
        {"canon_user_plugin", "INTERNAL"},
        {"auxprop_plugin", "none"},
        {"pwcheck_method", "none"},
    };
    (void)context;
    (void)plugin;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(option, options[i][0]) == 0) {
            *value_r = options[i][1];
            if (length_r != NULL) {
                *length_r = (unsigned)strlen(*value_r);
            }
            return SASL_OK;
        }
    }
    return SASL_FAIL;
}

/* What libsasl2 says beside an exchange concerns nobody. */
static int on_no_log(void *context, int level, const char *text)
{
    (void)context;
    (void)level;
    (void)text;
    return SASL_OK;
}

static const sasl_callback_t process_callbacks[] = {
    {SASL_CB_GETPATH, (callback_fn)(any_fn)on_path, NULL},
    {SASL_CB_VERIFYFILE, (callback_fn)(any_fn)on_file, NULL},
    {SASL_CB_GETOPT, (callback_fn)(any_fn)on_option, NULL},
    {SASL_CB_LOG, (callback_fn)(any_fn)on_no_log, NULL},
    {SASL_CB_LIST_END, NULL, NULL},
};

static bool offers_gssapi(void)
{
    const char **names = sasl_global_listmech();
    for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
        if (strcmp(names[i], "GSSAPI") == 0) {
            return true;
        }
    }
    return false;
}

bool cyrus_begin(struct kerberos_fault *fault_r)
{
    static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
    static bool begun, good;
    pthread_mutex_lock(&turn);
    if (!begun) {
        begun = true;
        sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
        good = sasl_server_init(process_callbacks, NULL) == SASL_OK && offers_gssapi();
    }
    bool result = good;
    pthread_mutex_unlock(&turn);
    if (!result) {
        snprintf(fault_r->text, sizeof fault_r->text,
                 "libsasl2 has no GSSAPI: %s/libgssapiv2.so is missing, or not root's alone "
                 "(install libsasl2-modules-gssapi-mit)",
                 SETU_SASL_PLUGINS);
    }
    return result;
}

/* ---- an exchange ---- */

struct cyrus_server {
    struct kerberos_acceptor *acceptor;
    sasl_conn_t *conn; /* NULL before the first step */
    sasl_callback_t callbacks[4];
    bool authzid_refused;
    char principal[PRINCIPAL_ROOM];
    struct kerberos_fault fault;
};

/* "GSSAPI Error: … (what Kerberos says)". */
static int on_log(void *context, int level, const char *text)
{
    struct cyrus_server *server = context;
    if (level > SASL_LOG_WARN || text == NULL) {
        return SASL_OK;
    }
    const char *open = strchr(text, '('), *close = strrchr(text, ')');
    bool inner = open != NULL && close != NULL && close > open;
    const char *from = inner ? open + 1 : text;
    size_t length = inner ? (size_t)(close - from) : strlen(text);
    snprintf(server->fault.text, sizeof server->fault.text, "%.*s",
             length < KERBEROS_TEXT_BYTES ? (int)length : KERBEROS_TEXT_BYTES, from);
    return SASL_OK;
}

/* The name as the KDC has it. */
static bool principal_of(const struct cyrus_server *server, const char *name, size_t length,
                         char out[PRINCIPAL_ROOM])
{
    const char *realm = kerberos_acceptor_system_realm(server->acceptor);
    bool whole = memchr(name, '@', length) != NULL;
    int wrote = snprintf(out, PRINCIPAL_ROOM, "%.*s%s%s", (int)length, name, whole ? "" : "@",
                         whole ? "" : realm);
    return wrote > 0 && wrote < PRINCIPAL_ROOM;
}

static int on_authzid(sasl_conn_t *conn, void *context, const char *wanted, unsigned wanted_length,
                      const char *name, unsigned name_length, const char *realm,
                      unsigned realm_length, struct propctx *properties)
{
    struct cyrus_server *server = context;
    char as[PRINCIPAL_ROOM], is[PRINCIPAL_ROOM];
    (void)conn;
    (void)realm;
    (void)realm_length;
    (void)properties;
    if (!server->authzid_refused && wanted_length < PRINCIPAL_ROOM &&
        name_length < PRINCIPAL_ROOM && principal_of(server, wanted, wanted_length, as) &&
        principal_of(server, name, name_length, is) && strcmp(as, is) == 0) {
        return SASL_OK;
    }
    server->authzid_refused = true;
    return SASL_NOAUTHZ;
}

static bool is_usable(const char *name, unsigned length, unsigned room)
{
    return length > 0 && length < room && length < PRINCIPAL_ROOM &&
           memchr(name, '\0', length) == NULL && (uint8_t)name[0] > ' ' &&
           (uint8_t)name[length - 1] > ' ';
}

/*
 * libsasl2 by itself would cut blanks off a name, which makes another's of it. An authorization id
 * that it cannot use it would refuse, and the plugin then forgets to free it: so it is refused
 * later, in on_authzid.
 */
static int on_name(sasl_conn_t *conn, void *context, const char *name, unsigned length,
                   unsigned flags, const char *realm, char *out, unsigned out_room,
                   unsigned *length_r)
{
    struct cyrus_server *server = context;
    (void)conn;
    (void)realm;
    if (!is_usable(name, length, out_room)) {
        if ((flags & SASL_CU_AUTHID) != 0) {
            return SASL_BADPARAM;
        }
        server->authzid_refused = true;
        name = "?";
        length = 1;
    }
    memcpy(out, name, length);
    out[length] = '\0';
    *length_r = length;
    return SASL_OK;
}

struct cyrus_server *cyrus_server_new(const struct kerberos_acceptor *acceptor)
{
    struct cyrus_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        return NULL;
    }
    server->acceptor = kerberos_acceptor_ref(acceptor);
    server->callbacks[0] = (sasl_callback_t){SASL_CB_LOG, (callback_fn)(any_fn)on_log, server};
    server->callbacks[1] =
        (sasl_callback_t){SASL_CB_PROXY_POLICY, (callback_fn)(any_fn)on_authzid, server};
    server->callbacks[2] =
        (sasl_callback_t){SASL_CB_CANON_USER, (callback_fn)(any_fn)on_name, server};
    server->callbacks[3] = (sasl_callback_t){SASL_CB_LIST_END, NULL, NULL};
    return server;
}

/*
 * The host is a formality: with keys given, libsasl2 makes a name of it and never uses it, but
 * libkrb5 may look it up. This one needs no DNS.
 */
static bool begin(struct cyrus_server *server)
{
    sasl_security_properties_t properties = {.security_flags =
                                                 SASL_SEC_NOPLAINTEXT | SASL_SEC_NOANONYMOUS};
    const char *service = kerberos_acceptor_service(server->acceptor);
    return sasl_server_new(service, "localhost", NULL, NULL, NULL, server->callbacks, 0,
                           &server->conn) == SASL_OK &&
           sasl_setprop(server->conn, SASL_SEC_PROPS, &properties) == SASL_OK &&
           sasl_setprop(server->conn, SASL_GSS_CREDS,
                        kerberos_acceptor_credential(server->acceptor)) == SASL_OK;
}

static enum cyrus_status end(struct cyrus_server *server, struct kerberos_fault *fault_r)
{
    const void *name = NULL;
    if (sasl_getprop(server->conn, SASL_AUTHUSER, &name) != SASL_OK || name == NULL ||
        !principal_of(server, name, strlen(name), server->principal)) {
        snprintf(fault_r->text, sizeof fault_r->text, "the client has no name that can be used");
        return CYRUS_REFUSED;
    }
    return CYRUS_DONE;
}

enum cyrus_status cyrus_server_step(struct cyrus_server *server, struct view token,
                                    struct view *reply_r, struct kerberos_fault *fault_r)
{
    const char *in = token.length > 0 ? (const char *)token.at : "";
    const char *out = NULL;
    unsigned out_length = 0;
    int result = SASL_FAIL;
    *reply_r = view_of(NULL, 0);
    *fault_r = (struct kerberos_fault){0};
    server->fault.text[0] = '\0';
    if (server->conn != NULL) {
        result = sasl_server_step(server->conn, in, (unsigned)token.length, &out, &out_length);
    } else if (begin(server)) {
        result = sasl_server_start(server->conn, "GSSAPI", in, (unsigned)token.length, &out,
                                   &out_length);
    }
    if (result == SASL_CONTINUE) {
        *reply_r = view_of(out, out != NULL ? out_length : 0);
        return CYRUS_MORE;
    }
    if (result == SASL_OK) {
        return end(server, fault_r);
    }
    *fault_r = server->fault;
    if (fault_r->text[0] == '\0') {
        snprintf(fault_r->text, sizeof fault_r->text, "%s", sasl_errstring(result, NULL, NULL));
    }
    return server->authzid_refused ? CYRUS_AUTHZID : CYRUS_REFUSED;
}

const char *cyrus_server_principal(const struct cyrus_server *server)
{
    return server->principal;
}

void cyrus_server_free(struct cyrus_server **server)
{
    struct cyrus_server *it = *server;
    *server = NULL;
    if (it == NULL) {
        return;
    }
    sasl_dispose(&it->conn);
    kerberos_acceptor_unref(&it->acceptor);
    free(it);
}
