/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/gen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/common.h"

static void report(const struct gen_options *options, const struct gen_result *r)
{
    double mega = 1e6 * r->seconds;
    double p50 = (double)histogram_at(&r->latency, 0.5) / 1e3;
    double p99 = (double)histogram_at(&r->latency, 0.99) / 1e3;
    double p999 = (double)histogram_at(&r->latency, 0.999) / 1e3;
    printf(options->json
               ? "{\"seconds\": %.6f, \"batches\": %llu, \"records\": %llu, \"bytes\": %llu, "
                 "\"records_per_s\": %.0f, \"mb_per_s\": %.2f, \"p50_us\": %.1f, "
                 "\"p99_us\": %.1f, \"p999_us\": %.1f, \"cpu_s\": %.6f, "
                 "\"watched_cpu_s\": %.6f}\n"
               : "%.3f s, %llu batches, %llu records, %llu bytes: %.0f records/s, %.1f MB/s\n"
                 "latency p50 %.1f us, p99 %.1f us, p99.9 %.1f us\n"
                 "CPU: own %.3f s, watched %.3f s\n",
           r->seconds, (unsigned long long)r->batches, (unsigned long long)r->records,
           (unsigned long long)r->bytes, (double)r->records / r->seconds, (double)r->bytes / mega,
           p50, p99, p999, r->cpu_s, r->watched_cpu_s);
}

int main(int argc, char **argv)
{
    static struct gen_result result;
    struct gen_options options;
    gen_options_parse(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    SSL_CTX *tls = gen_tls(&options);
    struct gen_link *links = allocate(options.conns * sizeof *links);
    for (size_t i = 0; i < options.conns; i++) {
        links[i] = gen_login(&options, tls);
    }
    gen_load(&options, links, &result);
    report(&options, &result);
    for (size_t i = 0; i < options.conns; i++) {
        SSL_free(links[i].ssl);
        close(links[i].fd);
    }
    free(links);
    SSL_CTX_free(tls);
    return 0;
}
