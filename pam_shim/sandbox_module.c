/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The builtin module _pam_sc: the sandbox as the embedded Python enters it, and the account database (accounts.c). It
 * turns lists into a sandbox_order and a step that failed into an exception; it decides nothing.
 */
#include "sandbox_module.h"

#include <errno.h>
#include <string.h>

#include "accounts.h"
#include "sandbox.h"

#define LIST_MAX 65536

static PyObject *raise_step(const char *step)
{
    if (errno == EINVAL)
        return PyErr_Format(PyExc_ValueError, "cannot enter the sandbox: %s: not acceptable", step);
    PyObject *arguments = Py_BuildValue(
        "(iN)", errno, PyUnicode_FromFormat("cannot enter the sandbox: %s: %s", step, strerror(errno)));
    if (arguments != NULL) {
        PyErr_SetObject(PyExc_OSError, arguments);
        Py_DECREF(arguments);
    }
    return NULL;
}

/* Convert a uid or gid; -1 is allowed only where `keep` says so. */
static int read_id(PyObject *number, int keep, uint32_t *id)
{
    long long value = PyLong_AsLongLong(number);

    if (value == -1 && PyErr_Occurred())
        return -1;
    if (value < (keep ? -1 : 0) || value >= UINT32_MAX) {
        PyErr_SetString(PyExc_ValueError, "cannot enter the sandbox: an id is out of range");
        return -1;
    }
    *id = (uint32_t)value;
    return 0;
}

/* Memory for an array of as many entries as the list has, or NULL with an exception set. */
static void *array_for(PyObject *list, size_t entry_size)
{
    Py_ssize_t count = PyList_GET_SIZE(list);

    if (count > LIST_MAX) {
        PyErr_SetString(PyExc_ValueError, "cannot enter the sandbox: a list is too long");
        return NULL;
    }
    void *array = PyMem_Calloc((size_t)count + 1, entry_size);
    return array == NULL ? PyErr_NoMemory() : array;
}

static gid_t *read_groups(PyObject *list)
{
    gid_t *groups = array_for(list, sizeof(*groups));

    for (Py_ssize_t i = 0; groups != NULL && i < PyList_GET_SIZE(list); i++) {
        if (read_id(PyList_GET_ITEM(list, i), 0, &groups[i]) < 0) {
            PyMem_Free(groups);
            return NULL;
        }
    }
    return groups;
}

/* The names stay the property of the list, which outlives the call. */
static const char **read_names(PyObject *list)
{
    const char **names = array_for(list, sizeof(*names));

    for (Py_ssize_t i = 0; names != NULL && i < PyList_GET_SIZE(list); i++) {
        Py_ssize_t length = 0;

        names[i] = PyUnicode_AsUTF8AndSize(PyList_GET_ITEM(list, i), &length);
        if (names[i] != NULL && strlen(names[i]) != (size_t)length)
            PyErr_SetString(PyExc_ValueError, "cannot enter the sandbox: a text holds NUL");
        if (PyErr_Occurred()) {
            PyMem_Free(names);
            return NULL;
        }
    }
    return names;
}

/* `names`: the system calls to allow for the card process; the folders to write in for the verifier. */
static void take_names(struct sandbox_order *order, PyObject *list, const char *const *names)
{
    size_t count = (size_t)PyList_GET_SIZE(list);

    if (order->kind == SANDBOX_CARD || order->kind == SANDBOX_WATCHER) {
        order->allow = names;
        order->allow_count = count;
    } else {
        order->writable = names;
        order->writable_count = count;
    }
}

static PyObject *enter(enum sandbox_kind kind, PyObject *uid, PyObject *gid, PyObject *groups, PyObject *names)
{
    struct sandbox_order order = {.kind = kind};
    gid_t *group_array = read_groups(groups);
    const char **name_array = NULL;
    PyObject *result = NULL;
    const char *failed;

    if (group_array == NULL || read_id(uid, 1, &order.uid) < 0 || read_id(gid, 1, &order.gid) < 0)
        goto out;
    order.groups = group_array;
    order.group_count = (size_t)PyList_GET_SIZE(groups);
    if (names != NULL) {
        name_array = read_names(names);
        if (name_array == NULL)
            goto out;
        take_names(&order, names, name_array);
    }
    failed = enter_sandbox(&order);
    result = failed == NULL ? Py_NewRef(Py_None) : raise_step(failed);
out:
    PyMem_Free(group_array);
    PyMem_Free((void *)name_array);
    return result;
}

static PyObject *drop_and_confine_verifier(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *uid, *gid, *groups, *writable;

    if (!PyArg_ParseTuple(arguments, "O!O!O!O!", &PyLong_Type, &uid, &PyLong_Type, &gid, &PyList_Type, &groups,
                          &PyList_Type, &writable))
        return NULL;
    return enter(SANDBOX_VERIFIER, uid, gid, groups, writable);
}

static PyObject *drop_and_confine_network(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *uid, *gid, *groups;

    if (!PyArg_ParseTuple(arguments, "O!O!O!", &PyLong_Type, &uid, &PyLong_Type, &gid, &PyList_Type, &groups))
        return NULL;
    return enter(SANDBOX_NETWORK, uid, gid, groups, NULL);
}

/* A program runs other programs, signals and limits its own, and may ask a network. All else stays denied to it. */
static PyObject *drop_and_confine_programs(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *uid, *gid, *groups;

    if (!PyArg_ParseTuple(arguments, "O!O!O!", &PyLong_Type, &uid, &PyLong_Type, &gid, &PyList_Type, &groups))
        return NULL;
    return enter(SANDBOX_PROGRAMS, uid, gid, groups, NULL);
}

/* For a program between fork and exec: the way of the filter is behind us, and a fork clears the setting. */
static PyObject *program_dies_with(PyObject *Py_UNUSED(self), PyObject *parent)
{
    long pid = PyLong_AsLong(parent);

    if (pid == -1 && PyErr_Occurred())
        return NULL;
    return die_with_parent((pid_t)pid) < 0 ? PyErr_SetFromErrno(PyExc_OSError) : Py_NewRef(Py_None);
}

static PyObject *drop_and_confine_card(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *uid, *gid, *groups, *allow;

    if (!PyArg_ParseTuple(arguments, "O!O!O!O!", &PyLong_Type, &uid, &PyLong_Type, &gid, &PyList_Type, &groups,
                          &PyList_Type, &allow))
        return NULL;
    return enter(SANDBOX_CARD, uid, gid, groups, allow);
}

static PyObject *drop_and_confine_watcher(PyObject *Py_UNUSED(self), PyObject *arguments)
{
    PyObject *uid, *gid, *groups, *allow;

    if (!PyArg_ParseTuple(arguments, "O!O!O!O!", &PyLong_Type, &uid, &PyLong_Type, &gid, &PyList_Type, &groups,
                          &PyList_Type, &allow))
        return NULL;
    return enter(SANDBOX_WATCHER, uid, gid, groups, allow);
}

static PyMethodDef methods[] = {
    {"drop_and_confine_verifier", drop_and_confine_verifier, METH_VARARGS,
     "drop_and_confine_verifier(uid, gid, groups, writable): enter the verifier's sandbox for good."},
    {"drop_and_confine_watcher", drop_and_confine_watcher, METH_VARARGS,
     "drop_and_confine_watcher(uid, gid, groups, allow): the same without a limit of CPU time."},
    {"drop_and_confine_network", drop_and_confine_network, METH_VARARGS,
     "drop_and_confine_network(uid, gid, groups): enter the network process's sandbox for good."},
    {"drop_and_confine_card", drop_and_confine_card, METH_VARARGS,
     "drop_and_confine_card(uid, gid, groups, allow): enter the card process's sandbox for good."},
    {"drop_and_confine_programs", drop_and_confine_programs, METH_VARARGS,
     "drop_and_confine_programs(uid, gid, groups): enter the sandbox of the program runner and its programs for good."},
    {"program_dies_with", program_dies_with, METH_O, "program_dies_with(pid): this process dies with its parent, pid."},
    {"look_up_name", pam_sc_look_up_name, METH_O,
     "look_up_name(name): (name, uid, GECOS) of the account, None if there is none; OSError if that cannot be said."},
    {"look_up_uid", pam_sc_look_up_uid, METH_O, "look_up_uid(uid): the same by number."},
    {"look_up_group", pam_sc_look_up_group, METH_O,
     "look_up_group(name): (name, gid, [member]) of the group, None if there is none; OSError if that cannot be said."},
    {"list_accounts", pam_sc_list_accounts, METH_O,
     "list_accounts(most): [(name, uid, GECOS)] of all accounts; OSError if there are more, or that cannot be said."},
    {NULL, NULL, 0, NULL},
};

/* CPython's interface wants these two writable; nothing of ours is kept in them. */
static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_pam_sc", .m_doc = "The way into the sandbox.", .m_size = 0, .m_methods = methods,
};

PyMODINIT_FUNC PyInit__pam_sc(void)
{
    return PyModule_Create(&module);
}
