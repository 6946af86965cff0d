"""The account of a repair in the run folder: `repair.json`, the outcome of each finding, and the
report with both."""

from __future__ import annotations

import contextlib
import dataclasses
import json

from netwright.core.atomic import write_bytes, write_json
from netwright.core.errors import NetwrightError
from netwright.core.languages import Phrase
from netwright.records.findings import Finding
from netwright.tasks.repair.account import Attempt, Repaired


def write_so_far(repaired: Repaired) -> None:
    """Write what is known before the end, should it never come."""
    assert repaired.done.run is not None
    write_json(repaired.done.run / "repair.json", repaired.to_json())


def write_interrupted(repaired: Repaired) -> None:
    """The account of a repair that is ended before its end, and the state of its run."""
    from netwright.train.run_folder import RunFolder

    assert repaired.done.run is not None
    with contextlib.suppress(NetwrightError):  # somebody else has the folder open
        folder = RunFolder.open(repaired.done.run)
        folder.write_info(status="interrupted", why="interrupted")
        folder.close()
    write_account(repaired)


def write_account(repaired: Repaired) -> tuple[tuple[int, Finding], ...]:
    """Write it, and give the findings with what a repair of each came to."""
    from netwright.records.run import Run
    from netwright.report.page import write_report

    folder = repaired.done.run
    assert folder is not None
    findings = tuple(
        (number, dataclasses.replace(each, outcome=_outcome(each, repaired)))
        for number, each in repaired.done.findings
    )
    lines = [
        json.dumps({**each.to_json(), "patient": number}, ensure_ascii=False)
        for number, each in findings
    ]
    write_bytes(
        folder / "findings.jsonl",
        "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"),
    )
    write_json(folder / "repair.json", repaired.to_json())
    write_report(Run(folder))
    return findings


def _outcome(finding: Finding, repaired: Repaired) -> Phrase | None:
    attempts = [each for each in repaired.table if finding.name in each.findings]
    if not attempts:
        return None
    kept = [each for each in attempts if each.kept is not None or each.carried]
    if not kept:
        return Phrase("tried, and no patch was better: {what}", what=_tried(attempts[-1]))
    if repaired.status == "interrupted":
        return Phrase("tried, and not held to the end: {what}", what=_tried(kept[-1]))
    if not repaired.repaired:
        return Phrase("tried, and did not stay better to the end: {what}", what=_tried(kept[-1]))
    return Phrase("repaired: {what}", what=_tried(kept[-1]))


def _tried(attempt: Attempt) -> Phrase:
    row = attempt.kept or attempt.rows[1]
    return row.says
