/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/flow.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "auth/secret.h"
#include "protocol/records.h"
#include "proxy/io/leg.h"
#include "proxy/session/session.h"

enum { FLOW_SIZE_BYTES = 4 };

/* One pass over the bytes of one read. */
struct pass {
    struct session *s;
    struct flow *flow;
    const struct flow_direction *direction;
    uint8_t *at, *end;
    uint8_t *run; /* bytes from here to at are to be sent and have not been */
};

static bool pass_send(struct pass *p)
{
    size_t length = (size_t)(p->at - p->run);
    uint8_t *run = p->run;
    p->run = p->at;
    p->flow->sent_bytes += length;
    if (length == 0 || leg_write(p->direction->to(p->s), run, length)) {
        return true;
    }
    p->direction->to_failed(p->s);
    return false;
}

static bool pass_end_frame(struct pass *p)
{
    const struct flow_direction *direction = p->direction;
    p->flow->mode = FLOW_HEAD;
    if (!direction->end(p->s, p->flow)) {
        return false;
    }
    if (direction->between_due == NULL || !direction->between_due(p->s)) {
        return true;
    }
    return pass_send(p) && direction->between(p->s);
}

static void held_free(struct flow *flow)
{
    if (flow->secret && flow->held != NULL) {
        secret_cleanse(flow->held, flow->held_length);
    }
    free(flow->held);
    flow->held = NULL;
    flow->held_length = flow->held_capacity = 0;
}

/* realloc would leave a copy behind. */
static uint8_t *held_grow(const struct flow *flow, size_t capacity)
{
    if (!flow->secret) {
        return realloc(flow->held, capacity);
    }
    uint8_t *grown = malloc(capacity);
    if (grown != NULL && flow->held != NULL) {
        memcpy(grown, flow->held, flow->held_length);
        secret_cleanse(flow->held, flow->held_length);
        free(flow->held);
    }
    return grown;
}

/* Grows with the bytes received, never with the size declared. */
static void held_append(struct flow *flow, const uint8_t *bytes, size_t length)
{
    size_t needed = flow->held_length + length;
    if (needed > flow->held_capacity) {
        size_t capacity = flow->held_capacity == 0 ? 1024 : flow->held_capacity;
        while (capacity < needed) {
            capacity *= 2;
        }
        uint8_t *grown = held_grow(flow, capacity);
        if (grown == NULL) {
            abort();
        }
        flow->held = grown;
        flow->held_capacity = capacity;
    }
    memcpy(flow->held + flow->held_length, bytes, length);
    flow->held_length = needed;
}

/* The bytes taken have been looked at or copied. */
static void pass_wipe(const struct pass *p, size_t take)
{
    if (p->flow->secret) {
        secret_cleanse(p->at, take);
    }
}

static bool pass_hold(struct pass *p, size_t take)
{
    struct flow *flow = p->flow;
    if (flow->held_length == 0 && take == flow->frame_bytes) {
        /* Whole within this read: looked at where it lies. */
        bool open = p->direction->held(p->s, flow, p->at);
        pass_wipe(p, take);
        p->at += take;
        p->run = p->at;
        return open && pass_end_frame(p);
    }
    held_append(flow, p->at, take);
    pass_wipe(p, take);
    p->at += take;
    p->run = p->at;
    flow->remaining -= take;
    if (flow->remaining > 0) {
        return true;
    }
    bool open = p->direction->held(p->s, flow, flow->held);
    held_free(flow);
    return open && pass_end_frame(p);
}

static bool pass_watch(struct pass *p, size_t take)
{
    struct flow *flow = p->flow;
    size_t sent = flow->frame_bytes - flow->remaining;
    size_t skip = sent < FLOW_SIZE_BYTES ? FLOW_SIZE_BYTES - sent : 0;
    skip = skip < take ? skip : take;
    /* The walk sees the payload only; remaining counts with it. */
    flow->remaining -= skip;
    if (take > skip && !p->direction->watch(p->s, flow, p->at + skip, take - skip)) {
        return false;
    }
    p->at += take;
    flow->remaining -= take - skip;
    return flow->remaining > 0 || pass_end_frame(p);
}

static bool pass_stream(struct pass *p, size_t take)
{
    p->at += take;
    p->flow->remaining -= take;
    return p->flow->remaining > 0 || pass_end_frame(p);
}

/* Returns false at the end of the bytes too: *open_r tells the two apart. */
static bool pass_head(struct pass *p, bool *open_r)
{
    struct flow *flow = p->flow;
    size_t left = (size_t)(p->end - p->at);
    if (left < p->direction->head_bytes) {
        *open_r = pass_send(p);
        memcpy(flow->cut, p->at, left);
        flow->cut_length = (uint8_t)left;
        p->run = p->at = p->end;
        return false;
    }
    flow->secret = false;
    *open_r = p->direction->head(p->s, flow, p->at);
    flow->remaining = flow->frame_bytes;
    if (*open_r && flow->mode == FLOW_HOLD) {
        *open_r = pass_send(p); /* what comes before a held frame leaves before it */
    }
    return *open_r;
}

static bool pass_body(struct pass *p)
{
    size_t left = (size_t)(p->end - p->at);
    size_t take = p->flow->remaining < left ? p->flow->remaining : left;
    switch (p->flow->mode) {
    case FLOW_STREAM:
        return pass_stream(p, take);
    case FLOW_WATCH:
        return pass_watch(p, take);
    case FLOW_HOLD:
        return pass_hold(p, take);
    case FLOW_HEAD:
        break;
    }
    assert(p->flow->mode != FLOW_HEAD);
    return false;
}

bool flow_bytes(struct session *s, struct flow *flow, const struct flow_direction *direction,
                uint8_t *bytes, size_t length)
{
    bytes -= flow->cut_length;
    memcpy(bytes, flow->cut, flow->cut_length);
    struct pass pass = {s, flow, direction, bytes, bytes + flow->cut_length + length, bytes};
    flow->cut_length = 0;
    bool open = true;
    while (open && pass.at < pass.end) {
        if (flow->mode == FLOW_HEAD && !pass_head(&pass, &open)) {
            break;
        }
        if (open && flow->mode != FLOW_HEAD) {
            open = pass_body(&pass);
        }
    }
    return open && pass_send(&pass);
}

bool flow_rests(const struct flow *flow)
{
    return flow->mode == FLOW_HEAD && flow->cut_length == 0;
}

size_t flow_missing(const struct flow *flow, const struct flow_direction *direction)
{
    if (flow->mode != FLOW_HEAD) {
        return flow->remaining;
    }
    return flow->cut_length > 0 ? direction->head_bytes - flow->cut_length : 0;
}

struct records_walk *flow_walk(struct flow *flow)
{
    if (flow->walk == NULL) {
        flow->walk = malloc(sizeof *flow->walk);
        if (flow->walk == NULL) {
            abort();
        }
    }
    return flow->walk;
}

void flow_free(struct flow *flow)
{
    held_free(flow);
    free(flow->walk);
    flow->walk = NULL;
}
