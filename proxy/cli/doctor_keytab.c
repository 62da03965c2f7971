/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/doctor.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "auth/keytab.h"
#include "conf/config.h"

static const char why[] =
    "a ticket for a host whose key is not there, or is of an older number, is refused";
static const char fix[] =
    "take the newest key of that principal from the KDC into the keytab (ktadd), and reload";

/* One host of a listener, and the newest key there is for it. */
struct search {
    const char *service, *host;
    struct keytab_entry newest;
    size_t found; /* of any number */
    bool strong;  /* of the newest number, at least one is */
};

static void look_at(void *context, const struct keytab_entry *entry)
{
    struct search *search = context;
    if (strcasecmp(entry->service, search->service) != 0 ||
        strcasecmp(entry->host, search->host) != 0) {
        return;
    }
    bool newer = search->found == 0 || entry->kvno > search->newest.kvno;
    bool better = !newer && entry->kvno == search->newest.kvno && !search->strong && !entry->weak;
    search->strong = newer ? !entry->weak : search->strong || better;
    search->newest = newer || better ? *entry : search->newest;
    search->found++;
}

static void judge_host(struct doctor *doctor, const struct conf_listener *listener,
                       const char *host)
{
    const struct conf_listener_gssapi *gssapi = &listener->gssapi;
    struct search search = {.service = gssapi->service_name, .host = host};
    struct kerberos_fault fault;
    if (!keytab_each(gssapi->keytab, look_at, &search, &fault)) {
        doctor_add(doctor, "keytab", DOCTOR_FAIL, why, fix, "listener %s: %s %s", listener->name,
                   gssapi->keytab, fault.text);
    } else if (search.found == 0) {
        doctor_add(doctor, "keytab", DOCTOR_FAIL, why, fix, "listener %s: %s has no key for %s/%s",
                   listener->name, gssapi->keytab, gssapi->service_name, host);
    } else {
        struct doctor_finding *finding = doctor_add(
            doctor, "keytab", search.strong ? DOCTOR_OK : DOCTOR_WARN,
            search.strong ? why : "such keys can be broken offline, and current KDCs give none",
            "have the KDC make an AES key for it (cpw -randkey -e aes256-cts), and reload",
            "listener %s: %s, kvno %u, %s", listener->name, search.newest.principal,
            search.newest.kvno, search.newest.enctype);
        finding->values = json_pack("{s:s,s:I}", "principal", search.newest.principal, "kvno",
                                    (json_int_t)search.newest.kvno);
    }
}

void doctor_judge_keytabs(struct doctor *doctor, const struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        for (size_t k = 0; listener->gssapi.present && k < listener->gssapi.hosts_count; k++) {
            judge_host(doctor, listener, listener->gssapi.hosts[k]);
        }
        if (listener->gssapi.present && listener->gssapi.hosts_count == 0) {
            judge_host(doctor, listener, listener->advertised_host);
        }
    }
}
