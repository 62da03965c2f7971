/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "proxy/landlock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Up to `count` numbers of a file of one line; how many there were. */
static size_t read_numbers(const char *path, int64_t *numbers, size_t count)
{
    FILE *file = fopen(path, "re");
    size_t have = 0;
    while (file != NULL && have < count && fscanf(file, "%" SCNd64, &numbers[have]) == 1) {
        have++;
    }
    if (file != NULL) {
        fclose(file);
    }
    return have;
}

static int64_t read_number(const char *path)
{
    int64_t number = -1;
    return read_numbers(path, &number, 1) == 1 ? number : -1;
}

/* The third of three, as in tcp_rmem: the most. */
static int64_t read_most(const char *path)
{
    int64_t numbers[3];
    return read_numbers(path, numbers, 3) == 3 ? numbers[2] : -1;
}

/* "8080,9148-9200": as the kernel writes it. */
static void read_reserved(struct doctor_facts *facts)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
    int64_t low = 0;
    while (file != NULL && facts->reserved_count < DOCTOR_RESERVED_MAX &&
           fscanf(file, "%" SCNd64, &low) == 1) {
        struct doctor_range range = {low, low};
        int next = fgetc(file);
        if (next == '-' && fscanf(file, "%" SCNd64, &range.high) == 1) {
            next = fgetc(file);
        }
        facts->reserved[facts->reserved_count++] = range;
        if (next != ',') {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void gather_network(struct doctor_facts *facts)
{
    int64_t ports[2];
    facts->somaxconn = read_number("/proc/sys/net/core/somaxconn");
    facts->unprivileged_port_start = read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    facts->tcp_rmem_max_bytes = read_most("/proc/sys/net/ipv4/tcp_rmem");
    facts->tcp_wmem_max_bytes = read_most("/proc/sys/net/ipv4/tcp_wmem");
    const int64_t pages = read_most("/proc/sys/net/ipv4/tcp_mem");
    facts->tcp_mem_bytes = pages < 0 ? -1 : pages * sysconf(_SC_PAGESIZE);
    facts->local_ports = (struct doctor_range){0, -1};
    if (read_numbers("/proc/sys/net/ipv4/ip_local_port_range", ports, 2) == 2) {
        facts->local_ports = (struct doctor_range){ports[0], ports[1]};
    }
    read_reserved(facts);
}

#if defined(__x86_64__)
/* Leaf 7: vaes and vpclmulqdq; not every compiler knows their names. */
static bool cpu_has_vaes(void)
{
    enum { BOTH = 1 << 9 | 1 << 10 };
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) == 1 && (c & BOTH) == BOTH;
}
#endif

static void gather_cpu(struct doctor_facts *facts)
{
    facts->cpus = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__x86_64__)
    __builtin_cpu_init();
    facts->cpu_known = true;
    facts->cpu_aes = __builtin_cpu_supports("aes");
    facts->cpu_pclmul = __builtin_cpu_supports("pclmul");
    facts->cpu_vaes = cpu_has_vaes();
    facts->cpu_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
}

int64_t doctor_synchronised(int state, int status)
{
    if (state < 0) {
        return -1; /* a filter of system calls, or a kernel that has none of it */
    }
    return state != TIME_ERROR && (status & STA_UNSYNC) == 0;
}

static void gather_clock(struct doctor_facts *facts, const char *config_file)
{
    struct timex clock = {.modes = 0};
    struct stat file;
    facts->now_s = (int64_t)time(NULL);
    const int state = adjtimex(&clock);
    facts->synchronised = doctor_synchronised(state, clock.status);
    facts->config_time_s =
        config_file != NULL && stat(config_file, &file) == 0 ? (int64_t)file.st_mtime : -1;
}

/* File capabilities and AmbientCapabilities= are both in the effective set. */
static int64_t read_bind_service(void)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t effective = 0;
    int64_t held = -1;
    while (file != NULL && held < 0 && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "CapEff: %" SCNx64, &effective) == 1) {
            held = effective >> CAP_NET_BIND_SERVICE & 1;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return held;
}

void doctor_gather(struct doctor_facts *facts_r, const char *config_file)
{
    struct rlimit files;
    uint8_t byte = 0;
    *facts_r = (struct doctor_facts){0};
    facts_r->descriptors_hard = -1;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        facts_r->descriptors_hard =
            files.rlim_max > INT64_MAX ? INT64_MAX : (int64_t)files.rlim_max;
    }
    facts_r->entropy = getrandom(&byte, 1, GRND_NONBLOCK) == 1 ? 1 : errno == EAGAIN ? 0 : -1;
    facts_r->fips = read_number("/proc/sys/crypto/fips_enabled");
    facts_r->root = geteuid() == 0;
    facts_r->landlock = landlock_version();
    facts_r->bind_service = read_bind_service();
    gather_network(facts_r);
    gather_cpu(facts_r);
    gather_clock(facts_r, config_file);
}
