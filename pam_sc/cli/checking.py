# SPDX-License-Identifier: LGPL-2.1-or-later
"""For `pam-sc check-config`: read a configuration as a login would, and gather everything there is to say about it.

What a login would refuse is an error here too. Nothing is written, nothing is fetched, no card is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from pam_sc.cli.authorities import check_authorities
from pam_sc.config.finding import Finding, Weight
from pam_sc.config.in_words import Sentence
from pam_sc.config.lint import lint
from pam_sc.config.lint_person import lint_service
from pam_sc.config.lint_stacks import check_stack
from pam_sc.config.loading import load, load_all
from pam_sc.config.model import DEFAULT_PATH, Configuration
from pam_sc.config.schema import KeyPath
from pam_sc.config.stig import StigAnswer, stig_of
from pam_sc.config.toml import Read, read_text
from pam_sc.config.where import nearest_line, parse_dotted
from pam_sc.errors import PamScError
from pam_sc.material import load_material
from pam_sc.preparation import plan_programs_of
from pam_sc.record import field, record, replace

_MISSING = " does not exist"
_TEXT_MAX = 256 * 1024


@record(kw_only=True)
class Checked:
    """Everything there is to say. Without a configuration it cannot be used, and the findings say why."""

    source: str
    configuration: Configuration | None
    """What holds where no table of a service says otherwise."""
    services: Mapping[str, Configuration] = field(default_factory=dict)
    """What holds for each service that has a table."""
    findings: tuple[Finding, ...] = ()
    stig: tuple[StigAnswer, ...] = ()
    sentences: tuple[Sentence, ...] | None = None
    """What a file decides that is no whole configuration."""


def check_file(path: str, trusted_uids: frozenset[int], pam_folder: str, own_path: str = DEFAULT_PATH) -> Checked:
    """Check the configuration at `path` (absolute), what it names and the stacks that use it.

    `own_path` is the configuration beside which the monitor reads a file of the peer's event managers.
    PamScError if it cannot be read at all, or is one of ours that cannot be used.
    """
    if path.endswith(".conf"):
        return _check_peer(path, trusted_uids, pam_folder, own_path)
    read = load_all(path, trusted_uids)
    text = _text_of(path)
    findings = check_configuration(read, trusted_uids, pam_folder)
    line_of = partial(nearest_line, text)
    return Checked(
        source=path,
        configuration=read.whole,
        services=read.services,
        findings=tuple(_with_line(finding, line_of) for finding in findings),
        stig=stig_of(read.whole, line_of),
    )


def _check_peer(path: str, trusted_uids: frozenset[int], pam_folder: str, own_path: str) -> Checked:
    """The same for a file in pam_pkcs11's format; all that is wrong with it is told, not only the first."""
    from pam_sc.config.eventmgr import is_eventmgr
    from pam_sc.config.pam_pkcs11 import translate
    from pam_sc.config.pam_pkcs11_file import configuration_of
    from pam_sc.config.pam_pkcs11_findings import findings_of, nearest_line_of, stig_of_text

    text = read_text(path, trusted_uids)
    if is_eventmgr(text, path):
        from pam_sc.cli.checking_eventmgr import check_eventmgr

        return check_eventmgr(text, path, trusted_uids, own_path)
    translation = translate(text, path)
    said = findings_of(translation.notes)
    stig = stig_of_text(text, path)
    try:
        read = configuration_of(translation, path, trusted_uids)
    except PamScError as error:
        more = () if translation.errors() else (Finding(Weight.ERROR, "configuration", str(error)),)
        return Checked(source=path, configuration=None, findings=(*said, *more), stig=stig)
    line_of = partial(nearest_line_of, translation.lines)
    findings = check_configuration(read, trusted_uids, pam_folder)
    return Checked(
        source=path,
        configuration=read.whole,
        services=read.services,
        findings=(*said, *(_with_line(finding, line_of) for finding in findings)),
        stig=stig,
    )


def check_configuration(read: Read, trusted_uids: frozenset[int], pam_folder: str) -> list[Finding]:
    """Return what is wrong with a configuration that could be read, wherever it came from."""
    whole = _check_one(read.whole, trusted_uids)
    return [
        *whole,
        *_check_for_root(read.whole),
        *_check_services(read, whole, trusted_uids),
        *check_stack(pam_folder, read),
    ]


def _check_one(configuration: Configuration, trusted_uids: frozenset[int]) -> list[Finding]:
    advice = _advice(configuration, trusted_uids)
    return [
        *_without_missing(_check_material(configuration, trusted_uids), advice),
        *_check_programs(configuration),
        *check_authorities(configuration, trusted_uids),
        *advice,
    ]


def _advice(configuration: Configuration, trusted_uids: frozenset[int]) -> tuple[Finding, ...]:
    return lint(configuration, privileged=os.geteuid() == 0, owners=trusted_uids)


def _files_of(configuration: Configuration) -> tuple[object, ...]:
    """What says which files a login reads."""
    return configuration.trust, configuration.revocation, configuration.mappers


def _check_services(read: Read, whole: Sequence[Finding], trusted_uids: frozenset[int]) -> Iterator[Finding]:
    """Yield what is to be said of the table of a service and not of the rest of the file."""
    for service, configuration in read.services.items():
        yield from lint_service(service, configuration)
        same = _files_of(configuration) == _files_of(read.whole)
        found = _advice(configuration, trusted_uids) if same else _check_one(configuration, trusted_uids)
        for finding in found:
            if finding not in whole:
                is_key = parse_dotted(finding.where) is not None
                yield replace(finding, where=f"service.{service}.{finding.where}" if is_key else finding.where)


def _with_line(finding: Finding, line_of: Callable[[KeyPath], int | None]) -> Finding:
    path = parse_dotted(finding.where)
    return finding if path is None else replace(finding, line=line_of(path))


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


def _check_programs(configuration: Configuration) -> Iterator[Finding]:
    """Find the account of the programs that mappers run."""
    try:
        plan_programs_of(configuration)
    except PamScError as error:
        yield Finding(Weight.ERROR, configuration.source, str(error))


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
