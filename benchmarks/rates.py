"""Does the rate that `netwright lr-range` suggests train better than a tenth of it, or ten times?

    python benchmarks/rates.py            # a few minutes on one core
    python benchmarks/rates.py --quick    # one network and one seed; prints, keeps nothing

Each network is tested on the digits with each seed; then it is trained at a constant rate for a
few epochs, at a tenth of the suggestion, the suggestion, and ten times it. One line a cell goes
into `rates.jsonl`; started again, the benchmark goes on after the last. The table is written to
`rates.md`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import netwright as nw
from cells import Cells, machine
from netwright.core.errors import DivergedError
from netwright.tasks.recipe_range import range_of_recipe
from netwright.tasks.settings import resolve

HERE = Path(__file__).resolve().parent
FACTORS = (0.1, 1.0, 10.0)
EPOCHS = 3

NETWORKS: Mapping[str, Mapping[str, Any]] = {
    "mlp, AdamW": {"model": "mlp"},
    "mlp, SGD": {"model": "mlp", "optim": "sgd"},
    "lenet5 at 28x28, AdamW": {"model": "lenet5", "data__size": 28},
    "resnet20, AdamW": {"model": "resnet20"},
    "resnet20 of the recipe, SGD": {"run__ema": None},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one network and one seed")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="forget the lines measured before")
    given = parser.parse_args()
    torch.set_num_threads(1)
    setup = {**machine(), "torch": version("torch"), "netwright": version("netwright")}
    names = list(NETWORKS)[:1] if given.quick else list(NETWORKS)
    with tempfile.TemporaryDirectory() as scratch:
        kept = Path(scratch) if given.quick else HERE
        cells = Cells(kept / "rates.jsonl", setup, fresh=given.fresh)
        for name in names:
            for seed in range(1 if given.quick else given.seeds):
                cell = f"{name}, seed {seed}"
                if cell not in cells:
                    cells.add(cell, measured(name, seed))
                    print(f"{cell}: {json.dumps(cells.found[cell])}", flush=True)
        table = table_of(cells.found, setup)
        (kept / "rates.md").write_text(table)
        print(table)


def measured(name: str, seed: int) -> dict[str, Any]:
    """The suggestion, and the validation accuracy in percent at each multiple of it."""
    chosen = {**NETWORKS[name], "seed": seed, "device": "cpu"}
    found = range_of_recipe(resolve(data="digits", settings=chosen, environ={}))
    assert name.lower().endswith(f", {found.optimizer}"), found.optimizer
    if found.suggestion is None:
        return {"suggestion": None, "why": found.why}
    reached = [_accuracy(chosen, found.suggestion * factor) for factor in FACTORS]
    return {"suggestion": found.suggestion, "why": found.why, "accuracy": reached}


def _accuracy(settings: Mapping[str, Any], rate: float) -> float | None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            trained = nw.train(
                "digits",
                run_dir=Path(folder) / "run",
                **settings,
                optim__lr=rate,
                sched="constant",
                epochs=EPOCHS,
                run__select="last",
            )
        except DivergedError:
            return None
    return 100 * trained.best["value"]


def table_of(found: Mapping[str, Mapping[str, Any]], setup: Mapping[str, Any]) -> str:
    lines = [
        "# The suggested learning rate, beside a tenth and ten times of it",
        "",
        f"{setup['processor']}, one thread; Python {setup['python']}, torch {setup['torch']}, "
        f"Netwright {setup['netwright']}. Written by `benchmarks/rates.py`. Digits, validation "
        f"accuracy in percent after {EPOCHS} epochs at a constant rate.",
        "",
        "| network | suggested | at a tenth | at the suggestion | at ten times |",
        "|---|---:|---:|---:|---:|",
    ]
    for cell, line in found.items():
        if line["suggestion"] is None:
            lines.append(f"| {cell} | none: {line['why']} | | | |")
            continue
        low, right, high = (
            "diverged" if each is None else f"{each:.1f}" for each in line["accuracy"]
        )
        lines.append(f"| {cell} | {line['suggestion']:g} | {low} | **{right}** | {high} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
