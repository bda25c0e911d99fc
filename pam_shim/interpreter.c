/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Embeds CPython in the verifier, the card process and the network process. The interpreter reads no environment
 * variable, no configuration file of its own and no directory but three: the standard library, its extension modules, and the
 * site-packages that this executable lies in. It never prints, never writes bytecode and never finalizes.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interpreter.h"
#include "sandbox_module.h"
#include "trusted_path.h"
#include "worker.h"

/* Cut the last `count` components off a canonical path; false if it has not so many. */
static bool cut_components(char *path, int count)
{
    while (count-- > 0) {
        char *slash = strrchr(path, '/');

        if (slash == NULL || slash == path)
            return false;
        *slash = '\0';
    }
    return true;
}

bool find_installation(struct installation *found)
{
    ssize_t length = readlink("/proc/self/exe", found->worker, sizeof(found->worker) - 1);
    Dl_info info = {0};

    if (length <= 0 || (size_t)length >= sizeof(found->worker) - 1)
        return false;
    found->worker[length] = '\0';
    /* .../site-packages/pam_sc/native/pam_sc_worker */
    memcpy(found->site_packages, found->worker, (size_t)length + 1);
    if (!cut_components(found->site_packages, 3))
        return false;
    if (dladdr((void *)(uintptr_t)&Py_InitializeFromConfig, &info) == 0 || info.dli_fname == NULL)
        return false;
    return realpath(info.dli_fname, found->libpython) != NULL && realpath(PAM_SC_STDLIB, found->stdlib) != NULL &&
           realpath(PAM_SC_DYNLOAD, found->dynload) != NULL;
}

bool trusted_installation(const struct installation *found, uid_t other)
{
    return trusted_path(found->worker, other) && trusted_path(found->libpython, other) &&
           trusted_path(found->stdlib, other) && trusted_path(found->dynload, other) &&
           trusted_path(found->site_packages, other);
}

static PyStatus add_search_path(PyConfig *config, const char *path)
{
    wchar_t *wide = Py_DecodeLocale(path, NULL);
    PyStatus status;

    if (wide == NULL)
        return PyStatus_NoMemory();
    status = PyWideStringList_Append(&config->module_search_paths, wide);
    PyMem_RawFree(wide);
    return status;
}

static PyStatus set_search_paths(PyConfig *config, const struct installation *found)
{
    const char *const paths[] = {found->stdlib, found->dynload, found->site_packages};
    PyStatus status = PyStatus_Ok();

    config->module_search_paths_set = 1;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !PyStatus_Exception(status); i++)
        status = add_search_path(config, paths[i]);
    return status;
}

/* Every path that CPython would else go looking for is given, so that it finds no pyvenv.cfg and no ._pth file. */
static PyStatus set_own_paths(PyConfig *config, const struct installation *found)
{
    wchar_t **const fields[] = {&config->program_name, &config->executable, &config->base_executable};
    wchar_t **const prefixes[] = {&config->home,        &config->prefix,           &config->base_prefix,
                                  &config->exec_prefix, &config->base_exec_prefix, &config->stdlib_dir};
    PyStatus status = PyStatus_Ok();

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && !PyStatus_Exception(status); i++)
        status = PyConfig_SetBytesString(config, fields[i], found->worker);
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]) && !PyStatus_Exception(status); i++)
        status = PyConfig_SetBytesString(config, prefixes[i], found->stdlib);
    return status;
}

static PyStatus initialize(const struct installation *found)
{
    PyPreConfig preconfig;
    PyConfig config;
    PyStatus status;

    PyPreConfig_InitIsolatedConfig(&preconfig);
    preconfig.utf8_mode = 1;
    status = Py_PreInitialize(&preconfig);
    if (PyStatus_Exception(status))
        return status;
    PyConfig_InitIsolatedConfig(&config);
    config.site_import = 0;
    config.write_bytecode = 0;
    config.install_signal_handlers = 0;
    config.pathconfig_warnings = 0;
    config.parse_argv = 0;
    status = set_own_paths(&config, found);
    if (!PyStatus_Exception(status))
        status = set_search_paths(&config, found);
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    return status;
}

/* Import the module, call its main(), and return what it says, or EXIT_CRASHED if it says anything but 0 to 255. */
static int call_main(const char *module_name)
{
    PyObject *module = NULL;
    PyObject *result = NULL;
    long status = -1;

    module = PyImport_ImportModule(module_name);
    if (module != NULL)
        result = PyObject_CallMethod(module, "main", NULL);
    if (result != NULL && PyLong_CheckExact(result))
        status = PyLong_AsLong(result);
    Py_XDECREF(result);
    Py_XDECREF(module);
    return status >= 0 && status <= 255 ? (int)status : EXIT_CRASHED;
}

void run_python(const struct installation *found, const char *module)
{
    /* A peer that is gone is an error of send(), not the end of the process. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || PyImport_AppendInittab("_pam_sc", PyInit__pam_sc) < 0)
        _exit(EXIT_CRASHED);
    if (PyStatus_Exception(initialize(found)))
        _exit(EXIT_CRASHED);
    /* Each process lives for one login; what they leave behind goes with them. */
    (void)PyGC_Disable();
    _exit(call_main(module));
}
