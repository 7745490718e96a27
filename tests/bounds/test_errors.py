"""Wrong calls: one line each that says what, where, and the way out."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from robustsuite import Linf, bounds
from robustsuite.bounds.program import Ref
from robustsuite.bounds.rules import TABLE
from robustsuite.errors import InvalidInput, RobustsuiteError, UnboundedOutput, UnsupportedOperator
from robustsuite.perturbations import L2, Box, Perturbation

from .cases import METHODS, NETWORKS, Applied, Method, traced

_NET = NETWORKS[0]


def test_unknown_operator_is_named_with_its_module() -> None:
    class Unknown(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.lgamma(x)

    module = nn.Sequential(nn.Linear(3, 3), Unknown())
    with pytest.raises(UnsupportedOperator, match=r"aten\.lgamma.* of module '1' \(Unknown\).*add a rule"):
        bounds.trace(module, torch.zeros(1, 3))


def test_unknown_operator_on_constants_is_no_matter() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([3.0, 1.0, 2.0]))

        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sort(self.scale).values

    x = torch.ones(2, 3)
    got = bounds.crown(bounds.trace(Scaled(), x), Linf(0.0).around(x))
    torch.testing.assert_close(got.lower, torch.tensor([[1.0, 2.0, 3.0]] * 2))


@pytest.mark.parametrize(
    "function",
    [lambda x: x - x.mean(0), lambda x: x.cumsum(0), lambda x: x.flip(0), lambda x: x.sum()],
    ids=["mean", "cumsum", "flip", "sum"],
)
def test_mixed_examples_are_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(InvalidInput, match="depends on the others in its batch"):
        bounds.trace(Applied(function), torch.rand(2, 3))


def test_control_flow_on_values_is_refused() -> None:
    def branch(x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x

    with pytest.raises(InvalidInput, match="cannot be captured.*control flow"):
        bounds.trace(Applied(branch), torch.rand(1, 3))


def test_example_must_be_a_batch() -> None:
    with pytest.raises(InvalidInput, match="not a batch"):
        bounds.trace(nn.ReLU(), torch.tensor(1.0))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_region_of_another_shape(method: Method) -> None:
    with pytest.raises(InvalidInput, match=r"shape \(4,\).*\(5,\).*first axis is the batch"):
        method.call(traced(_NET), Linf(0.1).around(torch.zeros(2, 4)))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_region_of_another_dtype(method: Method) -> None:
    with pytest.raises(InvalidInput, match=r"float64.*float32.*\.to"):
        method.call(traced(_NET), Linf(0.1).around(torch.zeros(2, 5, dtype=torch.float64)))


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_too_many_regions(method: Method) -> None:
    region = Linf(0.1).around(torch.zeros(2, 5))
    with pytest.raises(InvalidInput, match="2 regions given for a network of 1 inputs"):
        method.call(traced(_NET), (region, region))


@pytest.mark.parametrize("shape", [(4, 5), (3,), (3, 2, 3), (1, 1, 1, 3)], ids=str)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_objective_of_wrong_shape(method: Method, shape: tuple[int, ...]) -> None:
    region = Linf(0.1).around(torch.zeros(2, 5))
    with pytest.raises(InvalidInput, match="objective has shape .*expected .specs, "):
        method.call(traced(_NET), region, objective=torch.ones(shape))


def test_negative_steps() -> None:
    with pytest.raises(InvalidInput, match="steps is -1"):
        bounds.alpha_crown(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), steps=-1)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_division_by_zero_is_named(method: Method) -> None:
    net = bounds.trace(nn.Sequential(Applied(lambda x: 1 / x)), torch.ones(1, 3))
    with pytest.raises(UnboundedOutput, match=r"module '0' .*1/x has no finite bounds.*smaller eps"):
        method.call(net, Linf(2.0).around(torch.ones(1, 3)))


def test_logarithm_of_zero_is_named() -> None:
    net = bounds.trace(Applied(torch.log), torch.ones(1, 3))
    with pytest.raises(UnboundedOutput, match="log has no finite bounds"):
        bounds.crown(net, Linf(2.0).around(torch.ones(1, 3)))


def test_dropout_in_training_mode() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    net = bounds.trace(module, torch.zeros(1, 3))
    with pytest.raises(InvalidInput, match=r"dropout '1' is in training mode.*model\.eval"):
        bounds.ibp(net, Linf(0.1).around(torch.zeros(1, 3)))
    module.eval()
    bounds.ibp(net, Linf(0.1).around(torch.zeros(1, 3)))


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 3), r"one-hot labels pass labels\.argmax\(1\)"),
        (torch.tensor([0.0, 1.0]), "class indices"),
        (torch.tensor([0, 3]), r"expected \[0, 2\]"),
        (torch.tensor([-1, 0]), r"expected \[0, 2\]"),
        (torch.tensor([1, 0], dtype=torch.int32), r"torch.int32; .* pass labels\.long\(\)"),
        ([1, 0], "labels is a list of 2; expected a tensor"),
        (torch.zeros(2, dtype=torch.long, device="meta"), "labels are on meta"),
    ],
    ids=["one-hot", "floats", "too large", "negative", "int32", "list", "no values"],
)
def test_wrong_labels(labels: Tensor, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        bounds.margins(3, labels)
    with pytest.raises(InvalidInput, match=message):
        bounds.certified(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), labels)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(
    ("net", "region", "message"),
    [
        (
            nn.Linear(5, 3),
            Linf(0.1).around(torch.zeros(2, 5)),
            r"net is a Linear; expected a graph: pass bounds\.trace",
        ),
        (None, 0.1, r"region is 0.1; expected a region .* Linf\(0.1\)\.around\(x\)"),
        (None, Linf(0.1), "region is a Linf; expected a region"),
        (None, torch.zeros(2, 5), "region is a Tensor of shape .2, 5."),
        (None, (), "region is an empty tuple"),
        (None, [Linf(0.1).around(torch.zeros(2, 5))], "region is a list of 1; expected .* or a tuple"),
        (
            None,
            L2(0.1).around(torch.zeros(0, 5)),
            "the region has no examples; expected a batch of at least one",
        ),
    ],
    ids=["module", "radius", "perturbation", "tensor", "none", "list", "no examples"],
)
def test_wrong_kinds(method: Method, net: Any, region: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        method.call(traced(_NET) if net is None else net, region)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (torch.full((2, 3), torch.nan), "objective has NaN"),
        (torch.full((2, 3), torch.inf), "objective has NaN or infinite"),
        ([[1.0, 0.0, 0.0]], "objective is a list of 1; expected a tensor"),
        (torch.eye(3).to_sparse(), "expected a dense tensor"),
    ],
    ids=["NaN", "infinite", "list", "sparse"],
)
def test_wrong_objectives(method: Method, objective: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        method.call(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), objective=objective)


@pytest.mark.parametrize("method", [bounds.crown, bounds.crown_ibp, bounds.alpha_crown])
@pytest.mark.parametrize("bytes_", [0, -1])
def test_memory_of_nothing(method: Any, bytes_: int) -> None:
    with pytest.raises(InvalidInput, match=f"max_memory is {bytes_}; expected an integer >= 1"):
        method(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), max_memory=bytes_)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offset": torch.zeros(1)}, r"offset has shape \(1,\).*\(specs,\) = \(2,\)"),
        ({"offset": torch.zeros(3)}, r"offset has shape \(3,\)"),
        ({"offset": torch.tensor([0.0, torch.nan])}, "offset has NaN"),
        ({"groups": torch.zeros(3, dtype=torch.long)}, r"groups has shape \(3,\)"),
        ({"groups": torch.zeros(2)}, "groups has .*expected integers"),
        ({"objective": torch.full((2, 3), torch.nan)}, "objective has NaN"),
        ({"objective": torch.zeros(0, 3)}, "objective has shape"),
        ({"objective": torch.zeros(())}, "objective has shape"),
        ({"timeout": torch.nan}, "timeout is nan; expected a number > 0"),
        ({"timeout": "soon"}, "timeout is 'soon'"),
        ({"generator": 0}, "generator is 0; expected a torch.Generator"),
    ],
    ids=str,
)
def test_wrong_properties(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"objective": torch.eye(3)[:2], **change}
    with pytest.raises(InvalidInput, match=message):
        bounds.verify(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), **given)


@pytest.mark.usefixtures("as_users_run_it")
@pytest.mark.parametrize(
    ("module", "example", "message"),
    [
        (torch.relu, torch.zeros(1, 3), "module is the function relu; expected a torch.nn.Module: wrap"),
        (nn.ReLU, torch.zeros(1, 3), "module is the class ReLU"),
        (nn.Linear(3, 2, device="meta"), torch.zeros(1, 3), "'weight' of the module is on the device 'meta'"),
        (nn.ReLU(), [torch.zeros(1, 3)], "example is a list of 1; expected a tensor"),
        (nn.ReLU(), torch.zeros(1, 3).numpy(), "example is a ndarray"),
        (nn.ReLU(), torch.zeros(0, 3), "not a batch of one example or more"),
        (nn.ReLU(), (), "example is an empty tuple"),
        (nn.ReLU(), torch.full((1, 3), torch.nan), "example has NaN"),
        (nn.ReLU(), torch.eye(3).to_sparse(), "expected a dense tensor"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_traced(module: Any, example: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        bounds.trace(module, example)


def test_wrong_number_of_labels() -> None:
    with pytest.raises(InvalidInput, match=r"labels have shape \(3,\) for 2 examples"):
        bounds.certified(traced(_NET), Linf(0.1).around(torch.zeros(2, 5)), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("perturbation", [Linf(0.1), L2(0.1), Box(-1.0, 1.0)], ids=str)
def test_not_a_number_in_the_input(perturbation: Perturbation) -> None:
    x = torch.zeros(3, 5)
    x[1, 2] = torch.nan
    with pytest.raises(InvalidInput, match="NaN or infinite values, first in example 1"):
        perturbation.around(x)


def test_output_that_does_not_depend_on_the_input() -> None:
    with pytest.raises(InvalidInput, match="does not depend on its input"):
        bounds.ibp(
            bounds.trace(Applied(lambda x: torch.ones(x.shape[0], 2)), torch.zeros(1, 3)),
            Linf(0.1).around(torch.zeros(1, 3)),
        )


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_graph_is_not_copied(copied: Callable[[Any], Any]) -> None:
    net = bounds.jacobian(bounds.trace(nn.Linear(2, 2), torch.ones(1, 2)))
    with pytest.raises(InvalidInput, match=r"bounds\.trace\(copy\.deepcopy\(module\), example\)$"):
        copied(net)


def test_errors_are_of_one_family_and_one_line() -> None:
    for error in (InvalidInput, UnboundedOutput, UnsupportedOperator):
        assert issubclass(error, RobustsuiteError)
    with pytest.raises(RobustsuiteError) as caught:
        traced(_NET).bind((Linf(0.1).around(torch.zeros(2, 4)),))
    assert "\n" not in str(caught.value)


def test_a_fault_inside_of_a_rule_is_not_called_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a product both factors may be perturbed, as its rule says: what fails there is a fault."""

    class Both(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x * y

    def broken(g: Any, x: Ref | torch.Tensor, y: Ref | torch.Tensor) -> Ref:
        raise AttributeError("a fault")

    monkeypatch.setitem(TABLE, torch.ops.aten.mul.Tensor, broken)
    with pytest.raises(AttributeError, match="a fault"):
        bounds.trace(Both(), (torch.rand(1, 3), torch.rand(1, 3)))
