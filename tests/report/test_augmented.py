"""The section on augmentations: what it shows, and what it does with files that are not right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netwright.records.run import Run
from netwright.report.augmented import augmented_in
from netwright.report.page import render


def pictures(count: int, side: int = 8) -> Any:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


def arrays(**others: Any) -> dict[str, Any]:
    return {
        "images": pictures(3),
        "target": np.array([3, 5, 8]),
        "names": np.array(["rotate", "mixup"]),
        "amounts": np.array(["15", "0.2"]),
        "docs": np.array(["Turned by up to `amount` degrees.", "Blended."]),
        "draws-0": pictures(5),
        "of-0": np.array([0, 0, 1, 1, 1]),
        "draws-1": pictures(2),
        "first-1": np.array([0, 1]),
        "second-1": np.array([2, 0]),
        "share-1": np.array([0.7, 0.25]),
    } | others


def page(make_run: Callable[..., Path], folder: Path, content: dict[str, Any], **kind: Any) -> str:
    run = make_run(folder)
    np.savez(run / "samples" / "augmentations.npz", **content)
    return render(Run(run), **kind)


def section(html: str) -> str:
    return html.partition('<section id="augmentations"')[2].partition("</section>")[0]


def test_each_augmentation_is_shown_with_its_value_its_draws_and_its_labels(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    found = section(page(make_run, tmp_path / "run", arrays()))
    assert "<code>aug.rotate=15</code> <span>Turned by up to 15 degrees.</span>" in found
    assert found.count("<img") == (2 + 5) + 2 * 3
    assert "3 (70\u202f%) + 8 (30\u202f%)" in found
    assert "5 (25\u202f%) + 3 (75\u202f%)" in found


def test_the_section_speaks_chinese(make_run: Callable[..., Path], tmp_path: Path) -> None:
    content = arrays(
        docs=np.array(["Each image mirrored top to bottom with probability 1/2.", "x"])
    )
    found = section(page(make_run, tmp_path / "run", content, language="zh"))
    assert "每种数据增强做了什么" in found
    assert "每张图像以 1/2 的概率上下翻转。" in found


def test_a_run_without_the_file_has_no_such_section(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    (run / "samples" / "augmentations.npz").unlink()
    assert 'id="augmentations"' not in render(Run(run))


def test_a_damaged_file_is_told_and_the_page_is_made(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    (run / "samples" / "augmentations.npz").write_bytes(b"PK nothing")
    html = render(Run(run))
    assert 'id="augmentations"' not in html
    assert "augmentations.npz is damaged" in html


@pytest.mark.parametrize(
    "others",
    [
        {"images": np.zeros((3, 8, 8))},
        {"images": pictures(0)},
        {"names": np.array([1, 2])},
        {"names": np.array([["rotate"]])},
        {"docs": np.array([], dtype="U1")},
    ],
    ids=["floats", "none", "numbers", "square", "short"],
)
def test_what_is_not_as_it_should_be_shows_nothing(others: dict[str, Any]) -> None:
    assert augmented_in(arrays(**others)).shown == ()


def test_parts_that_are_not_as_they_should_be_are_left_out_alone() -> None:
    found = augmented_in(
        arrays(
            **{
                "of-0": np.array([0, 9, -1, 1]),
                "second-1": np.array([7, 0]),
                "share-1": np.array([0.5, np.nan]),
            }
        )
    )
    assert [(of, len(draws)) for of, draws in found.shown[0].draws] == [(0, 1), (1, 1)]
    assert [(each.first, each.second, each.share) for each in found.shown[1].mixed] == [
        (1, 0, None)
    ]


def test_names_and_texts_of_unknown_origin_are_escaped(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    bad = "<script>{0.__class__}"
    html = page(
        make_run,
        tmp_path / "run",
        arrays(names=np.array([bad] * 2), docs=np.array([bad] * 2), amounts=np.array([bad] * 2)),
    )
    assert "<script" not in html
    assert "&lt;script&gt;" in section(html)


def test_many_large_pictures_leave_the_page_small(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    count = 20
    content: dict[str, Any] = {
        "images": pictures(4, 80),
        "target": np.arange(4),
        "names": np.array([f"a{i}" for i in range(count)]),
        "amounts": np.array(["1"] * count),
        "docs": np.array(["Something."] * count),
    }
    for i in range(count):
        content |= {f"draws-{i}": pictures(10, 80), f"of-{i}": np.repeat([0, 1], 5)}
    html = page(make_run, tmp_path / "run", content)
    assert len(html.encode()) < 1_000_000
    assert "pictures were left out" in html


def test_a_mixed_image_of_the_first_batch_has_both_labels(
    make_run: Callable[..., Path], tmp_path: Path
) -> None:
    run = make_run(tmp_path / "run")
    np.savez(
        run / "samples" / "first-batch.npz",
        images=pictures(2),
        target=np.array([1, 4]),
        second=np.array([7, 4]),
    )
    found = render(Run(run)).partition('id="first-batch"')[2].partition("</section>")[0]
    assert "<figcaption>1 + 7</figcaption>" in found
    assert "<figcaption>4</figcaption>" in found
