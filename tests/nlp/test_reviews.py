"""Made reviews: labels recomputed from the text alone, distinct, balanced, always the same."""

from __future__ import annotations

import re

import numpy as np
import pytest

from robustsuite.errors import DataNotFound, InvalidInput
from robustsuite.nlp.reviews import JOINTS, SMALLEST_SUM, load_reviews, make_reviews

GRADES = {
    3: "superb brilliant wonderful gripping masterful",
    2: "good clever charming moving witty fresh",
    1: "decent pleasant solid watchable",
    -1: "uneven thin slow forgettable",
    -2: "bad dull clumsy tedious silly stale",
    -3: "awful dreadful terrible unbearable atrocious",
}
STRENGTH = {word: grade for grade, words in GRADES.items() for word in words.split()}
FACTOR = {"very": 1.5, "truly": 1.5, "rather": 0.75, "slightly": 0.5}


def read(sentence: str) -> float:
    """Read a review with code of its own: give its weighted sum of strengths."""

    def clause(text: str) -> float:
        words = text.split()
        value = float(STRENGTH[words[-1]])
        value *= FACTOR.get(words[-2], 1.0)
        return -value / 2 if "not" in words else value

    text = sentence.removesuffix(" .")
    emphasis = " , which matters more"
    if text.startswith("although "):
        one, other = text.removeprefix("although ").split(" , ")
        return clause(one) + 2 * clause(other)
    if text.endswith(emphasis):
        one, other = text.removesuffix(emphasis).split(" but ")
        return clause(one) + 3 * clause(other)
    if f"{emphasis} , but " in text:
        one, other = text.split(f"{emphasis} , but ")
        return 3 * clause(one) + clause(other)
    if " but " in text:
        one, other = text.split(" but ")
        return clause(one) + 2 * clause(other)
    return sum(clause(part) for part in re.split(r" and (?=the )", text))


def test_labels_follow_from_the_text() -> None:
    train, test = load_reviews("train"), load_reviews("test")
    for data in (train, test):
        for sentence, label in zip(data.sentences, data.y.tolist(), strict=True):
            strength = read(sentence)
            assert abs(strength) >= SMALLEST_SUM, sentence
            assert int(strength > 0) == label, sentence


@pytest.mark.parametrize(
    ("sentence", "strength"),
    [
        ("the plot is dull .", -2),
        ("the plot is not dull .", 1),
        ("the plot is dull but the acting is superb , which matters more .", 7),
        ("the plot is dull , which matters more , but the acting is superb .", -3),
        ("although the plot is very dull , the acting is slightly good .", -1),
    ],
)
def test_hand_made_cases(sentence: str, strength: float) -> None:
    assert read(sentence) == strength


def test_sentences_are_distinct_across_splits_and_balanced() -> None:
    train, test = load_reviews("train"), load_reviews("test")
    assert (len(train), len(test)) == (4000, 1000)
    assert len({*train.sentences, *test.sentences}) == 5000
    assert 0.45 < float(train.y.float().mean()) < 0.55
    assert 0.45 < float(test.y.float().mean()) < 0.55


def test_every_joint_occurs_and_two_clauses_speak_of_two_aspects() -> None:
    reviews = make_reviews(400, np.random.default_rng(0))
    assert {review.joint for review in reviews} == {None, *JOINTS}
    for review in reviews:
        assert review.second is None or review.first.aspect != review.second.aspect


def test_the_generator_alone_decides() -> None:
    one, same, other = (make_reviews(50, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert load_reviews("test").sentences == load_reviews("test").sentences


def test_wrong_input_is_refused() -> None:
    with pytest.raises(InvalidInput, match="count is 7"):
        make_reviews(7, np.random.default_rng(0))
    with pytest.raises(DataNotFound, match="no split 'dev'"):
        load_reviews("dev")
