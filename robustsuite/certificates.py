"""Decide properties of networks in files: is there an input in the unsafe set, or is it proved that there is none?"""

from __future__ import annotations

import csv
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustsuite import bounds, seeding
from robustsuite.bounds import Graph
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.files import replacing
from robustsuite.formats import (
    Case,
    Instance,
    OnnxNetwork,
    UnsafeSet,
    load_onnx,
    load_vnnlib,
    read_instances,
)
from robustsuite.perturbation import BoxRegion

_GRACE = 2.0  # seconds beyond the timeout, after which whatever is under way is broken off
_SMALL = 20_000  # parameters up to which one thread is quicker than several (ACAS Xu has 13,000)


class Result(Enum):
    """What is known of an unsafe set, in the words of VNN-COMP."""

    UNSAT = "unsat"
    """No input is unsafe: proved."""
    SAT = "sat"
    """An unsafe input was found, and run through the network."""
    UNKNOWN = "unknown"
    """The method came to its end without an answer."""
    TIMEOUT = "timeout"
    """Time ran out."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """The answer to one question.

    Attributes:
        result: what is known.
        inputs, outputs: the unsafe input, shape (inputs,), and the network's output for it, shape (outputs,), if
            the result is SAT; else None.
        seconds: spent, reading the files included.
    """

    result: Result
    inputs: Float[Tensor, " inputs"] | None = None
    outputs: Float[Tensor, " outputs"] | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        """Give the answer's word, and for SAT the counterexample in VNN-COMP's form."""
        if self.inputs is None or self.outputs is None:
            return self.result.value
        values = [
            f"({kind}_{number} {value:.9g})"
            for kind, tensor in (("X", self.inputs), ("Y", self.outputs))
            for number, value in enumerate(tensor.tolist())
        ]
        return f"{self.result.value}\n(" + "\n".join(values) + ")"


def decide_files(
    network: Path, specification: Path, *, timeout: float = 60.0, device: str = "cpu", seed: int = 0
) -> Decision:
    """Decide a VNN-LIB property of an ONNX network.

    Args:
        network: an ONNX file, may be gzipped.
        specification: a VNN-LIB file, may be gzipped.
        timeout: seconds for all of it, > 0.
        device: where to compute.
        seed: of the attack's starting points.

    Raises:
        InvalidInput: a file is absent or malformed, or they do not fit each other.
        UnsupportedOperator: the network holds an operator that is not known.
    """
    start = time.monotonic()
    unsafe = load_vnnlib(specification)
    net = load_onnx(network).to(device)
    decision = Decision(result=Result.TIMEOUT)
    with time_limit(timeout + _GRACE - (time.monotonic() - start)):
        left = timeout - (time.monotonic() - start)
        if left > 0:
            with _few_threads(net):
                decision = decide(net, unsafe, timeout=left, seed=seed)
    return Decision(
        result=decision.result,
        inputs=decision.inputs,
        outputs=decision.outputs,
        seconds=time.monotonic() - start,
    )


@contextmanager
def _few_threads(net: OnnxNetwork) -> Iterator[None]:
    """Work in one thread on small networks, where handing work to others costs more than they do."""
    before = torch.get_num_threads()
    if sum(p.numel() for p in net.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def decide(net: OnnxNetwork, unsafe: UnsafeSet, *, timeout: float = 60.0, seed: int = 0) -> Decision:
    """Decide whether a network's input and output may lie in an unsafe set.

    Cases with the same input box are decided together. The box is rounded outwards to the network's dtype for the
    proof, and inwards for a counterexample.

    Args:
        net: from `load_onnx`.
        unsafe: from `load_vnnlib`.
        timeout: seconds, > 0.
        seed: of the attack's starting points.

    Raises:
        InvalidInput: the numbers of inputs or outputs differ, or the timeout is not positive.
    """
    start = time.monotonic()
    if not timeout > 0:
        raise InvalidInput(f"timeout is {timeout}; expected seconds > 0")
    sizes = tuple(torch.Size(shape).numel() for shape in (net.input_shape, net.output_shape))
    if sizes != (unsafe.inputs, unsafe.outputs):
        raise InvalidInput(
            f"the property is about {unsafe.inputs} inputs and {unsafe.outputs} outputs, the network has "
            f"{sizes[0]} and {sizes[1]}; do the two files belong together?"
        )
    like = next(iter(net.parameters()), torch.zeros(()))
    mixed = any(bool(case.rows[:, unsafe.outputs :].any()) for case in unsafe.cases)
    graph = bounds.trace(_Flat(net, with_inputs=mixed), like.new_zeros(1, *net.input_shape))
    boxes = _by_box(unsafe.cases)
    undecided: list[Result] = []
    for number, cases in enumerate(boxes):
        left = timeout - (time.monotonic() - start)
        if left <= 0:
            undecided.append(Result.TIMEOUT)
            break
        share = left / (len(boxes) - number)
        found = _decide_box(graph, net, cases, mixed, share, like, seed)
        if found.result is Result.SAT:
            return found
        if found.result is not Result.UNSAT:
            undecided.append(found.result)
    worst = Result.TIMEOUT if Result.TIMEOUT in undecided else Result.UNKNOWN
    return Decision(result=worst if undecided else Result.UNSAT)


_COLUMNS = ["network", "property", "result", "seconds"]


def decide_all(
    path: Path,
    *,
    timeout: float | None = None,
    device: str = "cpu",
    seed: int = 0,
    results: Path | None = None,
    resume: bool = False,
) -> int:
    """Decide a list of instances, print a line for each as it is decided, and write the results if asked to.

    An instance that cannot be read is reported and passed over.

    Args:
        path: see `read_instances`.
        timeout: seconds for each instance; by default the list's, else 60.
        device, seed: see `decide_files`.
        results: CSV file, written anew after each instance.
        resume: keep the lines that `results` has.

    Returns:
        0, or 1 where an instance could not be read.

    Raises:
        InvalidInput: the list is absent or malformed, or `results` exists and is not to be resumed.
    """
    instances = read_instances(path)
    done = _results_so_far(results, resume=resume)
    counts: dict[str, int] = {}
    for instance in instances:
        key = (instance.network.name, instance.specification.name)
        if key in done:
            continue
        word, seconds = _decide_instance(instance, timeout, device, seed)
        counts[word] = counts.get(word, 0) + 1
        print(f"{word:8s}{seconds:9.1f} s  {key[0]}  {key[1]}", flush=True)
        done[key] = [*key, word, f"{seconds:.3f}"]
        if results is not None:
            with replacing(results) as temporary, temporary.open("w", newline="") as file:
                csv.writer(file).writerows([_COLUMNS, *done.values()])
    print(", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "nothing left to decide")
    return 1 if "error" in counts else 0


def _decide_instance(instance: Instance, timeout: float | None, device: str, seed: int) -> tuple[str, float]:
    seconds = timeout if timeout is not None else instance.timeout if instance.timeout is not None else 60.0
    try:
        decision = decide_files(
            instance.network, instance.specification, timeout=seconds, device=device, seed=seed
        )
    except RobustsuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return "error", 0.0
    return decision.result.value, decision.seconds


def _results_so_far(results: Path | None, *, resume: bool) -> dict[tuple[str, str], list[str]]:
    if results is None or not results.exists():
        return {}
    if not resume:
        raise InvalidInput(f"{results} exists; continue it with --resume, or give another file")
    with results.open(newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows or rows[0] != _COLUMNS or any(len(row) != len(_COLUMNS) for row in rows):
        raise InvalidInput(f"{results} is not a file of results; give another one")
    return {(row[0], row[1]): row for row in rows[1:] if row[2] != "error"}


class _Flat(nn.Module):
    """A network with its output flat, and its input appended where the property is about both."""

    def __init__(self, net: nn.Module, *, with_inputs: bool) -> None:
        super().__init__()
        self.net, self._with_inputs = net, with_inputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x).flatten(1)
        return torch.cat([y, x.flatten(1)], 1) if self._with_inputs else y


def _by_box(cases: tuple[Case, ...]) -> list[list[Case]]:
    groups: dict[bytes, list[Case]] = {}
    for case in cases:
        groups.setdefault(torch.stack([case.lower, case.upper]).numpy().tobytes(), []).append(case)
    return list(groups.values())


def _decide_box(
    graph: Graph, net: OnnxNetwork, cases: list[Case], mixed: bool, timeout: float, like: Tensor, seed: int
) -> Decision:
    outputs = graph.output_shape[0]
    # A case without conditions on the output is met everywhere: one row of zeros says so.
    rows = [case.rows if len(case.rows) else case.rows.new_zeros(1, case.rows.shape[1]) for case in cases]
    limits = [case.limits if len(case.limits) else case.limits.new_zeros(1) for case in cases]
    groups = torch.repeat_interleave(torch.tensor([len(r) for r in rows]))
    objective = torch.cat(rows)[:, :outputs].to(like)
    shape = (1, *net.input_shape)
    lower, upper = (
        _rounded(cases[0].lower, like, up=False).view(shape),
        _rounded(cases[0].upper, like, up=True).view(shape),
    )
    region = BoxRegion((lower + upper) / 2, lower, upper)
    begin = time.monotonic()
    (verdict,) = bounds.verify(
        graph,
        region,
        objective,
        offset=-torch.cat(limits).to(like),
        groups=groups,
        timeout=timeout,
        generator=seeding.generator(seed, "certify"),
    )
    if verdict.answer is bounds.Answer.HOLDS:
        return Decision(result=Result.UNSAT)
    if verdict.counterexample is not None:
        confirmed = _confirmed(graph, net, verdict.counterexample, cases, like)
        if confirmed is not None:
            return confirmed
    spent = time.monotonic() - begin
    return Decision(result=Result.TIMEOUT if spent >= timeout else Result.UNKNOWN)


def _confirmed(
    graph: Graph, net: OnnxNetwork, point: Tensor, cases: list[Case], like: Tensor
) -> Decision | None:
    """Move a counterexample into the box that is rounded inwards, and run it through the network again."""
    low, high = (
        _rounded(cases[0].lower, like, up=True).view(point.shape),
        _rounded(cases[0].upper, like, up=False).view(point.shape),
    )
    # Where no number of the dtype lies between the two, the nearest one stands for both.
    nearest = ((cases[0].lower + cases[0].upper) / 2).to(like).view(point.shape)
    x = torch.where(low <= high, torch.minimum(torch.maximum(point, low), high), nearest)
    with torch.no_grad():
        y = graph.module(x.unsqueeze(0))[0]
    values = [case.rows[:, : len(y)].to(like) @ y - case.limits.to(like) for case in cases]
    if not any(bool((value <= 0).all()) for value in values):
        return None
    count = torch.Size(net.output_shape).numel()
    return Decision(result=Result.SAT, inputs=x.flatten().cpu(), outputs=y[:count].cpu())


def _rounded(values: Tensor, like: Tensor, *, up: bool) -> Tensor:
    """Round float64 values to the dtype of `like`, to the side that is asked for."""
    near = values.to(like)
    target = torch.full_like(near, torch.inf if up else -torch.inf)
    exact = values.to(near.device)
    wrong = near.double() < exact if up else near.double() > exact
    return torch.where(wrong, torch.nextafter(near, target), near)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Break off what runs inside after so many seconds, at the next Python instruction; nothing is raised.

    The backstop for steps that look at the clock too seldom. Outside the main thread, and on systems without
    interval timers, it does nothing.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    class Expired(BaseException):
        """Not caught by anything inside."""

    def expire(*_: object) -> None:
        raise Expired

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    except Expired:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
