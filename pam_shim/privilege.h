/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_PRIVILEGE_H
#define PAM_SC_PRIVILEGE_H

#include <stdbool.h>

#include "worker.h"

/* The host has privilege if any of its uids is 0, if its ids are not all the same, or if the kernel says so. */
bool has_privilege(const struct order *order);

/* Become root whole, without groups; read back. 0 or -1. */
int take_privilege(void);

/* Nobody can make a login with privilege fail half way, or harm a token, by limits that he has set before. 0 or -1. */
int set_own_limits(bool privilege);

/* Raise the limit on processes where it would count against the accounts of the children. */
void raise_process_limit(void);

#endif
