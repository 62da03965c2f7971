/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/fast_aes.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "auth/fast_aes_provider.h"

static const char properties[] = "?provider=" FAST_AES_PROVIDER;
static bool active;

const char *fast_aes_properties(void)
{
    return active ? properties : NULL;
}

const char *fast_aes_implementation(void)
{
    return active ? "ipsec-mb" : "openssl";
}

void fast_aes_stop(void)
{
    active = false;
    fast_aes_provider_unload();
}

/* Is the smaller gain of both key sizes enough? Says what was seen. */
static bool is_worth_it(aes_speed_clock_fn clock, char *why_r, size_t capacity)
{
    struct aes_speed aes128, aes256;
    if (!aes_speed_measure(128, "provider=default", properties, clock, FAST_AES_MEASURE_MS / 2,
                           &aes128) ||
        !aes_speed_measure(256, "provider=default", properties, clock, FAST_AES_MEASURE_MS / 2,
                           &aes256)) {
        snprintf(why_r, capacity, "could not be measured");
        return false;
    }
    const double wanted = 1.0 + FAST_AES_GAIN_PERCENT / 100.0;
    const bool enough =
        aes128.second >= wanted * aes128.first && aes256.second >= wanted * aes256.first;
    snprintf(why_r, capacity, "%s: AES-128 %.1f GB/s (OpenSSL %.1f), AES-256 %.1f (%.1f): %s",
             fast_aes_provider_detail(), aes128.second / 1e9, aes128.first / 1e9,
             aes256.second / 1e9, aes256.first / 1e9,
             enough ? "used" : "gain below 10 %, not used");
    return enough;
}

static void decide(enum conf_fast_aes mode, aes_speed_clock_fn clock,
                   struct fast_aes_decision *decision)
{
    if (mode == CONF_FAST_AES_OFF) {
        snprintf(decision->why, sizeof decision->why, "crypto.fast_aes is off");
        return;
    }
    if (EVP_default_properties_is_fips_enabled(NULL) == 1) {
        snprintf(decision->why, sizeof decision->why,
                 "OpenSSL is in FIPS mode: no AES is used but that of its fips provider");
        return;
    }
    if (!fast_aes_provider_load(decision->why, sizeof decision->why)) {
        return;
    }
    if (!fast_aes_self_test(properties, decision->why, sizeof decision->why)) {
        decision->failed = true;
        return;
    }
    if (mode == CONF_FAST_AES_AUTO) {
        active = is_worth_it(clock, decision->why, sizeof decision->why);
        return;
    }
    active = true;
    snprintf(decision->why, sizeof decision->why, "%s: self-tests passed",
             fast_aes_provider_detail());
}

void fast_aes_start(enum conf_fast_aes mode, aes_speed_clock_fn clock,
                    struct fast_aes_decision *decision_r)
{
    fast_aes_stop();
    *decision_r = (struct fast_aes_decision){0};
    decide(mode, clock, decision_r);
    if (!active) {
        fast_aes_provider_unload();
    }
    decision_r->active = active;
    decision_r->implementation = fast_aes_implementation();
}
