/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/ops/handover.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct writer message(enum handover_kind kind, uint16_t descriptors, const char *payload)
{
    struct writer w;
    writer_init_growing(&w, 4096);
    handover_write(&w, kind, descriptors, view_from_string(payload));
    cr_assert(writer_ok(&w));
    return w;
}

Test(handover, a_head_is_what_was_written)
{
    struct writer w = message(HANDOVER_SOCKETS, 7, "hello");
    struct handover_head head;
    cr_assert_eq(handover_head(writer_view(&w), &head), HANDOVER_OK);
    cr_assert_eq(head.kind, HANDOVER_SOCKETS);
    cr_assert_eq(head.descriptors, 7);
    cr_assert_eq(head.length, 5u);
    cr_assert_eq(w.length, (size_t)HANDOVER_HEAD_BYTES + 5);
    writer_free(&w);
}

Test(handover, every_prefix_of_a_head_wants_more)
{
    struct writer w = message(HANDOVER_READY, 0, "");
    struct handover_head head;
    for (size_t n = 0; n < HANDOVER_HEAD_BYTES; n++) {
        cr_assert_eq(handover_head(view_of(w.at, n), &head), HANDOVER_MORE, "%zu bytes", n);
    }
    writer_free(&w);
}

Test(handover, a_head_of_somebody_else_is_refused)
{
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {
        {0, 'G'},  {3, '1'} /* another version */, {4, 0}, {4, 11}, {4, 15}, {4, 21}, {4, 0x80},
        {5, 1},    {6, 1} /* 256 descriptors */,   {7, 65}, {8, 0x80}, {9, 0x10},
    };
    struct handover_head head;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct writer w = message(HANDOVER_READY, 0, "");
        w.at[wrong[i].at] = wrong[i].value;
        cr_assert_eq(handover_head(writer_view(&w), &head), HANDOVER_BAD, "case %zu", i);
        writer_free(&w);
    }
    cr_assert_eq(handover_head(view_from_string("GET / HTTP/1.1\r\n"), &head), HANDOVER_BAD);
}

static struct writer sockets(void)
{
    struct handover_socket two[] = {
        {.address = "127.0.0.1:19092", .worker = 1, .listening = true, .fd = 5},
        {.address = "[::1]:19100", .worker = 0, .fd = 6},
    };
    struct handover_sockets list = {.session_id = 4711, .last = true, .count = 2, .sockets = two};
    struct writer w;
    writer_init_growing(&w, 4096);
    handover_sockets_write(&w, &list);
    return w;
}

Test(handover, a_list_of_sockets_is_what_was_written)
{
    struct handover_socket got[2];
    struct handover_sockets list = {.sockets = got};
    struct writer w = sockets();
    cr_assert(handover_sockets_read(writer_view(&w), &list, 2));
    cr_assert_eq(list.session_id, 4711u);
    cr_assert(list.last && list.count == 2);
    cr_assert_str_eq(got[0].address, "127.0.0.1:19092");
    cr_assert(got[0].worker == 1 && got[0].listening && got[0].fd == -1);
    cr_assert_str_eq(got[1].address, "[::1]:19100");
    cr_assert_not(handover_sockets_read(writer_view(&w), &list, 1), "more than there is room for");
    writer_free(&w);
}

Test(handover, every_prefix_of_a_list_is_refused_and_so_is_more)
{
    struct handover_socket got[2];
    struct handover_sockets list = {.sockets = got};
    struct writer w = sockets();
    for (size_t n = 0; n < w.length; n++) {
        cr_assert_not(handover_sockets_read(view_of(w.at, n), &list, 2), "%zu bytes", n);
    }
    writer_i8(&w, 0);
    cr_assert_not(handover_sockets_read(writer_view(&w), &list, 2), "a byte behind the end");
    writer_free(&w);
}

/* Every byte replaced by every value: refused or read, never beyond what is there (AddressSanitizer looks). */
Test(handover, any_damage_is_borne)
{
    struct handover_socket got[2];
    struct handover_sockets list = {.sockets = got};
    struct writer w = sockets();
    for (size_t n = 0; n < w.length; n++) {
        uint8_t kept = w.at[n];
        for (int value = 0; value < 256; value++) {
            w.at[n] = (uint8_t)value;
            if (handover_sockets_read(writer_view(&w), &list, 2)) {
                cr_assert_leq(list.count, 2u);
                cr_assert_lt(strlen(got[0].address), (size_t)HANDOVER_ADDRESS_SIZE);
            }
        }
        w.at[n] = kept;
    }
    writer_free(&w);
}

Test(handover, texts_are_cut_and_hold_nothing_strange)
{
    char longer[400], got[HANDOVER_TEXT_SIZE];
    struct writer w;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    writer_init_growing(&w, 4096);
    handover_text_write(&w, longer);
    cr_assert(handover_text_read(writer_view(&w), got));
    cr_assert_eq(strlen(got), (size_t)HANDOVER_TEXT_SIZE - 1);
    for (size_t n = 0; n < w.length; n++) {
        cr_assert_not(handover_text_read(view_of(w.at, n), got));
    }
    w.at[5] = '\n';
    cr_assert_not(handover_text_read(writer_view(&w), got), "a line of somebody else's log");
    w.at[5] = 0x9b;
    cr_assert_not(handover_text_read(writer_view(&w), got));
    writer_free(&w);
}
