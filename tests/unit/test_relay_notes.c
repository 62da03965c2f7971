/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_notes.h"

#include <criterion/criterion.h>

#include "proxy/ops/ledger_lane.h"

static const uint8_t key[SIPHASH_KEY_BYTES] = "0123456789abcdef";
static struct ledger_lane *lane;
static struct ledger_stream *stream;

static void setup(void)
{
    lane = ledger_lane_new(key, NULL);
    stream = ledger_lane_stream(lane, view_from_string("main"), view_from_string("orders"), NULL, 0,
                                true);
    stream->users++;
}

static void teardown(void)
{
    ledger_lane_free(&lane);
}

TestSuite(relay_notes, .init = setup, .fini = teardown);

static bool add(struct relay_notes *notes, uint32_t n)
{
    const struct ledger_record record = {.offset = n};
    return relay_notes_add(notes, stream, &record, n);
}

/* Until there is no room. */
static uint32_t fill(struct relay_notes *notes)
{
    uint32_t n = 0;
    relay_notes_init(notes, lane);
    while (add(notes, n)) {
        n++;
    }
    return n;
}

static void drop(struct relay_notes *notes)
{
    relay_notes_at(notes, 0)->stream->users--;
    relay_notes_at(notes, 0)->stream = NULL;
    relay_notes_drop(notes);
}

Test(relay_notes, keeps_them_in_order_while_it_grows_and_shrinks)
{
    struct relay_notes notes;
    uint32_t put = 0, taken = 0;
    relay_notes_init(&notes, lane);
    for (uint32_t round = 1; round < 80; round++) {
        for (uint32_t i = 0; i < round; i++) {
            cr_assert(add(&notes, put++));
        }
        for (uint32_t i = 0; i < notes.count; i++) {
            cr_assert_eq(relay_notes_at(&notes, i)->request, taken + i);
            cr_assert_eq(relay_notes_at(&notes, i)->record.offset, taken + i);
        }
        while (notes.count > round / 2) {
            drop(&notes);
            taken++;
        }
    }
    while (notes.count > 0) {
        drop(&notes);
    }
    cr_assert_leq(notes.capacity, 64, "a connection at rest keeps little");
    cr_assert_eq(stream->users, 1);
    relay_notes_free(&notes);
}

enum { SESSIONS = 1000 };

Test(relay_notes, leaves_room_for_others_whatever_one_takes)
{
    static struct relay_notes notes[SESSIONS];
    uint64_t sum = 0;
    uint32_t before = RELAY_NOTES_MAX;
    for (size_t i = 0; i < SESSIONS; i++) {
        uint32_t n = fill(&notes[i]);
        cr_assert_leq(n, before);
        cr_assert_geq(n, RELAY_NOTES_SURE);
        before = n;
        sum += n;
    }
    cr_assert_eq(notes[0].count, RELAY_NOTES_MAX);
    cr_assert_eq(notes[SESSIONS - 1].count, RELAY_NOTES_SURE);
    cr_assert_leq(sum, SESSIONS * RELAY_NOTES_SURE + LEDGER_LANE_NOTES);
    for (size_t i = 0; i < SESSIONS; i++) {
        while (notes[i].count > 0) {
            drop(&notes[i]);
        }
        relay_notes_free(&notes[i]);
    }
    cr_assert_eq(fill(&notes[0]), RELAY_NOTES_MAX, "what was lent came back");
    relay_notes_free(&notes[0]);
}
