/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/session/relay_ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/config.h"
#include "protocol/metadata_topics.h"
#include "protocol/produce_response.h"
#include "protocol/records.h"
#include "proxy/ops/ledger_lane.h"
#include "proxy/session/relay_notes.h"
#include "proxy/session/session.h"

enum {
    DUPLICATE_SEQUENCE_NUMBER = 46,
    STEPS_MAX = 1 << 20, /* of the search for the notes of one response */
};

/* Kafka's error codes that say: there is no such topic for you. */
enum { UNKNOWN_TOPIC = 3, INVALID_TOPIC = 17, TOPIC_DENIED = 29, UNKNOWN_TOPIC_ID = 100 };

/* The stream that was under way before, which is the next one, too, more often than not: nobody holds it. */
struct last {
    struct ledger_stream *stream;
    uint64_t forgotten; /* by the lane; it may be gone when that has become more */
};

struct relay_ledger {
    struct ledger_lane *lane;
    struct relay_notes notes;
    uint32_t begun, answered; /* Produce requests that are answered at all */
    /* Of the partition under way in the request, in the response; each counts as a user. */
    struct ledger_stream *sent, *fetched;
    struct last last_sent, last_fetched;
    struct writer answer; /* the beginning of a response that did not come at once */
    int64_t fetched_past; /* offset after the last batch of it in this response */
    int16_t acks;
    int64_t time_ms; /* of the last bytes, wall clock */
};

bool relay_ledger_wants(const struct session *s)
{
    return s->world->ledger != NULL && s->gate->conf->role == CONF_ROLE_CLIENTS;
}

static struct relay_ledger *ledger_of(struct session *s)
{
    if (s->relay.ledger == NULL) {
        s->relay.ledger = calloc(1, sizeof *s->relay.ledger);
        if (s->relay.ledger == NULL) {
            abort();
        }
        s->relay.ledger->lane = s->world->ledger;
        relay_notes_init(&s->relay.ledger->notes, s->world->ledger);
        writer_init_growing(&s->relay.ledger->answer,
                            session_shared(s)->config->limits.rewrite_max_bytes);
    }
    return s->relay.ledger;
}

/* A tick old at most, and no system call. */
static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct view cluster_of(const struct session *s)
{
    return view_from_string(s->gate->conf->cluster);
}

static struct ledger_stream *stream_of(struct session *s, struct view topic,
                                       const uint8_t *topic_id, int32_t partition, bool make)
{
    return ledger_lane_stream(s->world->ledger, cluster_of(s), topic, topic_id, partition, make);
}

/* *held = stream, of which there is one more user; a stream without any may go. */
static void hold(struct relay_ledger *l, struct ledger_stream **held, struct ledger_stream *stream)
{
    if (stream != NULL) {
        stream->users++;
    }
    if (*held != NULL) {
        (*held)->users--;
        ledger_lane_release(l->lane, *held);
    }
    *held = stream;
}

static bool is_last(const struct relay_ledger *l, const struct last *last,
                    const struct records_partition *partition)
{
    return last->stream != NULL && last->forgotten == ledger_lane_forgotten(l->lane) &&
           ledger_stream_topic(last->stream).length > 0 && /* else its name may be known now */
           ledger_stream_is(last->stream, partition->topic, partition->topic_id,
                            partition->partition);
}

/* *held = the stream of partition, made when it is new. */
static void use(struct session *s, struct ledger_stream **held, struct last *last,
                const struct records_partition *partition)
{
    struct relay_ledger *l = s->relay.ledger;
    if (is_last(l, last, partition)) {
        last->stream->asked = true;
    } else {
        last->stream =
            stream_of(s, partition->topic, partition->topic_id, partition->partition, true);
    }
    hold(l, held, last->stream);
    last->forgotten = ledger_lane_forgotten(l->lane);
}

static struct ledger_record record_of(const struct relay_ledger *l, const struct batch_head *head,
                                      enum batch_verdict verdict, enum ledger_kind kind)
{
    /* One old message that is compressed holds an unknown number of them. */
    const bool unknown = head->count < 0;
    return (struct ledger_record){
        .kind = (uint8_t)kind,
        .flags = verdict == BATCH_CRC_WRONG ? LEDGER_BROKEN : 0,
        .time_ms = l->time_ms,
        .offset = -1,
        .producer_id = head->producer_id,
        .epoch = head->producer_epoch,
        .sequence = head->base_sequence,
        .max_timestamp = head->max_timestamp,
        .crc = head->crc,
        .span = unknown ? 0 : (int32_t)((uint32_t)head->last_offset_delta + 1),
        .count = head->count,
        .length = (uint32_t)batch_total(head),
        .attributes = head->attributes,
        .magic = head->magic,
    };
}

static bool is_whole(enum batch_verdict verdict)
{
    return verdict != BATCH_TRUNCATED && verdict != BATCH_MALFORMED;
}

/* ---- notes ---- */

static void note_add(struct relay_ledger *l, const struct ledger_record *record)
{
    if (!relay_notes_add(&l->notes, l->sent, record, l->begun - 1)) {
        ledger_lane_miss(l->lane, LEDGER_ACKNOWLEDGED, 1);
    }
}

static void note_settle(struct relay_ledger *l, struct relay_note *note, enum ledger_kind kind)
{
    note->record.kind = (uint8_t)kind;
    (void)ledger_lane_put(l->lane, note->stream, &note->record);
    hold(l, &note->stream, NULL);
}

/* Any name may be written to: those that nobody has are not worth remembering. */
static bool names_nothing(int16_t error_code)
{
    return error_code == UNKNOWN_TOPIC || error_code == INVALID_TOPIC ||
           error_code == TOPIC_DENIED || error_code == UNKNOWN_TOPIC_ID;
}

/* Takes the notes of requests before `answered` away; what nothing was said of becomes of that kind. */
static void notes_leave(struct relay_ledger *l, enum ledger_kind kind)
{
    struct relay_notes *notes = &l->notes;
    while (notes->count > 0 && (int32_t)(relay_notes_at(notes, 0)->request - l->answered) < 0) {
        struct relay_note *note = relay_notes_at(notes, 0);
        if (note->stream != NULL && kind == LEDGER_IN_DOUBT) {
            note_settle(l, note, kind);
        } else if (note->stream != NULL) {
            ledger_lane_miss(l->lane, kind, 1);
            hold(l, &note->stream, NULL);
        }
        relay_notes_drop(notes);
    }
}

/* ---- requests ---- */

void relay_ledger_request(struct session *s)
{
    struct relay_ledger *l = ledger_of(s);
    hold(l, &l->sent, NULL);
    l->acks = -1;
    l->time_ms = now_ms();
}

void relay_ledger_acks(struct session *s, int16_t acks)
{
    struct relay_ledger *l = s->relay.ledger;
    l->acks = acks;
    l->begun += acks != 0 ? 1 : 0;
}

void relay_ledger_sent_partition(struct session *s, const struct records_partition *partition)
{
    struct relay_ledger *l = s->relay.ledger;
    use(s, &l->sent, &l->last_sent, partition);
}

void relay_ledger_sent(struct session *s, const struct batch_head *head, enum batch_verdict verdict)
{
    struct relay_ledger *l = s->relay.ledger;
    if (!is_whole(verdict)) {
        return; /* no broker takes it */
    }
    struct ledger_record record = record_of(l, head, verdict, LEDGER_IN_DOUBT);
    if (l->sent == NULL) {
        ledger_lane_miss(l->lane, l->acks != 0 ? LEDGER_ACKNOWLEDGED : LEDGER_IN_DOUBT, 1);
    } else if (l->acks != 0) {
        note_add(l, &record);
    } else {
        record.flags |= LEDGER_NO_ACKS;
        (void)ledger_lane_put(l->lane, l->sent, &record);
    }
}

/* ---- responses ---- */

bool relay_ledger_reads(struct session *s, size_t frame_bytes)
{
    struct relay_ledger *l = s->relay.ledger;
    const size_t held_max = session_shared(s)->config->limits.rewrite_max_bytes;
    if (l == NULL) {
        return false;
    }
    if (l->notes.count > 0 && frame_bytes <= held_max) {
        return true;
    }
    l->answered++;
    notes_leave(l, LEDGER_IN_DOUBT);
    return false;
}

/* A response on its way through the notes of its request. */
struct answering {
    struct session *s;
    struct relay_ledger *l;
    uint32_t count; /* notes of the request */
    uint32_t at;    /* where the last one was found: brokers often keep the order */
    uint32_t steps;
};

static void note_answer(struct relay_ledger *l, struct relay_note *note,
                        const struct produce_answer *answer, int64_t *offset)
{
    bool had = answer->error_code == DUPLICATE_SEQUENCE_NUMBER;
    note->record.time_ms = l->time_ms;
    if (names_nothing(answer->error_code)) {
        hold(l, &note->stream, NULL);
        return;
    }
    if (answer->error_code != 0 && !had) {
        note->record.error_code = answer->error_code;
        note_settle(l, note, LEDGER_REFUSED);
        return;
    }
    note->record.offset = *offset;
    note->record.flags = (uint8_t)(note->record.flags | (had ? LEDGER_DUPLICATE : 0) |
                                   (answer->log_append_time_ms >= 0 ? LEDGER_APPEND_TIME : 0));
    /* Several batches of one partition lie one behind the other, as long as each one's size is known. */
    *offset = *offset >= 0 && note->record.span > 0 ? *offset + note->record.span : -1;
    ledger_mark_acknowledged(&note->stream->mark);
    note_settle(l, note, LEDGER_ACKNOWLEDGED);
}

/* The answer for one partition settles every note of it. */
static void on_answer(void *context, const struct produce_answer *answer)
{
    struct answering *a = context;
    struct relay_ledger *l = a->l;
    const struct ledger_stream *stream =
        a->at < a->count ? relay_notes_at(&l->notes, a->at)->stream : NULL;
    if (stream == NULL ||
        !ledger_stream_is(stream, answer->topic, answer->topic_id, answer->partition)) {
        stream = stream_of(a->s, answer->topic, answer->topic_id, answer->partition, false);
    }
    int64_t offset = answer->base_offset;
    bool found = false;
    if (stream == NULL || stream->users == 0) {
        return;
    }
    for (uint32_t i = 0; i < a->count && a->steps < STEPS_MAX; i++, a->steps++) {
        uint32_t index = a->at + i < a->count ? a->at + i : a->at + i - a->count;
        struct relay_note *note = relay_notes_at(&l->notes, index);
        if (note->stream == stream) {
            note_answer(l, note, answer, &offset);
            found = true;
        } else if (found) {
            a->at = index;
            return;
        }
    }
}

static uint32_t notes_of_oldest(const struct relay_ledger *l)
{
    uint32_t n = 0;
    while (n < l->notes.count && relay_notes_at(&l->notes, n)->request == l->answered) {
        n++;
    }
    return n;
}

static void answered(struct session *s, int16_t version, struct view payload)
{
    struct relay_ledger *l = s->relay.ledger;
    l->time_ms = now_ms();
    struct answering a = {.s = s, .l = l, .count = notes_of_oldest(l)};
    /* What a broken response has told before it broke stands: it was said. */
    (void)!produce_response_read(version, payload, on_answer, &a);
    l->answered++;
    /* Not all of them were looked for: some of those that are left were answered. */
    notes_leave(l, a.steps < STEPS_MAX ? LEDGER_IN_DOUBT : LEDGER_ACKNOWLEDGED);
}

void relay_ledger_answer(struct session *s, int16_t version, struct view part, size_t more)
{
    struct relay_ledger *l = s->relay.ledger;
    if (l == NULL) {
        return;
    }
    if (l->answer.length == 0 && more == 0) {
        answered(s, version, part); /* as nearly always: looked at where it lies */
        return;
    }
    writer_put(&l->answer, part);
    if (more == 0) {
        answered(s, version, writer_view(&l->answer));
        writer_free(&l->answer);
    }
}

/* ---- readers ---- */

void relay_ledger_fetch(struct session *s)
{
    struct relay_ledger *l = ledger_of(s);
    hold(l, &l->fetched, NULL);
    l->time_ms = now_ms();
}

static void mark(struct relay_ledger *l, const struct records_partition *partition)
{
    struct ledger_record record;
    if (ledger_mark_tell(&l->fetched->mark, partition->records_length <= 0,
                         partition->high_watermark, partition->log_start_offset, l->time_ms,
                         &record)) {
        (void)ledger_lane_put(l->lane, l->fetched, &record);
    }
}

void relay_ledger_fetched_partition(struct session *s, const struct records_partition *partition)
{
    struct relay_ledger *l = s->relay.ledger;
    l->fetched_past = -1;
    if (partition->error_code != 0) {
        hold(l, &l->fetched, NULL);
        return;
    }
    use(s, &l->fetched, &l->last_fetched, partition);
    if (l->fetched != NULL) {
        mark(l, partition);
    }
}

void relay_ledger_fetched(struct session *s, const struct batch_head *head,
                          enum batch_verdict verdict)
{
    struct relay_ledger *l = s->relay.ledger;
    if (!is_whole(verdict)) {
        return; /* it is read again */
    }
    if (l->fetched == NULL) {
        ledger_lane_miss(l->lane, LEDGER_FETCHED, 1);
        return;
    }
    struct ledger_record record = record_of(l, head, verdict, LEDGER_FETCHED);
    record.offset = head->base_offset;
    if (head->base_offset < l->fetched_past) {
        record.flags |= LEDGER_BACKWARDS;
    }
    l->fetched_past = (int64_t)((uint64_t)head->base_offset + (uint32_t)record.span);
    (void)ledger_lane_put(l->lane, l->fetched, &record);
}

static void on_topic(void *context, struct view name, const uint8_t *topic_id)
{
    const struct session *s = context;
    ledger_lane_learn(s->world->ledger, cluster_of(s), name, topic_id);
}

void relay_ledger_metadata(struct session *s, int16_t version, struct view payload)
{
    if (version < METADATA_TOPIC_IDS_SINCE) {
        return;
    }
    /* One that cannot be read has been refused before. */
    (void)!metadata_topics_read(version, payload, on_topic, s);
}

void relay_ledger_free(struct relay_ledger **ledger)
{
    struct relay_ledger *l = *ledger;
    *ledger = NULL;
    if (l == NULL) {
        return;
    }
    l->time_ms = now_ms();
    hold(l, &l->sent, NULL);
    hold(l, &l->fetched, NULL);
    l->answered = l->begun;
    notes_leave(l, LEDGER_IN_DOUBT);
    assert(l->notes.count == 0);
    relay_notes_free(&l->notes);
    writer_free(&l->answer);
    free(l);
}
