import pytest
import torch
from torch.nn import functional as F

from netwright.models import MODELS, build
from netwright.models.lenet5 import lenet5
from netwright.models.lenet5_1998 import TABLE, Distances, SparseConv2d, SubSampling, lenet5_1998


def _params(model: torch.nn.Module) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, each in model.named_parameters():
        layer = name.split(".")[0]
        counts[layer] = counts.get(layer, 0) + each.numel()
    return counts


def test_the_layers_of_1998_have_the_parameters_of_the_paper() -> None:
    assert _params(lenet5_1998(input_size=(32, 32))) == {
        "c1": 156,
        "s2": 12,
        "c3": 1_516,
        "s4": 32,
        "c5": 48_120,
        "f6": 10_164,
    }


def test_todays_layers_have_a_dense_c3_and_a_linear_head() -> None:
    assert _params(lenet5(input_size=(32, 32))) == {
        "c1": 156,
        "c3": 2_416,
        "c5": 48_120,
        "f6": 10_164,
        "output": 850,
    }


def test_mnist_and_the_papers_padded_images_make_the_same_network() -> None:
    small, padded = lenet5(input_size=(28, 28)), lenet5(input_size=(32, 32))
    padded.load_state_dict(small.state_dict())
    images = torch.randn(2, 1, 28, 28)
    torch.testing.assert_close(small(images), padded(F.pad(images, (2, 2, 2, 2))))


@pytest.mark.parametrize("size", [(12, 12), (13, 40), (31, 32), (64, 50)])
@pytest.mark.parametrize("name", ["lenet5", "lenet5-1998"])
def test_any_size_from_12_pixels_and_any_channels_are_taken(
    name: str, size: tuple[int, int]
) -> None:
    model = build(name, num_classes=7, in_channels=3, input_size=size)
    assert model(torch.zeros(2, 3, *size)).shape == (2, 7)


def test_each_map_of_c3_sees_what_the_table_of_the_paper_says() -> None:
    assert [len(row) for row in TABLE] == [3] * 6 + [4] * 9 + [6]
    assert all(sum(i in row for row in TABLE) == 10 for i in range(6))
    layer = SparseConv2d(TABLE, kernel_size=5)
    seen = [set(row.nonzero()[:, 0].tolist()) for row in layer.dense().abs().sum((2, 3))]
    assert seen == [set(row) for row in TABLE]


def test_the_sparse_convolution_equals_one_small_convolution_a_map() -> None:
    layer = SparseConv2d(((0, 2), (1,)), kernel_size=3)
    x = torch.randn(2, 3, 6, 6)
    first = F.conv2d(x[:, [0, 2]], layer.weight[:2].transpose(0, 1), layer.bias[:1])
    second = F.conv2d(x[:, [1]], layer.weight[2:], layer.bias[1:])
    torch.testing.assert_close(layer(x), torch.cat([first, second], 1))


def test_sub_sampling_sums_four_pixels_and_weighs_each_map() -> None:
    layer = SubSampling(2)
    layer.weight.data = torch.tensor([0.5, 2.0])
    layer.bias.data = torch.tensor([0.0, 1.0])
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 2, 2, 2)
    assert layer(x).flatten().tolist() == [5.0, 21.0]


def test_the_answer_is_minus_the_squared_distance_to_each_code() -> None:
    layer = Distances(num_classes=3, length=84, temperature=2.0)
    x = torch.randn(5, 84)
    expected = -((x[:, None, :] - layer.codes) ** 2).sum(2) / 2
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_the_codes_are_signs_and_stay_the_same_for_ever() -> None:
    codes = Distances(num_classes=10, length=84, temperature=1.0).codes
    assert set(codes.flatten().tolist()) == {-1.0, 1.0}
    assert codes[0, :8].tolist() == [1.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    assert len({tuple(code.tolist()) for code in codes}) == 10


def test_the_published_facts_name_the_paper() -> None:
    assert "1998" in MODELS.get("lenet5-1998").facts["paper"]
