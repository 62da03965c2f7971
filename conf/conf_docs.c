/* SPDX-License-Identifier: Apache-2.0 */
/* conf_docs reference|example: writes a generated page to standard output. */
#include <stdio.h>
#include <string.h>

#include "conf/docs.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "reference") == 0) {
        docs_reference(stdout);
        return ferror(stdout) != 0;
    }
    if (argc == 2 && strcmp(argv[1], "example") == 0) {
        return docs_example(stdout) && ferror(stdout) == 0 ? 0 : 1;
    }
    fputs("usage: conf_docs reference|example\n", stderr);
    return 2;
}
