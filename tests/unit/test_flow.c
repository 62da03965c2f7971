/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over frames, with directions of the test's own: whatever the split of the bytes, every
 * frame is seen once, in
 * order, and every byte that is not held arrives once, in order, with held frames in their place.
 */
#include "proxy/session/flow.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/session/session.h"
#include "tests/unit/pair.h"

enum { HEAD = 8 };

static struct pair pair;
static struct session *session;
static char seen[4096];
static size_t watched, watched_ends;

static uint32_t load(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void note(char what)
{
    size_t n = strlen(seen);
    seen[n] = what;
    seen[n + 1] = '\0';
}

/* A test frame is size, then a kind: 's'tream, 'w'atch, 'h'old, 'x' refuse; then filler. */
static bool head(struct session *s, struct flow *flow, const uint8_t *at)
{
    (void)s;
    flow->frame_bytes = load(at) + 4u;
    note((char)at[4]);
    flow->mode = at[4] == 's' ? FLOW_STREAM : at[4] == 'w' ? FLOW_WATCH : FLOW_HOLD;
    return at[4] != 'x';
}

static bool watch(struct session *s, struct flow *flow, uint8_t *at, size_t length)
{
    (void)s;
    (void)at;
    watched += length;
    watched_ends += flow->remaining == length ? 1 : 0;
    cr_assert_leq(length, flow->remaining);
    return true;
}

static bool held(struct session *s, struct flow *flow, uint8_t *at)
{
    cr_assert_eq(load(at) + 4u, flow->frame_bytes);
    note('H');
    return leg_write(&s->broker, at, flow->frame_bytes);
}

static bool end(struct session *s, struct flow *flow)
{
    (void)s;
    (void)flow;
    note('.');
    return true;
}

static struct leg *to(struct session *s)
{
    return &s->broker;
}

static void to_failed(struct session *s)
{
    (void)s;
    cr_assert_fail("the pair does not fail");
}

static const struct flow_direction direction = {HEAD, head, watch, held,     end,
                                                NULL, NULL, to,    to_failed};

static bool open_and_quiet(const struct pair *p)
{
    return p->a.opened == 1 && p->b.opened == 1;
}

static void setup(void)
{
    pair_start(&pair, NULL, NULL);
    cr_assert(pair_run(&pair, open_and_quiet));
    session = calloc(1, sizeof *session);
    seen[0] = '\0';
    watched = 0;
    session->broker = pair.a.leg; /* the copy shares the socket; the loop knows the original only */
}

static void teardown(void)
{
    free(session);
    pair_stop(&pair);
}

static size_t put_frame(uint8_t *at, char kind, uint32_t payload)
{
    at[0] = 0;
    at[1] = 0;
    at[2] = (uint8_t)(payload >> 8);
    at[3] = (uint8_t)payload;
    memset(at + 4, kind, payload);
    return payload + 4;
}

static size_t put_frames(uint8_t *at)
{
    size_t n = put_frame(at, 's', 4);
    n += put_frame(at + n, 'h', 30);
    n += put_frame(at + n, 'w', 50);
    n += put_frame(at + n, 'h', 4);
    n += put_frame(at + n, 'h', 17);
    n += put_frame(at + n, 's', 61);
    n += put_frame(at + n, 'w', 4);
    return n;
}

static void feed(struct flow *flow, const uint8_t *bytes, size_t length)
{
    uint8_t *scratch = pair.io.scratch;
    memcpy(scratch, bytes, length);
    cr_assert(flow_bytes(session, flow, &direction, scratch, length));
}

static void drain_to(size_t length)
{
    for (int i = 0; i < 1000 && pair.b.got_length < length; i++) {
        uv_run(&pair.loop, UV_RUN_NOWAIT);
    }
    cr_assert_eq(pair.b.got_length, length);
}

TestSuite(flow, .init = setup, .fini = teardown);

Test(flow, any_two_cuts_of_the_bytes_give_the_same)
{
    uint8_t bytes[512];
    size_t length = put_frames(bytes);
    for (size_t i = 0; i <= length; i++) {
        for (size_t k = i; k <= length; k++) {
            struct flow flow = {0};
            seen[0] = '\0';
            watched = watched_ends = 0;
            feed(&flow, bytes, i);
            feed(&flow, bytes + i, k - i);
            feed(&flow, bytes + k, length - k);
            cr_assert_str_eq(seen, "s.hH.w.hH.hH.s.w.");
            cr_assert_eq(watched, 54u);
            cr_assert_eq(watched_ends, 2u,
                         "the last bytes of a watched frame are told as such, once");
            cr_assert(flow_rests(&flow));
            cr_assert_null(flow.held);
            drain_to(length);
            cr_assert_arr_eq(pair.b.got, bytes, length);
            pair.b.got_length = 0;
            flow_free(&flow);
        }
    }
}

Test(flow, one_byte_at_a_time_gives_the_same)
{
    uint8_t bytes[512];
    struct flow flow = {0};
    size_t length = put_frames(bytes);
    for (size_t i = 0; i < length; i++) {
        feed(&flow, bytes + i, 1);
    }
    cr_assert_str_eq(seen, "s.hH.w.hH.hH.s.w.");
    drain_to(length);
    cr_assert_arr_eq(pair.b.got, bytes, length);
    flow_free(&flow);
}

Test(flow, a_refused_frame_stops_the_walk_before_its_first_byte)
{
    uint8_t bytes[64];
    struct flow flow = {0};
    size_t length = put_frame(bytes, 's', 6);
    length += put_frame(bytes + length, 'x', 6);
    memcpy(pair.io.scratch, bytes, length);
    cr_assert_not(flow_bytes(session, &flow, &direction, pair.io.scratch, length));
    cr_assert_str_eq(seen, "s.x");
    flow_free(&flow);
}

/* T73 */
Test(flow, a_held_frame_grows_with_the_bytes_not_with_the_size_declared)
{
    uint8_t bytes[64] = {0, 0xff, 0xff, 0xff, 'h', 'h', 'h', 'h', 'h', 'h'};
    struct flow flow = {0};
    feed(&flow, bytes, 10);
    cr_assert_leq(flow.held_capacity, 4096u);
    cr_assert_eq(flow.held_length, 10u);
    flow_free(&flow);
}

Test(flow, feeding_what_is_missing_ends_at_each_frame_boundary)
{
    uint8_t bytes[512];
    struct flow flow = {0};
    size_t length = put_frames(bytes), at = 0, frames = 0;
    cr_assert_eq(flow_missing(&flow, &direction), 0u);
    while (at < length) {
        size_t end = at + load(bytes + at) + 4u;
        feed(&flow, bytes + at, 1);
        at++;
        for (size_t n = flow_missing(&flow, &direction); n > 0;
             n = flow_missing(&flow, &direction)) {
            cr_assert_leq(at + n, end);
            feed(&flow, bytes + at, n);
            at += n;
        }
        cr_assert_eq(at, end);
        cr_assert(flow_rests(&flow));
        frames++;
    }
    cr_assert_eq(frames, 7u);
    flow_free(&flow);
}
