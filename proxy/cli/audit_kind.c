/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/audit_kind.h"

enum audit_kind audit_kind_of(enum audit_code code)
{
    switch (code) {
    case AUDIT_LOGIN_ACCEPTED:
    case AUDIT_LOGIN_DENIED:
    case AUDIT_REAUTH_ACCEPTED:
    case AUDIT_REAUTH_DENIED:
    case AUDIT_BROKER_LOGIN_OK:
    case AUDIT_BROKER_REAUTH_OK:
    case AUDIT_BROKER_REAUTH_FAILED:
    case AUDIT_BROKER_LOGIN_FAILED:
    case AUDIT_BROKER_UNTRUSTED:
        return AUDIT_KIND_LOGON;
    case AUDIT_SESSION_CLOSED:
    case AUDIT_SESSION_EXPIRED:
        return AUDIT_KIND_LOGOFF;
    case AUDIT_MAPPING_DECIDED:
    case AUDIT_MAPPING_DENIED:
    case AUDIT_CERTIFICATE_EXPIRED:
        return AUDIT_KIND_MAPPING;
    case AUDIT_REQUEST_REFUSED:
        return AUDIT_KIND_REQUEST;
    case AUDIT_GENERATION_LEARNED:
    case AUDIT_GENERATION_FLIPPED:
        return AUDIT_KIND_GENERATION;
    case AUDIT_RELOAD:
    case AUDIT_RELOAD_REFUSED:
    case AUDIT_MAPPING_CHANGED:
    case AUDIT_CERTIFICATE_CHANGED:
    case AUDIT_TRUST_CHANGED:
    case AUDIT_CERTIFICATES_REFUSED:
    case AUDIT_SIGNING_KEY:
    case AUDIT_SIGNING_OFF:
        return AUDIT_KIND_CONFIGURATION;
    case AUDIT_ADMIN_ACTION:
        return AUDIT_KIND_ADMIN;
    case AUDIT_START:
        return AUDIT_KIND_START;
    case AUDIT_STOP:
        return AUDIT_KIND_STOP;
    default:
        return AUDIT_KIND_OTHER;
    }
}
