/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"
#include "tests/sim/wire.h"

enum { BOOKS_MAX = 4096, BATCHES_MAX = 16384, FETCH_MAX = 1024 * 1024 };

struct answer {
    struct answer *next;
    size_t length;
    uint8_t bytes[];
};

struct batch {
    const uint8_t *bytes;
    size_t length;
    int32_t partition;
    uint32_t stored;
    bool idempotent, acknowledged;
};

struct stored {
    uint64_t number;
    int32_t partition;
};

static struct book *books[BOOKS_MAX];
static uint32_t book_count;
static struct batch batches[BATCHES_MAX];
static uint64_t batch_count;
static struct stored log_of_all[2 * BATCHES_MAX]; /* in the order of their arrival */
static size_t log_length;

void book_begin(void)
{
    memset(books, 0, sizeof books);
    book_count = 0;
    batch_count = 0;
    log_length = 0;
}

struct book *book_new(const struct user *user)
{
    struct book *book = sim_alloc(sizeof *book);
    if (book_count == BOOKS_MAX) {
        abort();
    }
    books[book_count] = book;
    book->number = ++book_count;
    book->user = user;
    snprintf(book->client_id, sizeof book->client_id, "sim-%u", book->number);
    return book;
}

struct book *book_find(struct view client_id)
{
    char text[16] = "";
    unsigned number = 0;
    if (client_id.length == 0 || client_id.length >= sizeof text) {
        return NULL;
    }
    memcpy(text, client_id.at, client_id.length);
    if (sscanf(text, "sim-%u", &number) != 1 || number == 0 || number > book_count) {
        return NULL;
    }
    return books[number - 1];
}

struct view book_client_id(const struct book *book)
{
    return view_from_string(book->client_id);
}

/* ---- requests ---- */

void book_sent(struct book *book, struct view frame)
{
    size_t needed = book->sent_length + frame.length;
    if (needed > book->sent_capacity) {
        size_t capacity = book->sent_capacity == 0 ? 4096 : book->sent_capacity;
        while (capacity < needed) {
            capacity *= 2;
        }
        uint8_t *grown = sim_alloc(capacity);
        if (book->sent_length > 0) {
            memcpy(grown, book->sent, book->sent_length);
        }
        book->sent = grown;
        book->sent_capacity = capacity;
    }
    memcpy(book->sent + book->sent_length, frame.at, frame.length);
    book->sent_length = needed;
}

static bool is_next_request(const struct book *book, struct view bytes)
{
    return bytes.length <= book->sent_length - book->reached &&
           (bytes.length == 0 || memcmp(book->sent + book->reached, bytes.at, bytes.length) == 0);
}

void book_reached(struct book *book, struct end *broker, struct view frame)
{
    if (!book->proven || book->refused) {
        sim_violated("admission", "connection %u: a request reached a broker before its login",
                     book->number);
    }
    if (book->broker != NULL && book->broker != broker) {
        sim_violated("request", "connection %u: a second broker connection carries requests",
                     book->number);
    }
    book->broker = broker;
    if (!is_next_request(book, frame)) {
        sim_violated("request",
                     "connection %u: %zu bytes reached a broker that are not the next request "
                     "(%zu of %zu bytes before it)",
                     book->number, frame.length, book->reached, book->sent_length);
    }
    book->reached += frame.length;
}

void book_reached_part(const struct book *book, struct view part)
{
    if (!is_next_request(book, part)) {
        sim_violated("request", "connection %u: it ended with %zu bytes that were not sent",
                     book->number, part.length);
    }
}

/* ---- answers ---- */

void book_expect(struct book *book, struct view frame)
{
    struct answer *answer = sim_alloc(sizeof *answer + frame.length);
    answer->length = frame.length;
    memcpy(answer->bytes, frame.at, frame.length);
    if (book->last == NULL) {
        book->first = answer;
    } else {
        book->last->next = answer;
    }
    book->last = answer;
}

static bool is_next_answer(const struct book *book, struct view bytes)
{
    return bytes.length == 0 || (book->first != NULL && bytes.length <= book->first->length &&
                                 memcmp(book->first->bytes, bytes.at, bytes.length) == 0);
}

void book_received(struct book *book, struct view frame)
{
    if (!is_next_answer(book, frame) || frame.length != book->first->length) {
        sim_violated("response",
                     "connection %u: answer %zu of %zu bytes is not the one a broker gave (%zu)",
                     book->number, book->answers, frame.length,
                     book->first != NULL ? book->first->length : 0);
    }
    book->first = book->first->next;
    book->last = book->first == NULL ? NULL : book->last;
    book->answers++;
}

void book_received_part(const struct book *book, struct view part)
{
    if (!is_next_answer(book, part)) {
        sim_violated("response", "connection %u: it ended with %zu bytes that no broker sent",
                     book->number, part.length);
    }
}

/* ---- batches ---- */

uint64_t batch_number(void)
{
    if (batch_count == BATCHES_MAX) {
        abort();
    }
    return ++batch_count;
}

void batch_made(uint64_t number, struct view bytes, int32_t partition, bool idempotent)
{
    uint8_t *kept = sim_alloc(bytes.length);
    memcpy(kept, bytes.at, bytes.length);
    batches[number - 1] = (struct batch){
        .bytes = kept, .length = bytes.length, .partition = partition, .idempotent = idempotent};
}

void batch_stored(uint64_t number, struct view bytes, int32_t partition)
{
    struct batch *batch = number >= 1 && number <= batch_count ? &batches[number - 1] : NULL;
    if (batch == NULL || batch->partition != partition || batch->length != bytes.length ||
        memcmp(batch->bytes, bytes.at, bytes.length) != 0) {
        sim_violated("acknowledged", "batch %llu is stored otherwise than it was made",
                     (unsigned long long)number);
    }
    batch->stored++;
    if (log_length < sizeof log_of_all / sizeof log_of_all[0]) {
        log_of_all[log_length++] = (struct stored){number, partition};
    }
}

void batch_acknowledged(uint64_t number)
{
    batches[number - 1].acknowledged = true;
}

/* Appends what fits to memory; returns how many bytes there are then. */
static size_t fetch_once(uint8_t *memory, size_t length, size_t bytes, int32_t partition,
                         int64_t offset)
{
    int64_t at = 0;
    for (size_t i = 0; i < log_length; i++) {
        const struct batch *batch = &batches[log_of_all[i].number - 1];
        if (log_of_all[i].partition != partition || at++ < offset) {
            continue;
        }
        if (length + batch->length > bytes) {
            break;
        }
        memcpy(memory + length, batch->bytes, batch->length);
        length += batch->length;
    }
    return length;
}

struct view batch_fetch(int32_t partition, int64_t offset, size_t bytes, bool again)
{
    static uint8_t memory[FETCH_MAX];
    bytes = bytes < sizeof memory ? bytes : sizeof memory;
    size_t length = fetch_once(memory, 0, bytes, partition, offset), before = 0;
    while (again && length > before) {
        before = length;
        length = fetch_once(memory, length, bytes, partition, offset);
    }
    return view_of(memory, length);
}

/* An idempotent producer stays with one partition and numbers ascend, so the order is to be seen in the log. */
static void check_order(void)
{
    uint64_t last[WIRE_PARTITIONS][64] = {{0}};
    for (size_t i = 0; i < log_length; i++) {
        const struct batch *batch = &batches[log_of_all[i].number - 1];
        uint64_t number;
        uint32_t book;
        if (!batch->idempotent ||
            !wire_batch_read(view_of(batch->bytes, batch->length), &number, &book)) {
            continue;
        }
        uint64_t producer = bytes_load_u64(batch->bytes + 43) % 64; /* ProducerId */
        uint64_t *before = &last[batch->partition][producer];
        if (number <= *before) {
            sim_violated("order", "batch %llu was stored behind %llu", (unsigned long long)number,
                         (unsigned long long)*before);
        }
        *before = number;
    }
}

void batch_check(void)
{
    for (uint64_t i = 0; i < batch_count; i++) {
        const struct batch *batch = &batches[i];
        if (batch->acknowledged && batch->stored == 0) {
            sim_violated("acknowledged", "batch %llu was acknowledged and never stored",
                         (unsigned long long)i + 1);
        }
        if (batch->stored > 1) {
            sim_violated("once", "batch %llu was stored %u times", (unsigned long long)i + 1,
                         batch->stored);
        }
    }
    check_order();
}
