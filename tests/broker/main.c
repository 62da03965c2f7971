/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>

#include "tests/broker/broker.h"
#include "tests/broker/options.h"

int main(int argc, char **argv)
{
    static struct options options;
    static struct broker broker;
    int status = 0;
    if (!options_parse(&options, argc, argv, &status)) {
        return status;
    }
    setvbuf(stdout, NULL, _IOLBF, 4096);
    signal(SIGPIPE, SIG_IGN);
    bool started = broker_start(&broker, &options);
    if (started) {
        broker_run(&broker);
    }
    broker_free(&broker);
    return started ? 0 : 1;
}
