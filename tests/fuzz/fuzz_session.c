/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole worker between simulated clients and brokers (tests/sim): the bytes are the decisions of a run. Who comes and
 * what he says, where his bytes are cut, what breaks, what brokers answer, which logins end and how they are renewed.
 * All invariants of the simulator hold.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/fuzz/session_rng.h"
#include "tests/sim/fake_os.h"
#include "tests/sim/sim.h"
#include "tests/sim/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool open;
    if (!open) {
        stage_open();
        atexit(stage_close);
        sim_violation_aborts = true;
        open = true;
    }
    fake_os_between_runs = false;
    session_rng_feed(data, size);
    stage_run(1, false);
    session_rng_feed(NULL, 0);
    fake_os_between_runs = true;
    return 0;
}
