"""Charts: gaps stay open, labels stay apart and inside, matrices count right."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np
import pytest

from netwright.report.axes import linear
from netwright.report.bars import bar
from netwright.report.heat import confusion_matrix, strengths
from netwright.report.lines import WIDTH, Line, line_chart
from netwright.report.svg import element, fitted, text, text_width

Points = Sequence[tuple[float, float | None]]


def chart(*curves: Points, pin: float | None = None) -> ET.Element:
    lines = [
        Line(name=f"line{i}", tone="val" if i else "train", points=points)
        for i, points in enumerate(curves)
    ]
    values = [value for points in curves for _, value in points if value is not None]
    drawn = line_chart(
        lines,
        linear(values, zero=True),
        title="a chart",
        about="what it shows",
        below="epoch",
        show=lambda value: f"{value:.2f}",
        pin=None if pin is None else (pin, "best"),
    )
    return ET.fromstring(drawn)


def paths(drawn: ET.Element) -> list[str]:
    return [str(each.get("d")) for each in drawn.iter("path")]


def words(drawn: ET.Element) -> list[str]:
    return [each.text or "" for each in drawn.iter("text")]


def test_a_whole_curve_is_one_stroke() -> None:
    (path,) = paths(chart([(1, 3.0), (2, 2.0), (3, 1.0)]))
    assert path.count("M") == 1
    assert path.count("L") == 2


def test_a_value_that_is_missing_leaves_a_gap() -> None:
    (path,) = paths(chart([(1, 3.0), (2, 2.0), (3, None), (4, 1.0), (5, 1.0)]))
    assert path.count("M") == 2


def test_a_point_alone_between_gaps_is_a_dot() -> None:
    drawn = chart([(1, 3.0), (2, None), (3, 2.0), (4, None), (5, 1.0)])
    assert paths(drawn) == []
    assert len(list(drawn.iter("circle"))) >= 3


def test_a_run_of_one_epoch_has_a_chart() -> None:
    drawn = chart([(3, 0.5)], [(3, 0.4)], pin=3)
    assert "3" in words(drawn)
    assert not {"2", "4"} & set(words(drawn))  # epochs that there were not
    assert "line0 0.50" in words(drawn)


def test_the_line_falls_when_the_value_falls() -> None:
    (path,) = paths(chart([(1, 3.0), (2, 1.0)]))
    (_, high), (_, low) = re.findall(r"([\d.]+) ([\d.]+)", path)
    assert float(low) > float(high)  # y grows downwards


def test_labels_of_lines_that_end_together_do_not_overlap() -> None:
    drawn = chart([(1, 1.0), (2, 0.5)], [(1, 1.0), (2, 0.5)])
    heights = [float(t.get("y", 0)) for t in drawn.iter("text") if "0.50" in (t.text or "")]
    assert abs(heights[0] - heights[1]) >= 14


def test_no_label_leaves_the_chart() -> None:
    drawn = chart([(1, 0.001), (20, 123456.0)], pin=20)
    for each in drawn.iter("text"):
        anchor = str(each.get("class"))
        width, x = text_width(each.text or ""), float(each.get("x", 0))
        start = x - (width if "end" in anchor else width / 2 if "middle" in anchor else 0)
        assert start >= 0
        assert start + width <= WIDTH


def test_the_best_epoch_is_marked_on_the_axis_and_on_the_validation_curve() -> None:
    drawn = chart([(1, 1.0), (2, 0.5), (3, 0.4)], [(1, 1.0), (2, 0.5), (3, 0.6)], pin=2)
    assert "best" in words(drawn)
    assert [each.get("class") for each in drawn.iter("circle")].count("ring val") == 1


def test_ten_thousand_points_are_drawn_with_their_peaks_in_a_few_kilobytes() -> None:
    points: list[tuple[float, float | None]] = [(float(i), 1.0) for i in range(10_000)]
    points[5003] = (5003.0, 9.0)
    drawn = chart(points)
    (path,) = paths(drawn)
    assert len(path) < 8_000
    heights = {float(y) for y in re.findall(r" ([\d.]+)", path)}
    assert len(heights) == 2


def test_a_drawing_says_what_it_is() -> None:
    drawn = chart([(1, 1.0), (2, 2.0)])
    assert (drawn.get("role"), drawn.get("aria-label")) == ("img", "a chart")
    assert drawn.findtext("desc") == "what it shows"


def test_small_matrices_show_their_counts_and_not_the_zeros() -> None:
    drawn = ET.fromstring(
        confusion_matrix(np.array([[7, 0], [2, 5]]), ["cat", "dog"], title="t", about="a")
    )
    written = [each for each in words(drawn) if each.isdigit()]
    assert sorted(written) == ["2", "5", "7"]
    assert "dog read as cat: 2 of 7" in [each.text for each in drawn.iter("title")]


@pytest.mark.parametrize(("classes", "pictures"), [(30, 0), (100, 1), (1000, 1)])
def test_large_matrices_are_one_picture(classes: int, pictures: int) -> None:
    names = [f"class {i}" for i in range(classes)]
    text_of = confusion_matrix(np.eye(classes, dtype=np.int64) * 3, names, title="t", about="a")
    assert len(list(ET.fromstring(text_of).iter("image"))) == pictures
    assert len(text_of) < 120_000


def test_a_cell_is_coloured_by_the_root_of_its_share_of_the_row() -> None:
    shown = strengths(np.array([[75, 25], [0, 0]]))
    assert shown.tolist() == [[pytest.approx(0.866, abs=1e-3), 0.5], [0, 0]]


def test_a_bar_never_leaves_its_cell() -> None:
    assert 'd="M0 0h100v8H0z"' in bar(7.0, "right")
    assert 'd="M0 0h0v8H0z"' in bar(-1.0, "right")


def test_text_and_attributes_are_escaped() -> None:
    assert text("<b>\x1b") == "<text>&lt;b&gt;\\x1b</text>"
    assert element("rect", class_='"><x') == '<rect class="&quot;&gt;&lt;x"/>'


def test_text_is_cut_in_the_middle_until_it_fits() -> None:
    cut = fitted("a-rather-long-class-name", 60)
    assert cut.startswith("a")
    assert cut.endswith("e")
    assert "…" in cut
    assert text_width(cut) <= 60
