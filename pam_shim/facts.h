/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PAM_SC_FACTS_H
#define PAM_SC_FACTS_H

#include <security/pam_modules.h>

#include "frames.h"

enum { FACTS_MAX = 16, FACT_VARIABLES = 5 };

/* What the verifier has left for the case that it grants. Zeroed, there is nothing; facts_free frees the texts. */
struct facts {
    char *variables[FACT_VARIABLES]; /* values, in the order of the names in facts.c; NULL where not left */
    char *session_card;              /* NULL where not left */
    bool pin_to_be_changed;
    unsigned count;
};

enum facts_kept { FACT_KEPT, FACT_NOT_ALLOWED, FACT_NO_MEMORY };

/* Keep a copy of a FACT; a later one of the same kind and name replaces it. */
enum facts_kept facts_keep(struct facts *facts, const struct incoming *fact);

/* Put the variables into the environment of the handle, and no other of the list. False where PAM has no room for one. */
bool facts_put_variables(pam_handle_t *pamh, const struct facts *facts);

/* Take every variable of the list out of the environment of the handle. */
void facts_take_variables_back(pam_handle_t *pamh);

void facts_free(struct facts *facts);

#endif
