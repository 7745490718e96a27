"""Evaluation of a classifier: clean, attacked and certified accuracy, as records.

For every perturbation, certified <= attacked <= clean accuracy holds by construction: only examples that are
classified correctly are attacked or certified, and a certified example that the attack breaks is an error of the suite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robustsuite import attacks, bounds, seeding
from robustsuite.arguments import check_callable, check_fields, check_flags, check_kind, check_labels
from robustsuite.errors import InvalidInput, RobustsuiteError
from robustsuite.perturbations import Perturbation, features
from robustsuite.report.statistics import proportion
from robustsuite.runs.metric import SHARE, Metric
from robustsuite.runs.records import Record
from robustsuite.runs.run import ProgressBar, Run

BoundMethod = Callable[..., bounds.Bounds]

ACCURACY = Metric(name="accuracy", kind="clean", unit=SHARE)
ROBUST_ACCURACY = Metric(name="robust_accuracy", kind="attacked", unit=SHARE, quantity="accuracy")
CERTIFIED_ACCURACY = Metric(name="certified_accuracy", kind="certified", unit=SHARE, quantity="accuracy")


class UnsoundCertificate(RobustsuiteError, AssertionError):
    """An attack broke an example that was certified: a bound is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the records of an evaluation are about; the fields of `Record` of the same names."""

    domain: str
    subject: str
    data: str
    seed: int
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Measures clean, attacked and certified accuracy of a classifier.

    Args:
        attack: tried on every correctly classified example.
        certificates: bound methods, from cheap to tight; each sees the examples that those before could not
            certify, and an example counts as certified if any of them certifies it. Empty for none.
        batch_size: examples at a time, >= 1.
        sound: have certificates hold for the network as it is computed in floating point, and not only in real
            numbers; see `bounds.trace`. The records' method ends with ", sound" then.

    Raises:
        InvalidInput: a batch size below 1, or something that cannot be called for an attack or a certificate.
    """

    attack: attacks.Attack = attacks.PGD(steps=40)
    certificates: tuple[BoundMethod, ...] = (bounds.ibp, bounds.crown_ibp, bounds.crown)
    batch_size: int = 100
    sound: bool = False

    def __post_init__(self) -> None:
        check_callable(self.attack, "attack", "an attack such as attacks.PGD(steps=40)")
        check_kind(self.certificates, tuple, "certificates", "a tuple of bound methods such as (bounds.ibp,)")
        for method in self.certificates:
            check_callable(method, "certificates", "a tuple of bound methods such as (bounds.ibp,)")
        check_fields(self, "batch_size", integer=True, least=1)
        check_flags(self, "sound")

    def __call__(
        self,
        model: nn.Module,
        x: Float[Tensor, "n *input"],
        y: Int[Tensor, " n"],
        perturbations: Sequence[Perturbation],
        *,
        identity: Identity,
        run: Run,
    ) -> list[Record]:
        """Measure `model` on the examples `x` with labels `y`.

        Args:
            model: in evaluation mode; examples are moved to its device batch by batch.
            x, y: examples and labels.
            perturbations: threat models, each measured for itself.
            identity: what the records say they are about.
            run: is told of progress.

        Returns:
            One record of clean accuracy, and for each perturbation one of attacked and one of certified accuracy.

        Raises:
            UnsoundCertificate: the attack broke a certified example.
            InvalidInput: no examples, not one label for each, or something else than perturbations.
        """
        check_kind(model, nn.Module, "model", "a torch.nn.Module")
        features.check_finite(x)
        check_labels(y, len(x))
        if len(x) == 0:
            raise InvalidInput("got no examples to measure; expected at least one")
        expected = "a list of threat models such as [Linf(0.1)]"
        check_kind(perturbations, (list, tuple), "perturbations", expected)
        for perturbation in perturbations:
            check_kind(perturbation, Perturbation, "perturbations", expected)
        per_perturbation = (len(x) + self.batch_size - 1) // self.batch_size
        with run.progress("evaluating", total=per_perturbation * (1 + 2 * len(perturbations))) as bar:
            started = time.monotonic()
            correct = self._correct(model, x, y, bar)
            seconds = time.monotonic() - started
            records = [_record(identity, None, "none", ACCURACY, correct, seconds, len(x))]
            for perturbation in perturbations:
                started = time.monotonic()
                standing, queries = self._standing(model, x, y, correct, perturbation, identity.seed, bar)
                seconds = time.monotonic() - started
                attack = type(self.attack).__name__
                records.append(
                    _record(identity, perturbation, attack, ROBUST_ACCURACY, standing, seconds, queries)
                )
                if not self.certificates:
                    continue
                started = time.monotonic()
                certified = self._certified(model, x, y, correct, perturbation, bar)
                seconds = time.monotonic() - started
                _check_sound(certified, standing, perturbation.describe(), attack)
                method = "+".join(method.__name__ for method in self.certificates)
                method += ", sound" if self.sound else ""
                records.append(
                    _record(identity, perturbation, method, CERTIFIED_ACCURACY, certified, seconds, 0)
                )
        return records

    def _correct(self, model: nn.Module, x: Tensor, y: Tensor, bar: ProgressBar) -> Bool[Tensor, " n"]:
        device, correct = _device(model), torch.zeros(len(x), dtype=torch.bool)
        for part in torch.split(torch.arange(len(x)), self.batch_size):
            with torch.no_grad():
                outputs = model(x[part].to(device)).cpu()
                # As for attacks: NaN is no answer, whatever the label.
                correct[part] = (outputs.argmax(1) == y[part]) & ~outputs.isnan().any(1)
            bar.advance()
        return correct

    def _standing(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        correct: Tensor,
        perturbation: Perturbation,
        seed: int,
        bar: ProgressBar,
    ) -> tuple[Bool[Tensor, " n"], int]:
        """Give the examples that are correct also under attack, and the queries spent."""
        device, standing, queries = _device(model), correct.clone(), 0
        for part in torch.split(correct.nonzero().squeeze(1), self.batch_size):
            # An example's random numbers are its own, whichever others were right.
            seeds = seeding.numbered_seeds(seed, "attack", perturbation.describe(), numbers=part)
            found = self.attack(model, x[part].to(device), y[part].to(device), perturbation, generator=seeds)
            standing[part] = ~found.success.cpu()
            queries += int(found.queries.sum())
            bar.advance()
        return standing, queries

    def _certified(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        correct: Tensor,
        perturbation: Perturbation,
        bar: ProgressBar,
    ) -> Bool[Tensor, " n"]:
        device, certified = _device(model), torch.zeros(len(x), dtype=torch.bool)
        net = bounds.trace(model, x[:1].to(device), sound=self.sound)
        for part in torch.split(correct.nonzero().squeeze(1), self.batch_size):
            open_ = part
            for method in self.certificates:
                if len(open_) == 0:
                    break
                region = perturbation.around(x[open_].to(device))
                with torch.no_grad():
                    proved = bounds.certified(net, region, y[open_].to(device), method=method).cpu()
                certified[open_[proved]] = True
                open_ = open_[~proved]
            bar.advance()
        return certified


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _check_sound(certified: Tensor, standing: Tensor, threat: str, attack: str) -> None:
    broken = (certified & ~standing).nonzero().squeeze(1).tolist()
    if broken:
        raise UnsoundCertificate(
            f"{attack} broke {len(broken)} examples that were certified under {threat}, first example {broken[0]}: "
            "a bound is wrong; please report the network and the example"
        )


def _record(
    identity: Identity,
    perturbation: Perturbation | None,
    method: str,
    metric: Metric,
    holds: Tensor,
    seconds: float,
    queries: int,
) -> Record:
    return Record(
        **asdict(identity),
        **asdict(proportion(int(holds.sum()), len(holds))),
        perturbation=perturbation.describe() if perturbation else "none",
        norm=perturbation.norm if perturbation else "",
        radius=perturbation.radius if perturbation else None,
        method=method,
        metric=metric,
        seconds=seconds,
        queries=queries,
    )
