/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/stats.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/ops/stats_file.h"

static const char *reason_name(size_t index)
{
    return index == 0 ? "client_closed" : index == 1 ? "idle" : NULL;
}

static const struct stats_names names = {.close_reason = reason_name, .aes = "ipsec-mb"};

static char *page(const struct stats *stats)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    cr_assert(stats_prometheus(stats, &names, out));
    fclose(out);
    return text;
}

Test(stats, sum)
{
    static struct stats a, b, sum;
    const struct stats *workers[] = {&a, &b};
    stats_add(&a.requests, 3);
    stats_add(&b.requests, 4);
    stats_add(&a.client_active, 2);
    stats_sub(&a.client_active, 1);
    stats_set(&b.nodes_known, 7);
    stats_add(&b.client_closed[STATS_CLOSE_REASONS - 1], 1);
    stats_sum(&sum, workers, 2);
    cr_assert_eq(sum.requests, 7);
    cr_assert_eq(sum.client_active, 1);
    cr_assert_eq(sum.nodes_known, 7);
    cr_assert_eq(sum.client_closed[STATS_CLOSE_REASONS - 1], 1);
}

Test(stats, apis)
{
    static struct stats stats;
    static const int16_t keys[] = {0, 1, 126, 127, -1, INT16_MAX, INT16_MIN};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        stats_api(&stats, keys[i]);
    }
    cr_assert_eq(stats.requests_by_api[0], 1);
    cr_assert_eq(stats.requests_by_api[126], 1);
    cr_assert_eq(stats.requests_by_api[127], 4);
}

/* Every line is a comment or `name{labels} number`; every metric has HELP and TYPE once, before its
 * first sample; no sample appears twice. */
Test(stats, prometheus)
{
    static struct stats stats;
    memset(&stats, 0x11, sizeof stats);
    char *text = page(&stats);
    char metric[128] = "";
    char seen[16384] = "\n";
    size_t samples = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char name[128];
        if (strncmp(line, "# HELP ", 7) == 0) {
            cr_assert_eq(sscanf(line, "# HELP %127s", metric), 1);
            cr_assert_gt(strlen(line), strlen(metric) + 8, "no help text: %s", line);
            char key[132];
            snprintf(key, sizeof key, "\n%s\n", metric);
            cr_assert_null(strstr(seen, key), "%s twice", metric);
            strcat(seen, metric);
            strcat(seen, "\n");
            continue;
        }
        if (line[0] == '#') {
            continue;
        }
        size_t length = strcspn(line, "{ ");
        memcpy(name, line, length);
        name[length] = '\0';
        cr_assert_str_eq(name, metric);
        const char *number = strrchr(line, ' ');
        cr_assert(number != NULL && number[1] >= '0' && number[1] <= '9', "%s", line);
        samples++;
    }
    cr_assert_gt(samples, 50 + STATS_APIS + STATS_CLOSE_REASONS - 10);
    free(text);
}

Test(stats, names_of_elements)
{
    static struct stats stats;
    stats.client_closed[1] = 5;
    stats.client_closed[9] = 6;
    stats.requests_by_api[3] = 7;
    stats.requests_by_api[STATS_APIS - 1] = 8;
    char *text = page(&stats);
    cr_assert_not_null(strstr(text, "setu_client_disconnects_total{cause=\"idle\"} 5\n"));
    cr_assert_not_null(strstr(text, "setu_client_disconnects_total{cause=\"9\"} 6\n"));
    cr_assert_not_null(strstr(text, "setu_requests_total{api=\"Metadata\"} 7\n"));
    cr_assert_not_null(strstr(text, "setu_requests_total{api=\"unknown\"} 8\n"));
    cr_assert_not_null(strstr(text, "\nsetu_aes_implementation{name=\"ipsec-mb\"} 1\n"));
    cr_assert_null(strstr(text, "cause=\"client_closed\""), "zero is left out");
    free(text);
}

static void collect(void *context, struct stats *sum_r)
{
    const struct stats *worker = context;
    stats_sum(sum_r, &worker, 1);
}

Test(stats, file)
{
    static struct stats stats;
    char folder[] = "/tmp/setu-stats-XXXXXX";
    char path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/page", folder);
    struct stats_file *file = stats_file_start(path, 10, &names, collect, &stats);
    cr_assert_not_null(file);
    for (int i = 0; i < 200 && access(path, R_OK) != 0; i++) {
        usleep(10000);
    }
    cr_assert_eq(access(path, R_OK), 0);
    stats_add(&stats.requests, 42);
    stats_file_stop(&file);
    cr_assert_null(file);
    char text[65536] = "";
    FILE *in = fopen(path, "r");
    cr_assert_gt(fread(text, 1, sizeof text - 1, in), 0);
    fclose(in);
    cr_assert_not_null(strstr(text, "setu_requests_relayed_total 42\n"), "the last write counts");
    unlink(path);
    cr_assert_eq(rmdir(folder), 0, "no temporary file is left");
    stats_file_stop(&file);
}
