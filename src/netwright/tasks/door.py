"""The public functions of the package as Python calls them; `netwright` looks them up here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netwright.core.events import Listener
from netwright.tasks import training
from netwright.tasks.running import Trained
from netwright.tasks.settings import resolve


def train(
    data: str | Path,
    *,
    model: str | None = None,
    config: str | Path | None = None,
    run_dir: str | Path | None = None,
    listeners: Sequence[Listener] = (),
    **settings: Any,
) -> Trained:
    """Train a network on images and leave a run folder, as `netwright train` does.

    `data`: `digits`, `shapes`, a folder, a table, idx files, or `file.py:factory`. `model`: a
    registered name or a factory; without it the recipe for the data decides. `settings` are
    those of the command line with `__` for the dot: `epochs=5, optim__lr=0.05`. `listeners`
    are called with each event of `netwright.core.events`.

    Returns a `Trained` with `.run`, `.status`, `.best`. Raises subclasses of `NetwrightError`.
    """
    resolved = resolve(
        data=str(data),
        model=model,
        config=str(config) if config is not None else None,
        settings=settings,
    )
    return training.train(
        resolved,
        run_dir=Path(run_dir) if run_dir is not None else None,
        listeners=listeners,
    )
