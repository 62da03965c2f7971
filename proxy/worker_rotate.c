/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/certificates.h"
#include "auth/tls_material.h"
#include "conf/config.h"
#include "proxy/cluster/cluster.h"
#include "proxy/listener.h"
#include "proxy/session/session.h"
#include "proxy/shared.h"
#include "proxy/worker_private.h"

#include <string.h>

/* It goes on as whom it was shown; where that certificate is not in use any more, it keeps it. */
static void follow(struct session *s, struct shared *before, struct shared *next)
{
    if (s->certificate == NULL) {
        return;
    }
    const struct certificate *now = certificates_find(next->certificates, s->certificate->name);
    if (now != NULL && strcmp(now->fingerprint, s->certificate->fingerprint) == 0) {
        s->certificate = now;
        certificates_unref(&s->kept);
    } else if (s->kept == NULL) {
        s->kept = certificates_ref(before->certificates);
    }
}

static void rotate_clusters(struct worker_edition *edition, const struct shared *next)
{
    for (size_t i = 0; i < edition->clusters_count; i++) {
        struct worker_cluster *of = edition->clusters[i];
        if (strcmp(of->hash, next->cluster_hashes[i]) != 0) {
            memcpy(of->hash, next->cluster_hashes[i], sizeof of->hash);
            cluster_rotate(of->cluster, next->material);
        }
    }
}

void worker_rotate(struct worker *worker, struct shared *next)
{
    struct edition *edition = &worker->edition->edition;
    struct shared *before = edition->shared;
    worker_judge(worker, next);
    edition_rotate(edition, next);
    rotate_clusters(worker->edition, next);
    for (size_t i = 0; i < worker->listener_count; i++) {
        listener_rotate(worker->listeners[i], next);
    }
    for (struct session *s = worker->world.sessions; s != NULL; s = s->next) {
        if (s->gate->edition == edition) {
            follow(s, before, next);
        }
    }
    edition->shared = shared_ref(next);
    shared_unref(&before);
}
