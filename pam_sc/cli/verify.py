# SPDX-License-Identifier: LGPL-2.1-or-later
"""`pam-sc verify`: is a certificate trusted, by the very code of a login, with everything given on the command line."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping
from typing import Any

import click
from cryptography import x509

from pam_sc.cli.output import complain, print_json, print_line
from pam_sc.cli.verification import Question, Verification, verify_certificate
from pam_sc.decision.policy import (
    ANY_POLICY,
    Algorithms,
    PathInputs,
    Policy,
    RevocationMode,
    RevocationRules,
    RevocationSource,
)
from pam_sc.errors import PamScError

VERIFY_EXIT_CODES = "Exit codes: 0 trusted; 1 refused; 2 everything else."

_PLACES = ("anchors", "intermediates", "crls", "cert")
_FLAGS = ("explicit_policy", "inhibit_policy_mapping", "inhibit_any_policy")
_BATCH_KEYS = frozenset({"id", *_PLACES, *_FLAGS, "policies", "at_time", "eku", "no_revocation"})


@click.command(epilog=VERIFY_EXIT_CODES, short_help="Judge a certificate without a card.")
@click.option("--cert", metavar="FILE", help="The certificate.")
@click.option("--anchors", metavar="DIR", help="The trust anchors, a folder or a file.")
@click.option("--intermediates", metavar="DIR", help="Further certificates of authorities.")
@click.option("--crls", metavar="DIR", help="The CRLs. None at all does not mean that revocation is not looked at.")
@click.option("--policy", "policies", metavar="OID", multiple=True, help="A certificate policy that is acceptable.")
@click.option("--explicit-policy", is_flag=True, help="The path must be valid for an acceptable policy.")
@click.option("--inhibit-policy-mapping", is_flag=True, help="Policy mappings do not count.")
@click.option("--inhibit-any-policy", is_flag=True, help="anyPolicy does not count.")
@click.option("--at-time", metavar="TIME", help="Judge at this time, ISO 8601, UTC unless it says otherwise [now].")
@click.option("--eku", metavar="OID", multiple=True, help="An acceptable extended key usage [those of a login].")
@click.option("--no-revocation", is_flag=True, help="Do not look at revocation: --mode off.")
@click.option("--mode", type=click.Choice([each.value for each in RevocationMode]), default="require",
              show_default=True, help="How strictly revocation must be known.")
@click.option("--algorithms", type=click.Choice([each.value for each in Algorithms]), default="current",
              show_default=True, help="Which keys and signatures count. With `any`, for test vectors, so does a "
              "certificate of an authority or with a key of a kind that no login knows.")
@click.option("--no-strict", is_flag=True, help="Accept authorities that do not keep to every rule of RFC 5280.")
@click.option("--partial-paths", is_flag=True, help="An anchor need not be issued by itself.")
@click.option("--batch", is_flag=True, help="Read a JSON list of certificates on stdin, write one of verdicts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def verify(*, batch: bool, as_json: bool, **given: Any) -> int:
    """Say whether a certificate is trusted: the steps of a login from the certificate itself to its revocation.

    It is the code of a login, without a configuration, a card, the network or the store: only what is named here
    counts. A login demands that its files belong to root; here they may belong to anybody. PEM and DER are read.
    """
    return _verify_batch(given) if batch else _verify_one(given, as_json=as_json)


def _verify_one(given: Mapping[str, Any], *, as_json: bool) -> int:
    found = _verified(_question(given))
    if as_json:
        print_json(_as_json(found))
        return 0 if found.failure is None else 1
    for problem in found.problems:
        complain(f"not used: {problem}")
    if found.failure is None:
        print_line(f"trusted: {' <- '.join(found.path)}")
        return 0
    print_line(f"refused: {found.failure.reason.value}: {found.failure.detail}")
    return 1


def _verified(question: Question) -> Verification:
    """Return the verdict. Here even a defect is only an error: exit code 1 is for refusals, 2 for all else."""
    try:
        return verify_certificate(question)
    except PamScError:
        raise
    except Exception as error:
        raise PamScError(f"internal error: {type(error).__name__}: {error}") from error


def _as_json(found: Verification) -> dict[str, Any]:
    failure = found.failure
    return {
        "trusted": failure is None,
        "reason": None if failure is None else failure.reason.value,
        "detail": None if failure is None else failure.detail,
        "path": list(found.path),
        "revocation": [
            {"subject": each.subject, "situation": each.situation.value, "detail": each.detail}
            for each in found.revocation
        ],
        "problems": list(found.problems),
    }


# ---------------------------------------------------------------- many


def _verify_batch(given: Mapping[str, Any]) -> int:
    if any(given[place] is not None for place in _PLACES):
        raise click.UsageError("--batch takes --anchors, --intermediates, --crls and --cert from stdin")
    try:
        entries = json.load(sys.stdin)
    except ValueError as error:
        raise PamScError(f"cannot read the batch: {error}") from error
    if not isinstance(entries, list):
        raise PamScError(f"cannot read the batch: got {type(entries).__name__}, expected a list")
    answers = [_answer(entry, given) for entry in entries]
    click.echo(json.dumps(answers, ensure_ascii=True))
    return 2 if any(answer["trusted"] is None for answer in answers) else 0


def _answer(entry: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict on one entry; `trusted` is None where a single certificate would end with exit code 2."""
    name = entry.get("id") if isinstance(entry, dict) else None
    try:
        found = _verified(_question(_merged(entry, given)))
    except (PamScError, click.UsageError) as error:
        return {"id": name, "trusted": None, "reason": str(error)}
    if found.failure is None:
        return {"id": name, "trusted": True}
    return {"id": name, "trusted": False, "reason": found.failure.reason.value, "detail": found.failure.detail}


def _merged(entry: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options of the command line with what one entry says; PamScError if that is not understood."""
    if not isinstance(entry, dict) or not entry.keys() <= _BATCH_KEYS:
        raise PamScError(f"cannot read an entry: expected a table with keys of {', '.join(sorted(_BATCH_KEYS))}")
    merged = {**given, **{key: value for key, value in entry.items() if key != "id"}}
    for key in ("policies", "eku"):
        merged[key] = [merged[key]] if isinstance(merged[key], str) else merged[key]
        if not isinstance(merged[key], list | tuple) or not all(isinstance(each, str) for each in merged[key]):
            raise PamScError(f"cannot read an entry: expected {key!r} to be a list of object identifiers")
    for key, kind in {**dict.fromkeys((*_PLACES, "at_time"), str), **dict.fromkeys((*_FLAGS, "no_revocation"), bool)}.items():
        if merged[key] is not None and not isinstance(merged[key], kind):
            raise PamScError(f"cannot read an entry: expected {key!r} to be a {kind.__name__}")
    return merged


# ---------------------------------------------------------------- what is asked


def _question(given: Mapping[str, Any]) -> Question:
    for place in ("cert", "anchors"):
        if given[place] is None:
            raise click.UsageError(f"--{place} is missing")
    return Question(
        certificate=given["cert"],
        anchors=given["anchors"],
        intermediates=given["intermediates"],
        crls=given["crls"],
        policy=_policy(given),
        at=_time(given["at_time"]),
    )


def _policy(given: Mapping[str, Any]) -> Policy:
    algorithms = Algorithms(given["algorithms"])
    mode = RevocationMode.OFF if given["no_revocation"] else RevocationMode(given["mode"])
    inputs = PathInputs(
        policies=_oids("policy", given["policies"]) or frozenset({ANY_POLICY}),
        explicit_policy=given["explicit_policy"],
        inhibit_policy_mapping=given["inhibit_policy_mapping"],
        inhibit_any_policy=given["inhibit_any_policy"],
        strict=not given["no_strict"],
        partial=given["partial_paths"],
        purposes=_oids("eku", given["eku"]) or None,
        any_leaf=algorithms is Algorithms.ANY,
    )
    rules = RevocationRules(mode=mode, sources=(RevocationSource.CRL,))
    return Policy(algorithms=algorithms, path=inputs, revocation=rules)


def _oids(option: str, texts: tuple[str, ...]) -> frozenset[str]:
    try:
        return frozenset(x509.ObjectIdentifier(text).dotted_string for text in texts)
    except ValueError as error:
        raise click.UsageError(f"--{option}: got {list(texts)!r}, expected object identifiers, dotted") from error


def _time(text: str | None) -> datetime.datetime:
    if text is None:
        return datetime.datetime.now(datetime.UTC)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--at-time: got {text!r}, expected ISO 8601") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=datetime.UTC)
