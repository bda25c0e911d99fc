/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The six entry points of PAM. They run inside somebody else's program, of any user, with any threads and environment; so
 * they decide nothing about cards or people, keep no state but one record in the PAM handle, and grant in one line, which
 * only the verdict of the verifier leads to. Only authenticate starts a process.
 *
 *     authenticate                   ask the verifier (request.c, spawn.c, dialogue.c), and remember a granted account
 *     setcred, acct_mgmt, sessions   PAM_SUCCESS where this handle was granted this very PAM_USER, else PAM_IGNORE
 *     chauthtok                      not offered: PAM_TRY_AGAIN in the first pass, PAM_AUTHTOK_ERR in the second
 */

#include <errno.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "dialogue.h"
#include "worker_path.h"

#define EXPORTED __attribute__((visibility("default")))

static const char RECORD[] = "pam_sc_account";

enum { FAIL_DELAY_US = 2000000 };

static void free_record(pam_handle_t *pamh, void *record, int error_status)
{
    (void)pamh;
    (void)error_status;
    free(record);
}

/* NULL forgets. The record belongs to the handle, which frees it. */
static bool record_account(pam_handle_t *pamh, const char *account)
{
    char *const record = account != NULL ? strdup(account) : NULL;
    if ((account == NULL || record != NULL) && pam_set_data(pamh, RECORD, record, free_record) == PAM_SUCCESS)
        return true;
    free(record);
    pam_syslog(pamh, LOG_CRIT, "refused: out of memory for the record of who was granted");
    return false;
}

static bool is_our_account(const pam_handle_t *pamh)
{
    const void *record = NULL;
    const char *account;
    return pam_get_data(pamh, RECORD, &record) == PAM_SUCCESS && record != NULL &&
           request_read_item(pamh, PAM_USER, &account) && strcmp(account, record) == 0;
}

/* Log why there is no supervisor; return the PAM code. */
static int refuse_for_spawn(const pam_handle_t *pamh, const char *path, struct spawn_outcome outcome)
{
    errno = outcome.error;
    switch (outcome.failure) {
    case SPAWN_NO_PRIVILEGE:
        pam_syslog(pamh, LOG_ERR,
                   "cannot become root to start %s: %m; a host with part of a privilege cannot use cards", path);
        return PAM_SERVICE_ERR;
    case SPAWN_NO_EXEC:
        pam_syslog(pamh, LOG_ERR, "cannot execute the worker %s: %m; install it again, or correct worker=", path);
        return PAM_SERVICE_ERR;
    case SPAWN_NO_CHANNELS:
    case SPAWN_NO_PROCESS:
    case SPAWN_NO_DESCRIPTORS:
    case SPAWN_NO_FAILURE:
        break;
    }
    pam_syslog(pamh, LOG_CRIT, "cannot start %s: %m (step %d); look for limits on processes and descriptors", path,
               (int)outcome.failure);
    return PAM_SYSTEM_ERR;
}

/* From the request to its ending. Whatever was started has ended when this returns. */
static void run_request(pam_handle_t *pamh, const struct request *request, const struct outgoing *frame,
                        const uint8_t order[ORDER_LENGTH], struct ending *ending)
{
    char path[PATH_MAX];
    struct supervisor supervisor;
    const char *const unsafe = worker_path_unsafe(&request->caller, request->options->worker, path);
    if (unsafe != NULL) {
        pam_syslog(pamh, LOG_ERR,
                   "cannot use the worker %s: %s; install it again, or correct worker=", request->options->worker,
                   unsafe);
        ending->refusal = PAM_SERVICE_ERR;
        return;
    }
    const struct spawn_outcome outcome = spawn_supervisor(path, &request->caller, order, ORDER_LENGTH, &supervisor);
    if (outcome.failure != SPAWN_NO_FAILURE) {
        ending->refusal = refuse_for_spawn(pamh, path, outcome);
        return;
    }
    dialogue_conduct(pamh, request, frame, &supervisor, ending);
    spawn_end(&supervisor);
}

/* Whether the account that was granted is the one that was asked for, and PAM_USER, read again, still is that account.
 * Only where the request named none, and there still is none, does the verdict name it. */
static bool confirm_account(pam_handle_t *pamh, const struct request *request, const char *granted)
{
    const char *account;
    const bool named = request->account[0] != '\0';
    if (named && strcmp(granted, request->account) != 0)
        return false;
    if (!request_read_item(pamh, PAM_USER, &account))
        return false;
    if (!named && account[0] == '\0' &&
        (pam_set_item(pamh, PAM_USER, granted) != PAM_SUCCESS || !request_read_item(pamh, PAM_USER, &account)))
        return false;
    return strcmp(account, granted) == 0;
}

EXPORTED int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    struct request request;
    struct outgoing frame;
    uint8_t order[ORDER_LENGTH];
    struct ending ending = {.granted = false, .refusal = PAM_SYSTEM_ERR};

    if (!record_account(pamh, NULL))
        return PAM_BUF_ERR;
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    const int refusal = request_prepare(pamh, FUNCTION_AUTHENTICATE, flags, &options, &request, &frame, order);
    if (refusal != 0)
        return refusal;
    run_request(pamh, &request, &frame, order, &ending);
    if (!ending.granted) {
        /* Guessing a PIN takes time; a card that was never asked costs nobody any. */
        if (ending.secret_sent && (ending.refusal == PAM_AUTH_ERR || ending.refusal == PAM_MAXTRIES))
            (void)pam_fail_delay(pamh, FAIL_DELAY_US);
        return ending.refusal;
    }
    if (!confirm_account(pamh, &request, ending.account)) {
        pam_syslog(pamh, LOG_ERR, "refused: the verdict is for another account than PAM asks for");
        return PAM_SYSTEM_ERR;
    }
    if (!record_account(pamh, ending.account))
        return PAM_BUF_ERR;
    return PAM_SUCCESS;
}

static int answer_for_record(const pam_handle_t *pamh, int argc, const char **argv)
{
    struct options options;
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    return is_our_account(pamh) ? PAM_SUCCESS : PAM_IGNORE;
}

EXPORTED int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return answer_for_record(pamh, argc, argv);
}

EXPORTED int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return answer_for_record(pamh, argc, argv);
}

EXPORTED int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return answer_for_record(pamh, argc, argv);
}

EXPORTED int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    (void)flags;
    return answer_for_record(pamh, argc, argv);
}

EXPORTED int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    if ((flags & PAM_PRELIM_CHECK) != 0)
        return PAM_TRY_AGAIN;
    if ((flags & PAM_UPDATE_AUTHTOK) == 0)
        return PAM_SYSTEM_ERR;
    pam_syslog(pamh, LOG_NOTICE, "changing the PIN through this module is not offered; use the card's own tool");
    return PAM_AUTHTOK_ERR;
}
