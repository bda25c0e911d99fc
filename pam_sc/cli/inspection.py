# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `pam-sc inspect` tells: everything on the tokens, and of each certificate whether it would be accepted. Pure.

`inventory` gives plain values with stable keys (they are the JSON), `inventory_rows` writes the same for people. The
judgement is decide.py's: steps 4 to 7 as for a login in which the card names the account, then the account and the
state of the PIN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pam_sc.cli.output import Row
from pam_sc.cli.revocation_report import Values, path_lines
from pam_sc.cli.steps import Rehearsal, judge, path_of
from pam_sc.decision.admission import judge_account
from pam_sc.decision.attempt import judge_pin_state
from pam_sc.decision.card_report import CardReport, CertificateReport, Failure, ModuleReport, SlotReport, TokenReport
from pam_sc.decision.evidence import CertificateFacts, MappedAccounts, Unparsable
from pam_sc.decision.policy import Policy
from pam_sc.decision.reasons import REASONS, Reason
from pam_sc.decision.request import Account, AccountLookup
from pam_sc.decision.verdict import Denied
from pam_sc.record import record

PURPOSES = {
    "1.3.6.1.5.5.7.3.1": "serverAuth",
    "1.3.6.1.5.5.7.3.2": "clientAuth",
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
    "1.3.6.1.4.1.311.20.2.2": "smartcardLogon",
    "2.5.29.37.0": "anyExtendedKeyUsage",
}
"""Extended key usages by the names of RFC 5280 and, for logon, MS-PKCA."""


@record(kw_only=True)
class Inspection:
    """What was read and found out about every certificate, the rules, and what the mappers and accounts say."""

    rehearsal: Rehearsal
    """Run without a selection of tokens and without an account, so that nothing is left out."""
    policy: Policy
    """The rules as they are configured."""
    sees: Mapping[bytes, tuple[tuple[str, tuple[str, ...]], ...]]
    """By the SHA-256 of a certificate: each mapper's name and the values it looks at."""
    unusable: Mapping[bytes, tuple[str, ...]]
    """By the SHA-256 of a certificate: what in its subject no mapper may look at, and why."""
    accounts: Mapping[str, AccountLookup]
    """Every account that some certificate maps to, looked up."""
    problems: tuple[str, ...] = ()


def inventory(inspection: Inspection) -> Values:
    """Return everything that was found, as plain values for JSON. Keys are never renamed."""
    card = inspection.rehearsal.evidence.card
    return {
        "problems": list(inspection.problems),
        "failure": _failure(card if isinstance(card, Failure) else None),
        "modules": [_module(inspection, module) for module in card.modules] if isinstance(card, CardReport) else [],
    }


def any_accepted(found: Values) -> bool:
    """Say whether at least one certificate would be accepted."""
    return any(certificate["accepted"] for certificate in _certificates(found))


def _certificates(found: Values) -> Iterator[Values]:
    for module in found["modules"]:
        for slot in module["slots"]:
            yield from slot["token"]["certificates"] if slot["token"] else ()


def _failure(failure: Failure | Denied | None) -> Values | None:
    if failure is None:
        return None
    row = REASONS[failure.reason]
    return {"reason": failure.reason.value, "step": int(row.step), "detail": failure.detail, "hint": row.hint}


def _module(inspection: Inspection, module: ModuleReport) -> Values:
    return {
        "path": module.path,
        "description": module.description,
        "manufacturer": module.manufacturer,
        "version": module.version,
        "failure": _failure(module.failure),
        "slots": [_slot(inspection, module, slot) for slot in module.slots],
    }


def _slot(inspection: Inspection, module: ModuleReport, slot: SlotReport) -> Values:
    return {
        "id": slot.slot_id,
        "description": slot.description,
        "manufacturer": slot.manufacturer,
        "failure": _failure(slot.failure),
        "token": _token(inspection, module, slot, slot.token) if slot.token else None,
    }


def _token(inspection: Inspection, module: ModuleReport, slot: SlotReport, token: TokenReport) -> Values:
    select = inspection.policy.select
    selected = select is None or select.selects(module, slot, token)
    return {
        "label": token.label,
        "manufacturer": token.manufacturer,
        "model": token.model,
        "serial": token.serial,
        "selected": selected,
        "pin": {
            "state": token.pin_state.value,
            "login_required": token.login_required,
            "keypad": token.protected_authentication_path,
            "to_be_changed": token.to_be_changed,
            "min": token.pin_min,
            "max": token.pin_max,
        },
        "mechanisms": sorted(token.mechanisms),
        "failure": _failure(token.failure),
        "certificates": [_certificate(inspection, token, report, selected) for report in token.certificates],
    }


def _certificate(inspection: Inspection, token: TokenReport, report: CertificateReport, selected: bool) -> Values:
    known = inspection.rehearsal.evidence.about(report.ref)
    facts = known.facts if isinstance(known.facts, CertificateFacts) else None
    mapped = known.mapping.accounts if isinstance(known.mapping, MappedAccounts) else ()
    refused = _refusal(inspection, token, report, selected)
    return {
        "id": report.object_id.hex(),
        "label": report.label,
        "unparsable": known.facts.why if isinstance(known.facts, Unparsable) else None,
        **_facts(facts),
        "path": path_of(inspection.rehearsal, report.ref),
        "mappers": [
            {"name": name, "sees": list(values)}
            for name, values in (inspection.sees.get(facts.sha256, ()) if facts else ())
        ],
        "unusable": list(inspection.unusable.get(facts.sha256, ()) if facts else ()),
        "accounts": list(mapped),
        "accepted": refused is None,
        "accepted_for": [name for name in mapped if _usable(inspection, name)] if refused is None else [],
        "refusal": _failure(refused),
    }


def _facts(facts: CertificateFacts | None) -> Values:
    if facts is None:
        names = ("subject", "issuer", "serial", "not_before", "not_after", "key", "key_usage", "extended_key_usage")
        return dict.fromkeys((*names, "signature_hash", "sha256"))
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "serial": f"{facts.serial_number:x}",
        "not_before": facts.not_before.isoformat(),
        "not_after": facts.not_after.isoformat(),
        "key": facts.key_text,
        "key_usage": None if facts.key_usage is None else sorted(facts.key_usage),
        "extended_key_usage": None if facts.extended_key_usage is None else sorted(facts.extended_key_usage),
        "signature_hash": facts.signature_hash,
        "sha256": facts.sha256.hex(),
    }


# ---------------------------------------------------------------- would it be accepted


def _refusal(inspection: Inspection, token: TokenReport, report: CertificateReport, selected: bool) -> Denied | None:
    """Return why no login is possible with this certificate, as far as that shows without a PIN; None if one is."""
    if not selected and inspection.policy.select is not None:
        text = f"{inspection.policy.select.text} does not match this token"
        return Denied(Reason.TOKEN_NOT_SELECTED, text, report.ref)
    if report.failure is not None:
        return Denied(report.failure.reason, report.failure.detail, report.ref)
    judged = judge(inspection.rehearsal, report)
    if isinstance(judged, Denied):
        return judged
    mapping = inspection.rehearsal.evidence.about(report.ref).mapping
    if not isinstance(mapping, MappedAccounts):
        return Denied(Reason.INTERNAL_ERROR, "the certificate was not judged to the end", report.ref)
    refusals = [_account_refusal(inspection, name) for name in mapping.accounts]
    if all(refused is not None for refused in refusals):
        return next((refused for refused in refusals if refused), Denied(Reason.NOT_MAPPED, mapping.detail, report.ref))
    return judge_pin_state(token, inspection.policy, report.ref)


def _account_refusal(inspection: Inspection, name: str) -> Denied | None:
    lookup = inspection.accounts.get(name)
    judged = judge_account(lookup, name, inspection.policy) if lookup else Denied(Reason.MAPPED_ACCOUNT_UNKNOWN)
    if isinstance(judged, Account):
        return None
    unknown = judged.reason is Reason.ACCOUNT_UNKNOWN
    return Denied(Reason.MAPPED_ACCOUNT_UNKNOWN, f"there is no account {name!r}") if unknown else judged


def _usable(inspection: Inspection, name: str) -> bool:
    return _account_refusal(inspection, name) is None


# ---------------------------------------------------------------- the same for people


def inventory_rows(found: Values) -> list[Row]:
    """Write an inventory as an indented list."""
    rows = [Row(("problem",), problem) for problem in found["problems"]]
    if found["failure"]:
        rows += _failure_rows(found["failure"], 0)
    for module in found["modules"]:
        rows += _module_rows(module)
    return rows


def _module_rows(module: Values) -> Iterator[Row]:
    about = " ".join(part for part in (module["manufacturer"], module["description"], module["version"]) if part)
    yield Row(("module",), module["path"] + (f" ({about})" if about else ""))
    yield from _failure_rows(module["failure"], 2)
    for slot in module["slots"]:
        yield Row(("slot",), f"{slot['id']}  {slot['description']}", 2)
        yield from _failure_rows(slot["failure"], 4)
        if slot["token"]:
            yield from _token_rows(slot["token"])
        elif not slot["failure"]:
            yield Row(("empty",), "", 4)


def _failure_rows(failure: Values | None, indent: int) -> Iterator[Row]:
    if failure:
        yield Row(("refused",), failure["reason"] + (f": {failure['detail']}" if failure["detail"] else ""), indent)
        yield Row(("do this",), failure["hint"], indent)


def _token_rows(token: Values) -> Iterator[Row]:
    about = [f"{name} {token[name]}" for name in ("manufacturer", "model", "serial") if token[name]]
    label = f"'{token['label']}'" if token["label"] else "without label"
    not_selected = "" if token["selected"] else "; not selected by [token] select"
    yield Row(("token",), f"{label}: {', '.join(about)}{not_selected}", 4)
    yield Row(("PIN",), _pin_text(token["pin"]), 6)
    yield from _failure_rows(token["failure"], 6)
    for at, certificate in enumerate(token["certificates"], 1):
        yield Row(("certificate",), f"{at}  {certificate['subject'] or certificate['unparsable'] or 'not read'}", 6)
        yield from _certificate_rows(certificate)


def _pin_text(pin: Values) -> str:
    facts = [pin["state"], f"{pin['min']} to {pin['max']} characters"]
    facts += ["typed on the reader's keypad"] if pin["keypad"] else []
    facts += ["must be changed"] if pin["to_be_changed"] else []
    facts += [] if pin["login_required"] else ["not asked for by the token"]
    return ", ".join(facts)


def _certificate_rows(certificate: Values) -> Iterator[Row]:
    if certificate["subject"] is not None:
        yield Row(("issuer",), certificate["issuer"], 8)
        yield Row(("valid",), f"{certificate['not_before']} to {certificate['not_after']}", 8)
        yield Row(("key",), certificate["key"], 8)
        yield Row(("key usage",), _listed(certificate["key_usage"]), 8)
        yield Row(("purposes",), _listed(certificate["extended_key_usage"]), 8)
        yield Row(("sha256",), certificate["sha256"], 8)
    for member in certificate["path"]:
        yield from (Row(("revocation",), line, 8) for line in path_lines(member))
    for mapper in certificate["mappers"]:
        yield Row(("mapper",), f"{mapper['name']} sees {_listed(mapper['sees'])}", 8)
    yield from (Row(("unusable",), text, 8) for text in certificate["unusable"])
    if certificate["accounts"]:
        yield Row(("maps to",), ", ".join(certificate["accounts"]), 8)
    yield from _failure_rows(certificate["refusal"], 8)
    if certificate["accepted"]:
        yield Row(("accepted",), f"for {', '.join(certificate['accepted_for'])}, with the PIN", 8)


def _listed(values: list[str] | None) -> str:
    if values is None:
        return "any (the extension is absent)"
    return ", ".join(PURPOSES.get(value, value) for value in values) or "none"
