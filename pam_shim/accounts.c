/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The account database for the verifier: getpwnam_r(3), getpwuid_r(3) and getgrnam_r(3), with "there is no such account"
 * (None) told apart from "the name service failed" (OSError), and getpwent_r(3) for a bounded number of accounts. Python's
 * own pwd module says KeyError to both, takes an error for the end of the list, and fails at a name that is not UTF-8:
 * here such a byte becomes a surrogate, which no usable text holds.
 */
#include "accounts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

enum { FIRST_SIZE = 4096, LAST_SIZE = 1024 * 1024, LAST_GROUP_SIZE = 64 * 1024 * 1024 };

struct key {
    const char *name; /* NULL: by uid */
    uid_t uid;
};

static PyObject *text(const char *bytes)
{
    return bytes == NULL ? PyUnicode_FromString("")
                         : PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)strlen(bytes), "surrogateescape");
}

static PyObject *person(const struct passwd *entry)
{
    return Py_BuildValue("(NkN)", text(entry->pw_name), (unsigned long)entry->pw_uid, text(entry->pw_gecos));
}

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
            result = person(&entry);
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

static PyObject *group(const struct group *entry)
{
    PyObject *members = PyList_New(0);

    for (char **member = entry->gr_mem; members != NULL && *member != NULL; member++) {
        PyObject *name = text(*member);
        if (name == NULL || PyList_Append(members, name) < 0)
            Py_CLEAR(members);
        Py_XDECREF(name);
    }
    return members == NULL ? NULL : Py_BuildValue("(NkN)", text(entry->gr_name), (unsigned long)entry->gr_gid, members);
}

PyObject *pam_sc_look_up_group(PyObject *self, PyObject *argument)
{
    (void)self;
    PyObject *result = NULL;
    char *buffer = NULL;
    int error = ERANGE;
    const char *name = PyUnicode_AsUTF8(argument);

    if (name == NULL)
        return NULL;
    for (size_t size = FIRST_SIZE; error == ERANGE && size <= LAST_GROUP_SIZE; size *= 4) {
        struct group entry;
        struct group *found = NULL;
        char *larger = realloc(buffer, size);
        if (larger == NULL) {
            PyErr_NoMemory();
            goto out;
        }
        buffer = larger;
        error = getgrnam_r(name, &entry, buffer, size, &found);
        if (error == 0 && found != NULL) {
            result = group(&entry);
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

/* Add the next account to the list, in a buffer that grows. 1 if one was added, 0 at the end, -1 with an exception set. */
static int add_next(PyObject *list, char **buffer, size_t *size)
{
    struct passwd entry;
    struct passwd *found = NULL;
    int error = getpwent_r(&entry, *buffer, *size, &found);

    while (error == ERANGE && *size < LAST_SIZE) {
        char *larger = realloc(*buffer, *size * 4);
        if (larger == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        *buffer = larger;
        *size *= 4;
        error = getpwent_r(&entry, *buffer, *size, &found);
    }
    if (error == 0 && found != NULL) {
        PyObject *one = person(found);
        int added = one == NULL ? -1 : PyList_Append(list, one);
        Py_XDECREF(one);
        return added < 0 ? -1 : 1;
    }
    if (means_not_found(error))
        return 0;
    errno = error;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

PyObject *pam_sc_list_accounts(PyObject *self, PyObject *most)
{
    (void)self;
    size_t size = FIRST_SIZE;
    char *buffer = NULL;
    PyObject *list = NULL;
    int added = -1;
    Py_ssize_t limit = PyLong_AsSsize_t(most);

    if (PyErr_Occurred() != NULL)
        return NULL;
    setpwent();
    list = PyList_New(0);
    buffer = malloc(size);
    if (buffer == NULL)
        PyErr_NoMemory();
    if (list == NULL || buffer == NULL)
        goto out;
    do
        added = add_next(list, &buffer, &size);
    while (added == 1 && PyList_GET_SIZE(list) <= limit);
    if (added == 1) {
        errno = E2BIG;
        PyErr_SetFromErrno(PyExc_OSError);
    }
out:
    endpwent();
    free(buffer);
    if (added != 0)
        Py_CLEAR(list);
    return list;
}
