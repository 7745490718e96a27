"""Vocabularies: round trip, padding, unknown words, files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustsuite.errors import CheckpointError, InvalidInput
from robustsuite.nlp.tokenization import Vocabulary, split_words

WORDS = ["plot", "is", "good", "isn't", ",", "!", "café", "3"]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12), st.integers(12, 20))
def test_known_words_come_back(words: list[str], length: int) -> None:
    vocabulary = Vocabulary.learn([" ".join(WORDS)])
    sentence = " ".join(words)
    tokens = vocabulary.encode([sentence], length)
    assert tokens.shape == (1, length)
    assert vocabulary.decode(tokens) == [sentence]
    assert bool((tokens[0, : length - len(words)] == 0).all())


@given(st.text(max_size=60))
def test_any_text_splits_into_words_without_spaces_and_splitting_again_changes_nothing(text: str) -> None:
    words = split_words(text)
    assert all(word and not any(letter.isspace() for letter in word) for word in words)
    assert split_words(" ".join(words)) == words


def test_long_sentences_are_cut_and_unknown_words_share_a_number() -> None:
    vocabulary = Vocabulary.learn(["a b c d"])
    assert vocabulary.decode(vocabulary.encode(["a b c d", "x b"], 3)) == ["a b c", "<unk> b"]


def test_frequent_words_come_first_and_rare_ones_may_be_left_out() -> None:
    sentences = ["b b a", "a b c"]
    assert Vocabulary.learn(sentences).words == ("<pad>", "<unk>", "b", "a", "c")
    assert Vocabulary.learn(sentences, least_count=2).words[2:] == ("b", "a")
    assert Vocabulary.learn(sentences, largest=3).words[2:] == ("b",)


def test_files(tmp_path: Path) -> None:
    vocabulary = Vocabulary.learn(["über the café"])
    vocabulary.save(tmp_path / "v.json")
    assert Vocabulary.load(tmp_path / "v.json") == vocabulary
    for damage in ("", "[1, 2]", "no json"):
        (tmp_path / "v.json").write_text(damage)
        with pytest.raises(CheckpointError, match="no vocabulary at"):
            Vocabulary.load(tmp_path / "v.json")


def test_empty_sentences_are_refused() -> None:
    vocabulary = Vocabulary.learn(["a"])
    with pytest.raises(InvalidInput, match="sentence 1 is '  '"):
        vocabulary.encode(["a", "  "], 3)
    with pytest.raises(InvalidInput, match="length is 0"):
        vocabulary.encode(["a"], 0)
