/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <inttypes.h>

#include "conf/config.h"

enum {
    BACKLOG = 1024,           /* what Setu asks for */
    SPARE_DESCRIPTORS = 1024, /* as worker.c counts */
    CONNECTION_BYTES = 16384  /* of kernel memory, both legs, at the least */
};

static void judge_descriptors(struct doctor *doctor, const struct doctor_facts *facts,
                              const struct config *config)
{
    const int64_t wanted = (int64_t)config->limits.connections * 2 + SPARE_DESCRIPTORS;
    const bool few = facts->descriptors_hard >= 0 && facts->descriptors_hard < wanted;
    struct doctor_finding *finding =
        doctor_add(doctor, "descriptors", few ? DOCTOR_FAIL : DOCTOR_OK,
                   "a client takes two descriptors; without them connections are refused below "
                   "limits.connections",
                   "raise LimitNOFILE (systemd) or `ulimit -Hn`, or lower limits.connections",
                   "%" PRId64 " allowed, %" PRId64 " wanted for %zu connections",
                   facts->descriptors_hard, wanted, config->limits.connections);
    finding->values = json_pack("{s:I,s:I}", "allowed", (json_int_t)facts->descriptors_hard,
                                "wanted", (json_int_t)wanted);
}

static void judge_backlog(struct doctor *doctor, const struct doctor_facts *facts)
{
    const bool few = facts->somaxconn >= 0 && facts->somaxconn < BACKLOG;
    doctor_add(doctor, "somaxconn", few ? DOCTOR_WARN : DOCTOR_OK,
               "when many clients come back at once, those beyond the queue wait for seconds",
               "sysctl net.core.somaxconn=4096", "net.core.somaxconn is %" PRId64 ", Setu asks %d",
               facts->somaxconn, BACKLOG);
}

static void judge_tcp_memory(struct doctor *doctor, const struct doctor_facts *facts,
                             const struct config *config)
{
    const int64_t wanted = (int64_t)config->limits.connections * CONNECTION_BYTES;
    if (facts->tcp_mem_bytes >= 0) {
        doctor_add(doctor, "tcp_mem", facts->tcp_mem_bytes < wanted ? DOCTOR_WARN : DOCTOR_OK,
                   "at the limit the kernel shrinks all buffers and drops segments",
                   "raise net.ipv4.tcp_mem, or lower limits.connections",
                   "net.ipv4.tcp_mem allows %" PRId64 " MiB, %zu connections want %" PRId64
                   " at the least",
                   facts->tcp_mem_bytes >> 20, config->limits.connections, wanted >> 20);
    }
}

static void judge_workers(struct doctor *doctor, const struct doctor_facts *facts,
                          const struct config *config)
{
    const bool many = facts->cpus > 0 && (int64_t)config->workers > facts->cpus;
    doctor_add(doctor, "workers", many ? DOCTOR_WARN : DOCTOR_OK,
               "workers beyond the processors only take turns with each other",
               "set workers to the number of processors or less",
               "%zu worker%s on %" PRId64 " processor%s", config->workers,
               config->workers == 1 ? "" : "s", facts->cpus, facts->cpus == 1 ? "" : "s");
}

/* Ports ------------------------------------------------------------------------------------- */

static bool is_reserved(const struct doctor_facts *facts, int64_t port)
{
    for (size_t i = 0; i < facts->reserved_count; i++) {
        if (port >= facts->reserved[i].low && port <= facts->reserved[i].high) {
            return true;
        }
    }
    return false;
}

/* How many ports of the range the kernel may give to a connection. */
static int64_t count_clashes(const struct doctor_facts *facts, int64_t low, int64_t high)
{
    int64_t clashes = 0;
    for (int64_t port = low; port <= high; port++) {
        clashes += port >= facts->local_ports.low && port <= facts->local_ports.high &&
                   !is_reserved(facts, port);
    }
    return clashes;
}

static void judge_listener(struct doctor *doctor, const struct doctor_facts *facts,
                           const struct conf_listener *listener)
{
    const int64_t low = listener->node_base_port;
    const int64_t high = low + listener->node_ports_max - 1; /* role brokers: an empty range */
    char ports[80];
    const int64_t clashes =
        count_clashes(facts, low, high) + count_clashes(facts, listener->port, listener->port);
    if (low > 0) {
        snprintf(ports, sizeof ports, "ports %d and %" PRId64 "-%" PRId64, listener->port, low,
                 high);
    } else {
        snprintf(ports, sizeof ports, "port %d", listener->port);
    }
    doctor_add(doctor, "ports", clashes > 0 ? DOCTOR_WARN : DOCTOR_OK,
               "the kernel takes ports of that range for outgoing connections: a listener may "
               "find its port taken",
               "choose ports outside of the range, or add them to "
               "net.ipv4.ip_local_reserved_ports",
               "listener %s: %s, %" PRId64 " of them within ip_local_port_range %" PRId64
               "-%" PRId64,
               listener->name, ports, clashes, facts->local_ports.low, facts->local_ports.high);
}

/* Not a failure: the service may be given what the user that asks does not hold. */
static void judge_privilege(struct doctor *doctor, const struct doctor_facts *facts,
                            const struct conf_listener *listener)
{
    const bool below = listener->node_base_port > 0 && listener->node_base_port < listener->port;
    const int lowest = below ? listener->node_base_port : listener->port;
    const bool held = facts->bind_service == 1 || (facts->bind_service < 0 && facts->root);
    if (lowest < facts->unprivileged_port_start) {
        doctor_add(doctor, "privileged_ports", held ? DOCTOR_OK : DOCTOR_WARN,
                   "Setu can listen there only with CAP_NET_BIND_SERVICE, and does not start "
                   "without",
                   "make sure that the service has it (systemd: "
                   "AmbientCapabilities=CAP_NET_BIND_SERVICE), or choose other ports",
                   "listener %s: port %d is a privileged one, and whoever asks %s", listener->name,
                   lowest, held ? "may listen there" : "may not listen there");
    }
}

/* Each broker leg takes one port of ours towards its broker. */
static void judge_outgoing(struct doctor *doctor, const struct doctor_facts *facts,
                           const struct config *config)
{
    const int64_t ports = facts->local_ports.high - facts->local_ports.low + 1;
    if (ports > 0) {
        doctor_add(doctor, "outgoing_ports",
                   ports < (int64_t)config->limits.connections ? DOCTOR_WARN : DOCTOR_OK,
                   "every connection to one broker needs a port of its own on this side",
                   "widen net.ipv4.ip_local_port_range, or lower limits.connections",
                   "%" PRId64 " ports for connections to one broker, limits.connections %zu", ports,
                   config->limits.connections);
    }
}

static void judge_landlock(struct doctor *doctor, const struct doctor_facts *facts,
                           const struct config *config)
{
    static const char *const wanted[] = {"off", "best_effort", "required"};
    const enum conf_landlock mode = config->security.landlock;
    const bool missed = mode != CONF_LANDLOCK_OFF && facts->landlock == 0;
    doctor_add(doctor, "landlock",
               !missed                          ? DOCTOR_OK
               : mode == CONF_LANDLOCK_REQUIRED ? DOCTOR_FAIL
                                                : DOCTOR_WARN,
               "it keeps whoever breaks into Setu from files that Setu does not need",
               "use Linux 5.13 or later with lsm=landlock, or a service manager that hides files "
               "(deploy/systemd)",
               "security.landlock is %s, and the kernel %s", wanted[mode],
               facts->landlock > 0 ? "has it" : "does not have it");
}

void doctor_judge_limits(struct doctor *doctor, const struct doctor_facts *facts,
                         const struct config *config)
{
    judge_descriptors(doctor, facts, config);
    judge_backlog(doctor, facts);
    judge_tcp_memory(doctor, facts, config);
    judge_workers(doctor, facts, config);
    judge_outgoing(doctor, facts, config);
    judge_landlock(doctor, facts, config);
    for (size_t i = 0; i < config->listeners_count; i++) {
        judge_listener(doctor, facts, &config->listeners[i]);
        judge_privilege(doctor, facts, &config->listeners[i]);
    }
}
