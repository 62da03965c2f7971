/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/gen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/common.h"

static void report_histogram(const struct histogram *h)
{
    const char *before = "";
    printf(", \"histogram\": [");
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->counts[i] > 0) {
            printf("%s[%llu, %llu]", before, (unsigned long long)histogram_edge(i),
                   (unsigned long long)h->counts[i]);
            before = ", ";
        }
    }
    putchar(']');
}

static void report_json(const struct gen_options *options, const struct gen_result *r)
{
    printf("{\"seconds\": %.6f, \"conns\": %zu, \"batches\": %llu, \"records\": %llu, "
           "\"bytes\": %llu, \"overlapped\": %llu, ",
           r->seconds, options->conns, (unsigned long long)r->batches,
           (unsigned long long)r->records, (unsigned long long)r->bytes,
           (unsigned long long)r->overlapped);
    printf("\"records_per_s\": %.0f, \"mb_per_s\": %.2f, \"cpu_s\": %.6f, "
           "\"watched_cpu_s\": %.6f, \"drop_cpu_s\": %.6f, ",
           (double)r->records / r->seconds, (double)r->bytes / (1e6 * r->seconds), r->cpu_s,
           r->watched_cpu_s, r->drop_cpu_s);
    printf("\"p50_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f",
           (double)histogram_at(&r->latency, 0.5) / 1e3,
           (double)histogram_at(&r->latency, 0.99) / 1e3,
           (double)histogram_at(&r->latency, 0.999) / 1e3);
    if (options->histogram) {
        report_histogram(&r->latency);
    }
    puts("}");
}

static void report(const struct gen_options *options, const struct gen_result *r)
{
    if (options->json) {
        report_json(options, r);
        return;
    }
    printf("%.3f s, %llu batches, %llu records, %llu bytes: %.0f records/s, %.1f MB/s\n",
           r->seconds, (unsigned long long)r->batches, (unsigned long long)r->records,
           (unsigned long long)r->bytes, (double)r->records / r->seconds,
           (double)r->bytes / (1e6 * r->seconds));
    printf("latency p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n",
           (double)histogram_at(&r->latency, 0.5) / 1e3,
           (double)histogram_at(&r->latency, 0.99) / 1e3,
           (double)histogram_at(&r->latency, 0.999) / 1e3);
    printf("CPU: own %.3f s, watched %.3f s\n", r->cpu_s, r->watched_cpu_s);
}

static void measure(const struct gen_options *options, const struct gen_link *links,
                    struct gen_result *result)
{
    char line[16];
    struct load *load = gen_load_open(options, links);
    if (!options->on_request) {
        gen_load_once(load, result);
        report(options, result);
    } else {
        puts("ready");
        fflush(stdout);
        while (fgets(line, sizeof line, stdin) != NULL) {
            gen_load_once(load, result);
            report(options, result);
            fflush(stdout);
            gen_load_drain(load);
        }
    }
    gen_load_close(&load);
}

int main(int argc, char **argv)
{
    static struct gen_result result;
    struct gen_options options;
    gen_options_parse(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(options.conns + 32);
    SSL_CTX *tls = gen_tls(&options);
    struct gen_link *links = allocate(options.conns * sizeof *links);
    gen_login(&options, tls, links, NULL);
    if (options.mode == GEN_HOLD) {
        gen_hold(&options, links);
    } else if (options.mode == GEN_STORM) {
        gen_storm(&options, tls, links, &result);
        report(&options, &result);
    } else {
        measure(&options, links, &result);
    }
    gen_close(links, options.conns);
    free(links);
    SSL_CTX_free(tls);
    return 0;
}
