/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the module remembers from one call to the next: two records in the PAM handle, which owns and frees them. Each
 * names its account and counts only while PAM_USER still is that account. */

#include "record.h"

#include <security/pam_ext.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "request.h"

static const char GRANT[] = "pam_sc_account";
static const char FIRST_PASS[] = "pam_sc_first_pass";

struct first_pass {
    int code;
    char account[ITEM_MAX + 1];
};

static void free_grant(pam_handle_t *pamh, void *data, int error_status)
{
    struct record *const record = data;
    (void)pamh;
    (void)error_status;
    if (record != NULL) {
        free(record->account);
        free(record->session_card);
    }
    free(record);
}

static void free_first_pass(pam_handle_t *pamh, void *data, int error_status)
{
    (void)pamh;
    (void)error_status;
    free(data);
}

static bool complain(const pam_handle_t *pamh)
{
    pam_syslog(pamh, LOG_CRIT, "refused: cannot remember for whom this was, for want of memory");
    return false;
}

bool record_grant(pam_handle_t *pamh, const char *account, struct facts *facts)
{
    struct record *const record = calloc(1, sizeof *record);
    if (record != NULL)
        *record = (struct record){strdup(account), facts->session_card, facts->pin_to_be_changed};
    if (record != NULL && record->account != NULL && pam_set_data(pamh, GRANT, record, free_grant) == PAM_SUCCESS) {
        facts->session_card = NULL;
        return true;
    }
    if (record != NULL)
        free(record->account);
    free(record);
    return complain(pamh);
}

/* libpam hands out as const what is the caller's own. */
static void *find(const pam_handle_t *pamh, const char *name)
{
    const void *data = NULL;
    return pam_get_data(pamh, name, &data) == PAM_SUCCESS ? (void *)(uintptr_t)data : NULL;
}

bool record_forget(pam_handle_t *pamh)
{
    if (find(pamh, GRANT) != NULL)
        facts_take_variables_back(pamh);
    return pam_set_data(pamh, GRANT, NULL, free_grant) == PAM_SUCCESS || complain(pamh);
}

static bool is_the_user(const pam_handle_t *pamh, const char *account)
{
    const char *user;
    return request_read_item(pamh, PAM_USER, &user) && strcmp(user, account) == 0;
}

struct record *record_find(const pam_handle_t *pamh)
{
    struct record *const record = find(pamh, GRANT);
    return record != NULL && is_the_user(pamh, record->account) ? record : NULL;
}

bool record_first_pass(pam_handle_t *pamh, int code)
{
    const char *user;
    struct first_pass *const record = calloc(1, sizeof *record);
    if (record != NULL && request_read_item(pamh, PAM_USER, &user) && strlen(user) <= ITEM_MAX) {
        record->code = code;
        memcpy(record->account, user, strlen(user) + 1);
        if (pam_set_data(pamh, FIRST_PASS, record, free_first_pass) == PAM_SUCCESS)
            return true;
    }
    free(record);
    return complain(pamh);
}

bool record_find_first_pass(const pam_handle_t *pamh, int *code)
{
    const struct first_pass *const record = find(pamh, FIRST_PASS);
    if (record == NULL || !is_the_user(pamh, record->account))
        return false;
    *code = record->code;
    return true;
}
