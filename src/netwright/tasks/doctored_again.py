"""The doctor at a record that was saved: the same findings, and nothing is trained."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from netwright.core.errors import SettingError
from netwright.core.extras import refuse_absent_extra
from netwright.tasks.doctored import Doctored, came_of
from netwright.tasks.launching import Ending

if TYPE_CHECKING:
    from netwright.doctor.diagnosis import Diagnosis


def doctor_run(spec: str, *, tensorboard: bool = False) -> Doctored:
    """The findings of a record that was saved, without training anything; with `tensorboard` the
    curves of it are written into the run as well.

    Raises `SettingError` or `DataError` where there is no record that can be read.
    """
    from netwright.doctor.diagnosis import diagnosed
    from netwright.records.record import DOCUMENT, Record
    from netwright.records.run import find_run

    folder = Path(spec)
    if not (folder / DOCUMENT).is_file():
        folder = find_run(spec).path
        if not (folder / DOCUMENT).is_file():
            raise SettingError(
                "The run {run} holds no record of the doctor.",
                hint="netwright doctor SCRIPT.py makes one, and so does "
                "netwright train ... doctor.mode=watch",
                run=str(folder),
            )
    places = [folder, *sorted(folder.glob(f"patient-*/{DOCUMENT}"))]
    found = {
        number: diagnosed(Record.load(place if place.is_dir() else place.parent))
        for number, place in enumerate(places, 1)
    }
    if tensorboard:
        write_boards(folder, found)
    return came_of(Ending(status=0, why="done"), found, patients=len(found), run=folder)


def write_boards(run: Path, found: Mapping[int, Diagnosis]) -> None:
    """Curves and findings of each patient for TensorBoard."""
    from netwright.tasks.doctor_board import write_board  # needs an extra

    for number, each in found.items():
        write_board(run, each, patient=number)


def refuse_absent_board() -> None:
    """`SettingError` where TensorBoard is not installed. It is looked for and not imported: that
    is the script's affair, and so is torch."""
    if importlib.util.find_spec("tensorboard") is None:
        refuse_absent_extra("track", "tensorboard", "--tensorboard")
