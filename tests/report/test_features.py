"""The section about filters and feature maps, also from evidence that is old, torn or hostile."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from netwright.records.run import Run
from netwright.report.features import features_in
from netwright.report.page import LARGEST_PAGE, render
from netwright.report.tiles import (
    bar_strip,
    coloured,
    enlarged,
    filter_tiles,
    montage,
    shrunk,
    signed_bytes,
)

Make = Callable[..., Path]


def _section(page: str) -> str:
    return page[page.index('id="features"') :].partition("</section>")[0]


def test_it_shows_filters_of_both_ends_and_two_images_with_their_maps(
    make_run: Make, tmp_path: Path
) -> None:
    text = _section(render(Run(make_run(tmp_path / "run")), language="en"))
    assert "Filters of features.conv1, 5 x 5" in text
    assert text.count("<img") == 2 * 6 + 2 + 2 * (6 + 8)
    assert "6 x 28 x 28" in text
    assert '<b class="said">1</b>' in text  # the 8 that was taken for a 1
    assert 'alt="channel 7"' in text


def test_a_run_without_the_evidence_has_a_report_without_the_section(
    make_run: Make, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run")
    (folder / "evidence" / "features.npz").unlink()
    assert 'id="features"' not in render(Run(folder))


def test_a_network_without_convolutions_is_told(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    np.savez(folder / "evidence" / "features.npz", filters=np.zeros((0, 1, 1, 3), np.uint8))
    text = _section(render(Run(folder), language="en"))
    assert "This network has no convolution" in text
    assert "<img" not in text


def test_damaged_evidence_is_named_and_the_page_is_whole(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / "evidence" / "features.npz"
    path.write_bytes(path.read_bytes()[:200])
    page = render(Run(folder), language="en")
    assert "features.npz is damaged" in page
    assert 'id="features"' not in page
    assert 'id="reproduce"' in page


WRONG = [
    np.zeros((2, 2), np.uint8),
    np.zeros((2, 8, 500, 500), np.uint8),
    np.zeros((2, 8, 4, 4), np.float32),
    np.zeros(0, np.int64),
    np.full((3, 3, 3), -1),
    np.asarray("<script>"),
    np.zeros((1, 0, 4, 3), np.uint8),
]
NAMES = ["filters", "filters_start", "filter_layer", "filter_shape", "images", "image_target",
         "image_pred", "image_probability", "map_layer", "map_shape", "maps_0", "channels_0",
         "maps_1", "channels_1"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_an_array_of_another_kind_breaks_nothing(make_run: Make, tmp_path: Path, name: str) -> None:
    folder = make_run(tmp_path / "run")
    path = folder / "evidence" / "features.npz"
    with np.load(path) as file:
        good = {each: file[each] for each in file.files}
    for wrong in WRONG:
        np.savez(path, **{**good, name: wrong})
        page = render(Run(folder), language="en")
        assert "<script>" not in page
        np.savez(path, **{each: value for each, value in good.items() if each != name})
        render(Run(folder), language="en")


def test_a_page_with_the_largest_evidence_is_small(make_run: Make, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = make_run(tmp_path / "run")
    noise = {
        "filters": rng.integers(0, 256, (64, 12, 12, 3), dtype=np.uint8),
        "filters_start": rng.integers(0, 256, (64, 12, 12, 3), dtype=np.uint8),
        "images": rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8),
        "map_layer": np.asarray(list("abcd")),
    }
    for place in range(4):
        noise[f"maps_{place}"] = rng.integers(0, 256, (2, 8, 32, 32), dtype=np.uint8)
        noise[f"channels_{place}"] = np.arange(8)
    np.savez_compressed(folder / "evidence" / "features.npz", **noise)
    assert (folder / "evidence" / "features.npz").stat().st_size < 150_000
    page = render(Run(folder))
    assert len(page.encode()) < 0.6 * LARGEST_PAGE
    assert _section(page).count("<img") == 128 + 2 + 64


def test_nothing_at_all_is_no_features() -> None:
    assert features_in({}) is None


def test_signed_bytes_keep_zero_in_the_middle_whatever_else_there_is() -> None:
    values = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.nan, np.inf])
    assert signed_bytes(values)[[2, 5, 6]].tolist() == [128, 128, 128]
    assert signed_bytes(values)[[0, 4]].tolist() == [1, 255]
    assert signed_bytes(np.zeros(3)).tolist() == [128, 128, 128]
    assert signed_bytes(np.zeros(0)).shape == (0,)


def test_filters_of_three_channels_keep_their_colours_and_others_are_grey() -> None:
    weight = np.zeros((1, 3, 1, 1))
    weight[0, 0] = 1.0
    assert filter_tiles(weight)[0, 0, 0].tolist() == [255, 128, 128]
    two = np.array([1.0, -1.0]).reshape(1, 2, 1, 1)
    assert filter_tiles(two)[0, 0, 0].tolist() == [128, 128, 128]  # the mean over both


def test_colours_are_black_at_zero_and_lighter_on_both_sides() -> None:
    ladder = coloured(np.arange(256, dtype=np.uint8)).astype(int).sum(axis=1)
    assert ladder[128] < 10
    assert (np.diff(ladder[128:]) >= 0).all()
    assert (np.diff(ladder[:129]) <= 0).all()
    cold, warm = coloured(np.array([20, 236], np.uint8))
    assert cold[2] > cold[0]
    assert warm[0] > warm[2]


def test_tiles_are_laid_in_rows_on_white() -> None:
    page = montage(np.zeros((3, 2, 2, 3), np.uint8), columns=2, gap=1)
    assert page.shape == (5, 5, 3)
    assert page[2, 0].tolist() == page[0, 2].tolist() == page[4, 4].tolist() == [255] * 3
    assert page[0, 0].tolist() == page[4, 1].tolist() == [0] * 3
    assert montage(np.zeros((0, 1, 1, 3), np.uint8), columns=4).shape == (1, 1, 3)


def test_a_large_tile_is_shrunk_by_means_and_a_small_one_enlarged_by_whole_pixels() -> None:
    tile = np.array([[0, 0, 200, 200], [0, 0, 200, 200]], np.uint8)
    assert shrunk(tile, 2).tolist() == [[0, 200]]
    assert shrunk(tile, 4) is tile
    assert enlarged(np.zeros((1, 3, 3, 3), np.uint8), 10).shape == (1, 9, 9, 3)


def test_bars_stand_above_or_hang_below_the_line_of_zero() -> None:
    strip = bar_strip(np.array([1.0, -1.0, 0.0]), height=21)
    blue, orange = [0, 114, 178], [213, 94, 0]
    assert strip[0, 0].tolist() == strip[10, 0].tolist() == blue
    assert strip[20, 12].tolist() == orange
    assert strip[0, 12].tolist() == strip[20, 0].tolist() == [255] * 3
    assert bar_strip(np.zeros(0)).shape == (96, 1, 3)
    assert bar_strip(np.full(3, np.nan)).shape[0] == 96
