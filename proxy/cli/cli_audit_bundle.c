/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/cli/cli_audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/credential.h"
#include "conf/errors.h"
#include "proxy/cli/audit_bundle.h"
#include "proxy/cli/audit_format.h"
#include "proxy/cli/cli_out.h"

enum { OLD, VERIFY, KEY, FROM, PEM_SIZE = 512 };

const struct cli_option cli_audit_bundle_options[] = {
    [OLD] = {"old", "CONFIG", "an earlier configuration: what has changed in the mapping since"},
    [VERIFY] = {"verify", NULL, "verify FILE instead of making it; wants --key"},
    [KEY] = {"key", "FILE", "public keys (PEM); when making: of earlier signing keys"},
    [FROM] = {"from", "SEQ:HASH", "the last record that was moved away: the log begins behind it"},
    {NULL, NULL, NULL},
};

static const char readme[] =
    "Evidence of a Setu: its audit log and what its mapping says, as one signed archive.\n"
    "\n"
    "  sha256sum -c MANIFEST\n"
    "  openssl pkeyutl -verify -rawin -pubin -inkey KEY -in MANIFEST -sigfile MANIFEST.sig\n"
    "  setu audit verify --key KEY log\n"
    "\n"
    "A log whose oldest files were moved away wants --from SEQ:HASH as well: their last record,\n"
    "from whoever keeps such heads. The `from` in verify.json is what the maker gave.\n"
    "\n"
    "KEY is the public key as its owner gave it to you. key.pem is what the maker of this archive\n"
    "says it is, and proves nothing by itself. `setu audit bundle --verify --key KEY FILE` does "
    "all\n"
    "three.\n"
    "\n"
    "  log/             the audit log as it was written\n"
    "  audit.jsonl      the same, readable\n"
    "  verify.json      what `setu audit verify` said of it\n"
    "  config.yaml      the configuration; its SHA-256 is config_hash in the records\n"
    "  map-*.json       what `setu map` says of it: the rules, what is unwise, what has changed\n";

/* ---- contents that are made ---- */

/* What is written into it is read back mapped. */
struct scratch {
    FILE *file;
    struct view bytes;
};

static bool scratch_map(struct scratch *scratch)
{
    struct stat st;
    if (fflush(scratch->file) != 0 || fstat(fileno(scratch->file), &st) != 0) {
        return false;
    }
    void *at = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE,
                                     fileno(scratch->file), 0)
                              : NULL;
    if (at == MAP_FAILED) {
        return false;
    }
    scratch->bytes = view_of(at, (size_t)st.st_size);
    return true;
}

static void scratch_free(struct scratch *scratch)
{
    if (scratch->bytes.length > 0) {
        munmap((void *)(uintptr_t)scratch->bytes.at, scratch->bytes.length);
    }
    if (scratch->file != NULL) {
        fclose(scratch->file);
    }
}

struct making {
    const struct cli_call *call;
    struct config *config;
    struct audit_key *key;
    struct audit_set set;
    struct cli_audit_demand demand;
    struct cli_audit_judgement judgement;
    struct audit_bundle bundle;
    struct scratch export;
};

/* Released; NULL makes an empty file. */
static void add_json(struct making *making, const char *name, json_t *value)
{
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    if (file == NULL) {
        abort();
    }
    if (value != NULL) {
        cli_out_json_to(value, file);
    }
    if (fclose(file) != 0) {
        abort();
    }
    audit_bundle_take(&making->bundle, name, text, length);
}

static void add_mapping(struct making *making)
{
    const struct cli_call *call = making->call;
    add_json(making, "map-list.json", cli_ask("map list", call->config_file, NULL, 0));
    add_json(making, "map-lint.json", cli_ask("map lint", call->config_file, NULL, 0));
    add_json(making, "map-export.json", cli_ask("map export", call->config_file, NULL, 0));
    if (call->values[OLD] != NULL) {
        char *files[] = {strdup(call->values[OLD]), strdup(call->config_file)};
        if (files[0] == NULL || files[1] == NULL) {
            abort();
        }
        add_json(making, "map-diff.json", cli_ask("map diff", call->config_file, files, 2));
        free(files[0]);
        free(files[1]);
    }
}

static bool print_line(void *context, const struct audit_record *record)
{
    const struct audit_format *format = audit_format_find("jsonl");
    format->line(record, context);
    return true;
}

static bool add_export(struct making *making)
{
    making->export.file = tmpfile();
    if (making->export.file == NULL) {
        return false;
    }
    audit_set_each(&making->set, print_line, making->export.file);
    if (!scratch_map(&making->export)) {
        return false;
    }
    audit_bundle_add(&making->bundle, "audit.jsonl", making->export.bytes);
    return true;
}

static void add_log(struct making *making)
{
    char name[TAR_NAME_SIZE];
    for (size_t i = 0; i < making->set.count; i++) {
        const struct audit_set_file *file = &making->set.files[i];
        const char *slash = strrchr(file->path, '/');
        snprintf(name, sizeof name, "log/%s", slash != NULL ? slash + 1 : file->path);
        audit_bundle_add(&making->bundle, name, file->bytes);
    }
}

static void add_verdict(struct making *making)
{
    add_json(making, "verify.json",
             cli_audit_judgement_json(&making->set, &making->demand, &making->judgement));
}

static bool add_config(struct making *making)
{
    struct stat st;
    char *text = NULL;
    FILE *file = fopen(making->call->config_file, "rbe");
    if (file == NULL) {
        return false;
    }
    if (fstat(fileno(file), &st) != 0 || (text = malloc((size_t)st.st_size + 1)) == NULL) {
        abort();
    }
    const size_t length = fread(text, 1, (size_t)st.st_size, file);
    audit_bundle_take(&making->bundle, "config.yaml", text, length);
    fclose(file);
    return true;
}

static bool add_key(struct making *making)
{
    char *pem = calloc(1, PEM_SIZE);
    if (pem == NULL || !audit_key_public_pem(making->key, pem, PEM_SIZE)) {
        abort();
    }
    audit_bundle_take(&making->bundle, "key.pem", pem, strlen(pem));
    return true;
}

/* ---- making ---- */

static bool write_file(struct making *making, const char *path)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    bool good =
        out != NULL && audit_bundle_write(&making->bundle, making->key, (int64_t)time(NULL), out);
    if (out != NULL) {
        good = fclose(out) == 0 && good;
    }
    if (!good) {
        cli_error(making->call->verb, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)unlink(path);
        }
    }
    return good;
}

static bool load_keys(struct making *making)
{
    struct pem_fault fault = {0};
    const struct conf_audit *audit = &making->config->audit;
    struct cli_audit_demand *demand = &making->demand;
    if (audit->file[0] == '\0' || audit->signing_key[0] == '\0') {
        cli_error(making->call->verb, "%s: audit.file and audit.signing_key are needed",
                  making->call->config_file);
        return false;
    }
    char whole[PATH_MAX];
    const char *problem = credential_resolve(audit->signing_key, whole);
    if (problem != NULL) {
        cli_error(making->call->verb, "%s: '%s' %s", making->call->config_file,
                  audit->signing_key, problem);
        return false;
    }
    making->key = audit_key_load(audit->signing_key, &fault);
    bool good = making->key != NULL;
    if (good && making->call->values[KEY] != NULL) {
        demand->key_count = audit_key_load_public(making->call->values[KEY], demand->keys, &fault);
        good = demand->key_count > 0 && demand->key_count < AUDIT_KEYS_MAX;
    }
    if (!good) {
        cli_error(making->call->verb, "%s", fault.text[0] != '\0' ? fault.text : "too many keys");
        return false;
    }
    demand->keys[demand->key_count++] = audit_key_ref(making->key);
    return true;
}

static int make(struct making *making)
{
    const struct cli_call *call = making->call;
    char error[1024];
    char *log = strdup(making->config->audit.file);
    if (log == NULL) {
        abort();
    }
    const bool opened = audit_set_open(&making->set, &log, 1, error, sizeof error);
    free(log);
    if (!opened) {
        cli_error(call->verb, "%s", error);
        return CLI_BAD_CONFIG;
    }
    cli_audit_judge(&making->set, &making->demand, &making->judgement);
    audit_bundle_add(&making->bundle, "README", view_from_string(readme));
    add_log(making);
    add_verdict(making);
    add_mapping(making);
    if (!add_export(making) || !add_config(making) || !add_key(making)) {
        cli_error(call->verb, "%s", strerror(errno));
        return CLI_BAD_CONFIG;
    }
    if (!write_file(making, call->operands[0])) {
        return CLI_BAD_CONFIG;
    }
    if (call->json) {
        cli_out_json(json_pack("{s:o, s:b, s:i, s:s}", "file",
                               cli_out_string(call->operands[0]), "log_good",
                               (int)making->judgement.good, "files", (int)making->bundle.count,
                               "key_id", audit_key_id(making->key)));
    } else {
        printf("%s: %zu files, signed with key %s\n", call->operands[0], making->bundle.count,
               audit_key_id(making->key));
        cli_audit_judgement_text(&making->set, &making->demand, &making->judgement, stdout);
    }
    return making->judgement.good ? CLI_OK : CLI_NEGATIVE;
}

static int make_from_config(const struct cli_call *call, const struct audit_head *from)
{
    struct making making = {.call = call, .demand = {.from = *from}};
    struct conf_errors errors;
    conf_errors_init(&errors);
    int status = CLI_BAD_CONFIG;
    making.config = config_load(call->config_file, &errors);
    if (making.config == NULL) {
        cli_problems(&errors);
    } else if (load_keys(&making)) {
        status = make(&making);
    }
    audit_bundle_free(&making.bundle);
    scratch_free(&making.export);
    audit_set_close(&making.set);
    cli_audit_demand_free(&making.demand);
    audit_key_unref(&making.key);
    config_unref(&making.config);
    conf_errors_deinit(&errors);
    return status;
}

/* ---- verifying ---- */

static int tell_bundle(const struct cli_call *call, const struct audit_bundle *bundle,
                       const struct cli_audit_demand *demand)
{
    struct cli_audit_judgement judgement;
    struct audit_set set = {0};
    for (size_t i = 0; i < bundle->count; i++) {
        if (strncmp(bundle->entries[i].name, "log/", 4) == 0) {
            audit_set_add(&set, bundle->entries[i].name, bundle->entries[i].bytes);
        }
    }
    audit_set_order(&set);
    cli_audit_judge(&set, demand, &judgement);
    if (call->json) {
        json_t *root = json_pack("{s:o, s:b}", "file", cli_out_string(call->operands[0]), "ok",
                                 (int)judgement.good);
        json_object_set_new(root, "files", json_integer((json_int_t)bundle->count));
        json_object_set_new(root, "log", cli_audit_judgement_json(&set, demand, &judgement));
        cli_out_json(root);
    } else {
        printf("%s: %zu files as they were signed\n", call->operands[0], bundle->count);
        cli_audit_judgement_text(&set, demand, &judgement, stdout);
    }
    audit_set_close(&set);
    return judgement.good ? CLI_OK : CLI_NEGATIVE;
}

static int verify_archive(const struct cli_call *call, const struct cli_audit_demand *demand)
{
    struct scratch archive = {.file = fopen(call->operands[0], "rbe")};
    struct audit_bundle bundle = {0};
    char name[TAR_NAME_SIZE];
    int status = CLI_NEGATIVE;
    if (archive.file == NULL || !scratch_map(&archive)) {
        cli_error(call->verb, "%s: %s", call->operands[0], strerror(errno));
        scratch_free(&archive);
        return CLI_BAD_CONFIG;
    }
    const char *wrong = audit_bundle_read(&bundle, archive.bytes, demand->keys, demand->key_count,
                                          name, sizeof name);
    if (wrong == NULL) {
        status = tell_bundle(call, &bundle, demand);
    } else if (call->json) {
        cli_out_json(json_pack("{s:o, s:b, s:s, s:o}", "file",
                               cli_out_string(call->operands[0]), "ok", 0, "why", wrong, "name",
                               cli_out_string(name)));
    } else {
        printf("%s: %s%s%s\n", call->operands[0], wrong, name[0] != '\0' ? ": " : "", name);
    }
    audit_bundle_free(&bundle);
    scratch_free(&archive);
    return status;
}

int cli_audit_bundle(const struct cli_call *call)
{
    struct cli_audit_demand demand = {0};
    struct pem_fault fault;
    if (call->values[FROM] != NULL && !cli_audit_take_head(call->values[FROM], &demand.from)) {
        return cli_usage_error(call->verb, "--from is SEQ:HASH, as the log's audit_rotated has it");
    }
    if (call->values[VERIFY] == NULL) {
        return make_from_config(call, &demand.from);
    }
    if (call->values[KEY] == NULL) {
        return cli_usage_error(call->verb, "--verify wants --key: the key inside proves nothing");
    }
    demand.key_count = audit_key_load_public(call->values[KEY], demand.keys, &fault);
    if (demand.key_count == 0) {
        cli_error(call->verb, "%s", fault.text);
        return CLI_BAD_CONFIG;
    }
    const int status = verify_archive(call, &demand);
    cli_audit_demand_free(&demand);
    return status;
}
