# SPDX-License-Identifier: LGPL-2.1-or-later
"""authorized_keys, line by line: keys as ssh-keygen has them, options by the rules of sshd(8), and nothing guessed."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from pam_sc.authorized_keys import (
    KEY_TYPES,
    OTHER_TYPES,
    AuthorizedKey,
    Option,
    UnusableLine,
    find_key,
    key_blob,
    read_authorized_keys,
)
from tests.support.keys import shared_key


def spki(kind: str, nth: int = 0) -> bytes:
    return shared_key(kind, nth).public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def blob_of(kind: str) -> bytes:
    found = key_blob(spki(kind))
    assert found is not None
    return found[1]


BLOB = blob_of("ed25519")
TEXT = base64.b64encode(BLOB).decode()
LINE = f"ssh-ed25519 {TEXT}"


def lines(text: str | bytes) -> list[AuthorizedKey | UnusableLine]:
    return list(read_authorized_keys(text if isinstance(text, bytes) else text.encode()))


def line(text: str) -> AuthorizedKey:
    (found,) = lines(text)
    assert isinstance(found, AuthorizedKey), found
    return found


def why(text: str | bytes) -> str:
    (found,) = lines(text)
    assert isinstance(found, UnusableLine), found
    return found.why


def options(text: str) -> tuple[Option, ...]:
    return line(f"{text} {LINE}").options


# Keys


@pytest.mark.parametrize("kind", ["rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519"])
def test_key_is_the_one_that_ssh_keygen_names(kind: str, tmp_path: Path) -> None:
    found = key_blob(spki(kind))
    assert found is not None
    path = tmp_path / "key.pub"
    path.write_text(f"{found[0]} {base64.b64encode(found[1]).decode()} comment\n")
    told = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True).stdout.split()
    assert told[1] == "SHA256:" + base64.b64encode(hashlib.sha256(found[1]).digest()).decode().rstrip("=")


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 2048), ("ecdsa", 256), ("ecdsa", 384), ("ecdsa", 521), ("ed25519", 256)])
def test_key_that_ssh_keygen_made_is_read_and_is_the_same_in_both_forms(kind: str, bits: int, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-f", tmp_path / "key"], check=True)
    public = serialization.load_ssh_public_key((tmp_path / "key.pub").read_bytes())
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    found = line((tmp_path / "key.pub").read_text())
    assert (found.type, found.blob) == key_blob(der)


@pytest.mark.parametrize("kind", ["secp256k1", "p224", "ed448"])
def test_kinds_of_keys_that_ssh_does_not_have_are_none(kind: str) -> None:
    assert key_blob(spki(kind)) is None


@pytest.mark.parametrize("der", [b"", b"\x30\x00", spki("ed25519")[:-1], spki("ed25519") + b"\0"])
def test_a_malformed_public_key_is_none(der: bytes) -> None:
    assert key_blob(der) is None


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_kinds_of_keys_that_no_card_has_are_said_to_be_none(kind: str) -> None:
    assert why(f"{kind} {TEXT}") == f"a key of type {kind} is none that a certificate on a card has"
    assert why(f"restrict {kind} {TEXT}") == f"a key of type {kind} is none that a certificate on a card has"


@pytest.mark.parametrize(
    "text",
    [
        f"ssh-rsa {TEXT}", "ssh-ed25519", "ssh-ed25519 ", f"ssh-ed25519 {TEXT[:-4]}!{TEXT[-3:]}",
        f"ssh-ed25519 {TEXT}=", f"ssh-ed25519 {TEXT[:8]} {TEXT[8:]}", "ssh-ed25519 AAAA", "ssh-ed25519 AAAAC3NzaC1l",
        "ssh-ed25519 AAAA\u00c9AAA",
    ],
)  # fmt: skip
def test_what_is_no_key_of_its_type_is_unusable(text: str) -> None:
    assert why(text) == f"what follows {text.split(' ')[0]} is no key of that type"


def test_base64_that_is_written_in_another_way_is_no_key() -> None:
    changed = base64.b64encode(BLOB + b"\0").decode()
    other = changed.rstrip("=")[:-1] + chr(ord(changed.rstrip("=")[-1]) + 1) + "=" * changed.count("=")
    assert base64.b64decode(other) == base64.b64decode(changed)  # the bits that are left over differ
    assert why(f"ssh-ed25519 {other}") == "what follows ssh-ed25519 is no key of that type"


def test_nul_makes_a_line_unusable() -> None:
    assert why(f"{LINE} a\0b") == "it holds a NUL"


@pytest.mark.parametrize("text", ["", "\n\n", "# comment", "  # comment", f"#{LINE}", " \t\n", "\r\n"])
def test_comments_and_empty_lines_are_nothing(text: str) -> None:
    assert lines(text) == []


@pytest.mark.parametrize("text", [LINE, f"  \t{LINE}", f"{LINE} a comment", f"{LINE}\tx", f"{LINE}\r", f"ssh-ed25519 \t {TEXT}"])
def test_space_and_comment_around_a_key_do_not_matter(text: str) -> None:
    assert line(text) == AuthorizedKey(1, "ssh-ed25519", BLOB, ())


def test_lines_are_counted_with_those_that_are_nothing() -> None:
    assert [each.line for each in lines(f"# first\n{LINE}\n\nnonsense\n{LINE}")] == [2, 4, 5]


# Options


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("restrict", [("restrict", None)]),
        ("No-PTY,restrict", [("no-pty", None), ("restrict", None)]),
        ('command="a b,c"', [("command", "a b,c")]),
        (r'command="say \"hello, you\"",no-pty', [("command", 'say "hello, you"'), ("no-pty", None)]),
        (r'command="a\\b"', [("command", r"a\\b")]),
        ('from=""', [("from", "")]),
        ('environment="A=b",environment="C=d"', [("environment", "A=b"), ("environment", "C=d")]),
        ('zos-key-ring-label="X/Y"', [("zos-key-ring-label", "X/Y")]),
    ],
)
def test_options_are_read_by_the_rules_of_sshd(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert options(text) == tuple(Option(*each) for each in expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("restrict,", "a name is missing"),
        (",restrict", "a name is missing"),
        ("a,,b", "a name is missing"),
        ('"quoted"', "a name is missing"),
        ("command=plain", "command has no value in quotes"),
        ("command=", "command has no value in quotes"),
        ('command="a"b', "command is not followed by a comma"),
        ("a;b", "a is not followed by a comma"),
        ("\u00e9", "a name is missing"),
    ],
)
def test_malformed_options_make_the_line_unusable(text: str, expected: str) -> None:
    assert why(f"{text} {LINE}") == f"its options are malformed: {expected}"


def test_a_quote_that_does_not_end_takes_the_key_with_it() -> None:
    assert why(f'command="true {LINE}') == "its options are malformed: command has no value in quotes"


def test_a_word_that_is_neither_options_nor_a_type_is_unusable() -> None:
    assert why("restrict restrict") == "it has no type of key that is known"
    assert why(f"SSH-ED25519 {TEXT}") == "it has no type of key that is known"


@given(st.text(alphabet=st.characters(exclude_characters="\0\n\r", exclude_categories=["Cs"])))
def test_any_value_in_quotes_comes_back_as_it_was(value: str) -> None:
    text = value.replace("\\", "/")
    escaped = text.replace('"', '\\"')
    assert options(f'command="{escaped}",no-pty') == (Option("command", text), Option("no-pty"))


@given(st.lists(st.sampled_from(["restrict", "no-pty", 'from="a,b"', 'command="x y"']), min_size=1))
def test_options_are_all_found_and_in_their_order(parts: list[str]) -> None:
    assert [each.name for each in options(",".join(parts))] == [part.partition("=")[0] for part in parts]


# Any bytes


@given(st.binary())
def test_any_bytes_are_read_to_their_end(content: bytes) -> None:
    for each in read_authorized_keys(content):
        assert isinstance(each, AuthorizedKey | UnusableLine)


WORDS = [*KEY_TYPES, *OTHER_TYPES, TEXT, " ", "\t", ",", '"', "\\", "=", "\n", "\r", "#", "command", "\0"]


@given(st.lists(st.sampled_from(WORDS)))
def test_any_order_of_its_words_is_read_and_finding_agrees_with_reading(parts: list[str]) -> None:
    content = "".join(parts).encode()
    found = [each for each in read_authorized_keys(content) if isinstance(each, AuthorizedKey)]
    assert list(find_key(content, BLOB)) == [each for each in found if each.blob == BLOB]


# Finding


def test_every_line_with_the_key_is_found_and_no_other() -> None:
    other = f"ssh-rsa {base64.b64encode(blob_of('rsa2048')).decode()}"
    content = f"{other}\n{LINE}\n# {LINE}\nrestrict {LINE}\n{other} {TEXT}\n".encode()
    assert [each.line for each in find_key(content, BLOB)] == [2, 4]


def test_a_key_that_begins_with_the_wanted_one_is_not_found() -> None:
    longer = base64.b64encode(BLOB + b"abc").decode()
    assert find_key(f"ssh-ed25519 {longer}".encode(), BLOB) == ()
