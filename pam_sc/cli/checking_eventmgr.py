# SPDX-License-Identifier: LGPL-2.1-or-later
"""For `pam-sc check-config`: what the file of one of the peer's event managers means for the monitor. Nothing is started."""

from __future__ import annotations

from pam_sc.cli.checking import Checked
from pam_sc.config.eventmgr import EventManager, translate_eventmgr
from pam_sc.config.eventmgr_file import read_table, with_module_note
from pam_sc.config.finding import Finding, Weight
from pam_sc.config.in_words import Sentence
from pam_sc.config.lint import known_as
from pam_sc.config.lint_monitor import lint_monitor
from pam_sc.config.loading import load
from pam_sc.config.monitor_in_words import policy_in_words
from pam_sc.config.monitoring import build_policy
from pam_sc.config.pam_pkcs11_findings import findings_of
from pam_sc.config.where import parse_dotted
from pam_sc.errors import PamScError
from pam_sc.record import replace

_NO_MODULES = "the monitor takes its PKCS#11 modules from a configuration of pam_sc, which cannot be used"
_UNUSABLE = "It cannot be used: the monitor does not start with it, and locks nothing."


def check_eventmgr(text: str, path: str, trusted_uids: frozenset[int], own_path: str) -> Checked:
    """Check such a file, and that the configuration beside which it is read has the module that it names."""
    found = translate_eventmgr(text, path)
    try:
        own = load(own_path, trusted_uids)
        found = with_module_note(found, [module.path for module in own.token.modules], own.source)
        said = findings_of(found.translation.notes)
    except PamScError as error:
        said = (*findings_of(found.translation.notes), Finding(Weight.WARNING, "pkcs11_module", f"{_NO_MODULES}: {error}"))
    unusable = Checked(source=path, configuration=None, findings=said, sentences=(Sentence("monitor", _UNUSABLE),))
    if found.translation.errors():
        return unusable
    try:
        table = read_table(found, path)
    except PamScError as error:
        return replace(unusable, findings=(*said, Finding(Weight.ERROR, "monitor", str(error))))
    policy = build_policy(table)
    advice = lint_monitor(policy, table, owners=trusted_uids, find_name=known_as)
    sentences = tuple(Sentence("monitor", text) for text in policy_in_words(policy))
    return replace(unusable, findings=(*said, *(_with_line(found, each) for each in advice)), sentences=sentences)


def _with_line(found: EventManager, finding: Finding) -> Finding:
    """The line of the key, or of what stands around it in its event."""
    path = parse_dotted(finding.where) or ()
    lines = (found.translation.lines.get(path[:length]) for length in range(len(path), 1, -1))
    return replace(finding, line=next((line for line in lines if line), None))
