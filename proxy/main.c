/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli.h"
#include "proxy/io/tls_memory.h"

int main(int argc, char **argv)
{
    tls_memory_install();
    return cli_main(argc, argv);
}
