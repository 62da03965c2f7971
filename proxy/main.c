/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include "proxy/cli/cli.h"
#include "proxy/io/tls_memory.h"

int main(int argc, char **argv)
{
    /* Keys and passwords pass through this memory: no core, no ptrace (T76). */
    const struct rlimit none = {0, 0};
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
    tls_memory_install();
    return cli_main(argc, argv);
}
