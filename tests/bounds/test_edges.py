"""Breaks at the edges that were found by hunting for them, each by its name: wrong answers that must not come back.

What the suite does not understand (an argument, a dtype, a module that mixes examples, a change after the trace) is
refused by name; what it understands is bounded soundly.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from robustsuite import bounds
from robustsuite.errors import InvalidInput, RobustsuiteError, UnboundedOutput, UnsupportedOperator
from robustsuite.perturbations import L1, L2, Box, BoxRegion, Linf

from .cases import METHODS, Applied
from .search import assert_encloses, extremes

HALVES = torch.full((1, 2), 0.5, dtype=torch.float64)


class ZeroHead(nn.Module):
    """Mixes the examples before a layer that is zero until it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 2)
        nn.init.zeros_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x - x.mean(0, keepdim=True))
        assert isinstance(y, Tensor)
        return y


class MixesInNormalisation(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, None, None, training=True)


MIXING: dict[str, nn.Module] = {
    "mean": Applied(lambda x: x - x.mean(0, keepdim=True)),
    "flip": Applied(lambda x: x.flip(0)),
    "dead branch": Applied(lambda x: x + (x - x.mean(0, keepdim=True) - 1).relu()),
    "zero head": ZeroHead(),
    "nan hides": Applied(lambda x: (x - 1).log() + x.flip(0)),
    "roll": Applied(lambda x: x.roll(1, 0)),
    "cumsum": Applied(lambda x: x.cumsum(0)),
    "first example for all": Applied(lambda x: x[:1].expand_as(x)),
    "softmax over the batch": Applied(lambda x: x.softmax(0)),
    "product over the batch": Applied(lambda x: x @ x.t() @ x),
    "sum of a mask": Applied(lambda x: x * (x > 0).sum(0, keepdim=True)),
    "mask of another": Applied(lambda x: torch.where(x.flip(0) > 9, x, 2 * x)),
    "multiplied by zero": Applied(lambda x: x + 0 * x.sum()),
    "size of the batch": Applied(lambda x: x / len(x)),
    "size of the batch in a dead branch": Applied(lambda x: x + (x - 1000 - len(x)).relu()),
    "number of the example": Applied(lambda x: x * torch.arange(1, len(x) + 1).view(-1, 1)),
    "folded": Applied(lambda x: (x.reshape(-1) - x.reshape(-1).amax()).reshape(x.shape)),
    "batch statistics": MixesInNormalisation(),
    "square of the batch": Applied(lambda x: (x.t() @ x).sum() + x),
    "turned": Applied(lambda x: x.reshape(2, -1).t().reshape(x.shape)),
}


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize(("at", "batch"), [(0.5, 1), (0.0, 2), (1.0, 1)])
def test_a_module_that_mixes_examples_is_refused(name: str, at: float, batch: int) -> None:
    x = torch.full((batch, 2), at, dtype=torch.float64)
    with pytest.raises(RobustsuiteError, match="batch|NaN|no bounding rule|Expected more than 1 value"):
        bounds.trace(MIXING[name].double(), x)


class HeadsInBatch(nn.Module):
    """Folds heads into the batch axis and takes them out again, as attention layers do."""

    def forward(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        heads = x.reshape(b, n, 2, d // 2).transpose(1, 2).reshape(b * 2, n, d // 2)
        weights = (heads @ heads.transpose(1, 2)).softmax(-1)
        return (weights @ heads).reshape(b, 2, n, d // 2).transpose(1, 2).reshape(b, n, d)


class TimeFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTM(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cell(x.transpose(0, 1))[0][-1]
        return y


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (HeadsInBatch(), (1, 3, 4)),
        (TimeFirst(), (1, 5, 3)),
        (nn.Sequential(nn.Flatten(0), nn.ReLU(), nn.Unflatten(0, (-1, 4))), (1, 4)),
        (nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (1, 3, 4)),
        (Applied(lambda x: x[torch.arange(len(x)), 1]), (1, 3)),
        (Applied(lambda x: torch.cat([torch.zeros(len(x), 1), x], 1)), (1, 3)),
        (Applied(lambda x: torch.einsum("bi,ij->bj", x, torch.ones(3, 2))), (1, 3)),
        (Applied(lambda x: x * (x > 0).any(1, keepdim=True).float() if False else x), (1, 3)),
    ],
    ids=["heads", "time first", "flat", "encoder", "numbered rows", "padded", "einsum", "identity"],
)
def test_modules_that_keep_examples_apart_are_taken(module: nn.Module, shape: tuple[int, ...]) -> None:
    for example in (torch.zeros(shape), torch.full(shape, 0.5), torch.rand(2, *shape[1:])):
        bounds.trace(module.eval(), example)


@pytest.mark.parametrize("function", [lambda x: (x - 1).log(), lambda x: x / 0 * x, lambda x: x.rsqrt() * 0])
def test_a_module_that_gives_nan_at_the_example_is_refused(function: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(InvalidInput, match=r"NaN|inf.*trace at an example"):
        bounds.trace(Applied(function), torch.zeros(1, 2))


# --- arguments, dtypes, masks


def _instance_norm(**options: Any) -> nn.Module:
    torch.manual_seed(0)
    layer = nn.InstanceNorm1d(2, affine=True, **options).double().eval()
    with torch.no_grad():
        for name, value in layer.named_buffers():
            if "running" in name:
                value.uniform_(0.5, 2)
        layer.weight.normal_()
        layer.bias.normal_()
    return layer


FULL_OF_ARGUMENTS: dict[str, tuple[Callable[[Tensor], Tensor] | nn.Module, tuple[int, ...], float, float]] = {
    "instance norm with running statistics": (_instance_norm(track_running_stats=True), (1, 2, 4), 0.5, 0.3),
    "instance norm without": (_instance_norm(), (1, 2, 4), 0.5, 0.3),
    "to int": (lambda x: (x - 2).relu().to(torch.int32).to(x), (1, 3), 3.4, 1.5),
    "to int of negatives": (lambda x: x.to(torch.int64).to(x), (1, 3), 0.1, 1.7),
    "to bool": (lambda x: (x - 2).relu().bool().to(x), (1, 3), 2.4, 1.0),
    "to half": (lambda x: x.half().to(x), (1, 1), 2049.0, 0.6),
    "to bfloat16": (lambda x: x.bfloat16().to(x), (1, 1), 257.0, 1.5),
    "to float32": (lambda x: x.float().to(x), (1, 1), 1e9 + 1, 30.0),
    "bool plus bool": (lambda x: ((x > 0) + (x > 0.1)).to(x), (1, 3), 0.0, 0.5),
    "bool plus number": (lambda x: ((x > 0) + 1).to(x) + x, (1, 3), 0.0, 0.5),
    "bools counted": (lambda x: (x > 0).sum(1, keepdim=True) * x, (1, 3), 0.1, 0.5),
    "where with a large constant": (lambda x: torch.where(x > 2, 1e12, x), (1, 3), 2.0, 0.5),
    "where with a large negative one": (lambda x: torch.where(x > 2, x, -1e15), (1, 3), 2.0, 0.5),
    "masked softmax of large scores": (
        lambda x: (1e10 * x).masked_fill(torch.tensor([False, True, False]), -torch.inf).softmax(-1),
        (1, 3),
        0.0,
        1.0,
    ),
    "masked softmax of negative scores": (
        lambda x: (x - 3e9).masked_fill(torch.tensor([False, True, False]), -torch.inf).softmax(-1),
        (1, 3),
        0.0,
        1.0,
    ),
    "masked log-softmax, picked": (
        lambda x: x.masked_fill(torch.tensor([False, True, False]), -torch.inf).log_softmax(-1).exp(),
        (1, 3),
        0.0,
        1.0,
    ),
    "masked maximum": (
        lambda x: (x - 2e9).masked_fill(torch.tensor([False, True, False]), -torch.inf).amax(-1),
        (1, 3),
        0.0,
        1.0,
    ),
    "mask added": (
        lambda x: (x * 1e10 + torch.tensor([0, -torch.inf, 0]).to(x)).softmax(-1),
        (1, 3),
        0.0,
        1.0,
    ),
    "norm of order 0": (lambda x: torch.linalg.vector_norm(x, 0, -1) + x[:, 0], (1, 3), 0.0, 1.0),
    "dropout that always drops": (lambda x: F.dropout(x, 0.5, training=True), (1, 3), 0.0, 1.0),
    "random noise": (lambda x: x + torch.rand(3).to(x), (1, 3), 0.0, 1.0),
    "scaled bilinear": (
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear", align_corners=False),
        (1, 1, 4, 4),
        0.0,
        1.0,
    ),
    "scaled nearest": (lambda x: F.interpolate(x, scale_factor=1.7), (1, 1, 4, 4), 0.0, 1.0),
    "indices apart": (
        lambda x: x[:, torch.tensor([0, 1]), :, torch.tensor([1, 0])].transpose(0, 1),
        (1, 2, 3, 2),
        0.0,
        1.0,
    ),
    "standard deviation without correction": (lambda x: x.var(1, correction=0), (1, 4), 0.0, 0.5),
    "standard deviation with 2": (lambda x: x.var(1, correction=2), (1, 4), 0.0, 0.5),
    "sum in another dtype": (lambda x: x.sum(1, dtype=torch.float64), (1, 4), 0.0, 0.5),
    "sum in a narrow dtype": (lambda x: x.sum(1, dtype=torch.float16).to(x), (1, 4), 3000.0, 1.0),
    "computed in half": (lambda x: (x.half() * 3 + 1).to(x), (1, 2), 2049.0, 0.6),
    "attention with a row of no keys": (
        lambda x: F.scaled_dot_product_attention(x, x, x, torch.tensor([[True, True], [False, False]])),
        (1, 1, 2, 3),
        0.5,
        0.5,
    ),
    "grouped attention": (
        lambda x: F.scaled_dot_product_attention(
            x.expand(-1, 4, -1, -1), x.expand(-1, 2, -1, -1), x.expand(-1, 2, -1, -1), enable_gqa=True
        ),
        (1, 1, 2, 3),
        0.5,
        0.5,
    ),
    "minus infinity multiplied": (
        lambda x: x.masked_fill(torch.tensor([False, True, False]), -torch.inf).clamp(min=-5) * 2,
        (1, 3),
        0.0,
        1.0,
    ),
    "negative of minus infinity": (
        lambda x: (-x.masked_fill(torch.tensor([False, True, False]), -torch.inf)).clamp(max=5),
        (1, 3),
        0.0,
        1.0,
    ),
    "plus infinity": (
        lambda x: x.masked_fill(torch.tensor([False, True, False]), torch.inf).amin(-1),
        (1, 3),
        0.0,
        1.0,
    ),
}


@pytest.mark.parametrize("name", FULL_OF_ARGUMENTS)
def test_every_argument_and_dtype_is_read_or_refused(name: str) -> None:
    function, shape, middle, eps = FULL_OF_ARGUMENTS[name]
    module = function if isinstance(function, nn.Module) else Applied(function)
    x = torch.full(shape, middle, dtype=torch.float64) + torch.linspace(
        0, 0.1 * eps, torch.Size(shape).numel(), dtype=torch.float64
    ).view(shape)
    region = Linf(eps).around(x)
    found = extremes(module, region, samples=200, corners=60, steps=0)
    refusal = ""
    try:
        net = bounds.trace(module, x)
        results = [(method, method.call(net, region)) for method in METHODS]
    except RobustsuiteError as error:
        refusal, results = str(error), []
    for method, result in results:
        assert_encloses(result, found, hint=str(method))
    assert "depends on the others" not in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize(
    "name",
    [
        "instance norm with running statistics",
        "to int",
        "to bool",
        "to half",
        "to float32",
        "bool plus bool",
        "where with a large constant",
        "masked softmax of large scores",
        "mask added",
        "scaled bilinear",
        "attention with a row of no keys",
    ],
)
def test_what_is_understood_is_bounded(name: str) -> None:
    function, shape, middle, eps = FULL_OF_ARGUMENTS[name]
    x = torch.full(shape, middle, dtype=torch.float64)
    module = function if isinstance(function, nn.Module) else Applied(function)
    result = bounds.crown(bounds.trace(module, x), Linf(eps).around(x))
    assert bool(result.width.isfinite().all())


def test_half_rounds() -> None:
    x = torch.full((1, 1), 2049.0, dtype=torch.float64)
    net = bounds.trace(Applied(lambda x: x.half().to(x)), x)
    result = bounds.ibp(net, Linf(0.6).around(x))
    assert result.lower.item() == 2048
    assert result.upper.item() == 2050


# --- aliasing


@pytest.mark.parametrize(
    "perturbation", [Linf(0.1), L2(0.1), L1(0.1), Box(-1, 1), Linf(0.1, clip=(-9, 9)), L2(0.1, clip=(-9, 9))]
)
def test_a_region_owns_its_tensors(perturbation: Any) -> None:
    x = torch.zeros(1, 2)
    region = perturbation.around(x)
    before = [t.clone() for t in (region.center, region.lower, region.upper)]
    x += 5
    for old, new in zip(before, (region.center, region.lower, region.upper), strict=True):
        torch.testing.assert_close(new, old, rtol=0, atol=0)


# --- what was baked in


class Baked(nn.Module):
    """Has something of everything that a trace bakes in."""

    power = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.factor = 2.0
        self.offset = torch.ones(2)
        self.activation: Callable[[Tensor], Tensor] = F.relu
        self.norm = nn.BatchNorm1d(2)
        self.leaky = nn.LeakyReLU(0.1)
        self.sizes = [1, 2]
        self.options = {"slope": 0.5}
        self.linear = nn.Linear(2, 2)
        self.register_buffer("shift", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.leaky(self.norm(self.linear(x))) * self.factor + self.offset + self.shift
        y = self.activation(y) * self.sizes[0] * self.options["slope"] * self.power
        assert isinstance(y, Tensor)
        return y


def _replace_module(m: Baked) -> None:
    m.linear = nn.Linear(2, 2, bias=False)


def _add_hook(m: Baked) -> None:
    m.leaky.register_forward_hook(lambda module, args, output: output * 2)


CHANGES: dict[str, Callable[[Baked], Any]] = {
    "number": lambda m: setattr(m, "factor", 3.0),
    "plain tensor": lambda m: m.offset.fill_(5.0),
    "plain tensor by its data": lambda m: m.offset.data.fill_(5.0),
    "plain tensor replaced": lambda m: setattr(m, "offset", torch.zeros(2)),
    "activation": lambda m: setattr(m, "activation", torch.tanh),
    "eps": lambda m: setattr(m.norm, "eps", 0.1),
    "negative slope": lambda m: setattr(m.leaky, "negative_slope", 0.9),
    "list": lambda m: m.sizes.__setitem__(0, 7),
    "dictionary": lambda m: m.options.update(slope=0.25),
    "module": lambda m: setattr(m, "leaky", nn.ReLU()),
    "module of the same kind": _replace_module,
    "hook": _add_hook,
    "forward": lambda m: setattr(m, "forward", lambda x: x),
    "number of the class": lambda m: setattr(m, "power", 3.0),
    "buffer of another shape": lambda m: setattr(m, "shift", torch.zeros(1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_is_not_live_is_refused(change: str) -> None:
    module, x = Baked().eval(), torch.ones(1, 2)
    net = bounds.trace(module, x)
    region = Linf(0.1).around(x)
    bounds.crown(net, region)
    CHANGES[change](module)
    with pytest.raises(InvalidInput, match="trace again"):
        bounds.crown(net, region)


def test_parameters_and_buffers_stay_live() -> None:
    module, x = Baked().eval(), torch.ones(1, 2)
    net = bounds.trace(module, x)
    region = Linf(0.1).around(x)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()
        module.get_buffer("shift").fill_(3.0)
    module.linear.weight = nn.Parameter(torch.eye(2))
    module.factor = 2.0  # set again, and the same
    assert_encloses(bounds.crown(net, region), extremes(module, region))


class ReadsItsMode(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x if self.training else x


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (ReadsItsMode(), (1, 2)),
        (nn.InstanceNorm1d(2, track_running_stats=True), (1, 2, 3)),
    ],
    ids=["own", "instance norm"],
)
def test_a_mode_that_was_not_traced_is_refused(module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.rand(shape)
    net = bounds.trace(module.train(), x)
    with pytest.raises(InvalidInput, match=r"training mode"):
        bounds.ibp(net, Linf(0.1).around(x))
    module.eval()
    bounds.ibp(net, Linf(0.1).around(x))


def test_errors_are_of_one_line() -> None:
    with pytest.raises(UnsupportedOperator) as caught:
        bounds.trace(Applied(lambda x: x.sum(1, dtype=torch.float16)), torch.zeros(1, 2))
    assert "\n" not in str(caught.value)


# --- what a second hunt found


MORE_MIXING: dict[str, tuple[Callable[[Tensor], Tensor], int]] = {
    "roll by the batch size": (lambda x: x.roll(len(x), 1), 4),
    "another factor for some sizes": (lambda x: x * 2 if len(x) % 4 == 1 else x * 3, 2),
    "statistics of batches of four": (lambda x: x - x.mean(0, keepdim=True) if len(x) % 4 == 0 else x, 2),
    "sum that passes over NaN": (lambda x: x + (x / 100).tanh().sub(0.5).relu().nansum(0), 4),
    "constants of the batch size": (lambda x: (x - 1e4 + 1e3 * torch.ones(len(x)).sum()).relu(), 2),
    "eps of the batch size": (lambda x: F.layer_norm(x, (2,), eps=1e-6 * len(x)), 2),
}


@pytest.mark.parametrize("name", MORE_MIXING)
def test_the_batch_size_is_not_an_input(name: str) -> None:
    function, width = MORE_MIXING[name]
    with pytest.raises(RobustsuiteError, match="batch"):
        bounds.trace(Applied(function), torch.zeros(1, width))


class Held:
    __slots__ = ("k",)

    def __init__(self, k: float) -> None:
        self.k = k

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.k


class HoldsMore(nn.Module):
    settings: ClassVar[dict[str, float]] = {"k": 2.0}

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
        self.b.weight = self.a.weight
        self.act, self.kept = Held(1.5), [nn.LeakyReLU(0.1)]
        self.partial = functools.partial(torch.clamp, min=-3.0)
        self.array = np.array([1.0, 2.0])
        self.list = nn.ParameterList([torch.ones(2)])

    def forward(self, x: Tensor) -> Tensor:
        y = self.partial(self.kept[0](self.act(self.b(self.a(x)))))
        scale = float(self.array[0]) * self.settings["k"] * getattr(self, "factor", 1.0)
        result: Tensor = y * scale * sum(self.list)
        return result


MORE_CHANGES: dict[str, Callable[[HoldsMore], Any]] = {
    "bias added": lambda m: setattr(m.a, "bias", nn.Parameter(torch.ones(2))),
    "bias removed": lambda m: setattr(m.b, "bias", None),
    "weights untied": lambda m: setattr(m.b, "weight", nn.Parameter(torch.ones(2, 2))),
    "list of parameters": lambda m: m.list.append(torch.ones(2)),
    "new attribute": lambda m: setattr(m, "factor", 9.0),
    "settings of the class": lambda m: m.settings.update(k=3.0),
    "state of a callable": lambda m: setattr(m.act, "k", 9.0),
    "keyword of a partial": lambda m: m.partial.keywords.update(min=0.0),
    "module in a list": lambda m: setattr(m.kept[0], "negative_slope", 0.9),
    "array": lambda m: m.array.__setitem__(0, 5.0),
}


@pytest.mark.parametrize("change", MORE_CHANGES)
def test_further_changes_are_refused(change: str) -> None:
    HoldsMore.settings = {"k": 2.0}
    module, x = HoldsMore().eval(), torch.ones(1, 2)
    net = bounds.trace(module, x)
    region = Linf(0.1).around(x)
    assert_encloses(bounds.crown(net, region), extremes(module, region))
    MORE_CHANGES[change](module)
    with pytest.raises(InvalidInput, match="trace again"):
        bounds.crown(net, region)


class AsksAround(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        def factor() -> int:
            return 2 if self.training else 1

        return factor() * x


def test_a_mode_that_is_asked_for_within_is_seen() -> None:
    x = torch.rand(1, 2)
    net = bounds.trace(AsksAround().train(), x)
    with pytest.raises(InvalidInput, match="training mode"):
        bounds.ibp(net, Linf(0.1).around(x))


TAKEN: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...], float]] = {
    "causal mask": (
        lambda x: x.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf).softmax(-1),
        (2, 4, 4),
        0.1,
    ),
    "causal maximum": (
        lambda x: x.masked_fill(torch.ones(4, 4).triu(1).bool(), -torch.inf).max(-1)[0],
        (2, 4, 4),
        0.1,
    ),
    "softmax in a dtype": (lambda x: F.softmax(x, dim=-1, dtype=torch.float32), (2, 4), 0.1),
    "sum in a dtype": (lambda x: x.sum(-1, dtype=torch.float32), (2, 4), 0.1),
    "maximum over padding": (
        lambda x: F.pad(x, (1, 1), value=-torch.inf).unfold(1, 3, 1).amax(-1),
        (1, 4),
        0.3,
    ),
    "constants of another dtype": (
        lambda x: (x.double() @ torch.eye(4, dtype=torch.float64)).float(),
        (1, 4),
        0.1,
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_common_forms_are_bounded(name: str) -> None:
    function, shape, eps = TAKEN[name]
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    net = bounds.trace(Applied(function), x)
    region = Linf(eps).around(x)
    found = extremes(net.module, region, samples=100, corners=30)
    for method in METHODS:
        assert_encloses(method.call(net, region), found, hint=str(method))


def test_logits_without_room_for_their_differences_are_refused() -> None:
    x = torch.tensor([[1.0, -2.0, 0.5, 0.0]])
    net = bounds.trace(Applied(lambda x: (x - 1e9).softmax(-1)), x)
    for method in METHODS:
        with pytest.raises(UnboundedOutput, match="no room"):
            method.call(net, Linf(0.1).around(x))


def test_a_weight_that_may_take_nearly_all_keeps_its_least_value() -> None:
    """The sum without it was all rounding: softmax of a logit in [0, 13] beside one of 0 was bounded by .595 from below."""
    top = torch.linspace(5.0, 14.0, 1001).unsqueeze(1)
    upper = torch.cat([top, torch.zeros_like(top)], 1)
    region = BoxRegion(upper / 2, torch.zeros_like(upper), upper)
    for function in (Applied(lambda x: x.softmax(1)), Applied(lambda x: x.log_softmax(1).exp())):
        net, strict = (bounds.trace(function, torch.zeros(1, 2), sound=sound) for sound in (False, True))
        for found in (*(method.call(net, region) for method in METHODS), bounds.crown_ibp(strict, region)):
            assert bool((found.lower[:, 0] <= 0.5 + 1e-6).all())
            assert bool((found.upper[:, 1] >= 0.5 - 1e-6).all())


def test_autocast_is_refused() -> None:
    x = torch.ones(1, 2)
    net = bounds.trace(nn.Linear(2, 2), x)
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(InvalidInput, match="autocast"):
        bounds.crown(net, Linf(0.1).around(x))


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("seen").add_(1)
        return 2 * x


def test_a_module_that_counts_its_calls_is_bounded() -> None:
    x = torch.ones(1, 2)
    module = Counts()
    result = bounds.ibp(bounds.trace(module, x), Linf(0.1).around(x))
    torch.testing.assert_close(result.upper, 2 * x + 0.2)
    assert module.get_buffer("seen").item() == 0


class Returns(nn.Module):
    def __init__(self, make: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self._make = make

    def forward(self, x: Tensor) -> Any:
        return self._make(x)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"logits": x},
        lambda x: (x, 2 * x),
        lambda x: None,
        lambda x: 3,
        lambda x: x > 0,
        lambda x: x[:, :0],
        lambda x: torch.cond(x.sum() > 0, lambda x: 2 * x, lambda x: x, (x,)),
    ],
    ids=["dictionary", "tuple", "none", "number", "booleans", "nothing", "branches"],
)
def test_what_is_no_tensor_of_numbers_is_refused(make: Callable[[Tensor], Any]) -> None:
    with pytest.raises(RobustsuiteError) as caught:
        bounds.trace(Returns(make), torch.rand(1, 3))
    assert "\n" not in str(caught.value)
    assert "batch" not in str(caught.value)
