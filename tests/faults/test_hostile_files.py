"""Files that mean harm, given on the command line: refused with a message and the right status.

Nothing in them is executed, nothing is written outside, and no run folder is left behind.
"""

import io
import os
import tarfile

import pytest
import torch
from PIL import Image


class _Executes:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _png():
    data = io.BytesIO()
    Image.new("L", (8, 8)).save(data, "PNG")
    return data.getvalue()


def _refused(server, place, *words):
    child = server.start(
        ["train", *words, "steps=1", "--run-dir", str(place / "in" / "run")], cwd=place / "in"
    )
    status = child.wait()
    assert "Traceback" not in child.text()
    assert "A fault in Netwright" not in child.text()
    assert not (place / "in" / "run").exists()
    assert os.listdir(place) == ["in"], "something was written outside"
    return status, " ".join(child.text().split())


@pytest.fixture
def inside(place):
    (place / "in").mkdir()
    return place / "in"


def test_a_pickle_that_executes_is_refused_and_executes_nothing(server, place, inside):
    torch.save({"w": _Executes(str(place / "executed"))}, inside / "bomb.pt")
    status, text = _refused(server, place, "digits", "mlp", "model.weights=bomb.pt")
    assert status == 2
    assert "bomb.pt is not read: it calls for posix.mkdir" in text


def test_a_small_file_that_claims_a_tensor_of_a_trillion_numbers_is_refused(server, place, inside):
    torch.save({"w": torch.zeros(1).expand(10**6, 10**6)}, inside / "huge.pt")
    assert (inside / "huge.pt").stat().st_size < 2000
    status, text = _refused(server, place, "digits", "mlp", "model.weights=huge.pt")
    assert status == 3
    assert "its tensor w claims more numbers than the file holds" in text


def test_weights_of_another_architecture_are_refused(server, place, inside):
    weights = {"conv.weight": torch.zeros(3, 3), "conv.bias": torch.zeros(3)}
    torch.save(weights, inside / "other.pt")
    status, _ = _refused(server, place, "digits", "mlp", "model.weights=other.pt")
    assert status == 2


@pytest.mark.parametrize("share", [0.3, 0.95])
def test_weights_cut_short_by_a_broken_download_are_refused(server, place, inside, share):
    torch.save({"w": torch.zeros(1000)}, inside / "cut.pt")
    data = (inside / "cut.pt").read_bytes()
    (inside / "cut.pt").write_bytes(data[: int(share * len(data))])
    status, text = _refused(server, place, "digits", "mlp", "model.weights=cut.pt")
    assert status == 3
    assert "cut.pt" in text


@pytest.mark.parametrize("name", ["../../out.png", "{place}/out.png", "a/../../../out.png"])
def test_an_archive_that_leaves_its_folder_is_refused(server, place, inside, name):
    name = name.format(place=place)
    with tarfile.open(inside / "leaves.tar", "w") as archive:
        for each in ("a/1.png", name):
            entry = tarfile.TarInfo(each)
            entry.size = len(_png())
            archive.addfile(entry, io.BytesIO(_png()))
    status, text = _refused(server, place, "leaves.tar", "mlp")
    assert status == 3
    assert "leaves the folder" in text or "is refused" in text
    assert not list(place.rglob("out.png"))


def test_links_in_a_circle_end_and_are_named(server, place, inside):
    for name in "ab":
        folder = inside / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(30):
            Image.new("L", (8, 8), 8 * i).save(folder / f"{i}.png")
        (folder / "up").symlink_to("..")
        (folder / "out").symlink_to("../..")
        (folder / "itself.png").symlink_to("itself.png")
    status, text = _refused(server, place, "pictures", "mlp")
    assert status == 3
    assert "a link that leaves the folder" in text
    assert "a link in a circle" in text


def test_no_checkpoint_is_accepted_with_one_of_a_thousand_bits_flipped(reference, place):
    """All files of a real checkpoint, each as often as it is large; a tenth where time counts."""
    import random
    import shutil

    from netwright.core.errors import CheckpointError
    from netwright.train.checkpoints import read_checkpoint

    path = shutil.copytree(max((reference / "ckpt").glob("step-*")), place / "step-000000080")
    good = {each: each.read_bytes() for each in sorted(path.iterdir())}
    draw, accepted = random.Random(0), 0
    files = draw.choices(list(good), weights=[len(data) for data in good.values()], k=985)
    for file in [*files, *5 * list(good)]:
        data = bytearray(good[file])
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        file.write_bytes(data)
        try:
            read_checkpoint(path)
            accepted += 1
        except CheckpointError:
            pass
        file.write_bytes(good[file])
    assert accepted == 0
    assert read_checkpoint(path).step == 80
