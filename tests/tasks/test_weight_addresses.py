"""`model.weights=https://...`: fetched once, resumed, and used only with the right checksum."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save

from netwright.core import downloads
from netwright.core import events as e
from netwright.core.cache import cache_home
from netwright.core.errors import DataError, SettingError
from netwright.core.languages import say
from netwright.models import build
from netwright.models.weights.beside import images_beside
from netwright.models.weights.published import MEAN, STD, known_file, published
from netwright.records.run import Run
from netwright.tasks import starting, training, weight_addresses
from netwright.tasks.preparing import prepare
from netwright.tasks.settings import resolve
from netwright.tasks.weight_addresses import resource_of

STILL = {"optim": "sgd", "optim__lr": 1e-12, "steps": 1, "model__hidden": [12]}


def _body():
    torch.manual_seed(5)
    options = {"hidden": [12]}
    model = build("mlp", num_classes=10, in_channels=1, input_size=(8, 8), options=options)
    return save(model.state_dict())


BODY = _body()
SHA = hashlib.sha256(BODY).hexdigest()


class Server:
    """Serves BODY with ranges; `cut` sends that many bytes at most and hangs up."""

    def __init__(self):
        self.asked, self.cut, self.body = [], None, BODY
        own = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):  # the name the library calls
                found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
                start = int(found[1]) if found else 0
                own.asked.append(start)
                part = own.body[start:]
                self.send_response(206 if found else 200)
                self.send_header("Content-Length", str(len(part)))
                if found:
                    total = len(own.body)
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                self.end_headers()
                self.wfile.write(part[: own.cut])

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def address(self, name="net.safetensors", digits=SHA):
        return f"http://127.0.0.1:{self.http.server_port}/{name}#sha256={digits}"


@pytest.fixture
def server(monkeypatch, tmp_path):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "NETWRIGHT_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETWRIGHT_HOME", str(tmp_path / "home"))
    eager = functools.partial(downloads.fetch, sleep=lambda seconds: None)
    monkeypatch.setattr(weight_addresses, "fetch", eager)
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def recipe(weights, model="mlp", **settings):
    given = STILL | {"model__weights": weights} | settings
    return resolve(data="digits", model=model, settings=given, environ={})


def kept():
    folder = cache_home() / "weights"
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


def test_weights_of_an_address_are_fetched_once_and_recorded(tmp_path, server):
    said = []
    training.train(recipe(server.address()), run_dir=tmp_path / "run", listeners=[said.append])
    texts = [say(n.template, **n.values) for n in said if isinstance(n, e.Noted)]
    assert any(text.endswith("checksum right.") for text in texts)
    start = Run(tmp_path / "run").model["start"]
    assert (start["weights"], start["sha256"], start["tensors"]) == (server.address(), SHA, 4)
    assert f"#sha256={SHA}" in (tmp_path / "run" / "config.yaml").read_text()
    assert kept() == [f"net-{SHA[:16]}.safetensors"]
    again = resolve(config=str(tmp_path / "run" / "config.yaml"), environ={})
    training.train(again, run_dir=tmp_path / "again")
    assert server.asked == [0]


def test_the_first_digits_in_the_name_are_a_checksum_too(server):
    address = server.address(f"net-{SHA[:8]}.safetensors").partition("#")[0]
    assert prepare(recipe(address), e.Events()).start.sha256 == SHA
    assert kept() == [f"net-{SHA[:8]}.safetensors"]


def test_a_download_that_is_cut_short_goes_on_where_it_stopped(server):
    server.cut = len(BODY) // 3 + 1
    assert prepare(recipe(server.address()), e.Events()).start.sha256 == SHA
    assert server.asked == [0, server.cut, 2 * server.cut]


def test_a_download_that_never_comes_to_its_end_is_refused(server):
    server.cut = 0
    with pytest.raises(DataError, match="Cannot download net-"):
        prepare(recipe(server.address()), e.Events())
    assert kept() == []


def test_another_file_than_the_one_published_is_set_aside_and_not_read(server, monkeypatch):
    monkeypatch.setattr(starting, "read_weights_file", None)  # nothing may read it
    server.body = BODY[:-1] + b"?"
    with pytest.raises(DataError, match=r"wrong checksum: .* set aside"):
        prepare(recipe(server.address()), e.Events())
    assert [name.partition(".wrong-")[0] for name in kept()] == [f"net-{SHA[:16]}.safetensors"]


def test_a_file_of_the_cache_that_was_changed_is_fetched_again(server):
    prepare(recipe(server.address()), e.Events())
    path = cache_home() / "weights" / f"net-{SHA[:16]}.safetensors"
    path.write_bytes(b"else" + path.read_bytes())
    assert prepare(recipe(server.address()), e.Events()).start.sha256 == SHA
    assert server.asked == [0, 0]


def test_more_than_the_limit_is_refused(server, monkeypatch):
    monkeypatch.setattr(weight_addresses, "LIMIT", 100)
    with pytest.raises(DataError, match="Cannot download"):
        prepare(recipe(server.address()), e.Events())


def test_offline_says_where_to_put_the_file(server, monkeypatch):
    monkeypatch.setenv("NETWRIGHT_OFFLINE", "1")
    with pytest.raises(DataError, match=r"NETWRIGHT_OFFLINE.*\n.*weights/net-"):
        prepare(recipe(server.address()), e.Events())


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://x.org/a.pth", "names no checksum"),
        ("https://x.org/a-f37072fd.pth#sha256=xyz", "#sha256=xyz is no checksum"),
        ("https://x.org/a.pth#sha256=123", "#sha256=123 is no checksum"),
        ("ftp://x.org/a-f37072fd.pth", "is no address of weights"),
        ("file:///a-f37072fd.pth", "is no address of weights"),
        ("https://[/a-f37072fd.pth", "is no address of weights"),
        ("https://me:secret@x.org/a-f37072fd.pth", "holds a name or a password"),
        ("nobody:https://x.org/a-f37072fd.pth", "nobody"),
    ],
)
def test_what_is_no_address_to_trust_is_refused(address, words):
    with pytest.raises(SettingError, match=words) as caught:
        prepare(recipe(address), e.Events())
    assert "secret" not in str(caught.value)


def test_a_name_from_the_network_stays_in_the_cache():
    assert resource_of(f"https://x.org/%2e%2e%2f..%2fetc/..%2F..%2Fa.pth#sha256={SHA}").name == (
        f"_.._a-{SHA[:16]}.pth"
    )
    assert resource_of(f"https://x.org/#sha256={SHA}").name == f"weights-{SHA[:16]}"


def test_the_name_of_published_weights_is_the_address_of_the_model_that_is_trained(monkeypatch):
    asked = []

    def fetch(resource, **rest):
        asked.append(resource)
        raise DataError("stop here")

    monkeypatch.setattr(weight_addresses, "fetch", fetch)
    with pytest.raises(DataError, match="stop here"):
        prepare(
            resolve(data="digits", model="vgg16_bn", environ={},
                    settings={"model__weights": "IMAGENET1K_V1"}),
            e.Events(),
        )  # fmt: skip
    assert asked[0].addresses == ("https://download.pytorch.org/models/vgg16_bn-6c64b313.pth",)
    assert asked[0].sha256 == "6c64b313"
    with pytest.raises(SettingError, match=r"no weights imagenet1k-v1 of mlp.*\n.*resnet18"):
        prepare(recipe("imagenet1k-v1"), e.Events())


def test_a_published_file_is_known_by_its_content(tmp_path, monkeypatch):
    model = build("resnet18", num_classes=3, in_channels=3, input_size=(64, 64))
    (tmp_path / "mine.safetensors").write_bytes(save(model.state_dict()))
    resnet = published("resnet18")
    monkeypatch.setattr(starting, "known_file", lambda sha256: resnet)
    settings = {"data__size": 64, "steps": 1,
                "model__weights": str(tmp_path / "mine.safetensors")}  # fmt: skip
    said = []
    prepared = prepare(resolve(data="shapes", settings=settings, environ={}),
                       e.Events(said.append))  # fmt: skip
    assert prepared.architecture.name == "resnet18"
    assert (prepared.preprocessing.mean, prepared.preprocessing.std) == (MEAN, STD)
    texts = [say(n.template, **n.values) for n in said if isinstance(n, e.Noted)]
    assert (
        "the weights: their checksum says that they are torchvision's resnet18, imagenet1k-v1"
    ) in texts
    assert "the weights were trained on images of 224x224; these are 64x64 (data.size)" in texts
    assert known_file(SHA) is None


@pytest.mark.parametrize(
    ("name", "facts", "size"),
    [
        ("preprocessor_config.json", {"image_mean": [0.4], "image_std": [0.2],
                                      "size": {"height": 8, "width": 9}}, (8, 9)),
        ("preprocessor_config.json", {"image_mean": [0.4], "image_std": [0.2], "size": 8}, (8, 8)),
        ("config.json", {"pretrained_cfg": {"mean": [0.4], "std": [0.2],
                                            "input_size": [1, 8, 8]}}, (8, 8)),
    ],
)  # fmt: skip
def test_a_file_beside_the_weights_says_how_images_are_prepared(tmp_path, name, facts, size):
    (tmp_path / "net.safetensors").write_bytes(BODY)
    (tmp_path / name).write_text(json.dumps(facts))
    prepared = prepare(recipe(str(tmp_path / "net.safetensors")), e.Events())
    assert (prepared.preprocessing.mean, prepared.preprocessing.std) == ((0.4,), (0.2,))
    assert prepared.start.size == size


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"image_mean": [0.4], "image_std": [0]}', '{"image_mean": 1, "image_std": 1}',
     '{"image_mean": ["a"], "image_std": [1]}', '{"image_mean": [NaN], "image_std": [1]}',
     '{"do_normalize": false, "image_mean": [0.4], "image_std": [1]}', "[" * 100_000],
)  # fmt: skip
def test_what_it_cannot_mean_counts_as_not_said(tmp_path, text):
    (tmp_path / "preprocessor_config.json").write_text(text)
    assert images_beside(tmp_path / "net.safetensors") is None


def test_what_the_user_says_of_images_stands_above_what_the_file_says(tmp_path):
    (tmp_path / "net.safetensors").write_bytes(BODY)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.4], "image_std": [0.2]}')
    weights = str(tmp_path / "net.safetensors")
    told = prepare(recipe(weights, transfer__images="data"), e.Events())
    plain = prepare(resolve(data="digits", model="mlp", settings={}, environ={}), e.Events())
    assert told.preprocessing.mean == plain.preprocessing.mean
    assert told.task.transfer is None
    told = prepare(recipe(weights, transfer__images="imagenet"), e.Events())
    assert told.preprocessing.mean == (pytest.approx(0.449),)  # of grey: the mean of three
