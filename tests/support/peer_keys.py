# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every key and argument that the translator of pam_pkcs11.conf asks for, read from its own source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pam_sc.config.pam_pkcs11 as translator
from pam_sc.config.pam_pkcs11 import OUR_KEYS
from pam_sc.config.pam_pkcs11_arguments import LINES
from pam_sc.config.pam_pkcs11_module import OUR_KEYS as MODULE_KEYS

_ONE_KEY = {"word", "words", "flag", "number", "has"}
_KEY_SECOND = {"take_word", "take_words", "_path"}


def known_keys() -> frozenset[str]:
    """The keys of blocks."""
    folder = Path(translator.__file__).parent
    found = {key for path in folder.glob("pam_pkcs11*.py") for key in _keys_in(ast.parse(path.read_text()))}
    return frozenset(found) | OUR_KEYS.keys() | MODULE_KEYS.keys()


def known_arguments() -> frozenset[str]:
    """The words of the PAM line."""
    return frozenset(LINES)


def _keys_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _asked_by(node)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "OUR_KEYS" and isinstance(node.value, ast.Dict):
            yield from _texts(node.value.keys)


def _asked_by(call: ast.Call) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    of_section = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "section"
    if of_section and name in _ONE_KEY:
        yield from _texts(call.args[:1])
    elif of_section and name == "dead":
        yield from _texts(call.args[1:])
    elif name in _KEY_SECOND:
        yield from _texts(call.args[1:2])


def _texts(nodes: list[ast.expr | None] | list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
