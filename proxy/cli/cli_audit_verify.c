/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_audit.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli/audit_format.h"
#include "proxy/cli/cli_out.h"

enum { KEY, FROM, HEAD, SIGNED };
enum { HASH_TEXT_SIZE = 2 * AUDIT_HASH_BYTES + 1 };

const struct cli_option cli_audit_verify_options[] = {
    [KEY] = {"key", "FILE", "public keys (PEM) that checkpoints must be signed with"},
    [FROM] = {"from", "SEQ:HASH", "the last record that was moved away: the log begins behind it"},
    [HEAD] = {"head", "SEQ:HASH", "a record known from elsewhere, which must be in the log"},
    [SIGNED] = {"signed", NULL, "no record may stand behind the last checkpoint"},
    {NULL, NULL, NULL},
};

/* ---- judging ---- */

static const char *complaint(const struct cli_audit_demand *demand,
                             const struct cli_audit_judgement *of)
{
    if (demand->key_count == 0) {
        return demand->signed_to_the_end &&
                       (of->signatures.checkpoints == 0 || of->unsigned_records > 0)
                   ? "records stand behind the last checkpoint"
                   : "";
    }
    if (of->signatures.foreign_seq != 0) {
        return "a checkpoint is signed with a key that was not given";
    }
    if (of->signatures.confirmed == 0) { /* nor for there being none */
        return "no checkpoint vouches for any record";
    }
    return demand->signed_to_the_end && of->unsigned_records > 0
               ? "records stand behind the last checkpoint"
               : "";
}

static bool count_unsigned(void *context, const struct audit_record *record)
{
    uint64_t *behind = context;
    *behind = record->signature.length > 0 ? 0 : *behind + 1;
    return true;
}

void cli_audit_judge(const struct audit_set *set, const struct cli_audit_demand *demand,
                     struct cli_audit_judgement *judgement_r)
{
    *judgement_r = (struct cli_audit_judgement){
        .signatures = {.keys = (const struct audit_key *const *)demand->keys,
                       .key_count = demand->key_count}};
    struct cli_audit_judgement *of = judgement_r;
    audit_set_verify(set, &demand->from, demand->expected, &of->signatures, &of->chain);
    if (demand->key_count > 0) {
        const uint64_t from = of->signatures.confirmed > 0 ? of->signatures.confirmed_seq
                              : of->chain.first_seq > 0    ? of->chain.first_seq - 1
                                                           : demand->from.seq;
        of->unsigned_records = of->chain.head.seq > from ? of->chain.head.seq - from : 0;
    } else {
        audit_set_each(set, count_unsigned, &of->unsigned_records);
    }
    of->complaint = of->chain.holds ? complaint(demand, of) : "";
    of->good = of->chain.holds && of->complaint[0] == '\0';
}

void cli_audit_demand_free(struct cli_audit_demand *demand)
{
    for (size_t i = 0; i < demand->key_count; i++) {
        audit_key_unref(&demand->keys[i]);
    }
    demand->key_count = 0;
}

/* ---- telling ---- */

static const char *hash_text(const struct audit_head *head, char out[HASH_TEXT_SIZE])
{
    for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
        snprintf(out + 2 * i, 3, "%02x", head->hash[i]);
    }
    return out;
}

const char *cli_audit_head_text(const struct audit_head *head, char out[CLI_AUDIT_HEAD_SIZE])
{
    char hash[HASH_TEXT_SIZE];
    snprintf(out, CLI_AUDIT_HEAD_SIZE, "%" PRIu64 ":%s", head->seq, hash_text(head, hash));
    return out;
}

static json_t *number(uint64_t n)
{
    return json_integer((json_int_t)n);
}

static json_t *signatures_json(const struct cli_audit_demand *demand,
                               const struct cli_audit_judgement *of)
{
    const struct audit_signatures *s = &of->signatures;
    json_t *row = json_object();
    json_object_set_new(row, "checked", json_boolean(demand->key_count > 0));
    json_object_set_new(row, "checkpoints", number(s->checkpoints));
    json_object_set_new(row, "confirmed", number(s->confirmed));
    json_object_set_new(row, "vouched_for_up_to", number(s->confirmed_seq));
    json_object_set_new(row, "unsigned_tail", number(of->unsigned_records));
    json_object_set_new(row, "key_changes", number(s->key_changes));
    audit_format_set(row, "last_key", s->key_id);
    if (s->foreign_seq > 0 && demand->key_count > 0) {
        json_object_set_new(row, "foreign_record", number(s->foreign_seq));
        audit_format_set(row, "foreign_key", s->foreign_key_id);
    }
    return row;
}

json_t *cli_audit_judgement_json(const struct audit_set *set, const struct cli_audit_demand *demand,
                                 const struct cli_audit_judgement *of)
{
    char hash[HASH_TEXT_SIZE];
    json_t *root = json_object(), *files = json_array();
    for (size_t i = 0; i < set->count; i++) {
        json_array_append_new(files, cli_out_string(set->files[i].path));
    }
    json_object_set_new(root, "ok", json_boolean(of->good));
    json_object_set_new(root, "chain_holds", json_boolean(of->chain.holds));
    json_object_set_new(root, "files", files);
    json_object_set_new(root, "records", number(of->chain.records));
    json_object_set_new(root, "first", number(of->chain.first_seq));
    json_object_set_new(root, "last", number(of->chain.head.seq));
    json_object_set_new(root, "head", json_string(hash_text(&of->chain.head, hash)));
    if (demand->from.seq > 0) {
        char from[CLI_AUDIT_HEAD_SIZE];
        json_object_set_new(root, "from", json_string(cli_audit_head_text(&demand->from, from)));
    }
    json_object_set_new(root, "torn_bytes", number(of->chain.torn_bytes));
    json_object_set_new(root, "signatures", signatures_json(demand, of));
    if (!of->chain.holds) {
        json_t *bad = json_object();
        json_object_set_new(bad, "record", number(of->chain.bad_seq));
        audit_format_set(bad, "file", of->chain.bad_file != NULL ? of->chain.bad_file->path : "");
        json_object_set_new(bad, "offset", number(of->chain.bad_offset));
        json_object_set_new(bad, "why", json_string(of->chain.why));
        json_object_set_new(root, "first_bad", bad);
    }
    audit_format_set(root, "complaint", of->complaint);
    return root;
}

static void tell_signatures(const struct cli_audit_demand *demand,
                            const struct cli_audit_judgement *of, FILE *out)
{
    const struct audit_signatures *s = &of->signatures;
    char safe[CLI_OUT_TEXT_SIZE];
    if (demand->key_count == 0) {
        fprintf(out,
                "signatures  not checked (give --key): %" PRIu64 " checkpoints, %" PRIu64
                " records behind the last\n",
                s->checkpoints, of->unsigned_records);
        return;
    }
    if (s->confirmed > 0) {
        fprintf(out,
                "signatures  %" PRIu64 " of %" PRIu64 " checkpoints are by the keys given; they "
                "vouch for records up to %" PRIu64 "\n",
                s->confirmed, s->checkpoints, s->confirmed_seq);
    } else {
        fprintf(out, "signatures  none of %" PRIu64 " checkpoints is by a key given\n",
                s->checkpoints);
    }
    fprintf(out, "unsigned    %" PRIu64 " records at the end\n", of->unsigned_records);
    if (s->key_changes > 0) {
        fprintf(out, "keys        changed %" PRIu64 " times\n", s->key_changes);
    }
    if (s->foreign_seq > 0) {
        fprintf(out, "foreign     record %" PRIu64 " is signed with key %s\n", s->foreign_seq,
                cli_out_safe(s->foreign_key_id, safe));
    }
}

void cli_audit_judgement_text(const struct audit_set *set, const struct cli_audit_demand *demand,
                              const struct cli_audit_judgement *of, FILE *out)
{
    char head[CLI_AUDIT_HEAD_SIZE];
    const struct audit_set_verdict *chain = &of->chain;
    fprintf(out, "chain       %s: %" PRIu64 " good records", chain->holds ? "holds" : "BROKEN",
            chain->records);
    if (chain->records > 0) {
        fprintf(out, ", %" PRIu64 " to %" PRIu64, chain->first_seq, chain->head.seq);
    }
    fprintf(out, ", in %zu file%s\n", set->count, set->count == 1 ? "" : "s");
    if (demand->from.seq > 0) {
        char from[CLI_AUDIT_HEAD_SIZE];
        fprintf(out, "before      moved away up to %s, as --from says\n",
                cli_audit_head_text(&demand->from, from));
    }
    if (!chain->holds) {
        fprintf(out, "first bad   record %" PRIu64, chain->bad_seq);
        if (chain->bad_file != NULL) {
            fprintf(out, ", %s, byte %zu", chain->bad_file->path, chain->bad_offset);
        }
        fprintf(out, ": %s\n", chain->why);
    }
    if (chain->torn_bytes > 0) {
        fprintf(out,
                "torn        %zu bytes at the end are the beginning of a record: it is being "
                "written, or a crash cut it short\n",
                chain->torn_bytes);
    }
    tell_signatures(demand, of, out);
    if (of->complaint[0] != '\0') {
        fprintf(out, "complaint   %s\n", of->complaint);
    }
    fprintf(out, "head        %s\n", cli_audit_head_text(&chain->head, head));
}

/* ---- the verb ---- */

bool cli_audit_take_head(const char *text, struct audit_head *head)
{
    char *end = NULL;
    *head = (struct audit_head){.seq = strtoull(text, &end, 10)};
    if (text[0] < '0' || text[0] > '9' || *end != ':' || head->seq == 0 ||
        head->seq == UINT64_MAX || strlen(end + 1) != 2 * AUDIT_HASH_BYTES) {
        return false;
    }
    for (size_t i = 0; i < AUDIT_HASH_BYTES; i++) {
        const char pair[3] = {end[1 + 2 * i], end[2 + 2 * i], '\0'};
        char *stop = NULL;
        head->hash[i] = (uint8_t)strtoul(pair, &stop, 16);
        if (stop != pair + 2 || pair[0] == '+' || pair[0] == '-' || pair[0] == ' ') {
            return false;
        }
    }
    return true;
}

static int verify(const struct cli_call *call, const struct cli_audit_demand *demand)
{
    struct audit_set set;
    struct cli_audit_judgement judgement;
    if (!cli_audit_open(call, &set)) {
        return CLI_BAD_CONFIG;
    }
    cli_audit_judge(&set, demand, &judgement);
    if (call->json) {
        cli_out_json(cli_audit_judgement_json(&set, demand, &judgement));
    } else {
        cli_audit_judgement_text(&set, demand, &judgement, stdout);
    }
    audit_set_close(&set);
    return judgement.good ? CLI_OK : CLI_NEGATIVE;
}

int cli_audit_verify(const struct cli_call *call)
{
    struct cli_audit_demand demand = {.signed_to_the_end = call->values[SIGNED] != NULL};
    struct audit_head head;
    struct pem_fault fault;
    if (call->values[HEAD] != NULL) {
        if (!cli_audit_take_head(call->values[HEAD], &head)) {
            return cli_usage_error(call->verb, "--head is SEQ:HASH, as `verify` prints it");
        }
        demand.expected = &head;
    }
    if (call->values[FROM] != NULL && !cli_audit_take_head(call->values[FROM], &demand.from)) {
        return cli_usage_error(call->verb, "--from is SEQ:HASH, as the log's audit_rotated has it");
    }
    if (call->values[KEY] != NULL) {
        demand.key_count = audit_key_load_public(call->values[KEY], demand.keys, &fault);
        if (demand.key_count == 0) {
            cli_error(call->verb, "%s", fault.text);
            return CLI_BAD_CONFIG;
        }
    }
    const int status = verify(call, &demand);
    cli_audit_demand_free(&demand);
    return status;
}
