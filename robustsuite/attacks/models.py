"""What can be attacked: any callable from a batch of inputs to scores (rows, classes) or class numbers (rows,)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from robustsuite.arguments import check_callable, described
from robustsuite.errors import InvalidInput, RobustsuiteError

Model = Callable[[Tensor], Tensor]


class NotANumber(InvalidInput, ArithmeticError):
    """A model gives NaN, or no class, where nothing was perturbed: there is nothing to attack."""


def first_outputs(model: Model, inputs: Tensor, *, numbers: bool = False, least: int = 2) -> Tensor:
    """Run a model for the first time, and check what it gives.

    Args:
        model: the model.
        inputs: clean examples.
        numbers: whether class numbers (batch,) will do too.
        least: numbers that an output must have, >= 1: two classes, or one coordinate of an action.

    Raises:
        InvalidInput: it does not take such inputs, or gives something else than scores (batch, classes).
        NotANumber: scores with NaN, or a negative class number.
    """
    try:
        outputs = model(inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, RobustsuiteError):
            raise
        own = next(model.parameters(), None) if isinstance(model, nn.Module) else None
        has = f", its parameters are {own.dtype} on {own.device}" if own is not None else ""
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(
            f"the model does not take x of shape {tuple(inputs.shape)}, {inputs.dtype} on {inputs.device}{has} ({reason}); "
            "pass what it was made for, x.to(dtype) or x.to(device)"
        ) from error
    if isinstance(outputs, Tensor) and len(outputs.shape) > 0 and len(outputs) == len(inputs):
        if numbers and outputs.dim() == 1 and not (outputs.is_floating_point() or outputs.is_complex()):
            _check_clean(outputs < 0, "no class (-1, as for NaN)")
            return outputs
        if outputs.dim() == 2 and outputs.shape[1] >= least and outputs.is_floating_point():
            _check_clean(outputs.detach().isnan().any(1), "NaN")
            return outputs
    raise InvalidInput(
        f"the model gives {described(outputs)}; expected a tensor (batch, classes) with batch {len(inputs)} and two "
        "classes or more: wrap it in a module that returns the logits"
    )


def _check_clean(bad: Tensor, what: str) -> None:
    if bool(bad.any()):
        raise NotANumber(
            f"the model gives {what} on the clean x, first in example {int(bad.nonzero()[0, 0])}; expected a class for "
            "each: mend its weights, or leave that example out"
        )


def estimator(classifier: Any) -> Model:
    """Give a fitted scikit-learn classifier as a model: scores where it has any, else class numbers.

    Class numbers are places in its `classes_`. Scores are `decision_function`'s where that has a column for each class
    (or two classes), else `predict_proba`'s, the predicted class always first. Inputs are flattened, one row of features for each example.

    Args:
        classifier: anything with `classes_` and `predict`.

    Raises:
        InvalidInput: no classifier, or one that is not fitted.
    """
    classes = getattr(classifier, "classes_", None)
    if isinstance(classifier, type) or classes is None or not hasattr(classifier, "predict"):
        raise InvalidInput(
            f"classifier is {described(classifier)}; expected a fitted scikit-learn classifier, with classes_ and predict: "
            "call its fit(x, y) first"
        )
    if len(classes) < 2:
        raise InvalidInput(f"the classifier knows {len(classes)} class; expected two or more")
    return _Estimator(classifier)


def labels_only(model: Model) -> Model:
    """Give a model that hides its scores: it answers with class numbers (rows,), -1 where a score is NaN.

    As with scores of NaN, -1 is another class than any label; on a clean input it is an error.

    Raises:
        InvalidInput: `model` cannot be called.
    """
    check_callable(model, "model", "a module, or a function from a batch of inputs to outputs")
    return _LabelsOnly(model)


_BY_SCORES = (
    "sklearn.ensemble._forest",
    "sklearn.ensemble._gb",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting",
    "sklearn.tree._classes",
)
"""Modules of classifiers that predict the class of the highest score: asking them twice would double the time."""


class _Estimator:
    def __init__(self, classifier: Any) -> None:
        self._classifier = classifier

    def __call__(self, x: Tensor) -> Tensor:
        rows = x.detach().reshape(len(x), -1).cpu().numpy()
        return torch.as_tensor(self._answers(rows), device=x.device)

    def _answers(self, rows: Any) -> Any:
        scores = self._scores(rows)
        if scores is not None and type(self._classifier).__module__ in _BY_SCORES:
            return scores
        predicted = np.searchsorted(self._classifier.classes_, self._classifier.predict(rows)).astype(
            np.int64
        )
        if scores is None:
            return predicted
        # What counts is the prediction: a support vector machine's votes may not be those of its highest score.
        other = (scores.argmax(1) != predicted).nonzero()[0]
        scores[other, predicted[other]] = np.nextafter(scores[other].max(1), np.inf)
        return scores

    def _scores(self, rows: Any) -> Any:
        classes = len(self._classifier.classes_)
        if hasattr(self._classifier, "decision_function"):
            scores = self._classifier.decision_function(rows)
            if scores.ndim == 1:  # of the second of two classes
                return np.stack([np.zeros_like(scores), scores], axis=1)
            if scores.shape[1] == classes:
                return scores
        return self._classifier.predict_proba(rows) if hasattr(self._classifier, "predict_proba") else None


class _LabelsOnly(nn.Module):
    """A module, so that a module inside is found and put into evaluation mode."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        outputs: Any = self.model(x)
        if not isinstance(outputs, Tensor) or outputs.dim() != 2 or outputs.shape[1] < 2:
            return outputs  # class numbers, or what `first_outputs` refuses by name
        return torch.where(outputs.isnan().any(1), -1, outputs.argmax(1))
