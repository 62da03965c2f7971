/* SPDX-License-Identifier: Apache-2.0 */
/* GSSAPI as an exchange, without a KDC: what never gets as far as a good ticket. The rest: tests/integration. */
#include "auth/cyrus.h"

#include <criterion/criterion.h>

#include "auth/exchange.h"
#include "auth/mech.h"
#include "tests/unit/kerberos_kit.h"
#include "tests/unit/login_kit.h"

static struct kerberos_acceptor *acceptor;
static uint8_t reply_memory[EXCHANGE_REPLY_BYTES_MAX];

static void setup(void)
{
    struct kerberos_fault fault;
    struct conf_errors errors;
    char section[512];
    kit_open();
    cr_assert_eq(setenv("SASL_PATH", kit_folder, 1), 0);
    kit_keytab("k", (const char *[]){"kafka/localhost@EXAMPLE.COM", NULL}, 0600);
    cr_assert(cyrus_begin(&fault), "%s", fault.text);
    cr_assert(cyrus_begin(&fault));
    snprintf(section, sizeof section, "keytab: %s/k", kit_folder);
    struct config *config = kit_config(section);
    conf_errors_init(&errors);
    acceptor = kerberos_acceptor_load(config, &config->listeners[0], &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_not_null(acceptor);
    conf_errors_deinit(&errors);
    config_unref(&config);
}

static void teardown(void)
{
    kerberos_acceptor_unref(&acceptor);
    kit_close();
}

TestSuite(mech_gssapi, .init = setup, .fini = teardown);

/* The first token of a login, from new to its end. */
static enum exchange_status first(const void *token, size_t length, enum auth_reason *reason_r)
{
    struct writer reply;
    struct exchange *ex = exchange_server_new("GSSAPI", NULL, kit_random, NULL);
    cr_assert_not_null(ex);
    exchange_accept_tickets(ex, acceptor);
    cr_assert(exchange_ends_silently(ex));
    cr_assert_not(exchange_waits(ex));
    writer_init_fixed(&reply, reply_memory, sizeof reply_memory);
    enum exchange_status status = exchange_step(ex, view_of(token, length), &reply);
    if (status == EXCHANGE_PENDING) {
        exchange_work(ex);
        status = exchange_resume(ex, &reply);
    }
    cr_assert_eq(reply.length, 0);
    cr_assert_null(exchange_principal(ex));
    *reason_r = exchange_reason(ex);
    cr_assert(*reason_r != AUTH_REASON_KERBEROS_TICKET || exchange_detail(ex)[0] != '\0');
    exchange_free(&ex);
    return status;
}

Test(mech_gssapi, is_one_of_the_mechanisms)
{
    cr_assert(mech_known("GSSAPI"));
    cr_assert_not(mech_known("GSS-SPNEGO"));
    cr_assert_not(mech_cleartext("GSSAPI"));
}

Test(mech_gssapi, t19_a_token_above_the_cap_is_not_read)
{
    enum auth_reason reason;
    uint8_t *token = calloc(1, EXCHANGE_GSSAPI_TOKEN_BYTES_MAX + 1);
    token[0] = 0x60;
    cr_assert_eq(first(token, EXCHANGE_GSSAPI_TOKEN_BYTES_MAX + 1, &reason), EXCHANGE_DENIED);
    cr_assert_eq(reason, AUTH_REASON_TOKEN_TOO_LARGE);
    cr_assert_eq(first(token, EXCHANGE_GSSAPI_TOKEN_BYTES_MAX, &reason), EXCHANGE_DENIED);
    cr_assert_eq(reason, AUTH_REASON_KERBEROS_TICKET);
    free(token);
}

/* A bare krb5 AP-REQ head, the SPNEGO OID (another mechanism must not be begun by it), and noise. */
Test(mech_gssapi, tokens_that_are_none_are_denied)
{
    static const uint8_t krb5[] = {0x60, 0x15, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                   0xf7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00, 0x6e,
                                   0x06, 0x30, 0x04, 0xa0, 0x02, 0x05, 0x00};
    static const uint8_t spnego[] = {0x60, 0x10, 0x06, 0x06, 0x2b, 0x06, 0x01, 0x05, 0x05,
                                     0x02, 0xa0, 0x06, 0x30, 0x04, 0xa0, 0x02, 0x30, 0x00};
    enum auth_reason reason;
    cr_assert_eq(first(NULL, 0, &reason), EXCHANGE_DENIED);
    cr_assert_eq(reason, AUTH_REASON_MALFORMED);
    for (size_t cut = 1; cut <= sizeof krb5; cut++) {
        cr_assert_eq(first(krb5, cut, &reason), EXCHANGE_DENIED, "%zu", cut);
        cr_assert_eq(reason, AUTH_REASON_KERBEROS_TICKET);
    }
    for (size_t cut = 1; cut <= sizeof spnego; cut++) {
        cr_assert_eq(first(spnego, cut, &reason), EXCHANGE_DENIED, "%zu", cut);
    }
    for (uint64_t seed = 1; seed < 500; seed++) {
        uint8_t noise[200];
        uint64_t state = seed * 0x9e3779b97f4a7c15u;
        (void)kit_random(&state, noise, sizeof noise);
        noise[0] = seed % 2 == 0 ? 0x60 : noise[0];
        cr_assert_eq(first(noise, 1 + seed % 199, &reason), EXCHANGE_DENIED);
    }
}

Test(mech_gssapi, without_keys_nobody_is_let_in)
{
    struct writer reply;
    struct exchange *ex = exchange_server_new("GSSAPI", NULL, kit_random, NULL);
    writer_init_fixed(&reply, reply_memory, sizeof reply_memory);
    cr_assert_eq(exchange_step(ex, view_from_string("x"), &reply), EXCHANGE_DENIED);
    cr_assert_eq(exchange_reason(ex), AUTH_REASON_INTERNAL);
    exchange_free(&ex);
    cr_assert_null(exchange_server_new("SCRAM-SHA-512", NULL, kit_random, NULL));
}

Test(mech_gssapi, a_client_end_needs_keys)
{
    struct exchange_client client = {.username = view_from_string("orders"),
                                     .password = view_from_string("secret"),
                                     .random = kit_random};
    cr_assert_null(exchange_client_new("GSSAPI", &client));
    struct kerberos_fault fault;
    kit_keytab("o", (const char *[]){"orders@EXAMPLE.COM", NULL}, 0600);
    struct kerberos_login *login = kerberos_login_new("orders", kit_path("o"), &fault);
    client.kerberos = login;
    client.service = "kafka";
    cr_assert_null(exchange_client_new("GSSAPI", &client));
    client.host = "broker.example";
    struct exchange *ex = exchange_client_new("GSSAPI", &client);
    cr_assert(exchange_waits(ex));
    kerberos_login_unref(&login);
    struct writer reply;
    writer_init_fixed(&reply, reply_memory, sizeof reply_memory);
    cr_assert_eq(exchange_step(ex, view_of(NULL, 0), &reply), EXCHANGE_PENDING);
    exchange_work(ex);
    cr_assert_eq(exchange_resume(ex, &reply), EXCHANGE_DENIED);
    cr_assert_eq(exchange_reason(ex), AUTH_REASON_KERBEROS_NO_TICKET);
    cr_assert_not_null(strstr(exchange_detail(ex), "KDC"), "%s", exchange_detail(ex));
    exchange_free(&ex);
}

/* SASL_PATH was set above; of the folder known at build time, libgssapiv2 alone is opened. */
Test(mech_gssapi, t67_no_other_plugin_is_opened)
{
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL) {
        if (strstr(line, "/sasl2/") != NULL) {
            cr_assert_not_null(strstr(line, "libgssapiv2"), "%s", line);
            found = true;
        }
    }
    fclose(maps);
    cr_assert(found);
}
