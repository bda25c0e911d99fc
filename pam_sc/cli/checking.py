# SPDX-License-Identifier: LGPL-2.1-or-later
"""For `pam-sc check-config`: read a configuration as a login would, and gather everything there is to say about it.

What a login would refuse is an error here too. Nothing is written, nothing is fetched, no card is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from pam_sc.cli.authorities import check_authorities
from pam_sc.config.finding import Finding, Weight
from pam_sc.config.lint import lint
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.model import Configuration
from pam_sc.config.schema import KeyPath
from pam_sc.config.stig import StigAnswer, stig_of
from pam_sc.config.toml import load
from pam_sc.config.where import nearest_line, parse_dotted
from pam_sc.errors import PamScError
from pam_sc.material import load_material
from pam_sc.record import record, replace

_MISSING = " does not exist"
_TEXT_MAX = 256 * 1024


@record(kw_only=True)
class Checked:
    """Everything there is to say. Without a configuration it cannot be used, and the findings say why."""

    source: str
    configuration: Configuration | None
    findings: tuple[Finding, ...] = ()
    stig: tuple[StigAnswer, ...] = ()


def check_file(path: str, trusted_uids: frozenset[int], pam_folder: str) -> Checked:
    """Check the configuration at `path` (absolute), what it names and the stacks that use it; PamScError if unusable."""
    configuration = load(path, trusted_uids)
    text = _text_of(path)

    def line_of(at: KeyPath) -> int | None:
        return nearest_line(text, at)

    findings = check_configuration(configuration, trusted_uids, pam_folder)
    return Checked(
        source=path,
        configuration=configuration,
        findings=tuple(_with_line(finding, text) for finding in findings),
        stig=stig_of(configuration, line_of),
    )


def check_configuration(configuration: Configuration, trusted_uids: frozenset[int], pam_folder: str) -> list[Finding]:
    """Return what is wrong with a configuration that could be read, wherever it came from."""
    advice = lint(configuration, privileged=os.geteuid() == 0, owners=trusted_uids)
    return [
        *_without_missing(_check_material(configuration, trusted_uids), advice),
        *check_authorities(configuration, trusted_uids),
        *_check_for_root(configuration),
        *advice,
        *check_stack(pam_folder, configuration),
    ]


def _with_line(finding: Finding, text: str) -> Finding:
    path = parse_dotted(finding.where)
    return finding if path is None else replace(finding, line=nearest_line(text, path))


def _text_of(path: str) -> str:
    """The text again, for the lines alone; empty where it cannot be read any more."""
    try:
        with open(path, encoding="utf-8") as opened:
            return opened.read(_TEXT_MAX)
    except (OSError, UnicodeDecodeError):
        return ""


def _check_material(configuration: Configuration, trusted_uids: frozenset[int]) -> Iterator[Finding]:
    """Read what a login would read: anchors, CRLs, mappers and their files."""
    try:
        material = load_material(configuration, trusted_uids)
    except PamScError as error:
        yield Finding(Weight.ERROR, configuration.source, str(error))
        return
    for problem in material.problems:
        yield Finding(Weight.WARNING, configuration.source, problem)


def _without_missing(findings: Iterable[Finding], advice: Iterable[Finding]) -> Iterator[Finding]:
    """Leave out what only says once more that a file does not exist."""
    missing = [repr(each.text.removesuffix(_MISSING)) for each in advice if each.text.endswith(_MISSING)]
    return (finding for finding in findings if not any(path in finding.text for path in missing))


def _check_for_root(configuration: Configuration) -> Iterator[Finding]:
    """Say where a file of this caller's is good enough for its own programs but not for privileged ones."""
    if os.getuid() == 0:
        return
    try:
        load_material(load(configuration.source, frozenset({0})), frozenset({0}))
    except PamScError as error:
        yield Finding(Weight.NOTE, configuration.source, f"privileged programs such as sudo refuse it: {error}")
