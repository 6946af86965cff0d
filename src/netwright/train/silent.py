"""What stands for run folder and checkpoints in a rank that is not the first: it writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from netwright.train.checkpoints import Checkpoint


class Folder(Protocol):
    """What the trainer needs of a `RunFolder`."""

    @property
    def path(self) -> Path: ...
    def append_metrics(self, line: Mapping[str, Any]) -> None: ...
    def metrics_length(self) -> int: ...
    def cut_metrics(self, length: int) -> int: ...


class Saves(Protocol):
    """What the trainer needs of `Checkpoints`."""

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        best: bool = False,
    ) -> Path: ...
    def wait(self) -> None: ...
    def newest(self, at_most: int | None = None) -> Checkpoint | None: ...
    def forget_after(self, step: int) -> None: ...


class SilentFolder:
    """Knows where the first rank writes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append_metrics(self, line: Mapping[str, Any]) -> None:
        pass

    def metrics_length(self) -> int:
        return 0

    def cut_metrics(self, length: int) -> int:
        return 0


class SilentSaves:
    """Saves nothing and finds nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Any],
        *,
        best: bool = False,
    ) -> Path:
        return self.folder

    def wait(self) -> None:
        pass

    def newest(self, at_most: int | None = None) -> Checkpoint | None:
        return None

    def forget_after(self, step: int) -> None:
        pass
