/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/ops/stats.h"
#include "proxy/process_private.h"
#include "proxy/session/world.h"

enum { LOOK_EVERY_S = 60 };

static int64_t now_s(void)
{
    return world_now_ns() / 1000000000;
}

static void write_counters(const struct process *process, FILE *out)
{
    fprintf(out,
            "# HELP setu_certificate_rotations_total Times that changed files of certificates and "
            "lists were taken into use, or stayed unfit\n"
            "# TYPE setu_certificate_rotations_total counter\n"
            "setu_certificate_rotations_total{result=\"ok\"} %" PRIu64 "\n"
            "setu_certificate_rotations_total{result=\"refused\"} %" PRIu64 "\n"
            "# HELP setu_certificates_current 1 while what the files hold is in use, as far as "
            "they are watched\n"
            "# TYPE setu_certificates_current gauge\nsetu_certificates_current %d\n",
            process->rotations, process->rotations_refused, process->rotation_pending ? 0 : 1);
}

static void write_page(struct process *process)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL) {
        return;
    }
    horizon_metrics(&process->horizon, out);
    write_counters(process, out);
    fclose(out);
    stats_page_set(&process->certificates_page, text);
}

void process_certificates_publish(struct process *process)
{
    if (process->horizon.material != process->shared->material) {
        horizon_free(&process->horizon);
        horizon_make(&process->horizon, process->shared->material);
        horizon_look(&process->horizon, now_s());
        process->looked_s = now_s();
    }
    write_page(process);
}

void process_certificates_begin(struct process *process)
{
    stats_page_init(&process->certificates_page);
    process->stats_names.certificates = &process->certificates_page;
    process_certificates_publish(process);
}

/* By the wall clock, which may have been set: certificates end by it. */
void process_certificates_look(struct process *process)
{
    const int64_t now = now_s();
    if (now < process->looked_s || now - process->looked_s >= LOOK_EVERY_S) {
        process->looked_s = now;
        horizon_look(&process->horizon, now);
    }
}

void process_certificates_end(struct process *process)
{
    horizon_free(&process->horizon);
    if (process->stats_names.certificates != NULL) {
        process->stats_names.certificates = NULL;
        stats_page_set(&process->certificates_page, NULL);
    }
}

char *process_certificates_json(struct process *process)
{
    json_t *root = horizon_json(&process->horizon, now_s());
    json_object_set_new(root, "ok", json_true());
    json_object_set_new(root, "rotations", json_integer((json_int_t)process->rotations));
    json_object_set_new(root, "rotations_refused",
                        json_integer((json_int_t)process->rotations_refused));
    json_object_set_new(root, "pending", json_boolean(process->rotation_pending));
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}
