"""Wrong calls from Python, for `wrong_uses.py`: each must raise an error of the suite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from robustsuite import L0, L1, L2, Box, Linf, Substitutions, attacks, bounds, data, recipes, seeding
from robustsuite.attacks import FGSM, PGD, Divergence, Targeted, losses
from robustsuite.envs import environments, policies, scale
from robustsuite.envs.algorithms.sa_dqn import SADQN
from robustsuite.envs.attacks import MinQ, PGDOnQ, TowardAction
from robustsuite.envs.certificates.actions import certified_actions
from robustsuite.envs.evaluation.evaluate import AgentEvaluation, evaluate
from robustsuite.envs.evaluation.rollout import rollout
from robustsuite.envs.policies import Agent, QFunction, sb3
from robustsuite.envs.regularizers import ConvexRegularizer, PGDRegularizer
from robustsuite.envs.streams import Streams
from robustsuite.envs.tabular import TabularMDP
from robustsuite.envs.threat.observation_attack import ObservationAttack
from robustsuite.envs.training.learning import QLearning
from robustsuite.envs.training.robustness import Robustness
from robustsuite.envs.training.validation import Validation
from robustsuite.evaluation import ACCURACY, Evaluation, Identity
from robustsuite.nlp import LSTMPooling, MeanPooling, SentenceClassifier, Vocabulary, WordLinf, load_text
from robustsuite.report import page, statistics
from robustsuite.runs import checkpoints, records
from robustsuite.runs.records import Record
from robustsuite.runs.run import Run, plain_name
from robustsuite.training import (
    AWP,
    CAT,
    SGD,
    TRADES,
    Adam,
    Adversarial,
    Augmented,
    Averaged,
    Certified,
    Constant,
    Cosine,
    Descent,
    HeldOut,
    Linear,
    Objective,
    PerExample,
    RobustAccuracy,
    SmoothedRamp,
    Standard,
    Steps,
    Subset,
    TensorData,
    Training,
    fit,
    hold_out,
)  # fmt: skip
from robustsuite.vision import MLP, RECIPES, Classification, ConvNet, load_images

Call = Callable[[], object]

_NAN, _INF = float("nan"), float("inf")
_X = torch.linspace(0, 1, 6).view(2, 3)
_Y = torch.tensor([0, 1])
_PLAIN, _THREATS = Descent(Standard()), (Linf(0.1),)


def _any(value: object) -> Any:
    return value


class _Number(Objective):
    """An objective that gives a number in place of a Loss."""

    def __call__(self, *given: Any) -> Any:
        return 0.5


class _Bare(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(x)


def calls(folder: Path) -> Iterator[tuple[str, Call]]:
    """Give the wrong calls by name. `folder`: where they work."""
    for group, table in (
        ("perturbations", _perturbations()),
        ("bounds", _bounds()),
        ("attacks", _attacks()),
        ("training", _training()),
        ("files", _files(folder)),
        ("envs", _envs(folder)),
        ("domains", _domains()),
    ):
        for name, call in table.items():
            yield f"{group}: {name}", call


def _perturbations() -> dict[str, Call]:
    words = torch.zeros(1, 2, 3, 4)
    radii: dict[str, Any] = {
        "negative": -0.1, "NaN": _NAN, "text": "0.1", "none": None, "truth": True, "empty": [],
        "ragged": [[0.1, 0.2], [0.1]], "dict": {"eps": 0.1}, "nested text": [["0.1"]], "sparse": torch.eye(3).to_sparse(),
        "no values": torch.zeros(3, device="meta"), "complex": 0.1j, "empty array": np.zeros(0), "class": Linf,
    }  # fmt: skip
    clips: dict[str, Any] = {
        "a number": 0.5, "texts": ("low", "high"), "three": (0, 1, 2), "turned": (1, 0), "equal": (0, 0), "NaN": (0, _NAN),
        "endless": (0, _INF), "text": "01",
    }  # fmt: skip
    batches: dict[str, Any] = {
        "an array": _X.numpy(), "a list": _X.tolist(), "sparse": torch.eye(3).to_sparse(), "a number": torch.tensor(0.5),
        "integers": torch.zeros(2, 3, dtype=torch.long), "complex": _X.to(torch.complex64), "NaN": _X * _NAN, "infinite": _X + _INF,
        "no values": _X.to("meta"), "none": None, "a module": nn.Linear(2, 2), "a region": Linf(0.1).around(_X),
    }  # fmt: skip
    return {
        **{f"Linf of {name}": lambda r=r: Linf(r) for name, r in radii.items()},  # type: ignore[misc]
        **{f"clip of {name}": lambda c=c: L2(0.1, clip=c) for name, c in clips.items()},  # type: ignore[misc]
        **{f"around {name}": lambda b=b: L1(0.1).around(b) for name, b in batches.items()},  # type: ignore[misc]
        "around outside of the clip": lambda: Linf(0.1, clip=(0, 1)).around(_X + 5),
        "radii of another shape": lambda: Linf((0.1, 0.2)).around(_X),
        "unit of a number": lambda: Linf(0.1).around(_X, unit=_any(0.5)),
        "unit of another shape": lambda: Linf(0.1).around(_X, unit=_X[:1]),
        "unit below 0": lambda: Linf(0.1).around(_X, unit=-_X),
        "scaled by -1": lambda: Linf(0.1).scaled(-1),
        "scaled by NaN": lambda: L0(3, 0, 1).scaled(_NAN),
        "scaled by a text": lambda: Box(0, 1).scaled(_any("2")),
        "Box turned": lambda: Box(1, 0),
        "Box of unequal lengths": lambda: Box((0.0, 0.0), (1.0, 1.0, 1.0)),
        "Box of NaN": lambda: Box(_NAN, 1),
        "Box of texts": lambda: Box(_any("0"), _any("1")),
        "L0 of a fraction": lambda: L0(_any(1.5), 0, 1),
        "L0 below 0": lambda: L0(-1, 0, 1),
        "L0 of unequal lengths": lambda: L0(1, (0.0, 0.0), (1.0,)),
        "Substitutions of a list": lambda: Substitutions(_any([[1.0]])),
        "Substitutions of a matrix": lambda: Substitutions(torch.zeros(2, 3)),
        "Substitutions, budget of a fraction": lambda: Substitutions(words, budget=_any(1.5)),
        "Substitutions, share of a text": lambda: Substitutions(words, share=_any("half")),
        "Substitutions, mask of a list": lambda: Substitutions(words, _any([True])),
        "from_tokens of an array": lambda: Substitutions.from_tokens(_any(np.zeros((1, 2))), nn.Embedding(3, 2), {}),
        "from_tokens without embedding": lambda: Substitutions.from_tokens(_Y.view(1, 2), _any(3), {}),
        "from_tokens with a list of synonyms": lambda: Substitutions.from_tokens(_Y.view(1, 2), nn.Embedding(3, 2), _any([1])),
        "seed of a fraction": lambda: seeding.derive(_any(1.5)),
        "seed below 0": lambda: seeding.generator(-1),
        "example_seeds of a seed": lambda: seeding.example_seeds(3, generator=_any(0)),
    }  # fmt: skip


def _bounds() -> dict[str, Call]:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    net, region, rows = bounds.trace(model, _X), Linf(0.1).around(_X), torch.eye(3)
    weights = bounds.Weights(Linf(0.01))
    nets: dict[str, Any] = {"a module": model, "none": None, "a function": torch.relu}
    regions: dict[str, Any] = {
        "a radius": 0.1, "a perturbation": Linf(0.1), "a batch": _X, "none": None, "no regions": (), "a list": [region],
        "two regions": (region, region), "another shape": Linf(0.1).around(torch.zeros(2, 4)),
        "another dtype": Linf(0.1).around(_X.double()),
    }  # fmt: skip
    objectives: dict[str, Any] = {
        "NaN": rows * _NAN, "a list": rows.tolist(), "sparse": rows.to_sparse(), "another shape": torch.zeros(2, 4),
        "no values": rows.to("meta"),
    }  # fmt: skip
    labels: dict[str, Any] = {
        "a list": [0, 1], "floats": _Y.float(), "int32": _Y.int(), "one-hot": torch.eye(3)[:2], "too large": _Y + 5,
        "below 0": _Y - 1, "too many": torch.tensor([0, 1, 2]), "truth": _Y.bool(), "no values": _Y.to("meta"),
    }  # fmt: skip
    modules: dict[str, Any] = {
        "a function": torch.relu, "a class": nn.ReLU, "none": None, "no values": nn.Linear(3, 2, device="meta"),
        "another width": nn.Linear(4, 2), "two outputs": _Bare(lambda x: (x, x)), "a list": _Bare(lambda x: [x, x]),
    }  # fmt: skip
    examples: dict[str, Any] = {
        "a list": [_X], "an array": _X.numpy(), "no example": _X[:0], "no batch": torch.tensor(1.0), "NaN": _X * _NAN,
        "sparse": torch.eye(3).to_sparse(), "another dtype": _X.double(), "none": None, "no tuple": (),
    }  # fmt: skip
    properties: dict[str, dict[str, Any]] = {
        "offset too short": {"offset": torch.zeros(1)}, "offset too long": {"offset": torch.zeros(4)},
        "offset of NaN": {"offset": torch.full((3,), _NAN)}, "offset of a number": {"offset": 0.5},
        "groups too short": {"groups": torch.tensor([0])}, "groups of floats": {"groups": torch.zeros(3)},
        "groups of a list": {"groups": [0, 1, 2]}, "timeout 0": {"timeout": 0}, "timeout NaN": {"timeout": _NAN},
        "timeout of a text": {"timeout": "soon"}, "a seed as generator": {"generator": 0},
    }  # fmt: skip
    steps: dict[str, dict[str, Any]] = {
        "steps -1": {"steps": -1}, "steps 1.5": {"steps": 1.5}, "intermediate_steps -1": {"intermediate_steps": -1},
        "lr 0": {"lr": 0}, "lr NaN": {"lr": _NAN}, "decay 0": {"decay": 0}, "decay 2": {"decay": 2},
    }  # fmt: skip
    return {
        **{f"crown of {name}": lambda n=n: bounds.crown(n, region) for name, n in nets.items()},  # type: ignore[misc]
        **{f"ibp on {name}": lambda r=r: bounds.ibp(net, r) for name, r in regions.items()},  # type: ignore[misc]
        **{f"crown_ibp, objective {name}": lambda o=o: bounds.crown_ibp(net, region, objective=o) for name, o in objectives.items()},  # type: ignore[misc]
        **{f"verify, objective {name}": lambda o=o: bounds.verify(net, region, o) for name, o in objectives.items()},  # type: ignore[misc]
        **{f"verify, {name}": lambda p=p: bounds.verify(net, region, rows, **p) for name, p in properties.items()},  # type: ignore[misc]
        **{f"alpha_crown, {name}": lambda s=s: bounds.alpha_crown(net, region, **s) for name, s in steps.items()},  # type: ignore[misc]
        **{f"certified, labels {name}": lambda y=y: bounds.certified(net, region, y) for name, y in labels.items()},  # type: ignore[misc]
        **{f"trace of {name}": lambda m=m: bounds.trace(m, _X) for name, m in modules.items()},  # type: ignore[misc]
        **{f"trace at {name}": lambda e=e: bounds.trace(model, e) for name, e in examples.items()},  # type: ignore[misc]
        "forward of a module": lambda: bounds.forward(_any(model), region),
        "forward of a sound graph": lambda: bounds.forward(bounds.trace(model, _X, sound=True), region),
        "crown, max_memory 0": lambda: bounds.crown(net, region, max_memory=0),
        "crown_ibp, max_memory -1": lambda: bounds.crown_ibp(net, region, max_memory=-1),
        "alpha_crown, max_memory of a text": lambda: bounds.alpha_crown(net, region, max_memory=_any("1G")),
        "certified by a name": lambda: bounds.certified(net, region, _Y, method=_any("crown")),
        "certified around a perturbation": lambda: bounds.certified(net, _any(Linf(0.1)), _Y),
        "margins of one class": lambda: bounds.margins(1, _Y),
        "margins of a list": lambda: bounds.margins(3, _any([0, 1])),
        "cross entropy, beta 2": lambda: bounds.margin_cross_entropy(net, region, _Y, beta=2),
        "cross entropy, beta NaN": lambda: bounds.fused_cross_entropy(net, region, _Y, beta=_NAN),
        "cross entropy of a module": lambda: bounds.margin_cross_entropy(_any(model), region, _Y),
        "cross entropy, labels too large": lambda: bounds.fused_cross_entropy(net, region, _Y + 5),
        "jacobian of a module": lambda: bounds.jacobian(_any(model)),
        "jacobian by the second input": lambda: bounds.jacobian(net, argument=1),
        "jacobian by a name": lambda: bounds.jacobian(net, argument=_any("x")),
        "lipschitz, p 3": lambda: bounds.lipschitz(net, region, p=3),
        "lipschitz on a radius": lambda: bounds.lipschitz(net, _any(0.1)),
        "Weights of a radius": lambda: bounds.Weights(_any(0.01)),
        "Weights of a Box": lambda: bounds.Weights(_any(Box(0, 1))),
        "Weights of no names": lambda: bounds.Weights(Linf(0.01), ()),
        "Weights of a number": lambda: bounds.Weights(Linf(0.01), _any(3)),
        "Weights, relative of a text": lambda: bounds.Weights(Linf(0.01), relative=_any("yes")),
        "Weights of an unknown name": lambda: bounds.Weights(Linf(0.01), ("9.weight",)).trace(model, _X),
        "Weights.trace of a function": lambda: weights.trace(_any(torch.relu), _X),
        "Weights.around an array": lambda: weights.around(model, _any(_X.numpy())),
        "Weights.around a graph": lambda: weights.around(_any(net), _X),
    }  # fmt: skip


def _attacks() -> dict[str, Call]:
    good = nn.Linear(3, 4)
    models: dict[str, Any] = {
        "none": None, "a text": "resnet", "two outputs": _Bare(lambda x: (x, x)), "one number each": _Bare(lambda x: x.sum(1)),
        "one class": nn.Linear(3, 1), "NaN": _Bare(lambda x: x * _NAN), "no gradient": _Bare(lambda x: -x.detach()),
        "a constant": _Bare(lambda x: torch.zeros(len(x), 4)), "another width": nn.Linear(5, 4), "float64": nn.Linear(3, 4).double(),
        "no values": nn.Linear(3, 4, device="meta"), "numpy": _Bare(lambda x: np.zeros((2, 4))), "a class": nn.Linear,
    }  # fmt: skip
    labels: dict[str, Any] = {
        "a list": [0, 1], "floats": _Y.float(), "int32": _Y.int(), "one-hot": torch.eye(4)[:2], "too large": _Y + 5,
        "ignored by cross entropy": _Y - 100, "too few": _Y[:1], "truth": _Y.bool(), "none": None,
        "a class": Targeted, "a function": torch.relu, "a divergence without a reference": Divergence,
    }  # fmt: skip
    threats: dict[str, Any] = {
        "a radius": 0.1,
        "a region": Linf(0.1).around(_X),
        "none": None,
        "a class": Linf,
    }
    options: dict[str, dict[str, Any]] = {
        "steps 0": {"steps": 0}, "steps 1.5": {"steps": 1.5}, "restarts 0": {"restarts": 0}, "step_size 0": {"step_size": 0},
        "step_size NaN": {"step_size": _NAN}, "loss of a name": {"loss": "margin"},
        "step_rule of a name": {"step_rule": "cosine"}, "random_start of a text": {"random_start": "no"},
        "restarts of the same start": {"restarts": 2, "random_start": False},
    }  # fmt: skip
    return {
        **{f"PGD on {name}": lambda m=m: PGD()(m, _X, _Y, Linf(0.1)) for name, m in models.items()},  # type: ignore[misc]
        **{f"FGSM, labels {name}": lambda y=y: FGSM()(good, _X, y, Linf(0.1)) for name, y in labels.items()},  # type: ignore[misc]
        **{f"PGD within {name}": lambda t=t: PGD()(good, _X, _Y, t) for name, t in threats.items()},  # type: ignore[misc]
        **{f"PGD, {name}": lambda o=o: PGD(**o) for name, o in options.items()},  # type: ignore[misc]
        "PGD at an array": lambda: PGD()(good, _any(_X.numpy()), _Y, Linf(0.1)),
        "PGD at float64": lambda: PGD()(good, _X.double(), _Y, Linf(0.1)),
        "PGD at NaN": lambda: PGD()(good, _X * _NAN, _Y, Linf(0.1)),
        "PGD with a seed": lambda: PGD()(good, _X, _Y, Linf(0.1), generator=_any(0)),
        "the ratio of differences on two classes": lambda: PGD(loss=losses.difference_of_logits_ratio)(
            nn.Linear(3, 2), _X, _Y, Linf(0.1)
        ),
        "targets of floats": lambda: Targeted(_Y.float()),
        "targets that are no classes": lambda: PGD()(good, _X, Targeted(_Y + 9), Linf(0.1)),
        "targets for another batch": lambda: PGD()(good, _X, Targeted(_Y[:1]), Linf(0.1)),
        "FGSM, loss of a name": lambda: attacks.FGSM(loss=_any("margin")),
        "PGD within an endless radius": lambda: PGD()(good, _X, _Y, L2(float("inf"), clip=(0, 1))),
        "DDN within Linf": lambda: attacks.DDN()(good, _X, _Y, Linf(0.1)),
        "DDN, steps 0": lambda: attacks.DDN(steps=0),
        "Boundary without a range": lambda: attacks.Boundary()(good, _X, _Y, L2(1.0)),
        "RandomSearch, max_queries 0": lambda: attacks.RandomSearch(max_queries=0),
        "RandomSearch on class numbers": lambda: attacks.RandomSearch()(attacks.labels_only(good), _X, _Y, Linf(0.1)),
        "InTurn of functions": lambda: attacks.InTurn((_any(torch.relu),)),
        "Repeated 0 times": lambda: attacks.Repeated(PGD(), 0),
        "Transfer of no models": lambda: attacks.Transfer((), PGD()),
        "estimator of a module": lambda: attacks.estimator(good),
        "labels_only of a number": lambda: attacks.labels_only(_any(3)),
        "labels_only of NaN": lambda: attacks.Boundary()(
            attacks.labels_only(lambda x: good(x) * _NAN), _X, _Y, L2(1.0, clip=(0, 1))
        ),
        "a curve of a radius": lambda: attacks.curve(good, _X, _Y, _any(0.1), PGD()),
        "a loss for a divergence": lambda: PGD(loss=losses.margin)(good, _X, Divergence(torch.zeros(2, 4)), Linf(0.1)),
        "seeds for another batch": lambda: PGD()(good, _X, _Y, Linf(0.1), generator=seeding.ExampleSeeds(_Y[:1])),
    }  # fmt: skip


def _training() -> dict[str, Call]:
    def train(model: Any = None, update: Any = _PLAIN, x: Any = _X, y: Any = _Y, **changes: Any) -> object:
        given: dict[str, Any] = {"training": Training(epochs=1), "run": Run.scratch(), "seed": 0} | changes
        data = given.pop("data") if "data" in given else TensorData(x, y)
        return fit(nn.Linear(3, 4) if model is None else model, update, data, **given)

    def resumed(training: Training, update: Any) -> object:
        run = Run.scratch()
        train(run=run)
        return train(update=update, training=training, run=Run.scratch(run.path, resume=True))

    measure = Identity(domain="d", subject="s", data="d", seed=0, recipe="")

    def measured(x: Any = _X, y: Any = _Y, threats: Any = _THREATS) -> object:
        return Evaluation()(nn.Linear(3, 4), x, y, threats, identity=measure, run=Run.scratch())

    settings: dict[str, dict[str, Any]] = {
        "epochs 0": {"epochs": 0}, "epochs 1.5": {"epochs": 1.5}, "batch_size 0": {"batch_size": 0}, "log_steps 0": {"log_steps": 0},
        "checkpoint_seconds NaN": {"checkpoint_seconds": _NAN}, "patience 0": {"patience": 0}, "schedule of a number": {"rate_schedule": 0.1},
    }  # fmt: skip
    return {
        **{f"Training, {name}": lambda s=s: Training(**({"epochs": 1} | s)) for name, s in settings.items()},  # type: ignore[misc]
        "fit of a function": lambda: train(_any(torch.relu)),
        "fit without update": lambda: train("standard"),
        "fit of an objective": lambda: train(update=Standard()),
        "fit on a tensor": lambda: train(data=_X),
        "fit on an array": lambda: train(x=_X.numpy()),
        "fit on NaN": lambda: train(x=_X * _NAN),
        "fit on int32 labels": lambda: train(y=_Y.int()),
        "fit on labels below 0": lambda: train(y=_Y - 1),
        "fit on labels out of range": lambda: train(y=_Y + 7),
        "fit on too few labels": lambda: train(y=_Y[:1]),
        "fit on nothing": lambda: train(x=_X[:0], y=_Y[:0]),
        "fit without run": lambda: train(run="runs"),
        "fit with seed -1": lambda: train(seed=-1),
        "fit on the device 'meta'": lambda: train(device="meta"),
        "fit, an objective that gives a number": lambda: train(update=Descent(_Number())),
        "Descent of a function": lambda: Descent(_any(torch.relu)),
        "Descent, gradient_norm 0": lambda: Descent(Standard(), gradient_norm=0),
        "Descent, optimizer of a name": lambda: Descent(Standard(), optimizer=_any("adam")),
        "Descent, accumulate 0": lambda: Descent(Standard(), accumulate=0),
        "fit, more parts than examples": lambda: train(update=Descent(Standard(), accumulate=9)),
        "fit, one example for batch norm": lambda: train(
            nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), training=Training(epochs=1, batch_size=1)
        ),
        "fit, resumed with another batch_size": lambda: resumed(Training(epochs=1, batch_size=1), _PLAIN),
        "fit, resumed with another optimiser": lambda: resumed(Training(epochs=1), Descent(Standard(), optimizer=SGD())),
        "AWP of an objective": lambda: AWP(_any(Standard())),
        "AWP, gamma -1": lambda: AWP(_PLAIN, gamma=-1),
        "Averaged, decay 2": lambda: Averaged(_PLAIN, decay=2),
        "Augmented of a tensor": lambda: Augmented(_any(_X), ()),
        "Subset, places out of range": lambda: Subset(TensorData(_X, _Y), _Y + 9),
        "hold_out, share 1": lambda: hold_out(_Y, share=1, seed=0),
        "soft targets that are no probabilities": lambda: TensorData(_X, torch.ones(len(_X), 3)),
        "PerExample of differing lengths": lambda: PerExample(a=torch.zeros(2), b=torch.zeros(3)),
        "fit, a model that gives NaN under attack": lambda: train(_Bare(lambda x: x * _NAN), Descent(Adversarial(perturbation=Linf(0.1)))),
        "Adam, rate -1": lambda: Adam(rate=-1),
        "Adam, betas of one": lambda: Adam(betas=_any((0.9,))),
        "SGD, momentum 1": lambda: SGD(momentum=1),
        "SGD, rate NaN": lambda: SGD(rate=_NAN),
        "Constant NaN": lambda: Constant(_NAN),
        "Linear, length 0": lambda: Linear(length=0),
        "Linear, end -1": lambda: Linear(length=1, end=-1),
        "SmoothedRamp, middle 0": lambda: SmoothedRamp(length=1, middle=0),
        "Steps of a number": lambda: Steps(at=_any(3.0)),
        "Cosine, length -1": lambda: Cosine(length=-1),
        "Adversarial within a radius": lambda: Adversarial(perturbation=_any(0.1)),
        "Adversarial, attack of a name": lambda: Adversarial(perturbation=Linf(0.1), attack=_any("pgd")),
        "TRADES, beta -1": lambda: TRADES(perturbation=Linf(0.1), beta=-1),
        "TRADES, attack of a name": lambda: TRADES(perturbation=Linf(0.1), attack=_any("pgd")),
        "CAT, eta NaN": lambda: CAT(perturbation=Linf(0.1), eta=_NAN),
        "HeldOut, share 0": lambda: HeldOut(share=0),
        "HeldOut, measure of a name": lambda: HeldOut(measure=_any("accuracy")),
        "HeldOut of two examples": lambda: HeldOut().split(TensorData(_X, _Y), seed=0),
        "RobustAccuracy within a radius": lambda: RobustAccuracy(perturbation=_any(0.1)),
        "Certified within a radius": lambda: Certified(perturbation=_any(0.1)),
        "Certified, kappa of a number": lambda: Certified(perturbation=Linf(0.1), kappa=_any(0.5)),
        "Certified, kappa beyond 1": lambda: Certified(perturbation=Linf(0.1), kappa=Constant(2.0)),
        "Certified, bound of a name": lambda: Certified(perturbation=Linf(0.1), bound=_any("fused")),
        "Evaluation, batch_size 0": lambda: Evaluation(batch_size=0),
        "Evaluation, certificates of names": lambda: Evaluation(certificates=_any(("ibp",))),
        "Evaluation, attack of a name": lambda: Evaluation(attack=_any("pgd")),
        "evaluate on nothing": lambda: measured(_X[:0], _Y[:0]),
        "evaluate on too few labels": lambda: measured(y=_Y[:1]),
        "evaluate within a radius": lambda: measured(threats=(0.1,)),
        "evaluate within one perturbation": lambda: measured(threats=Linf(0.1)),
        "evaluate at NaN": lambda: measured(_X * _NAN),
    }  # fmt: skip


def _files(folder: Path) -> dict[str, Call]:
    row: dict[str, Any] = {
        "domain": "d", "subject": "s", "data": "d", "perturbation": "none", "method": "none", "metric": ACCURACY,
        "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "seed": 0,
    }  # fmt: skip
    changes: dict[str, dict[str, Any]] = {
        "value NaN": {"value": _NAN}, "value of a text": {"value": "0.5"}, "value outside": {"value": 0.9}, "n 0": {"n": 0},
        "n 1.5": {"n": 1.5}, "seed -1": {"seed": -1}, "seconds NaN": {"seconds": _NAN}, "queries -1": {"queries": -1},
        "low of a text": {"low": "0"}, "metric of a text": {"metric": "accuracy"}, "radius -1": {"radius": -1.0},
    }  # fmt: skip
    images = torch.zeros(2, 1, 4, 4)

    def save(tensors: Any, state: Any = None, path: Any = folder / "file") -> object:
        checkpoints.save(path, tensors=tensors, state={} if state is None else state)
        return "a checkpoint"

    def image_data(**given: Any) -> object:
        whole: dict[str, Any] = {"name": "mine", "x": images, "y": _Y, "classes": 2} | given
        return data.ImageData(**whole)

    return {
        **{f"Record, {name}": lambda c=c: Record(**(row | c)) for name, c in changes.items()},  # type: ignore[misc]
        **{f"name of a run, {name!r}": lambda name=name: plain_name(name) for name in ("", "a/b", "..", 3, None)},  # type: ignore[misc]
        "checkpoint of a number": lambda: save({"a": 3}),
        "checkpoint of an array": lambda: save({"a": np.zeros(3)}),
        "checkpoint of a list": lambda: save([torch.zeros(3)]),
        "checkpoint of a sparse tensor": lambda: save({"a": torch.eye(3).to_sparse()}),
        "checkpoint of no values": lambda: save({"a": torch.zeros(3, device="meta")}),
        "checkpoint, state of a tensor": lambda: save({}, {"a": torch.zeros(3)}),
        "checkpoint, state of a list": lambda: save({}, _any([1])),
        "checkpoint at a number": lambda: save({}, path=3),
        "checkpoint at nothing": lambda: save({}, path=""),
        "checkpoint below a file": lambda: save({}, path=folder.parent / "given" / "file" / "below"),
        "checkpoints.load of nothing": lambda: checkpoints.load(folder / "nothing"),
        "checkpoints.load of a number": lambda: checkpoints.load(_any(3)),
        "checkpoints.load of a text file": lambda: checkpoints.load(folder.parent / "given" / "file"),
        "images by an unknown name": lambda: load_images("cifra", "train"),
        "images by a number": lambda: load_images(_any(3), "train"),
        "images of an unknown split": lambda: load_images("digits", "dev"),
        "the first -5 images": lambda: load_images("digits", "test", first=-5),
        "the first 1.5 images": lambda: load_images("digits", "test", first=_any(1.5)),
        "sentences of no data": lambda: load_text("sst2", "train"),
        "ImageData of an array": lambda: image_data(x=images.numpy()),
        "ImageData of NaN": lambda: image_data(x=images * _NAN),
        "ImageData of 8 bits": lambda: image_data(x=images + 200),
        "ImageData, labels out of range": lambda: image_data(y=_Y + 5),
        "ImageData, labels of a list": lambda: image_data(y=[0, 1]),
        "ImageData of one class": lambda: image_data(classes=1),
        "TextData of a number": lambda: data.TextData(name="mine", sentences=_any((3, 4)), y=_Y, classes=2),
        "proportion of a fraction": lambda: statistics.proportion(_any(0.5), 10),
        "proportion above 1": lambda: statistics.proportion(11, 10),
        "mean of nothing": lambda: statistics.mean([]),
        "mean of texts": lambda: statistics.mean(_any(["a"])),
        "records of dicts": lambda: records.write(_any([row]), folder / "records"),
        "records at a number": lambda: records.read(_any(3)),
        "a recipe at nothing": lambda: recipes.load_json(folder / "nothing"),
        "a recipe at a number": lambda: recipes.load_json(_any(3)),
        "a run at a number": lambda: Run(_any(3)),
        "a page about a number": lambda: page.collect(_any([3])),
        "mean, resamples 0": lambda: statistics.mean([1.0, 2.0], resamples=0),
    }  # fmt: skip


def _envs(folder: Path) -> dict[str, Call]:
    import gymnasium as gym

    agent = Agent(env="CartPole-v1", policy=QFunction(policies.MLP(sizes=(4, 8, 2)).build(), 2))
    q, ball, states = agent.policy, scale.ball(0.1, (1.0,) * 4), torch.zeros(2, 4)
    streams = Streams(0, episodes=range(2))
    tiny: dict[str, Any] = {"buffer_size": 10, "device": "cpu"}
    made: dict[str, tuple[Any, ...]] = {
        "Pendulum": ("MlpPolicy", "Pendulum-v1"), "FrozenLake": ("MlpPolicy", "FrozenLake-v1"), "an unknown id": ("MlpPolicy", "Nope-v0"),
        "a number": ("MlpPolicy", 3), "CnnPolicy on vectors": ("CnnPolicy", "CartPole-v1"), "an unknown policy": ("LstmPolicy", "CartPole-v1"),
        "MultiInputPolicy": ("MultiInputPolicy", "CartPole-v1"),
    }  # fmt: skip
    settings: dict[str, dict[str, Any]] = {
        "learning_rate -1": {"learning_rate": -1.0}, "gamma 2": {"gamma": 2.0}, "batch_size 0": {"batch_size": 0},
        "train_freq 0": {"train_freq": 0}, "seed -1": {"seed": -1}, "robustness of a radius": {"robustness": 0.1},
        "radii of another shape": {"robustness": Robustness(perturbation=Linf((0.1, 0.1)), kappa=0.1)},
        "exploration_fraction 0": {"exploration_fraction": 0.0}, "gradient_steps of a text": {"gradient_steps": "all"},
    }  # fmt: skip

    def saved() -> SADQN:
        return SADQN("MlpPolicy", "CartPole-v1", **tiny)

    def play(env: str = "CartPole-v1", who: Any = agent, **options: Any) -> object:
        given: dict[str, Any] = {"episodes": 1, "seed": 0} | options
        return rollout(who, environments.lockstep(env, 1), **given)

    def attacked(**changes: Any) -> object:
        given: dict[str, Any] = {"adversary": PGDOnQ(), "perturbation": ball, "agent": agent} | changes
        return ObservationAttack(gym.make(given.pop("env", "CartPole-v1")), **given)

    return {
        **{f"SADQN on {name}": lambda m=m: SADQN(*m, **tiny) for name, m in made.items()},  # type: ignore[misc]
        **{f"SADQN, {name}": lambda s=s: SADQN("MlpPolicy", "CartPole-v1", **(tiny | s)) for name, s in settings.items()},  # type: ignore[misc]
        "SADQN.load of nothing": lambda: SADQN.load(folder / "nothing"),
        "SADQN.load of a number": lambda: SADQN.load(3),
        "SADQN.load of a text file": lambda: SADQN.load(folder.parent / "given" / "file"),
        "SADQN.save at a number": lambda: saved().save(3),
        "SADQN.save of a lambda": lambda: SADQN("MlpPolicy", "CartPole-v1", learning_rate=lambda left: left, **tiny).save("a"),
        "SADQN.save with the replay": lambda: saved().save("a", include=["replay_buffer"]),
        "SADQN.load_replay_buffer of nothing": lambda: saved().load_replay_buffer("nothing"),
        "Robustness of a radius": lambda: Robustness(perturbation=_any(0.1)),
        "Robustness, kappa NaN": lambda: Robustness(kappa=_NAN),
        "Robustness, c -1": lambda: Robustness(c=-1),
        "Robustness, regularizer of a name": lambda: Robustness(regularizer=_any("convex")),
        "Robustness, ramp beyond the end": lambda: Robustness(ramp=Linear(begin=0.8, length=0.5)),
        "ConvexRegularizer, beta of a number": lambda: ConvexRegularizer(beta=_any(0.5)),
        "ConvexRegularizer, beta beyond 1": lambda: ConvexRegularizer(beta=Constant(2.0)),
        "PGDRegularizer, steps 1.5": lambda: PGDRegularizer(steps=_any(1.5)),
        "PGDOnQ, steps 0": lambda: PGDOnQ(steps=0),
        "MinQ, steps of a text": lambda: MinQ(steps=_any("10")),
        "TowardAction -1": lambda: TowardAction(action=-1),
        "TowardAction that there is not": lambda: TowardAction(action=7).start(q, ball, streams),
        "QLearning, gamma NaN": lambda: QLearning(gamma=_NAN),
        "QLearning, hidden of a number": lambda: QLearning(hidden=_any(64)),
        "QLearning on Pendulum": lambda: QLearning().build("Pendulum-v1", robustness=Robustness(), seed=0),
        "Validation, eps NaN": lambda: Validation(eps=_NAN),
        "AgentEvaluation, episodes 0": lambda: AgentEvaluation(episodes=0),
        "AgentEvaluation, adversaries of names": lambda: AgentEvaluation(adversaries=_any(("pgd",))),
        "ball, eps -1": lambda: scale.ball(-1.0, (1.0,)),
        "ball, std NaN": lambda: scale.ball(0.1, (_NAN,)),
        "ball, std of a number": lambda: scale.ball(0.1, _any(1.0)),
        "published of an unknown id": lambda: scale.published("Pong-v5"),
        "measured of a list": lambda: scale.measured(_any([[1.0], [2.0]])),
        "rollout on an unknown id": lambda: play("Nope-v0"),
        "rollout on Pendulum": lambda: play("Pendulum-v1"),
        "rollout of another agent": lambda: play("Acrobot-v1"),
        "rollout of a module": lambda: play(who=nn.Linear(4, 2)),
        "rollout of no episodes": lambda: play(episodes=0),
        "rollout with seed -1": lambda: play(seed=-1),
        "rollout with an adversary and no balls": lambda: play(adversary=PGDOnQ()),
        "ObservationAttack on FrozenLake": lambda: attacked(env="FrozenLake-v1"),
        "ObservationAttack within a radius": lambda: attacked(perturbation=0.1),
        "ObservationAttack by a name": lambda: attacked(adversary="pgd"),
        "ObservationAttack of a module": lambda: attacked(agent=nn.Linear(4, 2)),
        "evaluate of a module": lambda: evaluate(_any(nn.Linear(4, 2)), AgentEvaluation(), subject="", seed=0),
        "TabularMDP of NaN": lambda: TabularMDP(np.ones((1, 1, 1)), np.full((1, 1, 1), _NAN), np.ones((1, 1), bool), 0.5),
        "TabularMDP of lists": lambda: TabularMDP(_any([[[1.0]]]), _any([[[1.0]]]), _any([[True]]), 0.5),
        "TabularMDP, gamma 1": lambda: TabularMDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1), bool), 1.0),
        "QFunction of one action": lambda: QFunction(nn.Linear(4, 1), 1),
        "QFunction of a function": lambda: QFunction(_any(torch.relu), 2),
        "an agent of no actions": lambda: policies.MLP(sizes=(4,)),
        "an agent of width 0": lambda: policies.MLP(sizes=(4, 0, 2)),
        "an agent of another activation": lambda: policies.MLP(sizes=(4, 2), activation="gelu"),
        "an agent of a module": lambda: sb3.convert(_any(nn.Linear(4, 2)), "CartPole-v1"),
        "certified_actions within a radius": lambda: certified_actions(q, states, _any(0.1)),
        "certified_actions of no states": lambda: certified_actions(q, states[:0], ball),
        "certified_actions of an array": lambda: certified_actions(q, _any(states.numpy()), ball),
    }  # fmt: skip


def _domains() -> dict[str, Call]:
    recipe = RECIPES["digits-standard"]()
    assert isinstance(recipe, Classification)
    vocabulary = Vocabulary.learn(["a good film"])
    network: dict[str, Any] = {"words": 10, "dim": 4, "pooling": MeanPooling(), "classes": 2}
    return {
        "a recipe, measured -5": lambda: replace(recipe, measured=-5),
        "a recipe, seed -1": lambda: replace(recipe, seed=-1),
        "a recipe, perturbations of radii": lambda: replace(recipe, perturbations=_any((0.1,))),
        "a recipe, device of a number": lambda: replace(recipe, device=_any(0)),
        "ConvNet of no layers": lambda: ConvNet(channels=()),
        "ConvNet of a number": lambda: ConvNet(channels=_any(3)),
        "ConvNet of nine layers on 28x28": lambda: ConvNet(channels=(8,) * 9).build((1, 28, 28), 10),
        "ConvNet for vectors": lambda: ConvNet().build(_any((784,)), 10),
        "ConvNet of one class": lambda: ConvNet().build((1, 28, 28), 1),
        "ConvNet, deviation 0": lambda: ConvNet(deviation=0),
        "MLP of width 0": lambda: MLP(widths=(0,)),
        "MLP for no pixels": lambda: MLP().build((1, 0, 8), 10),
        "MeanPooling of a number": lambda: MeanPooling(hidden=_any(64)),
        "LSTMPooling of width 0": lambda: LSTMPooling(width=0),
        "SentenceClassifier of no words": lambda: SentenceClassifier(**(network | {"words": 0})),
        "SentenceClassifier of one class": lambda: SentenceClassifier(**(network | {"classes": 1})),
        "WordLinf -1": lambda: WordLinf(-1),
        "WordLinf of a list": lambda: WordLinf(_any([0.1])),
        "WordLinf around a matrix": lambda: WordLinf(0.1).around(_X),
        "WordLinf around an array": lambda: WordLinf(0.1).around(_any(_X.numpy())),
        "encode to length 0": lambda: vocabulary.encode(["good"], 0),
        "encode one sentence": lambda: vocabulary.encode(_any("good"), 3),
        "encode a blank": lambda: vocabulary.encode(["  "], 3),
        "learn, least_count 0": lambda: Vocabulary.learn(["good"], least_count=0),
        "learn, largest 1": lambda: Vocabulary.learn(["good"], largest=1),
    }  # fmt: skip
