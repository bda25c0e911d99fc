# SPDX-License-Identifier: LGPL-2.1-or-later
"""The configuration file: what is accepted, and beside it every near miss with its whole message."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pam_sc.config.model import Configuration
from pam_sc.config.toml import MAX_BYTES, load
from pam_sc.decision.policy import RevocationMode
from pam_sc.errors import ConfigError

MINIMAL = """\
[[token.module]]
path = "{module}"
[trust]
anchors = "/etc/pam_sc/anchors"
[[mapper]]
name = "cn"
"""

WHOLE = """\
card = "required"
[[token.module]]
path = "{module}"
environment = {{ SOFTHSM2_CONF = "/etc/softhsm/softhsm2.conf" }}
allow = ["getpeername"]
[token]
select = "pkcs11:token=login"
run_as = "readers"
[trust]
anchors = "/etc/pam_sc/anchors"
intermediates = "/etc/pam_sc/intermediates"
[revocation]
mode = "require"
crls = "/etc/pam_sc/crls"
[account]
allow_root = true
card_names_user = ["login"]
services = ["login", "sudo"]
remote = "allow"
[pin]
allow_last_try = true
[[mapper]]
name = "cn"
mapfile = "/etc/pam_sc/cn_map"
ignore_case = true
"""

TRUSTED = frozenset({0, os.getuid()})


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "module.so"
    path.write_bytes(b"")
    path.chmod(0o644)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pam_sc.toml"


def load_text(file: Path, text: str) -> Configuration:
    file.write_text(text)
    file.chmod(0o644)
    return load(str(file), TRUSTED)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_text(file, text)
    return str(caught.value).replace(str(file), "FILE")


# ---------------------------------------------------------------- what is accepted


def test_the_smallest_configuration_has_the_strict_defaults(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module))
    assert read.source == str(file)
    assert read.token.modules[0].path == str(module)
    assert read.token.modules[0].environment == {}
    assert read.token.modules[0].allow == ()
    assert (read.token.select, read.token.run_as) == (None, "pam_sc_card")
    assert (read.trust.anchors, read.trust.intermediates) == ("/etc/pam_sc/anchors", None)
    assert (read.revocation.mode, read.revocation.crls) == (RevocationMode.NAMED, None)
    assert (read.account.allow_root, read.account.remote_allowed, read.account.services) == (False, False, None)
    assert read.account.card_names_user == {"login", "gdm-smartcard"}
    assert not read.pin.allow_last_try
    assert not read.card_required
    assert [(mapper.name, mapper.table) for mapper in read.mappers] == [("cn", {})]


def test_every_option_reaches_its_place(file: Path, module: Path) -> None:
    read = load_text(file, WHOLE.format(module=module))
    assert read.card_required
    assert read.token.modules[0].environment == {"SOFTHSM2_CONF": "/etc/softhsm/softhsm2.conf"}
    assert read.token.modules[0].allow == ("getpeername",)
    assert read.token.select is not None
    assert read.token.select.token == "login"
    assert read.token.run_as == "readers"
    assert read.trust.intermediates == "/etc/pam_sc/intermediates"
    assert (read.revocation.mode, read.revocation.crls) == (RevocationMode.REQUIRE, "/etc/pam_sc/crls")
    assert read.account.allow_root
    assert read.account.card_names_user == {"login"}
    assert read.account.services == {"login", "sudo"}
    assert read.account.remote_allowed
    assert read.pin.allow_last_try
    assert read.mappers[0].table == {"mapfile": "/etc/pam_sc/cn_map", "ignore_case": True}
    assert read.mappers[0].where == f"{file}: mapper[0]"


def test_mappers_and_modules_keep_their_order(file: Path, module: Path) -> None:
    text = MINIMAL.format(module=module) + '[[mapper]]\nname = "other"\n'
    read = load_text(file, f'[[token.module]]\npath = "{module}"\nallow = ["fsync"]\n' + text)
    assert [mapper.name for mapper in read.mappers] == ["cn", "other"]
    assert [entry.allow for entry in read.token.modules] == [("fsync",), ()]


def test_the_card_may_be_forbidden_to_name_the_account_anywhere(file: Path, module: Path) -> None:
    read = load_text(file, MINIMAL.format(module=module) + "[account]\ncard_names_user = []\n")
    assert read.account.card_names_user == frozenset()


def test_two_modules_may_share_a_variable_of_one_value(file: Path, module: Path) -> None:
    one = f'[[token.module]]\npath = "{module}"\nenvironment = {{ CONF = "/a" }}\n'
    assert len(load_text(file, one + one + "[trust]" + MINIMAL.split("[trust]")[1]).token.modules) == 2


# ---------------------------------------------------------------- what is refused, each differing in one thing

REFUSALS = {
    "an unknown key at the top": (
        'card = "required"',
        'crad = "required"',
        (
            "FILE:1: crad: found an unknown key, expected one of account, card, mapper, pin, revocation, token, trust;"
            " did you mean 'card'?"
        ),
    ),
    "an unknown key in a table": (
        "run_as",
        "run_sa",
        "FILE:8: token.run_sa: found an unknown key, expected one of module, run_as, select; did you mean 'run_as'?",
    ),
    "an unknown key that looks like none": (
        "run_as",
        "colour",
        "FILE:8: token.colour: found an unknown key, expected one of module, run_as, select",
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
            "FILE:20: pni: found an unknown key, expected one of account, card, mapper, pin, revocation, token, trust;"
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
        " to begin with 'pkcs11:'), expected a PKCS#11 URI (RFC 7512) such as pkcs11:token=login"
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
    with pytest.raises(ConfigError, match="byte 8 is not UTF-8"):
        load(str(file), TRUSTED)


# ---------------------------------------------------------------- the file itself


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("pam_sc.toml", "cannot use the configuration 'pam_sc.toml': expected an absolute path"),
        ("", "cannot use the configuration '': expected an absolute path"),
        (
            "/etc/pam_pkcs11/pam_pkcs11.conf",
            (
                "cannot use the configuration '/etc/pam_pkcs11/pam_pkcs11.conf':"
                " *.conf is not read yet by this version, only *.toml"
            ),
        ),
        ("/etc/pam_sc/x.yaml", "cannot use the configuration '/etc/pam_sc/x.yaml': expected a name that ends in .toml"),
    ],
)
def test_a_file_of_another_name_is_not_even_opened(path: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(path, TRUSTED)
    assert str(caught.value) == message


def test_a_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(str(file), TRUSTED)
    assert str(caught.value) == f"cannot read the configuration: cannot read {str(file)!r}: No such file or directory"


def test_a_file_that_others_can_write_is_refused(file: Path, module: Path) -> None:
    file.write_text(MINIMAL.format(module=module))
    file.chmod(0o664)
    with pytest.raises(ConfigError) as caught:
        load(str(file), TRUSTED)
    assert f"cannot trust {str(file)!r}: found owner {os.getuid()} and mode 0664" in str(caught.value)


def test_a_file_of_somebody_else_is_refused(file: Path, module: Path) -> None:
    file.write_text(MINIMAL.format(module=module))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=f"found owner {os.getuid()}|found owner 0"):
        load(str(file), frozenset({54321}))


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    file.write_text("#" * (MAX_BYTES + 1))
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="larger than"):
        load(str(file), TRUSTED)


def test_a_module_that_is_missing_is_refused(file: Path, tmp_path: Path) -> None:
    message = refusal(file, MINIMAL.format(module=tmp_path / "none.so"))
    assert message == f"FILE: token.module[0].path: cannot read '{tmp_path}/none.so': No such file or directory"


def test_a_module_that_others_can_write_is_refused(file: Path, module: Path) -> None:
    module.chmod(0o646)
    message = refusal(file, MINIMAL.format(module=module))
    assert message.startswith(f"FILE: token.module[0].path: cannot trust '{module}': found owner")


def test_a_module_in_a_folder_that_others_can_write_is_refused(file: Path, module: Path, tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    inner = folder / "module.so"
    inner.write_bytes(module.read_bytes())
    inner.chmod(0o644)
    message = refusal(file, MINIMAL.format(module=inner))
    assert message.startswith(f"FILE: token.module[0].path: cannot trust '{folder}'")


# ---------------------------------------------------------------- anything at all

WORDS = st.sampled_from(
    [
        "card",
        "token",
        "module",
        "path",
        "environment",
        "allow",
        "select",
        "run_as",
        "trust",
        "anchors",
        "mapper",
        "name",
        "account",
        "services",
        "remote",
        "pin",
        "mode",
        "[",
        "]",
        "[[",
        "]]",
        "=",
        '"',
        "{",
        "}",
        ".",
        ",",
        "true",
        "1",
        "'''",
        '"""',
        "#",
        "required",
        "\\u0000",
        "1979-05-27",
        "/a/b",
        "\n",
    ]
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.lists(WORDS, max_size=40).map(" ".join) | st.text(max_size=200))
def test_no_text_raises_anything_but_a_configuration_error(file: Path, text: str) -> None:
    with pytest.raises(ConfigError):
        load_text_surrogates(file, text)


def load_text_surrogates(file: Path, text: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    file.chmod(0o644)
    load(str(file), TRUSTED)


OUTER = ["card", "token", "trust", "mapper", "account", "zz"]
INNER = ["path", "name", "module", "mode", "anchors", "environment", "x\n"]
JSON_LIKE = st.recursive(
    st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "/x", "cn", "required", "\x1b[2J"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(table=st.dictionaries(st.sampled_from(OUTER), JSON_LIKE, max_size=6))
def test_no_table_gets_through_the_schema_unnoticed_or_breaks_it(table: dict[str, object]) -> None:
    from pam_sc.config.keys import SCHEMA
    from pam_sc.config.schema import MismatchError

    found = ""
    try:
        SCHEMA.read(table, ())
    except MismatchError as mismatch:
        found = mismatch.found
    assert "\x1b" not in found
    assert found or {"token", "trust", "mapper"} <= set(table)
