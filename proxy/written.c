/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/written.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "conf/paths.h"
#include "proxy/control.h"

struct walk {
    written_fn fn;
    void *context;
};

static void tell(const struct walk *walk, const char *path, bool folder, const char *elsewhere)
{
    const struct written written = {path, folder, elsewhere};
    walk->fn(walk->context, &written);
}

static void tell_path(void *context, enum conf_path_kind kind, const char *path,
                      struct conf_place place)
{
    (void)place;
    if (kind == CONF_PATH_WRITTEN || kind == CONF_PATH_FOLDER) {
        tell(context, path, kind == CONF_PATH_FOLDER, "give what Setu writes a folder of its own");
    }
}

static bool accepts_tickets(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++) {
        if (config->listeners[i].gssapi.present) {
            return true;
        }
    }
    return false;
}

/*
 * MIT's replay cache, as its k5_rc_default looks for it: where KRB5RCACHENAME says, or krb5_UID.rcache2 in
 * KRB5RCACHEDIR, TMPDIR or /var/tmp.
 */
static void tell_replay_cache(const struct walk *walk)
{
    static const char *const names[] = {"KRB5RCACHEDIR", "TMPDIR"};
    static const char elsewhere[] = "give Kerberos a folder of Setu's own for its replay cache: "
                                    "set KRB5RCACHEDIR in Setu's environment";
    const char *name = secure_getenv("KRB5RCACHENAME");
    const char *type = name == NULL ? secure_getenv("KRB5RCACHETYPE") : NULL;
    const char *folder = NULL;
    if ((name != NULL && strcmp(name, "none:") == 0) ||
        (type != NULL && strcmp(type, "none") == 0)) {
        return;
    }
    if (name != NULL && strncmp(name, "file2:", 6) == 0) {
        tell(walk, name + 6, false,
             "give Kerberos a folder of Setu's own for its replay cache: change KRB5RCACHENAME in "
             "Setu's environment");
        return;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0] && folder == NULL; i++) {
        folder = secure_getenv(names[i]);
    }
    tell(walk, folder != NULL ? folder : "/var/tmp", true, elsewhere);
}

void written_each(const struct config *config, const char *config_file, const char *stats_file,
                  written_fn fn, void *context)
{
    struct walk walk = {fn, context};
    char control[CONTROL_PATH_SIZE];
    config_paths(config, tell_path, &walk);
    if (config->control.socket[0] == '\0' && control_place("", config_file, control)) {
        tell(&walk, control, false,
             "make " CONTROL_FOLDER " for Setu's user, or name a control.socket in a folder of "
             "Setu's own");
    }
    if (stats_file != NULL) {
        tell(&walk, stats_file, false, "name a --stats-file in a folder of Setu's own");
    }
    if (accepts_tickets(config)) {
        tell_replay_cache(&walk);
    }
}
