/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The six entry points of PAM. They run inside somebody else's program, of any user, with any threads and environment; so
 * they decide nothing about cards or people, keep no state but records in the PAM handle (record.c), and grant in one
 * line, which only the verdict of the verifier leads to. Only authenticate and chauthtok start a process.
 *
 *     authenticate    ask the verifier (request.c, spawn.c, dialogue.c); remember a granted account, and what was left
 *     chauthtok       ask the verifier in both passes; in the second only what the first was granted
 *     setcred         PAM_SUCCESS where this handle was granted this very PAM_USER, else PAM_IGNORE
 *     acct_mgmt       the same, but PAM_NEW_AUTHTOK_REQD while the PIN is to be changed
 *     open_session    the same, and the session's card is written down where logind knows the session (session_file.c)
 *     close_session   the same, and what this handle has written is removed
 */

#include <errno.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <syslog.h>

#include "dialogue.h"
#include "record.h"
#include "session_file.h"
#include "worker_path.h"

#define EXPORTED __attribute__((visibility("default")))

enum { FAIL_DELAY_US = 2000000 };

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

/* Ask the verifier. True where it has granted; else ending->refusal says how it ended. */
static bool ask_verifier(pam_handle_t *pamh, enum pam_function function, int flags, const struct options *options,
                         struct ending *ending)
{
    struct request request;
    struct outgoing frame;
    uint8_t order[ORDER_LENGTH];
    const int refusal = request_prepare(pamh, function, flags, options, &request, &frame, order);
    if (refusal != 0) {
        ending->refusal = refusal;
        return false;
    }
    run_request(pamh, &request, &frame, order, ending);
    if (!ending->granted) {
        /* Guessing a PIN takes time; a card that was never asked costs nobody any. */
        if (!options->nodelay && ending->secret_sent &&
            (ending->refusal == PAM_AUTH_ERR || ending->refusal == PAM_MAXTRIES ||
             ending->refusal == PAM_AUTHTOK_RECOVERY_ERR))
            (void)pam_fail_delay(pamh, FAIL_DELAY_US);
        return false;
    }
    ending->refusal = PAM_SYSTEM_ERR;
    if (!confirm_account(pamh, &request, ending->account)) {
        pam_syslog(pamh, LOG_ERR, "refused: the verdict is for another account than PAM asks for");
        return false;
    }
    return true;
}

/* Leave what the verdict leaves, PAM_AUTHTOK last: a grant that fails here leaves neither a PIN nor a variable behind. */
static bool leave_grant(pam_handle_t *pamh, struct ending *ending)
{
    ending->refusal = PAM_BUF_ERR;
    if (!facts_put_variables(pamh, &ending->facts)) {
        facts_take_variables_back(pamh);
        pam_syslog(pamh, LOG_CRIT, "refused: cannot put a variable into the environment of the login");
        return false;
    }
    if (!record_grant(pamh, ending->account, &ending->facts)) {
        facts_take_variables_back(pamh);
        return false;
    }
    if (ending->pin[0] != '\0' && pam_set_item(pamh, PAM_AUTHTOK, ending->pin) != PAM_SUCCESS) {
        pam_syslog(pamh, LOG_CRIT, "refused: cannot hand the PIN to the modules below, as forward_pin wants");
        (void)record_forget(pamh);
        return false;
    }
    return true;
}

EXPORTED int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    struct ending ending = {.granted = false, .refusal = PAM_SYSTEM_ERR};

    if (!record_forget(pamh))
        return PAM_BUF_ERR;
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    const bool granted = ask_verifier(pamh, FUNCTION_AUTHENTICATE, flags, &options, &ending) &&
                         leave_grant(pamh, &ending);
    dialogue_forget(&ending);
    if (!granted)
        return ending.refusal;
    return PAM_SUCCESS;
}

/* The answer of those that start nothing; sets *record where there is one for this PAM_USER. */
static int answer_for_record(const pam_handle_t *pamh, int argc, const char **argv, struct record **record)
{
    struct options options;
    *record = NULL;
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    *record = record_find(pamh);
    return *record != NULL ? PAM_SUCCESS : PAM_IGNORE;
}

EXPORTED int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct record *record;
    (void)flags;
    return answer_for_record(pamh, argc, argv, &record);
}

EXPORTED int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct record *record;
    const int answer = answer_for_record(pamh, argc, argv, &record);
    (void)flags;
    return record != NULL && record->pin_to_be_changed ? PAM_NEW_AUTHTOK_REQD : answer;
}

EXPORTED int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct record *record;
    const int answer = answer_for_record(pamh, argc, argv, &record);
    (void)flags;
    if (record != NULL && record->session_card != NULL)
        session_file_write(pamh, record->account, record->session_card);
    return answer;
}

EXPORTED int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct record *record;
    (void)flags;
    session_file_remove(pamh);
    return answer_for_record(pamh, argc, argv, &record);
}

/* Change the PIN, or in the first pass only say whether that can be. */
static int change(pam_handle_t *pamh, int flags, const struct options *options)
{
    struct ending ending = {.granted = false, .refusal = PAM_SYSTEM_ERR};
    const bool granted = ask_verifier(pamh, FUNCTION_CHAUTHTOK, flags, options, &ending);
    dialogue_forget(&ending);
    return granted ? PAM_SUCCESS : ending.refusal;
}

/* Remember for the second pass how the first ended, whatever it was; until it has, it is as if it had failed. */
static int run_first_pass(pam_handle_t *pamh, int flags, const struct options *options)
{
    if (!record_first_pass(pamh, PAM_SYSTEM_ERR))
        return PAM_BUF_ERR;
    const int code = change(pamh, flags, options);
    return record_first_pass(pamh, code) ? code : PAM_BUF_ERR;
}

/* After a PIN that was not changed, a "sufficient" line has libpam go on in the second pass, with modules that had no first
 * one: pam_unix would take a new password without the old one. With an old password that is none it takes nothing. */
static void spoil_old_password(pam_handle_t *pamh)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[16];
    char none[2 * sizeof random + 1] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memset(random, 0, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        none[2 * i] = digits[random[i] >> 4];
        none[2 * i + 1] = digits[random[i] & 15];
    }
    if (pam_set_item(pamh, PAM_OLDAUTHTOK, none) != PAM_SUCCESS)
        pam_syslog(pamh, LOG_CRIT, "cannot keep the modules below from changing a password");
}

/* Only what the first pass was granted is done; every other answer of it is the answer here. A stack goes on after
 * PAM_TRY_AGAIN, so it is no answer to what the first pass was granted. */
static int run_second_pass(pam_handle_t *pamh, int flags, const struct options *options)
{
    int first;
    if (!record_find_first_pass(pamh, &first)) {
        pam_syslog(pamh, LOG_ERR, "refused: there was no first pass for the account that is to be changed now");
        spoil_old_password(pamh);
        return PAM_SYSTEM_ERR;
    }
    if (first != PAM_SUCCESS)
        return first;
    const int code = change(pamh, flags, options);
    struct record *const record = record_find(pamh);
    if (code == PAM_SUCCESS && record != NULL)
        record->pin_to_be_changed = false;
    if (code != PAM_SUCCESS)
        spoil_old_password(pamh);
    return code == PAM_TRY_AGAIN || code == PAM_IGNORE ? PAM_AUTHTOK_ERR : code;
}

EXPORTED int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
    struct options options;
    const struct record *const record = record_find(pamh);
    if (!options_parse(pamh, argc, argv, &options))
        return PAM_SERVICE_ERR;
    /* An application that lets people change what has expired: of ours only a PIN of which the card said so. */
    if (((unsigned)flags & PAM_CHANGE_EXPIRED_AUTHTOK) != 0 && (record == NULL || !record->pin_to_be_changed))
        return PAM_IGNORE;
    if (((unsigned)flags & PAM_PRELIM_CHECK) != 0)
        return run_first_pass(pamh, flags, &options);
    if (((unsigned)flags & PAM_UPDATE_AUTHTOK) != 0)
        return run_second_pass(pamh, flags, &options);
    return PAM_SYSTEM_ERR;
}
