# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc check-config`: what a configuration decides, what is wrong with it, and which rules of DISA's it meets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from pam_sc.cli.checking import Checked
from pam_sc.cli.machine import Machine
from pam_sc.cli.output import EXIT_CODES, Row, print_json, print_rows, reporting
from pam_sc.config.finding import Finding, Weight
from pam_sc.config.in_words import Sentence, in_words, service_in_words
from pam_sc.config.stig import StigAnswer
from pam_sc.errors import PamScError

WIDTHS = (12,)
_MET = {True: "met", False: "not met"}


@click.command(epilog=EXIT_CODES, short_help="Explain and check the configuration and the PAM stacks.")
@click.argument("file", required=False)
@reporting
@click.pass_obj
def check_config(machine: Machine, file: str | None, config_path: str | None, as_json: bool) -> int:
    """Say what the configuration FILE decides, and check it, what it names and every PAM stack that names pam_sc.so.

    FILE is ours (*.toml), pam_pkcs11's or that of one of its event managers (*.conf).
    """
    if file and config_path and file != config_path:
        raise click.UsageError("two configuration files are named: FILE and --config")
    try:
        checked = machine.check(file or config_path)
    except PamScError as error:
        if not as_json:
            raise
        checked = Checked(source=file or config_path or "", configuration=None,
                          findings=(Finding(Weight.ERROR, "configuration", str(error)),))  # fmt: skip
    if as_json:
        print_json(_as_json(checked))
    else:
        print_rows(list(_rows(checked)), WIDTHS)
    return {"error": 2, "warning": 1}.get(_worst(checked.findings), 0)


# ---------------------------------------------------------------- for people


def _rows(checked: Checked) -> Iterator[Row]:
    """The policy, the findings, the rules; each under its heading."""
    yield Row((), f"What {checked.source} decides:")
    for sentence in _sentences(checked):
        yield Row((sentence.topic,), sentence.text, indent=2)
    for service, sentences in _service_sentences(checked).items():
        yield Row((), f"What is otherwise in {service}:")
        yield from (Row((sentence.topic,), sentence.text, indent=2) for sentence in sentences)
    yield Row((), "What is to be said about it:")
    for finding in checked.findings:
        yield Row((finding.severity.value,), _finding_text(finding, checked.source), indent=2)
    if not checked.findings:
        yield Row(("clean",), indent=2)
    if checked.stig:
        yield Row((), "DISA's rules for card logins (Ubuntu 20.04, 22.04, 24.04):")
    for answer in checked.stig:
        yield Row((_MET[answer.met],), _stig_text(answer, checked.source), indent=2)


def _sentences(checked: Checked) -> tuple[Sentence, ...]:
    if checked.sentences is not None:
        return checked.sentences
    if checked.configuration is None:
        return (Sentence("login", "It cannot be used: every login with a card fails."),)
    return in_words(checked.configuration)


def _service_sentences(checked: Checked) -> dict[str, tuple[Sentence, ...]]:
    whole = checked.configuration
    if whole is None:
        return {}
    return {service: service_in_words(whole, service, own) for service, own in sorted(checked.services.items())}


def _finding_text(finding: Finding, source: str) -> str:
    if finding.text.startswith(f"{source}:"):  # an error that says itself where
        return finding.text
    place = _place(source, finding.line)
    where = finding.where if place is None else f"{place}: {finding.where}"
    kind = f" ({finding.kind.value})" if finding.kind is not None else ""
    return f"{where}{kind}: {finding.text}"


def _stig_text(answer: StigAnswer, source: str) -> str:
    by = _place(source, answer.line)
    return f"{answer.demand.value}: {', '.join(answer.rules)}; {f'{by}: ' if by else ''}{answer.text}"


def _place(source: str, line: int | None) -> str | None:
    return None if line is None else f"{source}:{line}"


# ---------------------------------------------------------------- for programs


def _as_json(checked: Checked) -> dict[str, Any]:
    return {
        "source": checked.source,
        "policy": [_sentence_json(each) for each in _sentences(checked)],
        "services": {
            service: [_sentence_json(each) for each in sentences]
            for service, sentences in _service_sentences(checked).items()
        },
        "findings": [_finding_json(finding) for finding in checked.findings],
        "stig": [_stig_json(answer) for answer in checked.stig],
        "verdict": _worst(checked.findings),
    }


def _sentence_json(sentence: Sentence) -> dict[str, str]:
    return {"topic": sentence.topic, "text": sentence.text}


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "where": finding.where,
        "line": finding.line,
        "kind": finding.kind.value if finding.kind is not None else None,
        "text": finding.text,
    }


def _stig_json(answer: StigAnswer) -> dict[str, Any]:
    return {
        "demand": answer.demand.name.lower(),
        "rules": list(answer.rules),
        "met": answer.met,
        "line": answer.line,
        "text": answer.text,
    }


def _worst(findings: Iterable[Finding]) -> str:
    weights = {finding.severity for finding in findings}
    for weight in (Weight.ERROR, Weight.WARNING, Weight.NOTE):
        if weight in weights:
            return str(weight.value)
    return "clean"
