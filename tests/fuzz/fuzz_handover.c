/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what comes by the control socket: heads, lists of sockets, texts. What is read is written again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/ops/handover.h"

enum { SOCKETS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void list(struct view payload)
{
    struct handover_socket sockets[SOCKETS];
    struct handover_sockets got = {.sockets = sockets};
    struct writer again;
    if (!handover_sockets_read(payload, &got, SOCKETS)) {
        return;
    }
    writer_init_growing(&again, 1 << 20);
    handover_sockets_write(&again, &got);
    if (!writer_ok(&again) || again.length != payload.length) {
        abort();
    }
    writer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover_head head;
    struct view in = view_of(data, size);
    char text[HANDOVER_TEXT_SIZE];
    if (handover_head(in, &head) == HANDOVER_OK) {
        if (head.length > HANDOVER_PAYLOAD_MAX || head.descriptors > HANDOVER_DESCRIPTORS_MAX) {
            abort();
        }
        in = view_from(in, HANDOVER_HEAD_BYTES);
    }
    list(in);
    if (handover_text_read(in, text) && strlen(text) >= HANDOVER_TEXT_SIZE) {
        abort();
    }
    return 0;
}
