/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_inlet: the other end of audit_log_forward: what a predecessor that drains still has to audit joins our chain.
 *
 *   batch  =  length (u32, of this machine), records of auth/audit.h        answered with one byte when all are queued
 */
#pragma once

#include <uv.h>

struct audit_inlet;
struct audit_log;

/** Reads from fd until its end, which is ours in any case. NULL: no memory, or the loop refuses it. */
struct audit_inlet *audit_inlet_new(uv_loop_t *loop, int fd, struct audit_log *log)
    __attribute__((warn_unused_result));

/** The memory goes later. *inlet = NULL; NULL is fine. */
void audit_inlet_close(struct audit_inlet **inlet);
