"""Review sentences from a small grammar, with labels computed from their meaning.

A review has one or two clauses, "the plot is not very dull". An adjective has a strength from -3 to 3, an
intensifier scales it, "not" turns it round and halves it. Two clauses are joined so that one may count more: "A but B"
gives B twice the weight. The label is the sign of the sum; sentences whose sum is near 0 are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from robustsuite import seeding
from robustsuite.arguments import check_number
from robustsuite.data import TextData
from robustsuite.errors import DataNotFound, InvalidInput

ASPECTS: tuple[str, ...] = (
    "plot", "acting", "dialogue", "music", "ending", "pacing", "camera work", "script", "lead", "cast", "humour",
    "opening", "story", "sound", "direction", "editing",
)  # fmt: skip
ADJECTIVES: Mapping[str, int] = {
    "superb": 3, "brilliant": 3, "wonderful": 3, "gripping": 3, "masterful": 3,
    "good": 2, "clever": 2, "charming": 2, "moving": 2, "witty": 2, "fresh": 2,
    "decent": 1, "pleasant": 1, "solid": 1, "watchable": 1,
    "uneven": -1, "thin": -1, "slow": -1, "forgettable": -1,
    "bad": -2, "dull": -2, "clumsy": -2, "tedious": -2, "silly": -2, "stale": -2,
    "awful": -3, "dreadful": -3, "terrible": -3, "unbearable": -3, "atrocious": -3,
}  # fmt: skip
INTENSIFIERS: Mapping[str, float] = {"": 1.0, "very": 1.5, "truly": 1.5, "rather": 0.75, "slightly": 0.5}
NEGATION = -0.5
"""What "not" does to a strength: not good is mildly bad, not awful is mildly good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """How two clauses are joined.

    Args:
        pattern: text with places {first} and {second}.
        weights: of the two clauses in the sum.
    """

    pattern: str
    weights: tuple[float, float]


JOINTS: tuple[Joint, ...] = (
    Joint(pattern="{first} and {second}", weights=(1.0, 1.0)),
    Joint(pattern="{first} but {second}", weights=(1.0, 2.0)),
    Joint(pattern="although {first} , {second}", weights=(1.0, 2.0)),
    Joint(pattern="{first} but {second} , which matters more", weights=(1.0, 3.0)),
    Joint(pattern="{first} , which matters more , but {second}", weights=(3.0, 1.0)),
)
SMALLEST_SUM = 0.75
"""Sentences whose strengths sum to less than this are left out: people would not agree on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clause:
    """An opinion on one aspect.

    Args:
        aspect: one of `ASPECTS`.
        adjective: one of `ADJECTIVES`.
        intensifier: one of `INTENSIFIERS`, "" for none.
        negated: whether "not" stands before them.
    """

    aspect: str
    adjective: str
    intensifier: str = ""
    negated: bool = False

    @property
    def text(self) -> str:
        """The clause in words."""
        words = ("the", self.aspect, "is", "not" if self.negated else "", self.intensifier, self.adjective)
        return " ".join(word for word in words if word)

    @property
    def strength(self) -> float:
        """How good the opinion is, from -4.5 to 4.5."""
        turn = NEGATION if self.negated else 1.0
        return turn * INTENSIFIERS[self.intensifier] * ADJECTIVES[self.adjective]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One clause, or two and how they are joined.

    Args:
        first: the first clause.
        second: the other one, or None.
        joint: of `JOINTS`; None exactly where there is no second clause.
    """

    first: Clause
    second: Clause | None = None
    joint: Joint | None = None

    @property
    def text(self) -> str:
        """The sentence."""
        if self.second is None or self.joint is None:
            return f"{self.first.text} ."
        return self.joint.pattern.format(first=self.first.text, second=self.second.text) + " ."

    @property
    def strength(self) -> float:
        """The weighted sum of the clauses' strengths."""
        if self.second is None or self.joint is None:
            return self.first.strength
        one, other = self.joint.weights
        return one * self.first.strength + other * self.second.strength

    @property
    def label(self) -> int:
        """1 for a positive review, 0 for a negative one."""
        return int(self.strength > 0)


def make_reviews(count: int, generator: np.random.Generator) -> tuple[Review, ...]:
    """Draw `count` reviews of distinct texts, half of them positive, in random order.

    Args:
        count: even, at most 100,000.
        generator: the stream to draw from.

    Raises:
        InvalidInput: `count` is odd or out of range.
    """
    check_number("count", count, integer=True)
    if count % 2 or not 0 < count <= 100_000:
        raise InvalidInput(f"count is {count}; expected an even number in 2..100000, half of each label")
    missing = {0: count // 2, 1: count // 2}
    chosen: dict[str, Review] = {}
    while any(missing.values()):
        review = _draw(generator)
        fits = abs(review.strength) >= SMALLEST_SUM and missing[review.label] > 0
        if fits and review.text not in chosen:
            chosen[review.text] = review
            missing[review.label] -= 1
    reviews = list(chosen.values())
    return tuple(reviews[index] for index in generator.permutation(count))


def load_reviews(split: str, *, train: int = 4000, test: int = 1000) -> TextData:
    """Give the made reviews as data; always the same ones, no sentence in both splits.

    Args:
        split: "train" or "test".
        train, test: sizes of the splits, even together.

    Raises:
        DataNotFound: another split.

    Example:
        >>> load_reviews("test").sentences[0]
        'although the acting is truly terrible , the opening is not truly dull .'
    """
    parts = {"train": slice(0, train), "test": slice(train, train + test)}
    if split not in parts:
        raise DataNotFound(f"data 'reviews' has no split '{split}'; expected one of {list(parts)}")
    reviews = make_reviews(train + test, seeding.numpy_generator(0, "reviews"))[parts[split]]
    return TextData(
        name=f"reviews/{split}",
        sentences=tuple(review.text for review in reviews),
        y=torch.tensor([review.label for review in reviews]),
        classes=2,
    )


def _draw(generator: np.random.Generator) -> Review:
    one, other = generator.choice(len(ASPECTS), size=2, replace=False)
    first = _draw_clause(ASPECTS[one], generator)
    if generator.random() < 0.35:
        return Review(first=first)
    joint = JOINTS[generator.integers(len(JOINTS))]
    return Review(first=first, second=_draw_clause(ASPECTS[other], generator), joint=joint)


def _draw_clause(aspect: str, generator: np.random.Generator) -> Clause:
    adjectives, intensifiers = tuple(ADJECTIVES), tuple(INTENSIFIERS)
    return Clause(
        aspect=aspect,
        adjective=adjectives[generator.integers(len(adjectives))],
        intensifier=intensifiers[generator.integers(len(intensifiers))],
        negated=bool(generator.random() < 0.25),
    )
