/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/gssapi_client.h"

#include <gssapi/gssapi.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"

enum { LAYER_NONE = 1, LAYERS_BYTES = 4 };

enum stage { STAGE_TICKET, STAGE_CONTEXT, STAGE_LAYERS, STAGE_END };

struct gssapi_client {
    struct kerberos_login *login;
    char *service, *host;
    gss_ctx_id_t context;
    gss_name_t broker;
    gss_cred_id_t credential;
    enum stage stage;
};

struct gssapi_client *gssapi_client_new(struct kerberos_login *login, const char *service,
                                        const char *host)
{
    struct gssapi_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    client->login = kerberos_login_ref(login);
    client->service = strdup(service);
    client->host = strdup(host);
    if (client->service == NULL || client->host == NULL) {
        gssapi_client_free(&client);
    }
    return client;
}

static void put_and_release(struct writer *reply, gss_buffer_desc *buffer)
{
    OM_uint32 ignored;
    writer_put(reply, view_of(buffer->value, buffer->length));
    gss_release_buffer(&ignored, buffer);
}

static enum gssapi_client_status refused(struct kerberos_fault *fault, const char *what)
{
    snprintf(fault->text, sizeof fault->text, "%s", what);
    return GSSAPI_CLIENT_REFUSED;
}

static gss_buffer_desc buffer_of(struct view token)
{
    return (gss_buffer_desc){.length = token.length, .value = (void *)(uintptr_t)token.at};
}

/* The broker has to prove itself, too (AP-REP); the flags of the finished context say whether. */
static enum gssapi_client_status context_step(struct gssapi_client *client, struct view token,
                                              struct writer *reply, struct kerberos_fault *fault_r)
{
    gss_buffer_desc in = buffer_of(token), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, flags = 0;
    OM_uint32 major =
        gss_init_sec_context(&minor, client->credential, &client->context, client->broker,
                             (gss_OID)gss_mech_krb5, GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG, 0,
                             GSS_C_NO_CHANNEL_BINDINGS, &in, NULL, &out, &flags, NULL);
    if (GSS_ERROR(major)) {
        kerberos_explain(major, minor, fault_r);
        OM_uint32 ignored;
        gss_release_buffer(&ignored, &out);
        return client->stage == STAGE_TICKET ? GSSAPI_CLIENT_NO_TICKET : GSSAPI_CLIENT_REFUSED;
    }
    put_and_release(reply, &out);
    client->stage = STAGE_CONTEXT;
    if (major == GSS_S_CONTINUE_NEEDED) {
        return GSSAPI_CLIENT_MORE;
    }
    if ((flags & GSS_C_MUTUAL_FLAG) == 0) {
        return refused(fault_r, "the broker did not prove itself");
    }
    client->stage = STAGE_LAYERS;
    return GSSAPI_CLIENT_MORE;
}

/* Here, and only here, the KDC may be asked. */
static enum gssapi_client_status ticket_step(struct gssapi_client *client, struct view token,
                                             struct writer *reply, struct kerberos_fault *fault_r)
{
    if (token.length > 0) {
        return refused(fault_r, "the broker spoke first");
    }
    client->broker = kerberos_service_name(client->service, client->host, fault_r);
    if (client->broker == GSS_C_NO_NAME) {
        return GSSAPI_CLIENT_NO_TICKET;
    }
    enum gssapi_client_status status = GSSAPI_CLIENT_NO_TICKET;
    kerberos_login_lock(client->login);
    client->credential = kerberos_login_acquire(client->login, fault_r);
    if (client->credential != GSS_C_NO_CREDENTIAL) {
        status = context_step(client, token, reply, fault_r);
    }
    kerberos_login_unlock(client->login);
    return status;
}

/* One byte of layers, three of the largest wrapped message: 0, for there is none. */
static enum gssapi_client_status layers_step(struct gssapi_client *client, struct view token,
                                             struct writer *reply, struct kerberos_fault *fault_r)
{
    gss_buffer_desc in = buffer_of(token), out = GSS_C_EMPTY_BUFFER;
    OM_uint32 minor, ignored;
    OM_uint32 major = gss_unwrap(&minor, client->context, &in, &out, NULL, NULL);
    if (GSS_ERROR(major)) {
        kerberos_explain(major, minor, fault_r);
        return GSSAPI_CLIENT_REFUSED;
    }
    bool none = out.length == LAYERS_BYTES && (((uint8_t *)out.value)[0] & LAYER_NONE) != 0;
    gss_release_buffer(&ignored, &out);
    if (!none) {
        return refused(fault_r, "the broker wants a SASL security layer, which Kafka has not");
    }
    uint8_t choice[LAYERS_BYTES] = {LAYER_NONE, 0, 0, 0};
    in = buffer_of(view_of(choice, sizeof choice));
    major = gss_wrap(&minor, client->context, 0, GSS_C_QOP_DEFAULT, &in, NULL, &out);
    if (GSS_ERROR(major)) {
        kerberos_explain(major, minor, fault_r);
        return GSSAPI_CLIENT_NO_TICKET;
    }
    put_and_release(reply, &out);
    client->stage = STAGE_END;
    return GSSAPI_CLIENT_MORE;
}

enum gssapi_client_status gssapi_client_step(struct gssapi_client *client, struct view token,
                                             struct writer *reply, struct kerberos_fault *fault_r)
{
    fault_r->text[0] = '\0';
    switch (client->stage) {
    case STAGE_TICKET:
        return ticket_step(client, token, reply, fault_r);
    case STAGE_CONTEXT:
        return context_step(client, token, reply, fault_r);
    case STAGE_LAYERS:
        return layers_step(client, token, reply, fault_r);
    case STAGE_END:
        break;
    }
    return token.length == 0 ? GSSAPI_CLIENT_DONE
                             : refused(fault_r, "the broker spoke after the end");
}

void gssapi_client_free(struct gssapi_client **client)
{
    struct gssapi_client *it = *client;
    OM_uint32 ignored;
    *client = NULL;
    if (it == NULL) {
        return;
    }
    if (it->context != GSS_C_NO_CONTEXT) {
        gss_delete_sec_context(&ignored, &it->context, GSS_C_NO_BUFFER);
    }
    gss_release_name(&ignored, &it->broker);
    gss_release_cred(&ignored, &it->credential);
    kerberos_login_unref(&it->login);
    free(it->service);
    free(it->host);
    free(it);
}
