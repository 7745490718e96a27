"""Attacks made of attacks: one after the other, several times, found on another model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robustsuite import module_state
from robustsuite.arguments import check_callable, check_kind, check_number
from robustsuite.attacks.access import Access
from robustsuite.attacks.attack import Attack
from robustsuite.attacks.criteria import Confident
from robustsuite.attacks.keepers import FirstSuccess, Keeper, Nearest
from robustsuite.attacks.models import Model
from robustsuite.attacks.search import Search
from robustsuite.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class InTurn(Attack):
    """One attack after the other, each on the examples that those before left standing.

    Args:
        attacks: from cheap to dear.

    Raises:
        InvalidInput: no attacks, or something else.
    """

    attacks: tuple[Attack, ...]

    def __post_init__(self) -> None:
        check_kind(self.attacks, tuple, "attacks", "a tuple of attacks such as (FGSM(), PGD())")
        for attack in self.attacks:
            check_attack(attack, "attacks", "a tuple of attacks such as (FGSM(), PGD())")
        if not self.attacks:
            raise InvalidInput("attacks is empty; expected a tuple of attacks such as (FGSM(), PGD())")

    @property
    def access(self) -> Access:  # type: ignore[override]
        return max(attack.access for attack in self.attacks)

    @property
    def keeper(self) -> Keeper:  # type: ignore[override]
        # One that searches within a radius needs one, whoever comes before it.
        keepers = [attack.keeper for attack in self.attacks]
        return next((keeper for keeper in keepers if not isinstance(keeper, Nearest)), keepers[0])

    def run(self, search: Search) -> None:
        for number, attack in enumerate(self.attacks):
            if number > 0 and len(search.active()) == 0:
                return
            search.run(attack, stream=number)


@dataclass(frozen=True, slots=True)
class Repeated(Attack):
    """An attack several times, with other random numbers each time.

    Args:
        attack: what is repeated.
        times: >= 1.

    Raises:
        InvalidInput: no attack, or fewer than one time.
    """

    attack: Attack
    times: int

    def __post_init__(self) -> None:
        check_attack(self.attack, "attack", "an attack such as PGD()")
        check_number("times", self.times, integer=True, least=1)

    @property
    def access(self) -> Access:  # type: ignore[override]
        return self.attack.access

    @property
    def keeper(self) -> Keeper:  # type: ignore[override]
        return self.attack.keeper

    def run(self, search: Search) -> None:
        InTurn((self.attack,) * self.times).run(search)


@dataclass(frozen=True, slots=True)
class Transfer(Attack):
    """Attack other models, and try on the model itself what breaks them.

    The model is asked once for each example and surrogate; queries and gradients of the surrogates are not counted.

    Args:
        surrogates: models with the same classes, attacked one after the other.
        attack: how.
        confidence: an example is done on a surrogate once the criterion's score is as high: what goes far there goes
            over more often. inf spends the attack's whole effort; a finite one is needed for the nearest success.

    Raises:
        InvalidInput: no surrogates, no attack, or a confidence below 0.
    """

    surrogates: tuple[Model, ...]
    attack: Attack
    confidence: float = math.inf

    def __post_init__(self) -> None:
        expected = "a tuple of models such as (surrogate,)"
        check_kind(self.surrogates, tuple, "surrogates", expected)
        for surrogate in self.surrogates:
            check_callable(surrogate, "surrogates", expected)
        if not self.surrogates:
            raise InvalidInput(f"surrogates is empty; expected {expected}")
        check_attack(self.attack, "attack", "an attack such as PGD()")
        check_number("confidence", self.confidence, least=0, endless=True)

    @property
    def access(self) -> Access:  # type: ignore[override]
        return Access.DECISIONS

    @property
    def keeper(self) -> Keeper:  # type: ignore[override]
        # Where no success on a surrogate is enough, none is the nearest: what goes farthest within the radius is tried.
        return self.attack.keeper if math.isfinite(self.confidence) else FirstSuccess()

    def run(self, search: Search) -> None:
        search.begin()
        for number, surrogate in enumerate(self.surrogates):
            index = search.active()
            if len(index) == 0:
                return
            with module_state.evaluating(surrogate), module_state.frozen(surrogate):
                there = search.on(
                    surrogate, index, Confident(search.criterion.select(index), self.confidence)
                )
                there.run(self.attack, stream=number)
            search.decisions(index, there.best)


def check_attack(value: object, name: str, expected: str) -> None:
    """Check that an argument is an attack of this suite's kind, which can share a search.

    Raises:
        InvalidInput: it is something else.
    """
    check_kind(value, Attack, name, expected)
