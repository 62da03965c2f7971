/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reach: which addresses a broker may be dialled at. Brokers and name servers say where others are, and must not be
 * able to send Setu to whatever else answers this machine (T69).
 *
 *   allowed_addresses given   those, and no other, whoever named them
 *   else                      any, but none where no broker can be (block_is_no_broker), and this machine itself only
 *                             for bootstrap addresses, and for what brokers name where the configuration says localhost
 *                             or a loopback address as one of these
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proxy/cluster/resolve.h"

struct conf_cluster;

/**
 * Takes the addresses out of *result that may not be dialled; how many. With none left result->error says so.
 * ours: loopback is allowed when nothing is listed.
 */
size_t reach_limit(const struct conf_cluster *conf, bool ours, struct resolve_result *result);

/** Whether a host of the configuration is this machine itself by its own text: no name server has a say in it. */
bool reach_is_here(const char *host) __attribute__((warn_unused_result));
