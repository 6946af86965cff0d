import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from netwright.core.errors import SettingError
from netwright.inspection.outline import outline
from netwright.models import MODELS, build


def _rows(model: nn.Module, *size: int) -> list[tuple[object, ...]]:
    return [
        (row.name, row.kind, row.output, row.params, row.macs)
        for row in outline(model, (size[0], size[1], size[2]))
    ]


def test_each_layer_has_a_row_in_the_order_it_runs() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)
    )
    assert _rows(model, 3, 8, 8) == [
        ("0", "Conv2d", (4, 6, 6), 3 * 4 * 9 + 4, 36 * 4 * 27),
        ("1", "BatchNorm2d", (4, 6, 6), 8, 0),
        ("2", "ReLU", (4, 6, 6), 0, 0),
        ("3", "Flatten", (144,), 0, 0),
        ("4", "Linear", (5,), 144 * 5 + 5, 144 * 5),
    ]


def test_published_networks_have_the_multiply_accumulates_of_the_books() -> None:
    lenet = build("lenet5", num_classes=10, in_channels=1, input_size=(32, 32))
    assert sum(row.macs for row in outline(lenet, (1, 32, 32))) == 416_520
    resnet = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
    assert sum(row.macs for row in outline(resnet, (3, 32, 32))) == 40_551_040


@pytest.mark.parametrize("name", MODELS.names())
def test_the_rows_account_for_every_parameter(name: str) -> None:
    with torch.device("meta"):  # some have a hundred million of them
        model = build(name, num_classes=10, in_channels=3, input_size=(32, 32))
    rows = outline(model, (3, 32, 32))
    assert sum(row.params for row in rows) == sum(each.numel() for each in model.parameters())


@pytest.mark.parametrize("name", ["resnet20", "googlenet", "mobilenet_v2"])
def test_the_rows_account_for_the_work_torch_counts(name: str) -> None:
    with torch.device("meta"):
        model = build(name, num_classes=10, in_channels=3, input_size=(224, 224)).eval()
        image = torch.empty(1, 3, 224, 224)
    with FlopCounterMode(display=False) as counter:
        model(image)
    rows = outline(model, (3, 224, 224))
    assert 2 * sum(row.macs for row in rows) == counter.get_total_flops()


def test_the_model_is_left_as_it_was() -> None:
    model = build("resnet20", num_classes=10, in_channels=3, input_size=(32, 32))
    model[0].eval() if isinstance(model, nn.Sequential) else model.get_submodule("bn1").eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    modes = [each.training for each in model.modules()]
    outline(model, (3, 32, 32))
    assert [each.training for each in model.modules()] == modes
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert all(each.device.type == "cpu" for each in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_weight_used_twice_counts_once_and_its_layer_has_two_rows() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x.flatten(1)))

    assert _rows(Twice(), 1, 2, 2) == [
        ("layer", "Linear", (4,), 16, 16),
        ("layer", "Linear", (4,), 0, 16),
    ]


def test_a_weight_of_two_layers_counts_at_the_one_that_runs_first() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.late = nn.Linear(4, 4, bias=False)
            self.early = nn.Linear(4, 4, bias=False)
            self.early.weight = self.late.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.late(self.early(x.flatten(1)))

    assert _rows(Tied(), 1, 2, 2) == [
        ("early", "Linear", (4,), 16, 16),
        ("late", "Linear", (4,), 0, 16),
    ]


def test_a_module_under_two_names_has_the_first_one() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU())
            self.two = self.one

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x.flatten(1)))

    assert _rows(Shared(), 1, 2, 2) == [
        ("one.0", "Linear", (4,), 16, 16),
        ("one.1", "ReLU", (4,), 0, 0),
        ("one.0", "Linear", (4,), 0, 16),
        ("one.1", "ReLU", (4,), 0, 0),
    ]


def test_weights_of_a_part_that_does_not_run_count_at_what_holds_it() -> None:
    class Borrowing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.linear(x, self.layer.weight)

    model = nn.Sequential(nn.Flatten(), Borrowing())
    assert _rows(model, 1, 2, 2) == [
        ("0", "Flatten", (4,), 0, 0),
        ("1", "Borrowing", (3,), 15, 12),
    ]


def test_a_module_that_computes_with_weights_of_its_own_has_a_row() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Flatten()
            self.table = nn.Parameter(torch.zeros(4, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) @ self.table

    assert _rows(Own(), 1, 2, 2) == [
        ("inner", "Flatten", (4,), 0, 0),
        ("(model)", "Own", (3,), 12, 12),
    ]


def test_attention_which_calls_no_part_for_its_output_accounts_for_it() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2).transpose(1, 2)
            return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)

    (row,) = outline(Attending(), (8, 2, 2))
    assert (row.name, row.params, row.output) == ("attention", 3 * 72 + 72, (4, 8))


def test_a_model_that_needs_values_is_copied_and_run_on_zeros() -> None:
    class Deciding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(1)
            self.small = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(x)
            return self.small(x.flatten(1)) if x.sum() < 1 else x.flatten(1)

    model = Deciding()
    assert [row.name for row in outline(model, (1, 2, 2))] == ["norm", "small"]
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_model_that_cannot_take_the_input_says_so() -> None:
    with pytest.raises(SettingError, match=r"^1 \(Linear\) cannot take its input \(1, 75\): "):
        outline(nn.Sequential(nn.Flatten(), nn.Linear(10, 2)), (3, 5, 5))


def test_a_place_where_nothing_happens_has_no_row() -> None:
    assert _rows(nn.Sequential(nn.Identity(), nn.Flatten()), 1, 2, 2) == [
        ("1", "Flatten", (4,), 0, 0)
    ]
