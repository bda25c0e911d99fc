/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The account database for the verifier: getpwnam_r(3) and getpwuid_r(3), with "there is no such account" (None) told
 * apart from "the name service failed" (OSError). Python's own pwd module says KeyError to both.
 */
#include "accounts.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>

enum { FIRST_SIZE = 4096, LAST_SIZE = 1024 * 1024 };

struct key {
    const char *name; /* NULL: by uid */
    uid_t uid;
};

static int ask(const struct key *key, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
{
    if (key->name != NULL)
        return getpwnam_r(key->name, entry, buffer, size, found);
    return getpwuid_r(key->uid, entry, buffer, size, found);
}

/* The codes that getpwnam(3) documents for "not found"; every other one is a failure of the name service. */
static bool means_not_found(int error)
{
    return error == 0 || error == ENOENT || error == ESRCH;
}

static PyObject *look_up(const struct key *key)
{
    PyObject *result = NULL;
    char *buffer = NULL;
    int error = ERANGE;

    for (size_t size = FIRST_SIZE; error == ERANGE && size <= LAST_SIZE; size *= 4) {
        struct passwd entry;
        struct passwd *found = NULL;
        char *larger = realloc(buffer, size);
        if (larger == NULL) {
            PyErr_NoMemory();
            goto out;
        }
        buffer = larger;
        error = ask(key, &entry, buffer, size, &found);
        if (error == 0 && found != NULL) {
            result = Py_BuildValue("(sk)", entry.pw_name, (unsigned long)entry.pw_uid);
            goto out;
        }
    }
    if (means_not_found(error)) {
        result = Py_NewRef(Py_None);
    } else {
        errno = error;
        PyErr_SetFromErrno(PyExc_OSError);
    }
out:
    free(buffer);
    return result;
}

PyObject *pam_sc_look_up_name(PyObject *self, PyObject *name)
{
    (void)self;
    struct key key = {.name = PyUnicode_AsUTF8(name)};
    return key.name == NULL ? NULL : look_up(&key);
}

PyObject *pam_sc_look_up_uid(PyObject *self, PyObject *uid)
{
    (void)self;
    unsigned long number = PyLong_AsUnsignedLong(uid);
    if (PyErr_Occurred() != NULL)
        return NULL;
    if (number >= (uid_t)-1) {
        PyErr_SetString(PyExc_ValueError, "uid out of range");
        return NULL;
    }
    struct key key = {.name = NULL, .uid = (uid_t)number};
    return look_up(&key);
}
