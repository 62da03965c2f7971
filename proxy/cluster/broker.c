/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cluster/broker.h"

#include <string.h>

#include "conf/config.h"
#include "protocol/api.h"
#include "protocol/endpoint.h"

enum {
    DELAY_MIN_MS = 250,
    DELAY_MAX_MS = 30000,
    SOON_MIN_MS = 1000,
    SOON_MAX_MS = 15000,
    AT_ONCE_MIN_MS = 250 /* doubled up to 4 s: less than sessions have time */
};

bool broker_host_valid(struct view host)
{
    if (host.length == 0 || host.length >= ROUTE_HOST_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.length; i++) {
        uint8_t c = host.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr(".-_:%", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static bool note_rack(struct broker *broker, struct view rack)
{
    size_t length = rack.length < BROKER_RACK_SIZE ? rack.length : BROKER_RACK_SIZE - 1;
    if (rack.at == NULL || (broker->rack_known &&
                            view_equal(view_from_string(broker->rack), view_of(rack.at, length)))) {
        return false;
    }
    memcpy(broker->rack, rack.at, length);
    broker->rack[length] = '\0';
    broker->rack_known = true;
    return true;
}

/* A free slot, or the one seen longest ago that is not in use. */
static struct broker_endpoint *new_endpoint(struct broker *broker)
{
    if (broker->endpoint_count < BROKER_ENDPOINTS_MAX) {
        return &broker->endpoints[broker->endpoint_count++];
    }
    struct broker_endpoint *oldest = NULL;
    for (size_t i = 0; i < broker->endpoint_count; i++) {
        struct broker_endpoint *endpoint = &broker->endpoints[i];
        if (i != broker->endpoint && (oldest == NULL || endpoint->seen_ms < oldest->seen_ms)) {
            oldest = endpoint;
        }
    }
    return oldest;
}

bool broker_saw(struct broker *broker, struct view host, uint16_t port, struct view rack,
                uint64_t now_ms)
{
    bool changed = note_rack(broker, rack);
    for (size_t i = 0; i < broker->endpoint_count; i++) {
        struct broker_endpoint *endpoint = &broker->endpoints[i];
        if (endpoint->port == port && view_is(host, endpoint->host)) {
            endpoint->seen_ms = now_ms;
            return changed;
        }
    }
    struct broker_endpoint *endpoint = new_endpoint(broker);
    memset(endpoint, 0, sizeof *endpoint);
    memcpy(endpoint->host, host.at, host.length);
    endpoint->port = port;
    endpoint->seen_ms = now_ms;
    endpoint->resolved.error = "";
    return true;
}

struct broker_endpoint *broker_endpoint(struct broker *broker)
{
    return &broker->endpoints[broker->endpoint];
}

struct generation_subject broker_subject(const struct broker *broker)
{
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    return (struct generation_subject){.node_id = broker->node_id,
                                       .host = endpoint->host,
                                       .port = endpoint->port,
                                       .rack = broker->rack_known ? broker->rack : NULL};
}

void broker_decide(struct broker *broker, const struct conf_cluster *conf)
{
    struct generation_subject subject = broker_subject(broker);
    bool look = false;
    const struct conf_generation *ruled = generation_by_rule(conf, &subject, &look);
    if (ruled != NULL) {
        broker->generation = ruled;
        broker->by_look = false;
        return;
    }
    bool candidate = broker->generation != NULL && look &&
                     generation_match(broker->generation, &subject) != GENERATION_NO;
    if (!candidate) {
        broker->generation = NULL;
    }
    broker->by_look = look;
}

bool broker_try_other(struct broker *broker)
{
    struct broker_endpoint *used = broker_endpoint(broker);
    if (used->address + 1 < used->resolved.count) {
        used->address++;
        broker->confirmed = false;
        return true;
    }
    used->address = 0;
    broker->endpoint = (broker->endpoint + 1) % broker->endpoint_count;
    broker->confirmed = false;
    return broker->endpoint_count > 1 || used->resolved.count > 1;
}

static int16_t authenticate_version(const struct broker *broker)
{
    const struct api_range *range =
        broker->versions_known ? api_versions_find(&broker->versions, API_SASL_AUTHENTICATE) : NULL;
    return range != NULL ? range->max : -1;
}

enum route_status broker_route(const struct broker *broker, struct route *route_r)
{
    const struct broker_endpoint *endpoint = &broker->endpoints[broker->endpoint];
    bool busy = broker->probe != NULL || broker->resolve != NULL;
    if (endpoint->resolved.count == 0) {
        return busy || endpoint->resolved_ms == 0 ? ROUTE_PENDING : ROUTE_NO_ADDRESS;
    }
    if (endpoint->strange) {
        return ROUTE_NO_ADDRESS;
    }
    if (broker->generation == NULL) {
        return busy || !broker->looked ? ROUTE_PENDING : ROUTE_NO_GENERATION;
    }
    memset(route_r, 0, sizeof *route_r);
    route_r->node_id = broker->node_id;
    route_r->generation = broker->generation;
    memcpy(route_r->host, endpoint->host, sizeof route_r->host);
    route_r->port = endpoint->port;
    route_r->live = broker->live;
    route_r->confirmed = broker->confirmed;
    route_r->flips = broker->flips;
    route_r->authenticate_version = authenticate_version(broker);
    route_r->address = endpoint->resolved.addresses[endpoint->address];
    return ROUTE_OK;
}

/* delay spread over -20 %..+20 %, so that many workers and many Setus do not look at once. */
static uint64_t spread(uint64_t delay_ms, uint32_t random)
{
    uint64_t width = delay_ms * 2 / 5;
    return delay_ms - width / 2 + (width > 0 ? random % (width + 1) : 0);
}

uint64_t broker_delay_ms(unsigned failures, uint64_t refresh_ms, uint32_t random)
{
    if (failures == 0) {
        return spread(refresh_ms, random);
    }
    uint64_t limit = refresh_ms < DELAY_MAX_MS ? refresh_ms : DELAY_MAX_MS;
    uint64_t delay = (uint64_t)DELAY_MIN_MS << (failures < 8 ? failures - 1 : 7);
    return spread(delay < limit ? delay : limit, random);
}

uint64_t broker_soon_ms(const struct broker *broker, uint64_t now_ms, uint32_t random)
{
    uint64_t gap = (uint64_t)SOON_MIN_MS << (broker->failures < 4 ? broker->failures : 4);
    uint64_t earliest =
        broker->last_look_ms + spread(gap < SOON_MAX_MS ? gap : SOON_MAX_MS, random);
    uint64_t soon = now_ms + 20 + random % 100;
    return broker->last_look_ms == 0 || earliest < soon ? soon : earliest;
}

uint64_t broker_at_once_ms(const struct broker *broker, uint64_t now_ms)
{
    uint64_t gap = (uint64_t)AT_ONCE_MIN_MS << (broker->vain < 4 ? broker->vain : 4);
    uint64_t earliest = broker->last_look_ms + gap;
    return broker->last_look_ms == 0 || earliest < now_ms ? now_ms : earliest;
}

/* ---- who answers ---- */

struct asked {
    int32_t node_id;
    const char *host;
    uint16_t port;
    bool itself;
    int32_t other; /* -1: nobody else */
};

static bool compare_endpoint(void *context, const struct endpoint *endpoint)
{
    struct asked *asked = context;
    if (endpoint->port != asked->port || !view_is(endpoint->host, asked->host)) {
        return true;
    }
    if (endpoint->node_id == asked->node_id) {
        asked->itself = true;
    } else if (endpoint->node_id >= 0) {
        asked->other = endpoint->node_id;
    }
    return true;
}

enum broker_identity broker_identify(int32_t node_id, const char *host, uint16_t port,
                                     int16_t version, struct view metadata, int32_t *other_r)
{
    struct asked asked = {.node_id = node_id, .host = host, .port = port, .other = -1};
    if (metadata.at == NULL || endpoint_visit(API_METADATA, version, metadata, compare_endpoint,
                                              &asked) != ENDPOINT_OK) {
        return BROKER_UNTOLD;
    }
    *other_r = asked.other;
    if (asked.itself) {
        return BROKER_ITSELF;
    }
    return asked.other >= 0 ? BROKER_ANOTHER : BROKER_UNTOLD;
}
