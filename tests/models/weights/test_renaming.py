"""State dicts of wrappers, timm and transformers find their places in our networks."""

import pytest
import torch

from netwright.models import build
from netwright.models.weights.fitting import fit, own_tensors, shapes
from netwright.models.weights.renaming import arrange


def net(name, num_classes=10, **options):
    return build(name, num_classes=num_classes, in_channels=3, input_size=(64, 64), options=options)


def own_of(model):
    return shapes(own_tensors(model))


@pytest.mark.parametrize("prefix", ["model.", "backbone.", "module._orig_mod.", "a.b.c."])
def test_what_a_wrapper_puts_before_each_name_is_taken_off(prefix):
    state = net("resnet20").state_dict()
    made = arrange(shapes(state), {prefix + name: each for name, each in state.items()})
    assert all(made.tensors[name] is each for name, each in state.items())
    assert made.renamed == {name: prefix + name for name in state}
    assert (made.reshaped, made.outside) == ((), frozenset())


def test_a_network_that_is_wrapped_takes_the_plain_names():
    state = net("resnet20").state_dict()
    own = {f"body.{name}": tuple(each.shape) for name, each in state.items()}
    assert set(arrange(own, state).tensors) == set(own)


def test_the_other_network_of_a_pair_is_outside():
    state = net("resnet20").state_dict()
    pair = {f"{side}.{name}": each + (side == "encoder_q")
            for side in ("encoder_q", "encoder_k") for name, each in state.items()}  # fmt: skip
    made = arrange(shapes(state), pair | {"queue": torch.zeros(3)})
    assert torch.equal(made.tensors["conv1.weight"], state["conv1.weight"] + 1)
    assert made.outside == {f"encoder_k.{name}" for name in state} | {"queue"}
    found = fit(shapes(state), shapes(made.tensors), num_classes=10, skip=True,
                outside=made.outside)  # fmt: skip
    assert found.good
    assert len(found.skipped) == len(state) + 1


@pytest.mark.parametrize("layer", ["basic", "bottleneck"])
def test_a_resnet_of_transformers_computes_the_same_here(layer):
    transformers = pytest.importorskip("transformers")
    name = {"basic": "resnet18", "bottleneck": "resnet50"}[layer]
    widths = [64, 128, 256, 512] if layer == "basic" else [256, 512, 1024, 2048]
    depths = [2, 2, 2, 2] if layer == "basic" else [3, 4, 6, 3]
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        layer_type=layer, hidden_sizes=widths, depths=depths, num_labels=7
    )
    theirs = transformers.ResNetForImageClassification(config).eval()
    ours = net(name, num_classes=7).eval()
    made = arrange(own_of(ours), theirs.state_dict())
    ours.load_state_dict(made.tensors)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images).logits, rtol=1e-4, atol=1e-5)


def test_a_bare_resnet_of_transformers_lacks_the_head_alone():
    transformers = pytest.importorskip("transformers")
    config = transformers.ResNetConfig(
        layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2]
    )
    own = own_of(net("resnet18"))
    made = arrange(own, transformers.ResNetModel(config).state_dict())
    found = fit(own, shapes(made.tensors), num_classes=10, head=["fc.weight", "fc.bias"])
    assert (found.good, found.given_classes) == (True, 0)


def test_the_convolutions_of_a_vgg_of_timm_become_linear_layers():
    ours = net("vgg11_bn", width=0.125)
    state = ours.state_dict()
    wide = state["classifier.0.weight"]
    channels = wide.shape[1] // 49
    theirs = {name: each for name, each in state.items() if name.startswith("features")}
    theirs |= {
        "pre_logits.fc1.weight": wide.view(-1, channels, 7, 7),
        "pre_logits.fc1.bias": state["classifier.0.bias"],
        "pre_logits.fc2.weight": state["classifier.3.weight"][:, :, None, None],
        "pre_logits.fc2.bias": state["classifier.3.bias"],
        "head.fc.weight": state["classifier.6.weight"],
        "head.fc.bias": state["classifier.6.bias"],
    }
    made = arrange(own_of(ours), theirs)
    assert all(torch.equal(made.tensors[name], each) for name, each in state.items())
    assert set(made.reshaped) == {"classifier.0.weight", "classifier.3.weight"}
    assert len(made.renamed) == 6


# As timm names them: inverted residuals of stage 1 to 6, and how many blocks each stage has.
REPEATS = [2, 3, 4, 3, 3, 1]
FIRST = ["conv_dw", "bn1", "conv_pw", "bn2"]
LATER = ["conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"]


def test_a_mobilenet_v2_of_timm_finds_its_places_in_order():
    ours = net("mobilenet_v2")
    state = ours.state_dict()
    layers = ["conv_stem", "bn1", *(f"blocks.0.0.{each}" for each in FIRST)]
    layers += [f"blocks.{stage}.{block}.{each}" for stage, count in enumerate(REPEATS, start=1)
               for block in range(count) for each in LATER]  # fmt: skip
    layers += ["conv_head", "bn2", "classifier"]
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    assert len(modules) == len(layers)
    called = dict(zip(modules, layers, strict=True))
    theirs = {}
    for name, each in state.items():
        module, _, leaf = name.rpartition(".")
        theirs[f"{called[module]}.{leaf}"] = each
    made = arrange(shapes(state), theirs)
    assert made.tensors.keys() == state.keys()
    assert all(made.tensors[name] is each for name, each in state.items())


def test_names_that_fit_need_no_other():
    state = net("resnet20").state_dict()
    made = arrange(shapes(state), state)
    assert (made.renamed, made.reshaped) == ({}, ())


def test_a_further_block_is_not_skipped_but_a_part_of_its_own_is():
    own = {"layer1.0.weight": (2, 2), "fc.weight": (3, 2)}
    deeper = own | {"layer1.1.weight": (2, 2)}
    assert not fit(own, deeper, num_classes=3, skip=True).good
    other = own | {"projector.0.weight": (2, 2)}
    found = fit(own, other, num_classes=3, skip=True)
    assert (found.good, found.skipped) == (True, ("projector.0.weight",))
    assert not fit(own, other, num_classes=3).good
    row = {"0.weight": (2, 2), "2.weight": (3, 2)}
    assert not fit(row, row | {"4.weight": (3, 3)}, num_classes=3, skip=True).good
