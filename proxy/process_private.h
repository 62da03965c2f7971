/* SPDX-License-Identifier: Apache-2.0 */
/* process_private: the inside of struct process, for the process_*.c, which process.h names. Main thread only. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "proxy/control.h"
#include "proxy/landlock.h"
#include "proxy/horizon.h"
#include "proxy/launcher.h"
#include "proxy/ops/handover.h"
#include "proxy/ops/stats.h"
#include "proxy/process.h"
#include "proxy/worker.h"

struct audit_inlet;
struct audit_log;
struct conf_errors;
struct json_t;
struct ledger;
struct rotation;
struct shared;
struct stats_file;
struct visitors;

enum {
    PROCESS_SIGNALS = 6,
    PROCESS_SOCKETS_MAX = 16384, /* of all workers, in a takeover */
    PROCESS_WORKERS_MAX = 256,
};

enum process_phase {
    PHASE_STARTING, /* as a successor: the predecessor still serves */
    PHASE_SERVING,
    PHASE_RELOADING,
    PHASE_HANDING, /* a successor has asked; we serve until it has the sockets */
    PHASE_HANDED,  /* it serves; our sessions end */
    PHASE_ENDING,
};

struct process_worker {
    struct process *process;
    struct worker *worker;
    pthread_t thread;
    struct worker_task task; /* of the round */
    bool good;               /* what the round came to */
    struct worker_task beat; /* of the watchdog */
    atomic_bool asked;       /* that one has not run yet */
    struct handover_socket *sockets; /* given or taken in a round; owned */
    size_t socket_count;
};

/** Runs in each worker's thread. */
typedef void (*process_round_fn)(struct process_worker *of);
typedef void (*process_then_fn)(struct process *process);

struct process {
    const struct run_options *options;
    enum process_phase phase;
    enum worker_order order;
    int status; /* exit */
    bool threads;
    /* the process's own, in every snapshot */
    struct shared *shared; /* the snapshot that those who come are served with */
    struct audit_log *audit;
    struct ledger *ledger; /* NULL: off */
    struct visitors *visitors;
    atomic_uint_fast64_t session_ids;
    struct process_worker *workers;
    size_t worker_count;
    /* what workers tell us: counts, and a call to look at them */
    uv_async_t wake;
    atomic_size_t ended, ready, idle, round_left;
    process_then_fn round_then; /* NULL: no round is under way */
    process_round_fn round_fn;
    process_then_fn ready_then; /* NULL: nobody waits */
    uv_loop_t loop;
    uv_signal_t signals[PROCESS_SIGNALS];
    uv_timer_t trim, hurry, patience; /* memory; a stop at once; reload or takeover */
    uv_timer_t watchdog;
    uint64_t watchdog_ms; /* the service manager's; 0: it has none */
    bool watchdog_stuck;  /* a worker is, and that has been said */
    bool handles;
    struct stats_file *stats_file;
    struct stats_names stats_names;
    struct stats_hash mapping_hash;
    struct control *control;
    char control_path[CONTROL_PATH_SIZE];
    bool control_is_ours; /* else its path is a successor's, or there is none */
    /* reload */
    struct shared *next;
    uint64_t asker; /* peer that waits for the outcome; 0: none */
    const char *why; /* it is refused, while the workers forget it; static */
    uint64_t reloads, reloads_refused;
    struct landlock landlock; /* where files may be opened */
    int landlock_error;       /* why it is not on though it was wanted */
    /* certificates whose files change; process_rotate.c */
    struct rotation *rotation;         /* owned; NULL: nobody watches */
    struct rotation *rotation_closing; /* owned; its handles are being closed */
    size_t rotation_handles;           /* of that one */
    uint64_t rotations, rotations_refused;
    bool rotation_pending;  /* files changed, and are not in use */
    struct horizon horizon; /* of shared */
    struct stats_page certificates_page;
    int64_t looked_s; /* wall clock: the horizon was looked at */
    /* as a predecessor */
    uint64_t successor; /* peer; 0: none */
    bool take_back; /* it went while the workers were busy for it */
    int audit_end;  /* ours, of the pair by which later events go; -1: none */
    bool successor_stops; /* it was told to: we do not serve again when it goes */
    struct launcher launcher;
    uv_poll_t launcher_poll;
    bool launcher_open; /* the poll */
    bool child_runs;    /* a successor that we had started */
    /* as a successor */
    int dialled; /* -1: none */
    struct channel *predecessor;
    struct audit_inlet *inlet;
    bool adopted; /* all ports are here, and the predecessor has been told */
    bool allowed; /* it has said that they are ours */
    struct handover_sockets promised; /* sockets: owned */
    struct handover_sockets received; /* the same */
};

/* process.c */
void process_order(struct process *process, enum worker_order order);
bool process_start_workers(struct process *process);
void process_started(struct process *process, const char *event);
void process_stats_file(struct process *process, bool on);
void process_end(struct process *process); /* closes every handle: the loop ends */
uint64_t process_sessions(struct process *process);

/* process_evidence.c: what the process itself does, for the audit log */
void process_audit(struct process *process, int code, const char *detail);
void process_audit_admin(struct process *process, const char *action, const char *who);
void process_audit_asked(struct process *process, const char *action, uint64_t peer);
/* process->shared is in use instead of `before`; changes: texts */
void process_audit_reload(struct process *process, const struct shared *before,
                          const struct json_t *changes);
/* certificates of process->shared are in use instead of those of `before`: logged, and audited */
void process_audit_rotation(struct process *process, const struct shared *before);

/* process_watchdog.c */
/* Nothing where there is none. */
void process_watchdog_start(struct process *process); /* we serve: the manager is to wait for us */
void process_watchdog_stop(struct process *process);  /* a successor will, and says so, if it can */
/* The main thread reads files for as long as that takes, while the workers serve; false: it is done. */
void process_watchdog_extend(struct process *process, bool on);

/* process_round.c */
/* False: one is under way, or the process is ending. `then` is called when all workers have done it. */
bool process_round(struct process *process, process_round_fn fn, process_then_fn then);
bool process_round_good(const struct process *process); /* in `then`: all workers' outcome */
void process_await(struct process *process, process_then_fn then);
void process_on_wake(uv_async_t *async);
struct worker_events process_events(struct process *process);

/* process_control.c */
bool process_control_open(struct process *process);
void process_control_adopt(struct process *process, int fd);
void process_reply(struct process *process, uint64_t peer, char *json); /* frees json */
char *process_status_json(struct process *process, bool ok, const char *why);

/* process_landlock.c */
/* As security.landlock says; before threads. False: it is required and cannot be had, which has been said. */
bool process_enter_landlock(struct process *process);
void process_log_landlock(const struct process *process);
/* What the configuration file names by now must be within reach. */
void process_check_landlock(const struct process *process, struct conf_errors *errors);

/* process_reload.c */
void process_reload(struct process *process, uint64_t asker);

/* process_rotate.c: looks at the files of certificates now and then, and takes what is new into use */
void process_rotation_start(struct process *process); /* if it is wanted; idempotent */
void process_rotation_stop(struct process *process);
void process_rotation_closed(struct process *process); /* its own */

/* process_certificates.c: when what is in use ends, for the metrics, the log and `setu certs` */
void process_certificates_begin(struct process *process);
void process_certificates_publish(struct process *process); /* what there is has changed */
void process_certificates_look(struct process *process);    /* now and then */
void process_certificates_end(struct process *process);
char *process_certificates_json(struct process *process);

/* process_predecessor.c */
void process_on_successor(struct process *process, uint64_t peer, int kind, struct view payload);
void process_cancel_handover(struct process *process); /* we are to end, not to serve on */
void process_spawn(struct process *process);
bool process_watch_launcher(struct process *process);

/* process_successor.c */
bool process_dial(struct process *process); /* false: cannot start; dialled -1: nobody is there */
bool process_take_over(struct process *process);
bool process_take_passed(struct process *process);
