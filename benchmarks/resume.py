"""What it costs to go on with a run and to save one: the table in `resume.md`.

    python benchmarks/resume.py            # writes benchmarks/resume.md

Resume: seconds from the call of `train` to the end of the first step, in a process that has
imported everything, on files that are streamed, at several positions; beside it what reading all
batches up to there takes, which is what skipping would cost. Save: how long the loop stands still
for a checkpoint of 100 MB, beside a clone of the same tensors.
"""

from __future__ import annotations

import os
import platform
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image

from netwright.core import events as e
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import resolve
from netwright.tasks.training import train
from netwright.train.checkpoints import Checkpoints

IMAGES, BATCH, REPEATS = 1000, 8, 3
EPOCH = IMAGES * 9 // 10 // BATCH  # a tenth is kept for validation
POSITIONS = (1, EPOCH // 2, 3 * EPOCH + EPOCH // 2)
MEGABYTES = 100


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        os.environ["NETWRIGHT_HOME"] = str(Path(place) / "home")
        rows = resumes(Path(place))
        save, clone, whole = saves(Path(place))
    lines = [
        "# Going on with a run, and saving one",
        "",
        f"`python benchmarks/resume.py` on {processor()}, torch {torch.__version__}, 1 thread; "
        f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors. {IMAGES} PNG "
        f"files of 32x32, streamed without workers, batch {BATCH} ({EPOCH} steps an epoch), `mlp`; "
        f"the median of {REPEATS} and the largest.",
        "",
        "| position | to the end of the first step, s | largest, s | reading all before it, s |",
        "|---|---|---|---|",
    ]
    for name, seconds, skipping in rows:
        median, most = statistics.median(seconds), max(seconds)
        lines.append(f"| {name} | {median:.2f} | {most:.2f} | {skipping} |")
    lines += [
        "",
        f"A save of {MEGABYTES} MB of float32 in 20 tensors: the loop stands still for "
        f"{1000 * statistics.median(save):.0f} ms (largest of {len(save)}: "
        f"{1000 * max(save):.0f}); a clone of the same tensors takes "
        f"{1000 * statistics.median(clone):.0f} ms; the "
        f"checkpoint lies on the disk {statistics.median(whole):.2f} s after the call.",
        "",
    ]
    text = "\n".join(lines)
    (Path(__file__).parent / "resume.md").write_text(text)
    sys.stdout.write(text)


def resumes(place: Path) -> list[tuple[str, list[float], str]]:
    data = pictures(place / "pictures")
    rows = [("a new run", [first_step(data, place / f"new-{n}", 1) for n in range(REPEATS)], "-")]
    for position in POSITIONS:
        seconds = []
        for n in range(REPEATS):
            run = place / f"run-{position}-{n}"
            first_step(data, run, position)
            seconds.append(first_step(data, run, position + 1))
        epoch, step = divmod(position, EPOCH)
        name = f"step {position} (epoch {epoch + 1}, {step} of {EPOCH})"
        rows.append((name, seconds, f"{skipping(data, position):.2f}"))
    return rows


def first_step(data: Path, run: Path, steps: int) -> float:
    """Train to `steps`, from where the run is; seconds to the end of the first step taken."""
    begun = time.perf_counter()
    ended: list[float] = []

    def listen(event: e.Event) -> None:
        if isinstance(event, e.StepEnded) and not ended:
            ended.append(time.perf_counter())

    resolved = resolve(data=str(data), model="mlp", settings=settings(steps), environ={})
    goes_on = (run / "run.json").exists()
    train(
        None if goes_on else resolved,
        run_dir=None if goes_on else run,
        resume=str(run) if goes_on else None,
        asked={"steps": steps} if goes_on else None,
        listeners=[listen],
    )
    return ended[0] - begun


def settings(steps: int) -> dict[str, object]:
    return {"steps": steps, "batch": BATCH, "data.cache": "stream", "data.workers": 0}


def skipping(data: Path, position: int) -> float:
    """Seconds to read every batch before `position`."""
    resolved = resolve(data=str(data), model="mlp", settings=settings(position), environ={})
    feed = prepare(resolved, e.Events()).task.train
    begun = time.perf_counter()
    for _ in feed.iterate(0, position):
        pass
    return time.perf_counter() - begun


def saves(place: Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds that a save holds the loop up, that a clone takes, and until all is on the disk."""
    size = MEGABYTES * 1_000_000 // 4 // 20
    weights = {f"layer-{i}": torch.randn(size) for i in range(20)}
    checkpoints = Checkpoints(place / "ckpt")
    held, cloned, whole = [], [], []
    for step in range(1, 8):
        begun = time.perf_counter()
        checkpoints.save(step, weights, {"progress": {"step": step}})
        held.append(time.perf_counter() - begun)
        checkpoints.wait()
        whole.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        kept = [each.clone() for each in weights.values()]
        cloned.append(time.perf_counter() - begun)
        del kept
    checkpoints.close()
    return held, cloned, whole


def pictures(root: Path) -> Path:
    draw = random.Random(0)
    for i in range(IMAGES):
        folder = root / f"class-{i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.frombytes("L", (32, 32), draw.randbytes(1024)).save(folder / f"{i:04}.png")
    return root


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
