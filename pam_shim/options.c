/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The arguments of the PAM line. Every one is known and well formed, or the line is refused as a whole: an argument that
 * is overlooked could be the one that was meant to forbid something. No policy is decided here, that is the verifier's. */

#include "options.h"

#include "text.h"

#include <limits.h>
#include <security/pam_ext.h>
#include <string.h>
#include <syslog.h>

#ifndef PAM_SC_WORKER
#error "PAM_SC_WORKER must be the absolute path of pam_sc_worker, as a string"
#endif

enum { MACHINE_S_DEFAULT = 20, MACHINE_S_MAX = 300 };

static const struct {
    const char *name;
    unsigned flag;
} FLAGS[] = {
    {"debug", OPTION_DEBUG},
    {"quiet", OPTION_QUIET},
    {"try_first_pass", OPTION_TRY_FIRST_PASS},
    {"use_first_pass", OPTION_USE_FIRST_PASS},
    {"forward_pin", OPTION_FORWARD_PIN},
};

/* Those of pam_pkcs11, relayed as they stand: what they mean, and whether they may stand here, is the verifier's to say.
 * Behind a '=' comes a value. */
static const char *const RELAYED[] = {
    "nodebug", "nullok",   "card_only", "wait_for_card", "dont_wait_for_card", "slot_description=", "slot_num=",
    "ca_dir=", "crl_dir=", "nss_dir=",  "cert_policy=",  "token_type=",        "pkcs11_module=",
};

static bool is_relayed(const char *argument)
{
    for (size_t i = 0; i < sizeof RELAYED / sizeof RELAYED[0]; i++) {
        const size_t length = strlen(RELAYED[i]);
        const bool takes_value = RELAYED[i][length - 1] == '=';
        if (takes_value ? strncmp(argument, RELAYED[i], length) == 0 : strcmp(argument, RELAYED[i]) == 0)
            return true;
    }
    return false;
}

/* Add a line to what is relayed. Return NULL, or what is wrong with it. */
static const char *relay(const char *argument, struct options *options)
{
    const size_t length = strlen(argument);
    size_t used = strlen(options->relayed);
    const size_t between = used > 0 ? 1 : 0;
    if (!text_is_plain((struct span){(const uint8_t *)argument, length}))
        return "not plain text";
    if (used + between + length > RELAYED_MAX)
        return "too long, together with those before it";
    if (between > 0)
        options->relayed[used++] = '\n';
    memcpy(options->relayed + used, argument, length + 1);
    return NULL;
}

/* The value of `argument` if it begins with `key`, which ends with '='; else NULL. */
static const char *value_of(const char *argument, const char *key)
{
    const size_t length = strlen(key);
    return strncmp(argument, key, length) == 0 ? argument + length : NULL;
}

static bool take_path(const char *value, const char **path)
{
    *path = value;
    return value[0] == '/' && strlen(value) < PATH_MAX;
}

/* Decimal digits and nothing else, from 1 to MACHINE_S_MAX. */
static bool take_seconds(const char *value, unsigned *seconds)
{
    unsigned number = 0;
    for (const char *at = value; *at != '\0'; at++) {
        if (*at < '0' || *at > '9' || number > MACHINE_S_MAX)
            return false;
        number = number * 10 + (unsigned)(*at - '0');
    }
    *seconds = number;
    return value[0] != '0' && number >= 1 && number <= MACHINE_S_MAX;
}

/* Return NULL, or what is wrong with the argument. */
static const char *take_argument(const char *argument, struct options *options)
{
    const char *value;
    for (size_t i = 0; i < sizeof FLAGS / sizeof FLAGS[0]; i++) {
        if (strcmp(argument, FLAGS[i].name) == 0) {
            options->flags |= FLAGS[i].flag;
            return NULL;
        }
    }
    if (strcmp(argument, "nodelay") == 0) {
        options->nodelay = true;
        return NULL;
    }
    if (is_relayed(argument)) {
        if (strcmp(argument, "nodebug") == 0)
            options->flags &= ~(unsigned)OPTION_DEBUG;
        return relay(argument, options);
    }
    if ((value = value_of(argument, "config=")) != NULL || (value = value_of(argument, "config_file=")) != NULL) {
        const char *before = options->config;
        if (!take_path(value, &options->config))
            return "not an absolute path";
        return before[0] == '\0' || strcmp(before, value) == 0 ? NULL : "a second configuration";
    }
    if ((value = value_of(argument, "worker=")) != NULL)
        return take_path(value, &options->worker) ? NULL : "not an absolute path";
    if ((value = value_of(argument, "timeout=")) != NULL)
        return take_seconds(value, &options->machine_s) ? NULL : "not a number of seconds from 1 to 300";
    return "not known";
}

bool options_parse(const pam_handle_t *pamh, int argc, const char *const *argv, struct options *options)
{
    const unsigned both = OPTION_TRY_FIRST_PASS | OPTION_USE_FIRST_PASS;
    *options = (struct options){.config = "", .worker = PAM_SC_WORKER, .machine_s = MACHINE_S_DEFAULT};
    for (int i = 0; i < argc; i++) {
        const char *wrong = take_argument(argv[i], options);
        if (wrong == NULL && (options->flags & both) == both)
            wrong = "one of try_first_pass and use_first_pass too many";
        if (wrong != NULL) {
            pam_syslog(pamh, LOG_ERR, "cannot use the argument '%s': %s; correct the PAM service file", argv[i], wrong);
            return false;
        }
    }
    return true;
}
