/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_CHOICE_H
#define PAM_SC_CHOICE_H

#include "caller.h"
#include "conversation.h"
#include "frames.h"

/* The type that GDM's choice list has for this host, 0 to 255, or -1 where the host shows none. */
int choice_find_type(const struct caller *caller);

/* Have the host show the list of a CHOICE. The answer is one of its keys, or not given. */
void choice_ask(const pam_handle_t *pamh, int type, const struct incoming *choice, struct answer *answer);

#endif
