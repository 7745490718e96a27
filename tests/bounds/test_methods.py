"""What every bound method promises on small networks, whatever the threat model."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from robustsuite import Linf, bounds, seeding
from robustsuite.bounds import Bounds
from robustsuite.errors import InvalidInput
from robustsuite.perturbations import Box

from .cases import METHODS, NETWORKS, PERTURBATIONS, Case, Method, Threat, traced

_CONVOLUTIONAL = [case for case in NETWORKS if len(case.shape) == 3]
_THREATS = [t for t in PERTURBATIONS if t.name in ("linf", "l2, clipped")]

networks = pytest.mark.parametrize("case", NETWORKS, ids=str)
methods = pytest.mark.parametrize("method", METHODS, ids=str)
threats = pytest.mark.parametrize("threat", _THREATS, ids=str)


def assert_same(one: Bounds, other: Bounds, *, rtol: float = 1e-4, atol: float = 2e-5) -> None:
    torch.testing.assert_close(one.lower, other.lower, rtol=rtol, atol=atol)
    torch.testing.assert_close(one.upper, other.upper, rtol=rtol, atol=atol)


def rows(case: Case, count: int = 4) -> Tensor:
    """Give objective rows for a network of three outputs."""
    return torch.randn((count, 3), generator=seeding.generator(5, case.name))


@networks
@threats
def test_tighter_and_dearer(case: Case, threat: Threat) -> None:
    """IBP >= CROWN-IBP >= CROWN >= alpha-CROWN, entry by entry, and forward never wider than IBP."""
    net, region = traced(case), threat.of(case).around(case.inputs())
    results = {method.name: method.call(net, region) for method in METHODS}
    for wide, tight in (
        ("ibp", "forward"),
        ("ibp", "crown_ibp"),
        ("crown_ibp", "crown"),
        ("crown", "alpha_crown"),
    ):
        outer, inner = results[wide], results[tight]
        slack = 1e-5 * (1 + outer.upper.abs().maximum(outer.lower.abs()))
        assert bool((inner.lower >= outer.lower - slack).all()), (wide, tight)
        assert bool((inner.upper <= outer.upper + slack).all()), (wide, tight)


@networks
def test_the_output_alone_can_be_optimised(case: Case) -> None:
    net, region = traced(case), Linf(case.eps).around(case.inputs())
    crown = bounds.crown(net, region)
    last = bounds.alpha_crown(net, region, steps=4, intermediate_steps=0)
    slack = 1e-5 * (1 + crown.upper.abs().maximum(crown.lower.abs()))
    assert bool((last.lower >= crown.lower - slack).all())
    assert bool((last.upper <= crown.upper + slack).all())
    none = bounds.alpha_crown(net, region, steps=0, intermediate_steps=0)
    assert_same(none, crown)
    with pytest.raises(InvalidInput, match="expected an integer >= 0"):
        bounds.alpha_crown(net, region, intermediate_steps=-1)


@networks
@methods
@threats
def test_batch_equals_singles(case: Case, method: Method, threat: Threat) -> None:
    net, x = traced(case), case.inputs(3)
    if case.name == "transformer block" and threat.name != "linf":
        pytest.skip("slow, and its first layer is no other than that of the others")
    region = threat.of(case).around(x)
    singles = [method.call(net, region.select(torch.tensor([i]))) for i in range(3)]
    together = Bounds(torch.cat([s.lower for s in singles]), torch.cat([s.upper for s in singles]))
    assert_same(method.call(net, region), together, rtol=1e-3, atol=1e-4)
    mixed = method.call(net, region.select(torch.tensor([2, 0])))
    assert_same(mixed, Bounds(together.lower[[2, 0]], together.upper[[2, 0]]), rtol=1e-3, atol=1e-4)


@networks
@methods
@threats
def test_rows_together_equal_rows_alone(case: Case, method: Method, threat: Threat) -> None:
    net, region = traced(case), threat.of(case).around(case.inputs())
    objective = rows(case)
    together = method.call(net, region, objective=objective)
    assert together.lower.shape == (2, 4)
    for i in range(4):
        alone = method.call(net, region, objective=objective[i : i + 1])
        assert_same(alone, Bounds(together.lower[:, i : i + 1], together.upper[:, i : i + 1]), atol=1e-4)
    each = torch.stack([objective, -objective])
    signed = method.call(net, region, objective=each)
    torch.testing.assert_close(signed.lower[1], -together.upper[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(signed.lower[0], together.lower[0], rtol=1e-4, atol=1e-4)


@networks
@methods
@threats
def test_objectives_beat_differences(case: Case, method: Method, threat: Threat) -> None:
    """Margins bounded as rows are at least as tight as differences of separate bounds of the outputs."""
    net, region = traced(case), threat.of(case).around(case.inputs())
    labels = torch.tensor([0, 2])
    objective = bounds.margins(3, labels).rows()
    margins = method.call(net, region, objective=objective)
    outputs = method.call(net, region)
    up, down = objective.clamp(min=0), objective.clamp(max=0)
    low = torch.einsum("bsc,bc->bs", up, outputs.lower) + torch.einsum("bsc,bc->bs", down, outputs.upper)
    assert bool((margins.lower >= low - 1e-4 * (1 + low.abs())).all())


@networks
@pytest.mark.parametrize("method", [m for m in METHODS if m.name != "forward"], ids=str)
def test_identity_rows_are_the_outputs(case: Case, method: Method) -> None:
    """Or tighter: intervals are multiplied with the last affine layers first."""
    net, region = traced(case), Linf(case.eps).around(case.inputs())
    asked, plain = method.call(net, region, objective=torch.eye(3)), method.call(net, region)
    assert bool((asked.lower >= plain.lower - 1e-4).all())
    assert bool((asked.upper <= plain.upper + 1e-4).all())


@networks
@methods
def test_lower_alone(case: Case, method: Method) -> None:
    net, region = traced(case), Linf(case.eps).around(case.inputs())
    objective = rows(case)
    both = method.call(net, region, objective=objective)
    lower = method.call(net, region, objective=objective, upper=False)
    torch.testing.assert_close(lower.lower, both.lower, rtol=1e-4, atol=1e-4)
    assert bool((lower.upper >= both.upper - 1e-4).all())


@networks
def test_single_and_double_precision_agree(case: Case) -> None:
    threat = PERTURBATIONS[3]
    double = traced(case, torch.float64)
    for method in METHODS:
        wide = method.call(double, threat.of(case).around(case.inputs(dtype=torch.float64)))
        assert wide.lower.dtype == torch.float64
        narrow = method.call(traced(case), threat.of(case).around(case.inputs()))
        # Optimised bounds may take another path; they meet again where the gain is small.
        loose = 2e-2 if method.name == "alpha_crown" else 2e-3
        assert_same(narrow, Bounds(wide.lower.float(), wide.upper.float()), rtol=loose, atol=loose / 5)


@networks
@methods
def test_second_call_gives_the_same_bits(case: Case, method: Method) -> None:
    net, region = traced(case), PERTURBATIONS[3].of(case).around(case.inputs())
    first, second = method.call(net, region), method.call(net, region)
    assert torch.equal(first.lower, second.lower)
    assert torch.equal(first.upper, second.upper)


@networks
def test_leaves_everything_as_it_was(case: Case) -> None:
    """Parameters, buffers, gradients, training mode, random state, the input and gradient mode."""
    module = case.module().train()
    module.zero_grad(set_to_none=True)
    before = copy.deepcopy(module.state_dict())
    modes = [part.training for part in module.modules()]
    state, x = torch.get_rng_state(), case.inputs()
    clean = x.clone()
    net = bounds.trace(module, x)
    for method in METHODS:
        method.call(net, Linf(case.eps).around(x))
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, clean)
    assert torch.is_grad_enabled()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in module.parameters())


@pytest.mark.parametrize(
    "method", [m for m in METHODS if m.name in ("crown_ibp", "crown", "alpha_crown")], ids=str
)
@networks
def test_little_memory_gives_the_same_bounds(case: Case, method: Method) -> None:
    net, region = traced(case), Linf(case.eps).around(case.inputs())
    with torch.no_grad():
        whole = method.call(net, region)
        assert_same(method.call(net, region, max_memory=50_000), whole, atol=1e-4)
        if method.differentiable:  # one row at a time is slow where each is optimised
            assert_same(method.call(net, region, max_memory=1), whole, atol=1e-4)


class AsMatrix(nn.Module):
    """A network in which each convolution is written as the matrix it is."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        shape = case.shape
        for part in case.module().children():
            after = tuple(part(torch.zeros(1, *shape)).shape[1:])
            if isinstance(part, nn.Conv2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
                size = torch.Size(shape).numel()
                with torch.no_grad():
                    offset = part(torch.zeros(1, *shape)).flatten()
                    columns = part(torch.eye(size).view(size, *shape)).flatten(1) - offset
                matrix = nn.Linear(size, len(offset))
                matrix.weight = nn.Parameter(columns.t().contiguous())
                matrix.bias = nn.Parameter(offset)
                layers += [nn.Flatten(), matrix, nn.Unflatten(1, after)]
            else:
                layers.append(part)
            shape = after
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


@pytest.mark.parametrize("method", METHODS[:-1], ids=str)
@pytest.mark.parametrize("threat", _THREATS, ids=str)
@pytest.mark.parametrize("case", _CONVOLUTIONAL, ids=str)
def test_convolutions_equal_matrices(case: Case, threat: Threat, method: Method) -> None:
    x = case.inputs()
    dense = bounds.trace(AsMatrix(case).eval(), x)
    region = threat.of(case).around(x)
    assert_same(method.call(traced(case), region), method.call(dense, region), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("method", METHODS[:-1], ids=str)
def test_permuted_neurons_and_merged_layers(method: Method) -> None:
    case = NETWORKS[0]
    module = case.module()
    assert isinstance(module, nn.Sequential)
    first, second, third = (part for part in module if isinstance(part, nn.Linear))
    order = torch.randperm(12, generator=seeding.generator(6, "order"))
    with torch.no_grad():
        # The first layer in two parts, its neurons in another order.
        start = nn.Linear(5, 5)
        start.weight.copy_(torch.eye(5) * 2)
        start.bias.fill_(0.5)
        moved = copy.deepcopy(first)
        moved.weight.copy_(first.weight[order] / 2)
        moved.bias.copy_((first.bias - first.weight.sum(1) * 0.25)[order])
        after = copy.deepcopy(second)
        after.weight.copy_(second.weight[:, order])
    other = nn.Sequential(start, moved, nn.ReLU(), after, nn.ReLU(), third)
    x = case.inputs()
    torch.testing.assert_close(other(x), module(x), rtol=1e-4, atol=1e-5)
    region = Linf(case.eps).around(x)
    if method.name == "ibp":  # intervals see the two parts one by one; here the first keeps features apart
        region = Box(-0.5, 0.5).around(x)
    assert_same(method.call(bounds.trace(other, x), region), method.call(traced(case), region), atol=1e-4)


def test_several_inputs() -> None:
    """Two perturbed inputs, one region each: sound, and each region counts."""

    class Scores(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Linear(3, 4), nn.Linear(2, 4)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return torch.mul(torch.relu(self.left(x) + self.right(y)), self.right(y))

    torch.manual_seed(0)
    module = Scores()
    x, y = torch.rand(2, 3), torch.rand(2, 2)
    net = bounds.trace(module, (x, y))
    for first, second in ((0.1, 0.2), (0.0, 0.2), (0.1, 0.0)):
        a, b = Linf(first).around(x), PERTURBATIONS[2].make(NETWORKS[0], second).around(y)
        generator = torch.Generator().manual_seed(0)
        for method in METHODS:
            found = method.call(net, (a, b))
            for _ in range(100):
                z = module(a.sample(generator=generator), b.sample(generator=generator))
                assert bool(((z >= found.lower - 1e-5) & (z <= found.upper + 1e-5)).all()), method.name
        none = bounds.crown(net, (Linf(0.0).around(x), Linf(0.0).around(y)))
        torch.testing.assert_close(none.lower, module(x, y))


@methods
def test_batch_norm_in_training_mode(method: Method) -> None:
    """The bounds are those of the module with the clean batch's statistics frozen, and the buffers stay."""
    case = NETWORKS[2]
    module = case.module()
    x = case.inputs(4)
    net = bounds.trace(module, x)
    module.train()
    buffers = {name: value.clone() for name, value in module.named_buffers()}
    got = method.call(net, Linf(case.eps).around(x))
    for name, value in module.named_buffers():
        assert torch.equal(value, buffers[name]), name
    frozen = copy.deepcopy(module)
    assert isinstance(frozen, nn.Sequential)
    norm = frozen[3]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        before = frozen[:3](x)
        norm.running_mean.copy_(before.mean((0, 2, 3)))
        norm.running_var.copy_(before.var((0, 2, 3), correction=0))
    frozen.eval()
    assert_same(got, method.call(bounds.trace(frozen, x), Linf(case.eps).around(x)), rtol=1e-3, atol=1e-4)
    zero = method.call(net, Linf(0.0).around(x))
    torch.testing.assert_close(zero.lower, module(x), rtol=1e-4, atol=1e-4)


def test_certified_examples_hold() -> None:
    """A certificate follows the margins, and falls away as the radius grows."""
    case = NETWORKS[0]
    net, x = traced(case), case.inputs(20)
    labels = net.module(x).argmax(1)
    counts = []
    for eps in (0.0, 0.05, 0.1, 0.3, 1.0):
        region = Linf(eps).around(x)
        holds = bounds.certified(net, region, labels)
        margins = bounds.crown(net, region, objective=bounds.margins(3, labels))
        assert torch.equal(holds, (margins.lower > 0).all(1))
        for _ in range(20):
            assert torch.equal(net.module(region.sample()).argmax(1)[holds], labels[holds])
        counts.append(int(holds.sum()))
    assert counts[0] == 20
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < 20
    assert not bounds.certified(net, Linf(0.0).around(x), (labels + 1) % 3).any()


@networks
@methods
@pytest.mark.parametrize("upper", [False, True])
def test_margins_are_bounded_like_their_rows(case: Case, method: Method, upper: bool) -> None:
    net, region = traced(case), Linf(case.eps).around(case.inputs())
    objective = bounds.margins(3, torch.tensor([1, 2]))
    got, rows = (method.call(net, region, objective=o, upper=upper) for o in (objective, objective.rows()))
    torch.testing.assert_close(got.lower, rows.lower, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.upper, rows.upper, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("single", [False, True])
def test_margins_of_a_constant_or_shared_label(single: bool) -> None:
    """One label for a whole batch is as good as one for each example, as rows are."""
    net, region = traced(NETWORKS[0]), Linf(0.1).around(NETWORKS[0].inputs(4))
    labels = torch.tensor([2] if single else [2, 2, 2, 2])
    for method in METHODS:
        got = method.call(net, region, objective=bounds.margins(3, labels))
        expected = method.call(net, region, objective=bounds.margins(3, labels[:1]).rows()[0])
        torch.testing.assert_close(got.lower, expected.lower, rtol=1e-5, atol=1e-6)


def test_margins_do_as_they_say() -> None:
    y = bounds.margins(4, torch.tensor([1, 3]))
    outputs, weights = torch.rand(2, 4), torch.rand(2, 3)
    assert y.shape == y.rows().shape
    torch.testing.assert_close(y.of(outputs), torch.einsum("bjo,bo->bj", y.rows(), outputs))
    torch.testing.assert_close(y.sum(weights), torch.einsum("bj,bjo->bo", weights, y.rows()))


def test_margins_are_rows_of_differences() -> None:
    rows = bounds.margins(3, torch.tensor([1, 0])).rows()
    assert rows.tolist() == [[[-1, 1, 0], [0, 1, -1]], [[1, -1, 0], [1, 0, -1]]]
