# SPDX-License-Identifier: LGPL-2.1-or-later
"""Which tokens a selector counts by their slot: by how its description begins, and by its place in the module's list."""

from __future__ import annotations

import pytest

from pam_sc.decision.card_report import ModuleReport, SlotReport, TokenRef, TokenReport
from pam_sc.decision.policy import TokenSelector
from pam_sc.record import replace

TOKEN = TokenReport(ref=TokenRef(0, 7), label="login", manufacturer="m", model="m", serial="1")
EMPTY = SlotReport(slot_id=9, description="Reader 00")
SLOT = SlotReport(slot_id=7, description="Reader 01 (Example)", token=TOKEN)
MODULE = ModuleReport(index=0, path="/m.so", slots=(EMPTY, SLOT))


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (TokenSelector(text="", slot_description_prefix="Reader 01"), True),
        (TokenSelector(text="", slot_description_prefix="Reader 01 (Example)"), True),
        (TokenSelector(text="", slot_description_prefix="Reader 01 (Example) "), False),
        (TokenSelector(text="", slot_description_prefix="reader 01"), False),
        (TokenSelector(text="", slot_description_prefix="eader 01"), False),
        (TokenSelector(text="", slot_description_prefix="Reader 00"), False),
        (TokenSelector(text="", slot_number=2), True),
        (TokenSelector(text="", slot_number=1), False),
        (TokenSelector(text="", slot_number=3), False),
        (TokenSelector(text="", slot_number=7), False),
        (TokenSelector(text="", slot_number=2, slot_description_prefix="Reader"), True),
        (TokenSelector(text="", slot_number=2, slot_description_prefix="Other"), False),
        (TokenSelector(text="", slot_number=2, token="login"), True),
        (TokenSelector(text="", slot_number=2, token="other"), False),
    ],
)
def test_a_token_is_selected_by_its_slot(selector: TokenSelector, expected: bool) -> None:
    assert selector.selects(MODULE, SLOT, TOKEN) is expected


def test_the_number_counts_every_slot_of_the_module_in_its_own_order() -> None:
    selector = TokenSelector(text="", slot_number=1)
    assert selector.selects(replace(MODULE, slots=(SLOT, EMPTY)), SLOT, TOKEN)
    assert not selector.selects(MODULE, SLOT, TOKEN)
