/* SPDX-License-Identifier: Apache-2.0 */
/* What sort of thing an audit event is, for the schemas that have a class or category for it. */
#pragma once

#include "auth/audit.h"

enum audit_kind {
    AUDIT_KIND_OTHER, /* also an event of a newer Setu */
    AUDIT_KIND_LOGON, /* somebody proves who he is, or does not */
    AUDIT_KIND_LOGOFF,
    AUDIT_KIND_MAPPING,    /* a principal becomes a certificate, or does not */
    AUDIT_KIND_REQUEST,    /* a request was refused */
    AUDIT_KIND_GENERATION, /* what a broker is */
    AUDIT_KIND_CONFIGURATION,
    AUDIT_KIND_ADMIN,
    AUDIT_KIND_START,
    AUDIT_KIND_STOP,
    AUDIT_KINDS
};

enum audit_kind audit_kind_of(enum audit_code code);
