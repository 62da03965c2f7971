/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/config.h"
#include "conf/keys.h"

static const char least[] = "clusters:\n"
                            "  - name: main\n"
                            "    bootstrap: [\"127.0.0.1:9092\", \"[::1]:9093\"]\n"
                            "    generations:\n"
                            "      - {name: all, protocol: PLAINTEXT, login: none}\n"
                            "users: {file: u}\n"
                            "listeners:\n"
                            "  - name: in\n"
                            "    cluster: main\n"
                            "    bind: ::1\n"
                            "    port: 19092\n"
                            "    advertised_host: localhost\n"
                            "    node_base_port: 19100\n"
                            "    mechanisms: [SCRAM-SHA-256, PLAIN]\n";

static struct config *parse(const char *text)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_parse(text, strlen(text), "t.yaml", &errors);
    if (config == NULL) {
        conf_errors_print(&errors, stderr);
    }
    conf_errors_deinit(&errors);
    return config;
}

static struct config *load_example(void)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_load("conf/setu.example.yaml", &errors);
    conf_errors_print(&errors, stderr);
    cr_assert_eq(errors.errors + errors.warnings, 0);
    conf_errors_deinit(&errors);
    cr_assert_not_null(config);
    return config;
}

Test(conf_config, the_least_file_gets_every_default)
{
    struct config *config = parse(least);
    cr_assert_not_null(config);
    cr_expect_str_eq(config->file, "t.yaml");
    cr_expect_eq(config->workers, 1);
    cr_expect_eq(config->log.level, CONF_LOG_INFO);
    cr_expect_eq(config->log.format, CONF_LOG_LOGFMT);
    cr_expect_str_eq(config->log.file, "-");
    cr_expect_str_eq(config->audit.file, "");
    cr_expect_eq(config->audit.on_failure, CONF_AUDIT_DENY);
    cr_expect_eq(config->limits.connections, 10000);
    cr_expect_eq(config->limits.connections_per_address, 0);
    cr_expect_eq(config->limits.login_timeout_ms, 10000);
    cr_expect_eq(config->limits.connect_timeout_ms, 10000);
    cr_expect_eq(config->limits.drain_timeout_ms, 30000);
    cr_expect_eq(config->limits.idle_timeout_ms, 0);
    cr_expect_eq(config->limits.login_frame_max_bytes, 524288);
    cr_expect_eq(config->limits.frame_max_bytes, 104857600);
    cr_expect_eq(config->limits.rewrite_max_bytes, 16777216);
    cr_expect_eq(config->limits.login_failure_delay_ms, 200);
    cr_expect_eq(config->integrity.crc, CONF_CRC_OBSERVE);
    cr_expect_eq(config->crypto.fast_aes, CONF_FAST_AES_OFF);
    cr_expect_eq(config->certificates_count, 0);
    cr_expect_eq(config->mapping_count, 0);
    const struct conf_cluster *cluster = &config->clusters[0];
    cr_expect_eq(cluster->bootstrap_count, 2);
    cr_expect_str_eq(cluster->bootstrap[1].host, "::1");
    cr_expect_eq(cluster->bootstrap[1].port, 9093);
    cr_expect_eq(cluster->api_versions, CONF_API_VERSIONS_INTERSECTION);
    cr_expect_eq(cluster->refresh_ms, 30000);
    cr_expect_not(cluster->identity.present);
    cr_expect_str_eq(cluster->identity.certificate, "");
    cr_expect_str_eq(cluster->identity.sasl.username, "");
    cr_expect_not(cluster->generations[0].match.present);
    cr_expect_str_eq(cluster->generations[0].match.host, "");
    cr_expect_not(cluster->generations[0].tls.present);
    cr_expect(cluster->generations[0].tls.resumption);
    const struct conf_listener *listener = &config->listeners[0];
    cr_expect_eq(listener->role, CONF_ROLE_CLIENTS);
    cr_expect_eq(listener->bind_count, 1);
    cr_expect_str_eq(listener->bind[0], "::1");
    cr_expect_eq(listener->node_network_count, 0);
    cr_expect_eq(listener->node_ports_max, 1000);
    cr_expect_not(listener->allow_plain_without_tls);
    cr_expect_eq(listener->session_lifetime_ms, 0);
    cr_expect_not(listener->tls.present);
    cr_expect_str_eq(listener->tls.principal_mapping_rules, "DEFAULT");
    config_unref(&config);
    cr_expect_null(config);
}

Test(conf_config, the_example_is_read_as_written)
{
    struct config *config = load_example();
    cr_expect_eq(config->certificates_count, 3);
    cr_expect_str_eq(config_certificate(config, "orders")->key, "/etc/setu/certs/orders.key");
    cr_expect_null(config_certificate(config, "other"));
    cr_expect_eq(config->mapping[0].kind, CONF_MAPPING_EXACT);
    cr_expect_str_eq(config->mapping[0].pattern, "orders");
    cr_expect_str_eq(config->mapping[0].review_by, "2027-01-01");
    cr_expect_eq(config->mapping[1].kind, CONF_MAPPING_GLOB);
    cr_expect_str_eq(config->mapping[1].pattern, "svc-*");
    cr_expect_eq(config->mapping[2].kind, CONF_MAPPING_REGEX);
    cr_expect_str_eq(config->mapping[2].pattern, "^batch-[0-9]+$");
    const struct conf_cluster *cluster = config_cluster(config, "main");
    cr_assert_not_null(cluster);
    cr_expect_str_eq(cluster->identity.certificate, "setu");
    cr_expect_str_eq(cluster->identity.sasl.mechanism, "SCRAM-SHA-512");
    const struct conf_generation *legacy = config_generation(cluster, "legacy");
    cr_expect_eq(legacy->match.node_ids_count, 2);
    cr_expect_eq(legacy->match.node_ids[0].first, 1);
    cr_expect_eq(legacy->match.node_ids[0].last, 3);
    cr_expect_eq(legacy->match.node_ids[1].first, 7);
    cr_expect_eq(legacy->protocol, CONF_PROTOCOL_SASL_SSL);
    cr_expect_eq(legacy->login, CONF_LOGIN_SASL);
    cr_expect(legacy->sasl.present);
    cr_expect_str_eq(legacy->tls.crl, "/etc/setu/ca/legacy.crl");
    const struct conf_generation *ajna = config_generation(cluster, "ajna");
    cr_expect(ajna->match.probe);
    cr_expect_eq(ajna->login, CONF_LOGIN_MAPPED_CERTIFICATE);
    cr_expect_eq(ajna->tls.min_version, CONF_TLS_1_3);
    const struct conf_listener *listener = config_listener(config, "remote");
    cr_expect_eq(listener->tls.client_auth, CONF_CLIENT_AUTH_REQUIRED);
    cr_expect_eq(listener->mechanisms_count, 0);
    cr_expect_str_eq(config_listener(config, "local")->mechanisms[1], "SCRAM-SHA-256");
    config_unref(&config);
}

Test(conf_config, every_leaf_knows_its_place)
{
    struct config *config = parse(least);
    const struct conf_listener *listener = &config->listeners[0];
    struct conf_place place = config_place(config, &listener->port);
    cr_expect_str_eq(place.file, "t.yaml");
    cr_expect_eq(place.line, 11);
    cr_expect_eq(place.column, 11);
    place = config_place(config, &listener->mechanisms[1]);
    cr_expect_eq(place.line, 14);
    cr_expect_eq(place.column, 33);
    place = config_place(config, &config->users.file);
    cr_expect_eq(place.line, 6);
    cr_expect_eq(place.column, 15);
    place = config_place(config, &config->clusters[0].bootstrap[1]);
    cr_expect_eq(place.line, 3);
    cr_expect_eq(place.column, 35);
    cr_expect_eq(config->clusters[0].bootstrap[1].place.column, 35);
    cr_expect_eq(config->clusters[0].generations[0].place.line, 5);
    place = config_place(config, &config->log.level);
    cr_expect_str_eq(place.file, "t.yaml");
    cr_expect_eq(place.line, 0);
    config_unref(&config);
}

static char *dumped(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    config_dump(config, out);
    fclose(out);
    return text;
}

static void same_section(const struct key_section *section, const void *a, const void *b);

static void same_list(const struct key *key, const void *a, const void *b, size_t count)
{
    const char *left = *(const char *const *)a;
    const char *right = *(const char *const *)b;
    for (size_t i = 0; i < count; i++) {
        if (key->type == KEY_ITEMS) {
            size_t at = i * key->section->size;
            same_section(key->section, left + at, right + at);
        } else if (key->type == KEY_WORDS || key->type == KEY_TEXTS ||
                   key->type == KEY_ONE_OR_MORE) {
            cr_expect_str_eq(((const char *const *)(const void *)left)[i],
                             ((const char *const *)(const void *)right)[i]);
        } else if (key->type == KEY_RANGES) {
            cr_expect_eq(memcmp(left, right, count * sizeof(struct conf_range)), 0);
        } else {
            const struct conf_address *one = (const void *)left;
            const struct conf_address *two = (const void *)right;
            cr_expect_str_eq(one[i].host, two[i].host);
            cr_expect_eq(one[i].port, two[i].port);
        }
    }
}

static void same_key(const struct key *key, const char *a, const char *b)
{
    static const size_t sizes[] = {
        [KEY_BOOL] = sizeof(bool),   [KEY_INT] = sizeof(int),    [KEY_SIZE] = sizeof(size_t),
        [KEY_MS] = sizeof(uint64_t), [KEY_CHOICE] = sizeof(int),
    };
    const void *left = a + key->offset;
    const void *right = b + key->offset;
    if (key->type == KEY_TEXT || key->type == KEY_WORD) {
        cr_expect_str_eq(*(const char *const *)left, *(const char *const *)right, "%s", key->name);
    } else if (key->type == KEY_SECTION) {
        same_section(key->section, left, right);
    } else if (key->type <= KEY_CHOICE) {
        cr_expect_eq(memcmp(left, right, sizes[key->type]), 0, "%s", key->name);
    } else {
        size_t count = *(const size_t *)(const void *)(a + key->count_offset);
        cr_assert_eq(*(const size_t *)(const void *)(b + key->count_offset), count, "%s",
                     key->name);
        same_list(key, left, right, count);
    }
}

static void same_section(const struct key_section *section, const void *a, const void *b)
{
    if (section->present_offset != KEY_NO_OFFSET) {
        cr_expect_eq(*((const bool *)a + section->present_offset),
                     *((const bool *)b + section->present_offset), "%s", section->path);
    }
    for (size_t i = 0; i < section->keys_count; i++) {
        same_key(&section->keys[i], a, b);
    }
}

static void check_dump_loads_back(const struct config *config)
{
    char *first = dumped(config);
    struct config *again = parse(first);
    cr_assert_not_null(again, "%s", first);
    same_section(&keys_root, config, again);
    char *second = dumped(again);
    cr_expect_str_eq(first, second);
    free(first);
    free(second);
    config_unref(&again);
}

Test(conf_config, a_dump_loads_back_to_the_same_configuration)
{
    struct config *config = parse(least);
    check_dump_loads_back(config);
    config_unref(&config);
    config = load_example();
    check_dump_loads_back(config);
    config_unref(&config);
}

Test(conf_config, a_dump_escapes_what_yaml_would_take_for_something_else)
{
    static const char text[] =
        "certificates: [{name: 'null', chain: 'a \"b\" \\ # c: d', key: 'true'}]\n"
        "mapping:\n"
        "  - {principal: '~', certificate: 'null', owner: \"gr\\u00fc\\u00df\", ticket: 'off'}\n"
        "  - {principal: '- x', certificate: 'null', owner: '  spaced  '}\n"
        "  - {principal: '{a: b}', certificate: 'null', owner: '*x &y !z %q @ `'}\n"
        "integrity: {crc: off}\n"
        "crypto: {fast_aes: off}\n"
        "limits: {}\n"
        "clusters:\n"
        "  - {name: main, bootstrap: ['a:1'], identity: {}, generations: [{name: g, match: {},\n"
        "     protocol: PLAINTEXT, login: none}]}\n"
        "listeners:\n"
        "  - {name: l, cluster: main, bind: 127.0.0.1, port: 1, advertised_host: h,\n"
        "     node_base_port: 2, mechanisms: [PLAIN]}\n"
        "users: {file: u}\n";
    struct config *config = parse(text);
    cr_assert_not_null(config);
    cr_expect(config->clusters[0].identity.present);
    cr_expect(config->clusters[0].generations[0].match.present);
    check_dump_loads_back(config);
    config_unref(&config);
}

Test(conf_config, a_file_that_cannot_be_read_is_reported)
{
    struct conf_errors errors;
    conf_errors_init(&errors);
    cr_expect_null(config_load("/nonexistent/setu.yaml", &errors));
    cr_expect_null(config_load("conf", &errors));
    cr_expect_null(config_load("/dev/zero", &errors));
    cr_assert_eq(errors.count, 3);
    cr_expect_not_null(strstr(errors.items[2].text, "no regular file"));
    cr_expect_str_eq(errors.items[0].file, "/nonexistent/setu.yaml");
    cr_expect_not_null(strstr(errors.items[0].text, "No such file"));
    cr_expect_not_null(strstr(errors.items[1].text, "Is a directory"));
    conf_errors_deinit(&errors);
}

Test(conf_config, a_file_above_the_cap_is_refused_and_one_below_is_read)
{
    char path[] = "/tmp/setu-test-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    char *comment = malloc(4 * 1024 * 1024);
    memset(comment, '#', 4 * 1024 * 1024);
    size_t fits = 4 * 1024 * 1024 - strlen(least) - 1;
    cr_assert_eq(write(fd, comment, fits), (ssize_t)fits);
    cr_assert_eq(write(fd, "\n", 1), 1);
    cr_assert_eq(write(fd, least, strlen(least)), (ssize_t)strlen(least));
    struct conf_errors errors;
    conf_errors_init(&errors);
    struct config *config = config_load(path, &errors);
    cr_expect_not_null(config);
    config_unref(&config);
    cr_assert_eq(write(fd, "\n", 1), 1);
    conf_errors_deinit(&errors);
    cr_expect_null(config_load(path, &errors));
    cr_assert_eq(errors.count, 1);
    cr_expect_not_null(strstr(errors.items[0].text, "larger than 4194304 bytes"));
    conf_errors_deinit(&errors);
    close(fd);
    unlink(path);
    free(comment);
}

static void *take_and_drop(void *argument)
{
    for (int i = 0; i < 1000; i++) {
        struct config *mine = config_ref(argument);
        cr_assert_str_eq(mine->clusters[0].name, "main");
        config_unref(&mine);
    }
    struct config *last = argument;
    config_unref(&last);
    return NULL;
}

Test(conf_config, the_last_of_many_threads_frees)
{
    enum { THREADS = 4 };
    struct config *config = parse(least);
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_drop, config_ref(config)), 0);
    }
    config_unref(&config);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    config_unref(&config);
}

Test(conf_config, a_generation_matches_when_every_given_part_holds)
{
    struct config *config = load_example();
    const struct conf_cluster *cluster = config_cluster(config, "main");
    const struct conf_generation *legacy = config_generation(cluster, "legacy");
    const struct conf_generation *ajna = config_generation(cluster, "ajna");
    cr_expect(config_generation_matches(legacy, 2, "k1.OLD.example", 9092, "r1"));
    cr_expect(config_generation_matches(legacy, 7, "a.b.old.example", 9092, "r1"));
    cr_expect_not(config_generation_matches(legacy, 4, "k1.old.example", 9092, "r1"));
    cr_expect_not(config_generation_matches(legacy, -1, "k1.old.example", 9092, "r1"));
    cr_expect_not(config_generation_matches(legacy, 2, "old.example", 9092, "r1"));
    cr_expect_not(config_generation_matches(legacy, 2, NULL, 9092, "r1"));
    cr_expect_not(config_generation_matches(legacy, 2, "k1.old.example", 9093, "r1"));
    cr_expect_not(config_generation_matches(legacy, 2, "k1.old.example", 9092, "R1"));
    cr_expect_not(config_generation_matches(legacy, 2, "k1.old.example", 9092, NULL));
    cr_expect(config_generation_matches(ajna, -1, NULL, 0, NULL));
    config_unref(&config);
}

Test(conf_config, names_of_values_are_those_of_the_file)
{
    cr_expect_str_eq(config_protocol_name(CONF_PROTOCOL_SASL_SSL), "SASL_SSL");
    cr_expect_str_eq(config_login_name(CONF_LOGIN_MAPPED_CERTIFICATE), "mapped-certificate");
    cr_expect_str_eq(config_log_level_name(CONF_LOG_DEBUG), "debug");
    cr_expect_str_eq(config_crc_name(CONF_CRC_ENFORCE), "enforce");
}
