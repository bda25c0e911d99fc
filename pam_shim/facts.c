/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a verdict leaves behind beside the grant. Kept here while the request is served, and of no effect unless it is
 * granted. Names of variables are a closed list, because the environment of the handle becomes that of the session: no
 * verifier may set LD_PRELOAD or PATH there. */

#include "facts.h"

#include <stdlib.h>
#include <string.h>

static const char *const VARIABLES[FACT_VARIABLES] = {
    "PKCS11_LOGIN_TOKEN_NAME", "PKCS11_LOGIN_CERT_ISSUER", "PKCS11_LOGIN_CERT_SERIAL", "PAM_SC_TOKEN",
    "PAM_SC_CERTIFICATE",
};
enum { NAME_MAX_LENGTH = 32 };

/* Where the value of a variable is kept; NULL for a name that is not on the list. */
static char **find_variable(struct facts *facts, struct span name)
{
    for (size_t i = 0; i < FACT_VARIABLES; i++) {
        if (strlen(VARIABLES[i]) == name.length && memcmp(VARIABLES[i], name.bytes, name.length) == 0)
            return &facts->variables[i];
    }
    return NULL;
}

static enum facts_kept keep_text(char **kept, struct span text)
{
    if (kept == NULL)
        return FACT_NOT_ALLOWED;
    free(*kept);
    *kept = strndup((const char *)text.bytes, text.length);
    return *kept != NULL ? FACT_KEPT : FACT_NO_MEMORY;
}

enum facts_kept facts_keep(struct facts *facts, const struct incoming *fact)
{
    if (++facts->count > FACTS_MAX)
        return FACT_NOT_ALLOWED;
    switch (fact->value) {
    case FACT_VARIABLE:
        return keep_text(find_variable(facts, fact->name), fact->text);
    case FACT_SESSION_CARD:
        return keep_text(&facts->session_card, fact->text);
    case FACT_PIN_TO_BE_CHANGED:
        facts->pin_to_be_changed = true;
        return FACT_KEPT;
    default:
        return FACT_NOT_ALLOWED;
    }
}

void facts_take_variables_back(pam_handle_t *pamh)
{
    for (size_t i = 0; i < FACT_VARIABLES; i++) {
        if (pam_getenv(pamh, VARIABLES[i]) != NULL)
            (void)pam_putenv(pamh, VARIABLES[i]);
    }
}

bool facts_put_variables(pam_handle_t *pamh, const struct facts *facts)
{
    facts_take_variables_back(pamh);
    for (size_t i = 0; i < FACT_VARIABLES; i++) {
        char line[NAME_MAX_LENGTH + 1 + FACT_VALUE_MAX + 1];
        if (facts->variables[i] == NULL)
            continue;
        const size_t name = strlen(VARIABLES[i]);
        memcpy(line, VARIABLES[i], name);
        line[name] = '=';
        memcpy(line + name + 1, facts->variables[i], strlen(facts->variables[i]) + 1);
        if (pam_putenv(pamh, line) != PAM_SUCCESS)
            return false;
    }
    return true;
}

void facts_free(struct facts *facts)
{
    for (size_t i = 0; i < FACT_VARIABLES; i++)
        free(facts->variables[i]);
    free(facts->session_card);
    *facts = (struct facts){.count = 0};
}
