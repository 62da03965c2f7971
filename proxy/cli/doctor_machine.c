/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <inttypes.h>
#include <openssl/crypto.h>

enum { RELEASE_YEAR_S = 1735689600 /* 2025-01-01: no Setu is older */ };

static void judge_user(struct doctor *doctor, const struct doctor_facts *facts)
{
    doctor_add(doctor, "user", facts->root ? DOCTOR_WARN : DOCTOR_OK,
               "who may read keys and write files is judged for the user that asks",
               "run `setu doctor` as the user Setu runs as, or name that user in security.user",
               "judged for %s", facts->root ? "root, who may do everything" : "an ordinary user");
}

static void judge_openssl(struct doctor *doctor)
{
    doctor_add(doctor, "openssl", DOCTOR_OK,
               "every login, and every byte on a TLS leg, goes through it", "", "%s",
               OpenSSL_version(OPENSSL_VERSION));
}

static void judge_cpu(struct doctor *doctor, const struct doctor_facts *facts)
{
    const bool good = facts->cpu_aes && facts->cpu_pclmul;
    struct doctor_finding *finding = doctor_add(
        doctor, "cpu", good ? DOCTOR_OK : DOCTOR_WARN,
        "AES-GCM without aes and pclmul instructions costs ten times as much; vaes with avx512 "
        "makes it two to three times faster where the code knows them",
        "let the virtual machine pass the host's CPU features through",
        "%s aes, %s pclmul, %s "
        "vaes, %s avx512",
        facts->cpu_aes ? "has" : "no", facts->cpu_pclmul ? "has" : "no",
        facts->cpu_vaes ? "has" : "no", facts->cpu_avx512 ? "has" : "no");
    finding->values = json_pack("{s:b,s:b,s:b,s:b,s:I}", "aes", facts->cpu_aes, "pclmul",
                                facts->cpu_pclmul, "vaes", facts->cpu_vaes, "avx512",
                                facts->cpu_avx512, "cpus", (json_int_t)facts->cpus);
}

static void judge_entropy(struct doctor *doctor, const struct doctor_facts *facts)
{
    const bool bad = facts->entropy == 0;
    doctor_add(doctor, "entropy", bad ? DOCTOR_FAIL : DOCTOR_OK,
               "nonces and keys wait for it: Setu would hang at its start",
               "give the machine a source of entropy (virtio-rng) or start Setu later",
               bad ? "the kernel's random numbers are not ready yet"
                   : "the kernel's random numbers are ready");
}

static void judge_clock(struct doctor *doctor, const struct doctor_facts *facts)
{
    static const char why[] =
        "certificates and CRLs are judged by this clock, and audit records carry its time";
    static const char fix[] = "set the clock, and run chrony or systemd-timesyncd";
    if (facts->now_s < RELEASE_YEAR_S) {
        doctor_add(doctor, "clock", DOCTOR_FAIL, why, fix, "the clock stands before 2025");
    } else if (facts->config_time_s > facts->now_s + 60) {
        doctor_add(doctor, "clock", DOCTOR_FAIL, why, fix,
                   "the configuration was written %" PRId64 " s after now",
                   facts->config_time_s - facts->now_s);
    } else if (facts->synchronised < 0) {
        doctor_add(doctor, "clock", DOCTOR_WARN, why, fix,
                   "plausible, but the kernel may not be asked whether it is synchronised");
    } else if (facts->synchronised == 0) {
        doctor_add(doctor, "clock", DOCTOR_WARN, why, fix,
                   "plausible, but the kernel does not know it to be synchronised");
    } else {
        doctor_add(doctor, "clock", DOCTOR_OK, why, fix, "synchronised");
    }
}

static void judge_buffers(struct doctor *doctor, const char *check, const char *name,
                          int64_t most_bytes)
{
    enum { ENOUGH_BYTES = 2 << 20 };
    if (most_bytes >= 0) {
        doctor_add(doctor, check, most_bytes < ENOUGH_BYTES ? DOCTOR_WARN : DOCTOR_OK,
                   "a connection over a long line moves no more than one buffer a round trip",
                   "raise the third number to 4194304 or more", "%s at most %" PRId64 " bytes",
                   name, most_bytes);
    }
}

void doctor_judge_machine(struct doctor *doctor, const struct doctor_facts *facts)
{
    judge_user(doctor, facts);
    judge_openssl(doctor);
    if (facts->cpu_known) {
        judge_cpu(doctor, facts);
    }
    judge_entropy(doctor, facts);
    judge_clock(doctor, facts);
    judge_buffers(doctor, "tcp_rmem", "net.ipv4.tcp_rmem", facts->tcp_rmem_max_bytes);
    judge_buffers(doctor, "tcp_wmem", "net.ipv4.tcp_wmem", facts->tcp_wmem_max_bytes);
}
