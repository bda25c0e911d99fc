# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every near miss of a good configuration, each differing in one thing, with its whole message."""

from __future__ import annotations

from pathlib import Path

import pytest

from pam_sc.config.toml import load
from pam_sc.errors import ConfigError
from tests.unit.config.files import MINIMAL, TRUSTED, WHOLE, refusal

REFUSALS = {
    "an unknown key at the top": (
        'card = "required"',
        'crad = "required"',
        (
            "FILE:1: crad: found an unknown key, expected one of account, card, certificate, log, mapper, monitor, pin, prompt,"
            " revocation, service, texts, token, trust, unlock, wait;"
            " did you mean 'card'?"
        ),
    ),
    "an unknown key in a table": (
        "run_as",
        "run_sa",
        "FILE:8: token.run_sa: found an unknown key, expected one of login_first, module, run_as, select; did you mean 'run_as'?",
    ),
    "an unknown key that looks like none": (
        "run_as",
        "colour",
        "FILE:8: token.colour: found an unknown key, expected one of login_first, module, run_as, select",
    ),
    "an unknown key of a module": (
        "allow = [",
        "alow = [",
        (
            "FILE:5: token.module[0].alow: found an unknown key, expected one of allow, environment, path;"
            " did you mean 'allow'?"
        ),
    ),
    "an unknown table": (
        "[pin]",
        "[pni]",
        (
            "FILE:20: pni: found an unknown key, expected one of account, card, certificate, log, mapper, monitor, pin, prompt,"
            " revocation, service, texts, token, trust, unlock, wait;"
            " did you mean 'pin'?"
        ),
    ),
    "a word that is no choice": (
        '"require"',
        '"requir"',
        (
            "FILE:13: revocation.mode: found 'requir', expected one of require, named, prefer, off;"
            " did you mean 'require'?"
        ),
    ),
    "a boolean where a word belongs": (
        'remote = "allow"',
        "remote = true",
        'FILE:19: account.remote: found true (a boolean), expected "refuse" or "allow"',
    ),
    "an integer where a boolean belongs": (
        "allow_root = true",
        "allow_root = 1",
        "FILE:16: account.allow_root: found 1 (an integer), expected true or false",
    ),
    "a word where a boolean belongs": (
        "allow_last_try = true",
        'allow_last_try = "yes"',
        "FILE:21: pin.allow_last_try: found 'yes', expected true or false",
    ),
    "a string where an array belongs": (
        'services = ["login", "sudo"]',
        'services = "login"',
        "FILE:18: account.services: found 'login', expected an array of at least one name of a PAM service",
    ),
    "an array of the wrong thing": (
        'services = ["login", "sudo"]',
        'services = ["login", 5]',
        "FILE:18: account.services[1]: found 5 (an integer), expected the name of a PAM service, in lower case",
    ),
    "an allow-list of services that is empty": (
        'services = ["login", "sudo"]',
        "services = []",
        "FILE:18: account.services: found an empty array, expected an array of at least one name of a PAM service",
    ),
    "a service that libpam would never ask for": (
        'card_names_user = ["login"]',
        'card_names_user = ["Login"]',
        (
            "FILE:17: account.card_names_user[0]: found 'Login' (no PAM service can have this name),"
            " expected the name of a PAM service, in lower case"
        ),
    ),
    "a relative path": (
        '"/etc/pam_sc/crls"',
        '"crls"',
        "FILE:14: revocation.crls: found 'crls' (not absolute), expected the absolute path of a file or folder of CRLs",
    ),
    "a path with two dots": (
        '"/etc/pam_sc/crls"',
        '"/etc/pam_sc/../crls"',
        (
            'FILE:14: revocation.crls: found \'/etc/pam_sc/../crls\' (not in its plain form: no "..", no ".",'
            " no repeated slash), expected the absolute path of a file or folder of CRLs"
        ),
    ),
    "a path with a control character": (
        '"/etc/pam_sc/crls"',
        '"/etc/\\u0000crls"',
        (
            "FILE:14: revocation.crls: found '/etc/\\x00crls' (it holds a character that cannot be printed),"
            " expected the absolute path of a file or folder of CRLs"
        ),
    ),
    "no anchors": (
        'anchors = "/etc/pam_sc/anchors"',
        "",
        "FILE:9: trust.anchors: found nothing, expected the absolute path of a file or folder of trust anchors",
    ),
    "anchors that are an array": (
        'anchors = "/etc/pam_sc/anchors"',
        "anchors = []",
        (
            "FILE:10: trust.anchors: found an empty array,"
            " expected the absolute path of a file or folder of trust anchors"
        ),
    ),
    "a variable that steers the loader": (
        "SOFTHSM2_CONF",
        "LD_PRELOAD",
        (
            "FILE:4: token.module[0].environment.LD_PRELOAD: found 'LD_PRELOAD' (it would change which code the card"
            " process runs), expected a variable that belongs to the PKCS#11 module"
        ),
    ),
    "a variable that steers the interpreter": (
        "SOFTHSM2_CONF",
        "PYTHONPATH",
        (
            "FILE:4: token.module[0].environment.PYTHONPATH: found 'PYTHONPATH' (it would change which code the card"
            " process runs), expected a variable that belongs to the PKCS#11 module"
        ),
    ),
    "a variable whose name is none": (
        "SOFTHSM2_CONF",
        '"A=B"',
        (
            "FILE:4: token.module[0].environment.'A=B': found 'A=B' (no environment variable has this name),"
            " expected a variable that belongs to the PKCS#11 module"
        ),
    ),
    "a variable whose value is no string, which is not shown": (
        '"/etc/softhsm/softhsm2.conf"',
        "123456",
        "FILE:4: token.module[0].environment.SOFTHSM2_CONF: found an integer, expected a string",
    ),
    "a system call that has no such name": (
        '"getpeername"',
        '"get peer"',
        (
            "FILE:5: token.module[0].allow[0]: found 'get peer' (no system call has this name),"
            " expected the name of a system call"
        ),
    ),
    "the card process as root": (
        '"readers"',
        '"root"',
        (
            "FILE:8: token.run_as: found 'root', expected an account of its own for the card process, such as"
            " 'pam_sc_card'"
        ),
    ),
    "the card process as the verifier": (
        '"readers"',
        '"pam_sc"',
        (
            "FILE:8: token.run_as: found 'pam_sc', expected an account of its own for the card process, such as"
            " 'pam_sc_card'"
        ),
    ),
    "an account that can be none": (
        '"readers"',
        '"a:b"',
        "FILE:8: token.run_as: found 'a:b' (no account can have this name), expected the name of an account",
    ),
    "a mapper without a name": (
        'name = "cn"',
        "",
        "FILE:22: mapper[0].name: found nothing, expected the name of a mapper",
    ),
    "a mapper that is no array": (
        "[[mapper]]",
        "[mapper]",
        "FILE:22: mapper: found a non-empty table, expected at least one [[mapper]] with its name",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_near_miss_is_refused_with_line_key_found_and_expected(file: Path, module: Path, case: str) -> None:
    right, wrong, message = REFUSALS[case]
    text = WHOLE.format(module=module)
    assert text.count(right) == 1, "the case must change exactly one thing"
    assert refusal(file, text.replace(right, wrong)) == message


def test_no_module_is_refused(file: Path) -> None:
    text = '[token]\nrun_as = "x"\n[trust]' + MINIMAL.split("[trust]")[1]
    assert refusal(file, text) == (
        "FILE:1: token.module: found nothing, expected at least one [[token.module]] with its path"
    )


def test_a_module_without_a_path_is_refused(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module).replace(f'path = "{module}"\n', "")
    assert refusal(file, text) == (
        "FILE:1: token.module[0].path: found nothing, expected the absolute path of a PKCS#11 module"
    )


def test_no_mapper_is_refused(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module).split("[[mapper]]")[0]
    assert refusal(file, text) == "FILE: mapper: found nothing, expected at least one [[mapper]] with its name"


def test_an_empty_mapper_list_is_refused(file: Path, module: Path) -> None:
    text = "mapper = []\n" + MINIMAL.format(module=module).split("[[mapper]]")[0]
    assert refusal(file, text) == "FILE:1: mapper: found an empty array, expected at least one [[mapper]] with its name"


def test_an_empty_file_is_refused(file: Path) -> None:
    assert refusal(file, "") == (
        "FILE: token.module: found nothing, expected at least one [[token.module]] with its path"
    )


def test_a_select_that_is_no_uri_is_refused_with_the_cause(file: Path, module: Path) -> None:
    message = refusal(file, WHOLE.format(module=module).replace("pkcs11:token=login", "token=login"))
    assert message == (
        "FILE:7: token.select: found a string (cannot use the PKCS#11 URI 'token=login' in [token] select: expected it"
        " to begin with 'pkcs11:'), expected a PKCS#11 URI (RFC 7512) such as pkcs11:token=login, or"
        ' { label = "..." }'
    )


def test_a_pin_in_the_uri_is_refused_and_not_shown(file: Path, module: Path) -> None:
    message = refusal(file, WHOLE.format(module=module).replace("token=login", "token=login?pin-value=24680"))
    assert "pin-value is never read" in message
    assert "24680" not in message


def test_two_modules_that_set_a_variable_differently_are_refused(file: Path, module: Path) -> None:
    one = f'[[token.module]]\npath = "{module}"\nenvironment = {{ CONF = "/a" }}\n'
    text = one + one.replace("/a", "/b") + "[trust]" + MINIMAL.split("[trust]")[1]
    assert refusal(file, text) == (
        "FILE:6: token.module[1].environment.CONF: found another value, expected the same value as in"
        " token.module[0], because all modules share one process"
    )


def test_a_syntax_error_names_its_line(file: Path) -> None:
    message = refusal(file, "card = required\n")
    assert message.startswith("FILE: not TOML: ")
    assert message.endswith("(at line 1, column 8)")


def test_a_key_that_is_set_twice_is_refused(file: Path) -> None:
    message = refusal(file, 'card = "optional"\ncard = "required"\n')
    assert message.startswith("FILE: not TOML: ")
    assert "(at line 2, column" in message


def test_endless_nesting_is_refused(file: Path) -> None:
    assert refusal(file, "card = " + "[" * 50_000) == "FILE: not TOML: nested too deeply"


def test_an_endless_number_is_refused(file: Path) -> None:
    assert refusal(file, "card = 0x" + "f" * 20_000) == (
        'FILE:1: card: found an integer too long to show, expected "optional" or "required"'
    )


def test_bytes_that_are_no_utf_8_are_refused(file: Path) -> None:
    file.write_bytes(b'card = "\xff"\n')
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=r":1: byte 8 is not UTF-8"):
        load(str(file), TRUSTED)
