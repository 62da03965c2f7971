/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "auth/fast_aes.h"
#include "auth/fast_aes_provider.h"
#include "conf/config.h"
#include "protocol/batch.h"

enum { AES_MS = 40, CRC_MS = 20, CRC_BYTES = 16384 };

static const char fast_query[] = "?provider=" FAST_AES_PROVIDER;

/* AES --------------------------------------------------------------------------------------- */

static double gain(const struct doctor_aes *speeds)
{
    const double gain_128 = speeds->fast_128 / speeds->openssl_128;
    const double gain_256 = speeds->fast_256 / speeds->openssl_256;
    return gain_128 < gain_256 ? gain_128 : gain_256;
}

static json_t *aes_values(const struct doctor_aes *speeds, const char *implementation)
{
    return json_pack("{s:s,s:f,s:f,s:f,s:f}", "implementation", implementation,
                     "openssl_aes128_gb_per_s", speeds->openssl_128 / 1e9,
                     "openssl_aes256_gb_per_s", speeds->openssl_256 / 1e9, "fast_aes128_gb_per_s",
                     speeds->fast_128 / 1e9, "fast_aes256_gb_per_s", speeds->fast_256 / 1e9);
}

static void judge_choice(struct doctor *doctor, const struct doctor_aes *speeds,
                         const struct fast_aes_decision *decision, bool wanted)
{
    static const char why[] = "AES-GCM is the largest part of Setu's work on a TLS leg";
    const bool worth = speeds->fast_128 > 0 && speeds->openssl_128 > 0 &&
                       gain(speeds) >= 1.0 + FAST_AES_GAIN_PERCENT / 100.0;
    if (decision->failed) {
        doctor_add(doctor, "fast_aes", DOCTOR_FAIL,
                   "the library gives wrong answers here; Setu does not use it",
                   "set crypto.fast_aes to off, and find out what is wrong with the library or "
                   "the machine",
                   "%s", decision->why);
    } else if (!wanted && worth) {
        doctor_add(doctor, "fast_aes", DOCTOR_WARN, why, "set crypto.fast_aes to auto",
                   "off, though it is %.1f times as fast as OpenSSL here", gain(speeds));
    } else if (wanted && speeds->fast_128 <= 0) {
        doctor_add(doctor, "fast_aes", DOCTOR_WARN, why,
                   "mend that (libipsec-mb1 has the library), or set crypto.fast_aes to off", "%s",
                   decision->why);
    } else {
        doctor_add(doctor, "fast_aes", DOCTOR_OK, why, "", "%s", decision->why);
    }
}

void doctor_judge_aes(struct doctor *doctor, const struct doctor_aes *speeds,
                      const struct fast_aes_decision *decision, bool wanted)
{
    static const char why[] = "how many bytes a second one processor can move over TLS at most";
    static const char fix[] = "use a CPU with aes and pclmul instructions";
    const enum doctor_status status = speeds->openssl_256 < 1e9 ? DOCTOR_WARN : DOCTOR_OK;
    struct doctor_finding *finding = NULL;
    if (speeds->openssl_256 <= 0) {
        finding = doctor_add(doctor, "aes", status, why, "see what 'algorithms' says",
                             "AES-GCM could not be measured");
    } else if (speeds->fast_128 > 0) {
        finding =
            doctor_add(doctor, "aes", status, why, fix,
                       "used: %s; AES-128-GCM OpenSSL %.1f GB/s, ipsec-mb %.1f; AES-256-GCM "
                       "OpenSSL %.1f, ipsec-mb %.1f",
                       decision->implementation, speeds->openssl_128 / 1e9, speeds->fast_128 / 1e9,
                       speeds->openssl_256 / 1e9, speeds->fast_256 / 1e9);
    } else {
        finding = doctor_add(
            doctor, "aes", status, why, fix, "used: %s; AES-128-GCM %.1f GB/s, AES-256-GCM %.1f",
            decision->implementation, speeds->openssl_128 / 1e9, speeds->openssl_256 / 1e9);
    }
    finding->values = aes_values(speeds, decision->implementation);
    judge_choice(doctor, speeds, decision, wanted);
}

static void measure_aes(struct doctor_aes *speeds_r)
{
    char why[192];
    struct aes_speed aes128, aes256;
    const char *fast = fast_aes_provider_load(why, sizeof why) ? fast_query : NULL;
    *speeds_r = (struct doctor_aes){0};
    /* OpenSSL's: what it gives to whoever wants nothing special, by its default or its fips provider. */
    if (aes_speed_measure(128, NULL, fast, uv_hrtime, AES_MS, &aes128) &&
        aes_speed_measure(256, NULL, fast, uv_hrtime, AES_MS, &aes256)) {
        *speeds_r = (struct doctor_aes){aes128.first, aes256.first, aes128.second, aes256.second};
    }
    fast_aes_provider_unload();
}

/* CRC32C ------------------------------------------------------------------------------------ */

static double measure_crc(void)
{
    uint8_t *data = calloc(1, CRC_BYTES);
    uint64_t best_ns = UINT64_MAX;
    uint32_t crc = batch_crc_begin(2);
    const uint64_t start = uv_hrtime();
    while (data != NULL && uv_hrtime() - start < CRC_MS * 1000000ULL) {
        const uint64_t before = uv_hrtime();
        for (int i = 0; i < 16; i++) {
            crc = batch_crc_update(2, crc, data, CRC_BYTES);
        }
        data[0] = (uint8_t)crc; /* the result is used: the work cannot be left out */
        const uint64_t took = uv_hrtime() - before;
        best_ns = took > 0 && took < best_ns ? took : best_ns;
    }
    free(data);
    return best_ns == UINT64_MAX ? 0 : 16.0 * CRC_BYTES * 1e9 / (double)best_ns;
}

void doctor_judge_speed(struct doctor *doctor, const struct config *config)
{
    const enum conf_fast_aes mode = config == NULL ? CONF_FAST_AES_OFF : config->crypto.fast_aes;
    struct fast_aes_decision decision;
    struct doctor_aes speeds;
    measure_aes(&speeds);
    fast_aes_start(mode, uv_hrtime, &decision);
    fast_aes_stop();
    doctor_judge_aes(doctor, &speeds, &decision, mode != CONF_FAST_AES_OFF);
    const double crc = measure_crc();
    struct doctor_finding *finding =
        doctor_add(doctor, "crc32c", crc < 2e9 ? DOCTOR_WARN : DOCTOR_OK,
                   "the checksum of every record batch is computed when it passes",
                   "use a CPU with sse4.2 or better, or set integrity.crc to off",
                   "%.1f GB/s at 16 KiB", crc / 1e9);
    finding->values = json_pack("{s:f}", "gb_per_s", crc / 1e9);
}
