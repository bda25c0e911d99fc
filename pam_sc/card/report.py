# SPDX-License-Identifier: LGPL-2.1-or-later
"""Everything that one module shows, slot by slot. One bad slot or token never hides the others; a crash hides all."""

from __future__ import annotations

from collections.abc import Mapping

from pam_sc.card.absence import why_no_token
from pam_sc.card.ckr import TokenError
from pam_sc.card.constants import CKF_REMOVABLE_DEVICE, CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT
from pam_sc.card.module import Module
from pam_sc.card.text import clean, clean_text
from pam_sc.card.token import read_token
from pam_sc.decision.card_report import Failure, ModuleReport, SlotReport, TokenRef, TokenReport
from pam_sc.decision.reasons import Reason
from pam_sc.record import replace


def unusable_module(index: int, path: str, environment: Mapping[str, str], why: str) -> ModuleReport:
    """Report a module that could not be loaded: hidden files before its own cause."""
    failure = why_no_token(path, environment, any_slot=True) or Failure(Reason.MODULE_UNUSABLE, clean_text(why))
    return ModuleReport(index=index, path=path, failure=failure)


def read_module(module: Module, index: int, path: str, environment: Mapping[str, str]) -> ModuleReport:
    """Report what a loaded module shows."""
    report = ModuleReport(index=index, path=path)
    try:
        info = module.info()
        report = replace(report, description=clean(info.description), manufacturer=clean(info.manufacturer),
                         version=info.version)
        slot_ids = module.slots()
    except TokenError as error:
        return replace(report, failure=Failure(Reason.MODULE_UNUSABLE, clean_text(str(error))))
    slots = tuple(_read_slot(module, TokenRef(index, slot_id)) for slot_id in slot_ids)
    usable = any(slot.token is not None for slot in slots)
    failure = None if usable else why_no_token(path, environment, any_slot=bool(slots))
    module.drain_events()
    return replace(report, slots=slots, failure=failure)


def _read_slot(module: Module, ref: TokenRef) -> SlotReport:
    report = SlotReport(slot_id=ref.slot_id)
    try:
        info = module.slot_info(ref.slot_id)
        report = replace(report, description=clean(info.description), manufacturer=clean(info.manufacturer),
                         removable=bool(info.flags & CKF_REMOVABLE_DEVICE),
                         occupied=bool(info.flags & CKF_TOKEN_PRESENT))
        if info.flags & CKF_TOKEN_PRESENT:
            report = replace(report, token=_token_of(module, ref))
    except TokenError as error:
        report = replace(report, failure=Failure(Reason.TOKEN_UNREADABLE, clean_text(str(error))))
    return report


def _token_of(module: Module, ref: TokenRef) -> TokenReport | None:
    info = module.token_info(ref.slot_id)
    return read_token(module, info, ref) if info.flags & CKF_TOKEN_INITIALIZED else None
