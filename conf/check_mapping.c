/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "conf/names.h"
#include "conf/snapshot.h"
#include "conf/yaml.h"

/* ---- what a rule is about ---- */

static void check_rule(const struct check *check, const struct conf_mapping *rule)
{
    const char *const patterns[] = {rule->principal, rule->principal_glob, rule->principal_regex};
    bool sound = check_sound(check, &rule->principal) &&
                 check_sound(check, &rule->principal_glob) &&
                 check_sound(check, &rule->principal_regex);
    int given = 0;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        given += patterns[i][0] != '\0';
    }
    if (given != 1 && sound) {
        conf_errors_add(check->errors, rule->place,
                        "rule has %s principal (give one of 'principal', 'principal_glob' and "
                        "'principal_regex')",
                        given == 0 ? "no" : "more than one kind of");
    }
    if (strpbrk(rule->principal, "*?") != NULL) {
        conf_errors_warn(check->errors, check_place(check, &rule->principal),
                         "'principal' is taken literally, also '*' and '?' (a pattern is written "
                         "as 'principal_glob')");
    }
    names_refer(check->certificates, rule->certificate, check_place(check, &rule->certificate),
                check->errors);
}

/* The same text twice under the same kind is a slip, whatever certificate the two rules name. What
 * rules that hold in some places only have to do with each other is auth's to judge. */
static void check_duplicates(const struct check *check, enum conf_mapping_kind kind,
                             const char *what)
{
    const struct config *config = check->config;
    struct names names;
    names_init(&names, what, config->mapping_count);
    for (size_t i = 0; i < config->mapping_count; i++) {
        if (config->mapping[i].kind == kind && config_when_is_anywhere(&config->mapping[i].when)) {
            names_add(&names, config->mapping[i].pattern, config->mapping[i].place);
        }
    }
    names_seal(&names, check->errors);
    names_deinit(&names);
}

static void check_rule_names(const struct check *check)
{
    const struct config *config = check->config;
    struct names names;
    names_init(&names, "mapping rule", config->mapping_count);
    for (size_t i = 0; i < config->mapping_count; i++) {
        names_add(&names, config->mapping[i].name, check_place(check, &config->mapping[i].name));
    }
    names_seal(&names, check->errors);
    names_deinit(&names);
}

/* ---- where it holds ---- */

/* What a part of 'when' may name; a name may be there more than once. */
struct known {
    const char *what;
    const char **names; /* ended by NULL */
    size_t count;
};

struct known_all {
    struct known clusters, generations, listeners, mechanisms;
};

static void known_init(struct known *known, const char *what, size_t size)
{
    known->what = what;
    known->count = 0;
    known->names = calloc(size + 1, sizeof *known->names);
    if (known->names == NULL) {
        abort();
    }
}

static void know_listeners(struct known_all *all, const struct config *config)
{
    size_t mechanisms = 0;
    for (size_t i = 0; i < config->listeners_count; i++) {
        mechanisms += config->listeners[i].mechanisms_count + 1;
    }
    known_init(&all->listeners, "listener", config->listeners_count);
    known_init(&all->mechanisms, "mechanism", mechanisms);
    for (size_t i = 0; i < config->listeners_count; i++) {
        const struct conf_listener *listener = &config->listeners[i];
        all->listeners.names[all->listeners.count++] = listener->name;
        for (size_t k = 0; k < listener->mechanisms_count; k++) {
            all->mechanisms.names[all->mechanisms.count++] = listener->mechanisms[k];
        }
        if (config_listener_takes_certificates(listener)) {
            all->mechanisms.names[all->mechanisms.count++] = "SSL";
        }
    }
}

static void know_clusters(struct known_all *all, const struct config *config)
{
    size_t generations = 0;
    for (size_t i = 0; i < config->clusters_count; i++) {
        generations += config->clusters[i].generations_count;
    }
    known_init(&all->clusters, "cluster", config->clusters_count);
    known_init(&all->generations, "generation", generations);
    for (size_t i = 0; i < config->clusters_count; i++) {
        const struct conf_cluster *cluster = &config->clusters[i];
        all->clusters.names[all->clusters.count++] = cluster->name;
        for (size_t k = 0; k < cluster->generations_count; k++) {
            all->generations.names[all->generations.count++] = cluster->generations[k].name;
        }
    }
}

static void forget(struct known_all *all)
{
    free(all->clusters.names);
    free(all->generations.names);
    free(all->listeners.names);
    free(all->mechanisms.names);
}

static bool is_known(const struct known *known, const char *name)
{
    for (size_t i = 0; i < known->count; i++) {
        if (strcmp(known->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void check_part(const struct check *check, const struct known *known,
                       const char *const *names, size_t count, const void *field)
{
    for (size_t i = 0; i < count; i++) {
        if (is_known(known, names[i])) {
            continue;
        }
        struct conf_place place = check_place(check, &names[i]);
        place = place.line > 0 ? place : check_place(check, field);
        const char *near = yaml_nearest(names[i], known->names);
        conf_errors_add(check->errors, place,
                        "'when' names a %s '%.128s' that there is not (%s%.128s%s)", known->what,
                        names[i], near != NULL ? "did you mean '" : "correct the name",
                        near != NULL ? near : "", near != NULL ? "'?" : "");
    }
}

static void check_when(const struct check *check, const struct known_all *all,
                       const struct conf_when *when)
{
    check_part(check, &all->clusters, when->cluster, when->cluster_count, &when->cluster);
    check_part(check, &all->generations, when->generation, when->generation_count,
               &when->generation);
    check_part(check, &all->listeners, when->listener, when->listener_count, &when->listener);
    check_part(check, &all->mechanisms, when->mechanism, when->mechanism_count, &when->mechanism);
}

void check_mapping(const struct check *check)
{
    struct known_all all;
    know_clusters(&all, check->config);
    know_listeners(&all, check->config);
    for (size_t i = 0; i < check->config->mapping_count; i++) {
        check_rule(check, &check->config->mapping[i]);
        check_when(check, &all, &check->config->mapping[i].when);
    }
    forget(&all);
    check_duplicates(check, CONF_MAPPING_EXACT, "rule for principal");
    check_duplicates(check, CONF_MAPPING_GLOB, "rule for principal_glob");
    check_duplicates(check, CONF_MAPPING_REGEX, "rule for principal_regex");
    check_rule_names(check);
}
