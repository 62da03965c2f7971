/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a broker may say while Setu logs in to it.
 *
 *   byte 0   how to log in (below)       byte 1   bytes per piece, 0: as much as there is
 *   rest     the broker's bytes; a whole frame is delivered before the next begins
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "protocol/bytes.h"
#include "proxy/cluster/broker_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MECHANISM = 3, LOOK = 4, VERSION_KNOWN = 8, ONLY_LOGIN = 16, WORKS = 32 };

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static bool same_bytes(void *context, uint8_t *at, size_t length)
{
    (void)context;
    memset(at, 0x5a, length);
    return true;
}

static struct broker_login *begin(uint8_t how)
{
    static const char *const mechanisms[] = {NULL, "SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"};
    struct secret password;
    check(secret_from(&password, view_from_string("pencil")));
    struct broker_login_params params = {
        .mechanism = mechanisms[how & MECHANISM],
        .username = "setu",
        .password = &password,
        .authenticate_version = (how & VERSION_KNOWN) != 0 ? 2 : -1,
        .want_versions = (how & ONLY_LOGIN) == 0 || (how & MECHANISM) == 0,
        .want_metadata = (how & ONLY_LOGIN) == 0,
        .look = (how & LOOK) != 0,
        .client_id = view_from_string("setu"),
        .random = same_bytes,
        .frame_max = 65536,
    };
    if (params.look && params.mechanism == NULL) {
        params.mechanism = "GSSAPI";
    }
    struct broker_login *login = broker_login_new(&params);
    secret_wipe(&password);
    check(login != NULL);
    return login;
}

/* As much of the input as belongs to one frame. */
static size_t frame_length(const uint8_t *data, size_t size)
{
    if (size < 4) {
        return size;
    }
    size_t length = (size_t)bytes_load_u32(data) + 4;
    return length < size ? length : size;
}

static enum broker_login_status feed(struct broker_login *login, const uint8_t *data, size_t size,
                                     bool works, struct writer *out)
{
    size_t consumed = 0;
    enum broker_login_status status = broker_login_feed(login, view_of(data, size), &consumed, out);
    check(consumed <= size);
    if (status == BROKER_LOGIN_PENDING && works) {
        broker_login_work(login);
        status = broker_login_resume(login, out);
        check(status != BROKER_LOGIN_PENDING);
    }
    check(status != BROKER_LOGIN_MORE || consumed == size);
    writer_reset(out);
    return status;
}

static void end(struct broker_login *login, enum broker_login_status status, struct writer *out)
{
    const char *names[SASL_MECHANISMS_MAX];
    int16_t version = 0;
    size_t consumed = 0;
    if (status == BROKER_LOGIN_MORE) {
        status = broker_login_closed(login);
    }
    if (status != BROKER_LOGIN_PENDING) {
        check(broker_login_feed(login, view_from_string("x"), &consumed, out) == status);
        check((broker_login_reason(login) == BROKER_LOGIN_NO_REASON) ==
              (status == BROKER_LOGIN_OK));
    }
    check(strlen(broker_login_text(login)) < 256);
    check(broker_login_offers(login, names) <= SASL_MECHANISMS_MAX);
    (void)broker_login_metadata(login, &version);
    (void)broker_login_versions(login);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    uint8_t how = data[0];
    size_t piece = data[1];
    struct writer out;
    struct broker_login *login = begin(how);
    writer_init_growing(&out, 65536);
    enum broker_login_status status = broker_login_start(login, &out);
    writer_reset(&out);
    data += 2;
    size -= 2;
    while (size > 0 && status == BROKER_LOGIN_MORE) {
        size_t left = frame_length(data, size);
        size -= left;
        while (left > 0 && status == BROKER_LOGIN_MORE) {
            size_t n = piece > 0 && piece < left ? piece : left;
            status = feed(login, data, n, (how & WORKS) != 0, &out);
            data += n;
            left -= n;
        }
    }
    end(login, status, &out);
    broker_login_free(&login);
    writer_free(&out);
    return 0;
}
