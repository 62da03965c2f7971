/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/rule_fault.h"

#include <stdarg.h>
#include <stdio.h>

bool rule_fault_set(struct rule_fault *fault, size_t offset, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fault->offset = offset;
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return false;
}
