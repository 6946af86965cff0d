"""The report on a run over several seeds: median and range, bands, a way to each seed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from netwright.core import languages
from netwright.records.run import Run
from netwright.records.seeds import middle, spread
from netwright.report.lines import Band, Line, line_chart
from netwright.report.page import LARGEST_PAGE, render
from netwright.report.pictures import Allowance
from netwright.report.seed_sections import SEED_SECTIONS
from netwright.report.seeds_material import SeedsMaterial

Make = Callable[..., Path]


@pytest.fixture
def make_seeds(make_run: Make, tmp_path: Path) -> Callable[..., Run]:
    def make(errors: Sequence[int] = (6, 2, 9), status: str = "done", **about: object) -> Run:
        folder = tmp_path / "many"
        folder.mkdir()
        rows = []
        for seed, count in enumerate(errors):
            best = {"metric": "val/acc1", "value": 1 - count / 100, "epoch": 17, "step": 680}
            info = {"seed": seed, "best": best, "status": "done"} | dict(about.get(str(seed), {}))  # type: ignore[call-overload]
            make_run(folder / f"seed-{seed}", errors=count, info=info)
            rows.append({"seed": seed})
        facts = {"format": 1, "status": status, "seeds": rows, "seconds": 100.0,
                 "command": "netwright train digits seeds=3"}  # fmt: skip
        (folder / "run.json").write_text(json.dumps(facts))
        (folder / "config.yaml").write_text("seeds: 3\n")
        return Run(folder)

    return make


def test_the_median_and_the_range_stand_at_the_top(make_seeds: Callable[..., Run]) -> None:
    run = make_seeds()
    material = SeedsMaterial(run)
    values = sorted(material.accuracies("test").values())
    page = render(run, language="en")
    met = material.spread("test")
    assert met is not None
    assert [met.low, met.median, met.high] == values
    assert f"{100 * met.median:.2f}" in page
    assert "The median of 3 seeds" in page
    assert material.middle == 0  # of 0.94, 0.98 and 0.91 the one in the middle
    assert len(page) < LARGEST_PAGE


def test_every_seed_has_its_line_and_a_link(make_seeds: Callable[..., Run]) -> None:
    page = render(make_seeds(), language="en")
    assert re.findall(r'href="(seed-\d+/report\.html)"', page) == [
        f"seed-{seed}/report.html" for seed in range(3)
    ]
    assert page.count('class="band') == 6  # loss and accuracy twice, rate, norm


def test_the_confusions_are_added_up(make_seeds: Callable[..., Run]) -> None:
    material = SeedsMaterial(make_seeds())
    total = material.confusion("test")
    assert total is not None
    each = [found.confusion for found in material.evidence("test").values()]
    assert (total == sum(c for c in each if c is not None)).all()


def test_a_diverged_seed_is_told_and_not_counted(make_seeds: Callable[..., Run]) -> None:
    run = make_seeds(status="diverged", **{"1": {"status": "diverged"}})
    assert list(SeedsMaterial(run).accuracies("test")) == [0, 2]
    assert "1 of 3 seeds diverged (1)" in render(run, language="en")


def test_a_run_in_the_middle_says_how_far_it_is(make_seeds: Callable[..., Run]) -> None:
    run = make_seeds(status="interrupted")
    (run.path / "seed-2" / "run.json").unlink()
    page = render(Run(run.path), language="en")
    assert "2 of 3 seeds are done" in page
    assert "--resume" in page


def test_folders_without_anything_break_no_section(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(
        json.dumps({"seeds": [{"seed": 0}, {"seed": "../../x"}, 3, {"seed": -1}], "stack": 5})
    )
    material = SeedsMaterial(Run(tmp_path))
    assert material.waiting == [0]
    for entry in SEED_SECTIONS:
        part = entry.target(material, Allowance(100_000))
        assert part is None or part.title
    assert "No seed has come to its end" in render(Run(tmp_path), language="en")


def test_names_of_a_foreign_folder_do_not_leave_it(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"seeds": [{"seed": 1, "run": "../../etc"}]}))
    from netwright.records.seeds import seed_runs

    assert [each.run.path for each in seed_runs(Run(tmp_path))] == [tmp_path / "seed-1"]


def test_every_section_speaks_chinese(make_seeds: Callable[..., Run]) -> None:
    run = make_seeds()
    assert "The seeds" not in render(run, language="zh")
    with languages.speaking("zh"):
        assert "各个种子" in render(run)


def test_hundreds_of_seeds_stay_under_the_limit(make_run: Make, tmp_path: Path) -> None:
    made = make_run(tmp_path / "one", epochs=3)
    for seed in range(300):
        (tmp_path / "many").mkdir(exist_ok=True)
        (tmp_path / "many" / f"seed-{seed}").symlink_to(made)
    rows = [{"seed": seed} for seed in range(300)]
    (tmp_path / "many" / "run.json").write_text(json.dumps({"seeds": rows}))
    assert len(render(Run(tmp_path / "many"))) < LARGEST_PAGE


def test_a_band_reaches_from_the_lowest_to_the_highest() -> None:
    from netwright.report.axes import linear

    drawn = line_chart(
        [Line(name="", tone="val", points=[(1, 0.5), (2, 0.5)])],
        linear([0.0, 1.0]),
        title="t", about="", below="epoch", show=str,
        bands=[Band(tone="val", points=[(1, 0.0, 1.0), (2, 0.25, 0.5)])],
    )  # fmt: skip
    (path,) = re.findall(r'<path d="M([^"]*)Z" class="band val"', drawn)
    heights = [float(each.split()[1]) for each in path.split("L")]
    top, bottom = heights[0], heights[3]
    assert heights[1] == pytest.approx((top + bottom) / 2, abs=0.2)
    assert heights[2] == pytest.approx(bottom - (bottom - top) / 4, abs=0.2)


def test_the_middle_of_an_even_number_is_the_lower_and_of_equals_the_first() -> None:
    assert middle({0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6}) == 2
    assert middle({5: 0.9, 3: 0.9, 4: 0.9}) == 3
    met = spread({0: 0.9, 1: 0.8, 2: 0.7, 3: 0.6})
    assert met is not None
    assert met.median == pytest.approx(0.75)
    assert spread({}) is None


def test_the_page_is_drawn_without_torch(make_seeds: Callable[..., Run]) -> None:
    run = make_seeds()
    code = (
        "import sys; from pathlib import Path; from netwright.records.run import Run; "
        f"from netwright.report.page import render; render(Run(Path({str(run.path)!r}))); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
