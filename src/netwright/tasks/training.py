"""Training from a recipe: a new run, a resumed one, or a rehearsal of two steps."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwright.core import events as e
from netwright.core.errors import SettingError
from netwright.records.run import Run, find_run, runs_root
from netwright.records.seeds import seed_runs
from netwright.tasks.computing import find_device
from netwright.tasks.following import follow
from netwright.tasks.launcher import launch, settings_place, words_of
from netwright.tasks.lost_facts import with_facts
from netwright.tasks.preparing import prepare
from netwright.tasks.rank_words import remembered
from netwright.tasks.recipe import Recipe
from netwright.tasks.resuming import go_on
from netwright.tasks.run_facts import make_folder, short, write_first
from netwright.tasks.running import Trained, announce, carry_out, note, trained
from netwright.tasks.seeds import go_on_seeds, train_seeds
from netwright.tasks.settings import Resolved, changed, read_config
from netwright.tasks.several import compare, heard, of_place, refuse_unshared
from netwright.tasks.start_settings import as_started
from netwright.train.joining import Place, joined
from netwright.train.ranks import Alone, Ranks
from netwright.train.run_folder import barely_begun, holds_run
from netwright.train.run_places import fresh_place, refuse_taken, refuse_unfit

DRY_STEPS = 2


def train(
    resolved: Resolved | None,
    *,
    run_dir: Path | None = None,
    resume: str | None = None,
    asked: Mapping[str, Any] | None = None,
    listeners: Sequence[e.Listener] = (),
    dry_run: bool = False,
    command: str = "",
    trust_code: bool = False,
) -> Trained:
    """Train what `resolved` describes, in a new run folder or going on in an old one.

    `run_dir` is the folder itself (default: a new one under `runs/`). `resume` names a run to
    go on with; `auto`, together with `run_dir`, goes on if that holds a run and starts it if
    not. When resuming, `asked` are the settings that were given with the call: only `epochs`,
    `steps`, `device`, `data.workers` and `run.*` may differ from those of the run. `dry_run`
    takes two steps of everything in a folder that is thrown away.

    Raises subclasses of `NetwrightError` for whatever a user can mend; the newest checkpoint
    stays good in every case.
    """
    auto = resume == "auto"
    if resume == "auto":
        if run_dir is None:
            raise SettingError("--resume auto needs --run-dir DIR.")
        resume = str(run_dir) if holds_run(run_dir) and not nothing_there(run_dir) else None
    elif resume is not None and run_dir is not None:
        raise SettingError("--run-dir goes with --resume auto only: --resume RUN names the folder.")
    place = Place.of()
    if resume is not None and not dry_run:
        run = find_run(resume)
        if place is None:  # of several ranks each would write
            run = with_facts(run, e.Events(*listeners))
        if run.status == "running" and nothing_there(run.path):
            raise SettingError(
                "{run} was stopped before its first step: there is nothing to go on with.",
                hint="Give the command that began it again, with --run-dir {run} --resume auto",
                run=str(run.path),
            )
    else:
        run = None
    if run is None and resolved is None:
        raise SettingError("No data: give DATA, or a recipe with --config.")
    wish = Wish(
        resolved=resolved,
        run=run,
        run_dir=run_dir,
        asked=asked or {},
        auto=auto,
        dry_run=dry_run,
        command=command,
        trust_code=trust_code,
    )
    if place is None and (recipe := wish.launched()) is not None:
        return _launch(wish, recipe, e.Events(*listeners))
    if place is None:
        return _train(wish, e.Events(*listeners), Alone())
    wish, recipe = wish.placed(place)
    device = find_device(recipe.general.device, local_rank=place.local_rank, several=True)
    backend, timeout = recipe.run.backend, recipe.run.rank_timeout
    with (
        remembered(place.rank) as words,
        joined(place, device, backend=backend, timeout=timeout) as ranks,
    ):
        return _train(wish, heard([*listeners, words], ranks), ranks)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a call of `train` asks for: to go on with `run`, or to start what is `resolved`."""

    resolved: Resolved | None
    run: Run | None
    run_dir: Path | None
    asked: Mapping[str, Any]
    auto: bool
    """Whether it was `--resume auto`, which starts or goes on."""
    dry_run: bool
    command: str
    trust_code: bool

    def launched(self) -> Recipe | None:
        """The recipe, if it asks for several devices and there is something left to train."""
        if self.run is None:
            assert self.resolved is not None
            recipe = self.resolved.recipe
        elif self.run.status == "done" and not {"epochs", "steps"} & {*self.asked}:
            return None
        else:
            before = read_config(str(self.run.path / "config.yaml"))
            recipe = changed(before, as_started(self.asked, self.run)).recipe
        return recipe if recipe.general.devices > 1 else None

    def placed(self, place: Place) -> tuple[Wish, Recipe]:
        """The same with as many devices as there are ranks, and the recipe that it then has."""
        if self.run is None:
            assert self.resolved is not None
            resolved = of_place(self.resolved, place)
            return dataclasses.replace(self, resolved=resolved), resolved.recipe
        if seed_runs(self.run):
            raise SettingError(
                "{run} holds several seeds: go on with it in one process.", run=str(self.run.path)
            )
        before = read_config(str(self.run.path / "config.yaml"))
        asked = {**as_started(self.asked, self.run), "devices": place.size}
        return dataclasses.replace(self, asked=asked), changed(before, asked).recipe


def _launch(wish: Wish, recipe: Recipe, events: e.Events) -> Trained:
    """Have the wish carried out by several processes, which tell the user of it themselves."""
    refuse_unshared(recipe)
    with settings_place() as place:
        words = words_of(wish.command, wish.resolved, wish.run, wish.asked, place)
        if wish.dry_run:
            launch(words if wish.command else [*words, "--dry-run"], recipe, None, events)
            return Trained(
                run=Run(place), status="dry-run", epochs=0, steps=DRY_STEPS, best=None, spoken=True
            )
        path = wish.run.path if wish.run is not None else wish.run_dir
        if path is None:
            names = [short(str(each)) for each in (recipe.data.name, recipe.model.name)]
            path = fresh_place(runs_root(), names)
        elif wish.run is None and not nothing_there(path):
            refuse_unfit(path)
            refuse_taken(path)
        if wish.run is None:  # ranks that are started again go on
            if wish.run_dir is None or not wish.command:
                words += ["--run-dir", str(path)]
            if not wish.auto or not wish.command:
                words += ["--resume", "auto"]
        launch(words, recipe, path, events)
    return dataclasses.replace(trained(path), spoken=True)


def _train(wish: Wish, events: e.Events, ranks: Ranks) -> Trained:
    new = "rehearsal" if wish.dry_run else "new"
    compare({"run": str(wish.run.path) if wish.run is not None else new}, ranks)
    if wish.run is not None:
        if seed_runs(wish.run):
            return go_on_seeds(
                wish.run, wish.asked, events, command=wish.command, trust_code=wish.trust_code
            )
        return go_on(
            wish.run, wish.asked, events,
            command=wish.command, trust_code=wish.trust_code, ranks=ranks,
        )  # fmt: skip
    resolved, run_dir = wish.resolved, wish.run_dir
    assert resolved is not None
    compare(resolved.plain(), ranks)
    if wish.dry_run:
        return _rehearse(resolved, events, ranks, trust_code=wish.trust_code)
    if ranks.first and run_dir is not None and not nothing_there(run_dir):
        refuse_unfit(run_dir)
        refuse_taken(run_dir)  # before the data are read, which can take minutes
    if resolved.recipe.general.seeds > 1:
        return train_seeds(
            resolved, events, run_dir=run_dir, command=wish.command, trust_code=wish.trust_code
        )
    prepared = prepare(resolved, events, trust_code=wish.trust_code, ranks=ranks)
    if not ranks.first:
        return follow(prepared, Path(ranks.told(None)))
    with contextlib.closing(make_folder(run_dir, prepared)) as folder:
        write_first(folder, prepared, wish.command)
        ranks.told(str(folder.path))
        events.emit(note("run", "{path}", path=str(folder.path)))
        announce(prepared, events)
        return carry_out(folder, prepared, events)


def nothing_there(path: Path) -> bool:
    """Whether a run was killed so early that it is started anew."""
    return barely_begun(path) and not seed_runs(Run(path))


def _rehearse(resolved: Resolved, events: e.Events, ranks: Ranks, *, trust_code: bool) -> Trained:
    """Two steps of everything, in a folder that is thrown away."""
    short = changed(resolved, {"steps": DRY_STEPS})
    with tempfile.TemporaryDirectory(prefix="netwright-dry-") as place:
        if short.recipe.general.seeds > 1:
            made = train_seeds(
                short,
                events,
                run_dir=Path(place) / "run",
                command="",
                rehearsal=True,
                trust_code=trust_code,
            )
            return dataclasses.replace(made, status="dry-run")
        prepared = prepare(short, events, trust_code=trust_code, ranks=ranks, rehearsal=True)
        if not ranks.first:
            return dataclasses.replace(follow(prepared, Path(place) / "run"), status="dry-run")
        with contextlib.closing(make_folder(Path(place) / "run", prepared)) as folder:
            write_first(folder, prepared, "")
            announce(prepared, events, rehearsal=True)
            made = carry_out(folder, prepared, events)
    return dataclasses.replace(made, status="dry-run")
