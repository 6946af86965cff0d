"""The whole page: well formed, self-contained, small, and as safe as its names are not."""

import html
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from netwright.core import languages
from netwright.records.run import Run
from netwright.report import page as report_page
from netwright.report.page import LARGEST_PAGE, render, write_report

Make = Callable[..., Path]

HOSTILE = [
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "\u202egnp.exe",
    "red\x1b[31m\nline",
    "x" * 5000,
    "]]>--></style>",
    "&amp;{name}{0}",
    "\ud800",
    "类别",
]
VOID = {"meta", "link", "img", "br", "rect", "line", "circle", "path", "image"}


class Page(HTMLParser):
    """Collects what a browser would; complains about what it would have to guess."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self._note(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._note(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)

    def _note(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]


def shown(text: str) -> str:
    """The words of the page; the narrow space before a unit is a space here."""
    return " ".join(" ".join(Page(text).text).split())


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_page_is_written_beside_the_run(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    path = write_report(Run(folder), language="en")
    assert path == folder / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(folder.glob(".*.tmp")) == []


def test_the_page_is_well_formed(make_run: Make, tmp_path: Path, language: str) -> None:
    page = Page(render(Run(make_run(tmp_path / "run")), language=language))
    assert len(page.ids) == len(set(page.ids))
    links = [value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert set(links) < set(page.ids)


def test_nothing_on_the_page_comes_from_elsewhere(make_run: Make, tmp_path: Path) -> None:
    text = render(Run(make_run(tmp_path / "run", classes=HOSTILE)), language="en")
    page = Page(text)
    places = [v for _, name, v in page.attributes if name in {"src", "href", "srcset", "data"}]
    assert places
    assert all(place.startswith(("data:", "#")) for place in places)
    assert not {"script", "iframe", "object", "form", "base"} & set(page.tags)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_browser_is_told_to_load_and_run_nothing(make_run: Make, tmp_path: Path) -> None:
    policy = next(
        value
        for tag, name, value in Page(render(Run(make_run(tmp_path / "r")))).attributes
        if (tag, name) == ("meta", "content") and "default-src" in value
    )
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_names_are_shown_and_never_obeyed(make_run: Make, tmp_path: Path, language: str) -> None:
    evil = HOSTILE[2]
    folder = make_run(
        tmp_path / "run",
        classes=HOSTILE,
        errors=20,
        info={
            "status": "failed",
            "why": evil,
            "device": evil,
            "command": evil,
            "versions": {evil: evil},
            "git": evil,
            "notes": [evil, {"word": evil, "template": evil, "values": {evil: evil}}],
        },
    )
    (folder / "config.yaml").write_text(f'data:\n  name: "{evil}"  # {evil}\n')
    text = render(Run(folder), language=language)
    page = Page(text)
    assert "script" not in page.tags
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for char in "\u202e\x1b\ud800":
        assert char not in text
    assert "<script>alert(1)</script>" in shown(text)
    assert html.escape("<script>", quote=False) in text


def test_a_template_in_the_run_folder_is_filled_without_obeying_it(
    make_run: Make, tmp_path: Path
) -> None:
    notes = [{"template": "{a.__class__} {b:>999999999} {c:.1%} {d}", "values": {"c": 0.5}}]
    text = shown(render(Run(make_run(tmp_path / "run", info={"notes": notes})), language="en"))
    assert "{a.__class__} {b:>999999999} 50.0% {d}" in text


def test_a_thousand_long_names_stay_under_the_limit(make_run: Make, tmp_path: Path) -> None:
    names = [f"{i} " + "<long & hostile>\u202e" * 30 for i in range(1000)]
    folder = make_run(tmp_path / "run", classes=names, errors=200, layers=900)
    text = render(Run(folder), language="zh")
    assert len(text.encode()) < LARGEST_PAGE
    Page(text)


def test_pictures_that_do_not_fit_are_counted(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(tmp_path / "run", side=64)
    monkeypatch.setattr(report_page, "LARGEST_PAGE", 60_000)
    text = render(Run(folder), language="en")
    assert len(text.encode()) < 60_000
    dropped = re.search(r"pictures were left out: (\d+)", shown(text))
    assert dropped
    assert int(dropped[1]) > 0


def test_the_numbers_on_the_page_are_those_of_the_record(make_run: Make, tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run"))
    evidence = run.evidence("test")
    assert evidence is not None
    right, total = int(np.trace(evidence["confusion"])), int(evidence["confusion"].sum())
    text = shown(render(run, language="en"))
    assert f"The network names {right} of {total} test images correctly" in text
    assert f"{100 * right / total:.2f} %" in text
    assert "The best epoch was 17 of 20" in text
    assert "51,902 parameters" in text
    assert "waiting for data 1.3 %" in text
    assert "peak memory 412 MB" in text
    for number in evidence["confusion"][evidence["confusion"] > 0]:
        assert str(number) in text


def test_the_commands_to_go_on_name_the_run(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "my run", info={"status": "interrupted", "why": "Ctrl-C"})
    text = shown(render(Run(folder), language="en"))
    assert f"netwright train --resume '{folder}'" in text
    assert f"netwright evaluate '{folder}'" in text
    assert "The run was interrupted and can be resumed. Ctrl-C." in text


def test_a_diverged_run_says_so_once_and_offers_what_helps(
    make_run: Make, tmp_path: Path, language: str
) -> None:
    message = {
        "template": "Training diverged: {what} is {value} at step {step}.",
        "values": {"what": "loss", "value": "nan", "step": 7},
    }
    info = {"status": "diverged", "why": "Training diverged: loss is nan at step 7."}
    folder = make_run(tmp_path / "run", info=info | {"why_message": message})
    (folder / "best.safetensors").unlink()
    page = render(Run(folder), language=language)
    state = re.search(r'<p class="state stop">(.*?)</p>', page)
    assert state
    assert state[1].count("Training diverged" if language == "en" else "训练发散") == 1
    assert f"netwright train --config {folder}/config.yaml optim.lr=0.005" in shown(page)
    assert "netwright evaluate" not in page
    assert "netwright predict" not in page


def test_a_run_without_test_images_shows_validation(make_run: Make, tmp_path: Path) -> None:
    text = shown(render(Run(make_run(tmp_path / "run", splits=("val",))), language="en"))
    assert "140 validation images" in text
    assert "test images" not in text


def test_the_language_is_for_this_page_only(make_run: Make, tmp_path: Path) -> None:
    run = Run(make_run(tmp_path / "run"))
    before = languages.current()
    assert '<html lang="zh-CN">' in render(run, language="zh")
    assert '<html lang="en">' in render(run, language="en")
    assert languages.current() == before


def test_a_chinese_page_has_no_english_title_left(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    headings = r"<h[23]>(.*?)</h[23]>|<summary>(.*?)</summary>|<th[^>]*>(.*?)</th>|<dt>(.*?)</dt>"
    text = render(Run(folder), language="zh")
    found = [next(filter(None, each), "") for each in re.findall(headings, text)]
    # The names of packages under "versions" are names.
    english = {each for each in found if each and each.isascii()}
    assert english <= {"netwright", "python", "torch", "numpy"}


@pytest.mark.parametrize("status", ["running", "interrupted", "failed", "diverged", "odd"])
def test_a_run_that_did_not_end_well_says_so_first(
    make_run: Make, tmp_path: Path, status: str, language: str
) -> None:
    folder = make_run(
        tmp_path / "run", epochs=0, splits=(), info={"status": status, "why": "the disk is full"}
    )
    text = render(Run(folder), language=language)
    state = re.search(r'<p class="state (\w+)">(.*?)</p>', text)
    assert state
    assert "The disk is full" in state[2]
    assert state[1] == ("stop" if status in ("failed", "diverged") else "warn")


@pytest.mark.parametrize(
    "name",
    ["run.json", "model.json", "config.yaml", "metrics.jsonl", "evidence/test.npz",
     "evidence/val.npz", "samples/first-batch.npz"],
)  # fmt: skip
@pytest.mark.parametrize("content", [None, b"", b"\x00\xff{[", b'{"a": [1, {}]}'])
def test_a_missing_or_damaged_file_costs_its_part_only(
    make_run: Make, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = make_run(tmp_path / "run")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    text = render(Run(folder), language="en")
    Page(text)
    if content == b"\x00\xff{[" and name != "metrics.jsonl":
        assert f"{name} is damaged and cannot be read" in shown(text)


WRONG = [None, "x", -1, 1e308, float("nan"), 10**400, [], {}, [[]], {"a": None}, True, [None, "x"]]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:12])
def test_no_value_of_a_wrong_kind_breaks_the_page(
    make_run: Make, tmp_path: Path, wrong: object
) -> None:
    folder = make_run(tmp_path / "run")
    for name in ("run.json", "model.json"):
        facts = json.loads((folder / name).read_text())
        spoiled = dict.fromkeys(facts, wrong)
        (folder / name).write_text(json.dumps(spoiled))
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    lines = [json.dumps(line | {key: wrong}) for key in line]
    lines.append(json.dumps(dict.fromkeys(line, wrong)))
    (folder / "metrics.jsonl").write_text("\n".join(lines))
    Page(render(Run(folder), language="en"))


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: repr(value)[:12])
def test_no_inner_value_of_a_wrong_kind_breaks_the_page(
    make_run: Make, tmp_path: Path, wrong: object
) -> None:
    folder = make_run(tmp_path / "run")
    model = json.loads((folder / "model.json").read_text())
    for part in ("architecture", "input", "data"):
        model[part] = dict.fromkeys(model[part], wrong)
    model["layers"] = [dict.fromkeys(model["layers"][0], wrong), wrong]
    model["classes"] = [wrong] * 3
    (folder / "model.json").write_text(json.dumps(model))
    info = json.loads((folder / "run.json").read_text())
    info["best"] = dict.fromkeys(info["best"], wrong)
    info["notes"] = [wrong, {"template": wrong, "values": wrong}]
    info["resumed"] = [wrong, {"step": wrong, "how": wrong}]
    (folder / "run.json").write_text(json.dumps(info))
    Page(render(Run(folder), language="zh"))


def test_arrays_of_wrong_kinds_break_nothing(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    good = dict(np.load(folder / "evidence" / "test.npz"))
    odd = [np.zeros(0), np.float64(np.nan), np.full((2, 3), -1), np.array(["a"])]
    odd.append(np.zeros((5, 5, 5, 5)))
    for name in good:
        for wrong in odd:
            np.savez(folder / "evidence" / "test.npz", **(good | {name: wrong}))
            Page(render(Run(folder), language="en"))


def test_labels_outside_the_classes_are_shown_as_numbers(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    good = dict(np.load(folder / "evidence" / "test.npz"))
    good["worst_pred"] = np.full_like(good["worst_pred"], 4711)
    np.savez(folder / "evidence" / "test.npz", **good)
    assert "4711" in shown(render(Run(folder), language="en"))


def test_images_that_were_set_aside_are_listed_with_their_reasons(
    make_run: Make, tmp_path: Path
) -> None:
    folder = make_run(tmp_path / "run")
    model = json.loads((folder / "model.json").read_text())
    model["data"]["quarantined"] = [["cats/7.jpg", "it is truncated"], ["a.gif", "<b>too large"]]
    (folder / "model.json").write_text(json.dumps(model))
    text = shown(render(Run(folder), language="en"))
    assert "Set aside because they could not be read: 2" in text
    assert "cats/7.jpg it is truncated" in text
    assert "a.gif <b>too large" in text


def test_notes_stand_worst_first_and_once(make_run: Make, tmp_path: Path) -> None:
    notes = [
        {"word": word, "template": f"{word.lower()} text"} for word in ("NOTE", "STOP", "NOTE")
    ]
    text = shown(render(Run(make_run(tmp_path / "run", info={"notes": notes})), language="en"))
    assert "STOP stop text NOTE note text Curves" in text


def test_a_path_gives_its_last_part_to_the_title(make_run: Make, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    model = json.loads((folder / "model.json").read_text())
    model["data"]["name"] = "/somewhere/deep/flowers/"
    model["architecture"] = {"factory": "/somewhere/nets.py:make"}
    (folder / "model.json").write_text(json.dumps(model))
    assert "<title>flowers · nets.py:make · Netwright</title>" in render(Run(folder))
