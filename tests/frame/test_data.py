"""Data: right shapes and ranges, wrong rows named, no network unasked."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from robustsuite.data import ImageData, TextData
from robustsuite.errors import DataNotFound, InvalidInput
from robustsuite.nlp import load_text
from robustsuite.vision import load_images


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def _png(array: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format="PNG")
    return file.getvalue()


def test_digits_are_split_once_and_for_all() -> None:
    train, test = load_images("digits", "train"), load_images("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.x.shape == (1437, 1, 8, 8)
    assert train.x.dtype == torch.float32
    assert float(train.x.min()) == 0.0
    assert float(train.x.max()) == 1.0
    assert train.y.bincount(minlength=10).min() > 100
    assert torch.equal(load_images("digits", "test", first=5).x, test.x[:5])
    together = torch.cat([train.x, test.x]).flatten(1)
    assert len(together.unique(dim=0)) > 1780  # a few digits are drawn alike; the halves do not overlap


@pytest.mark.parametrize(
    ("name", "split", "shape"), [("mnist10k", "test", (1, 28, 28)), ("cifar10", "test", (3, 32, 32))]
)
def test_images_of_local_folders(
    data_folder: Callable[[str], Path], name: str, split: str, shape: tuple[int, ...]
) -> None:
    data_folder(name)
    found = load_images(name, split, first=100)
    assert found.x.shape == (100, *shape)
    assert found.classes == 10
    assert found.name == f"{name}/{split}"


@pytest.mark.parametrize(
    ("name", "split", "n"),
    [("sentiment_sentences", "train", 2400), ("sst2", "validation", 872), ("sst2_sentences", "train", 6920)],
)
def test_sentences_of_local_folders(
    data_folder: Callable[[str], Path], name: str, split: str, n: int
) -> None:
    data_folder(name)
    found = load_text(name, split)
    assert len(found) == len(found.sentences) == n
    assert set(found.y.tolist()) == {0, 1}


def test_a_folder_of_one_s_own(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    rows = [
        {"image": {"bytes": _png(image), "path": "x"}, "label": 2 - row} for row, image in enumerate(images)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    found = load_images(str(tmp_path), "train")
    assert torch.equal(found.x[:, 0] * 255, torch.from_numpy(images).float())
    assert found.y.tolist() == [2, 1]
    with pytest.raises(DataNotFound, match="validation.parquet' does not exist"):
        load_images(str(tmp_path), "validation")


def test_unknown_and_absent_data_have_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        DataNotFound, match="unknown data 'cifar'; expected one of 'digits', 'mnist10k', 'cifar10'"
    ):
        load_images("cifar", "train")
    with pytest.raises(DataNotFound, match=r"no split 'dev'; expected one of \['train', 'test'\]"):
        load_images("cifar10", "dev")
    with pytest.raises(DataNotFound, match="no split 'dev'"):
        load_images("digits", "dev")
    monkeypatch.setenv("ROBUSTSUITE_DATA", str(tmp_path))
    with pytest.raises(DataNotFound, match="does not exist; set ROBUSTSUITE_DATA .* or pass --download"):
        load_images("cifar10", "train")
    monkeypatch.delenv("ROBUSTSUITE_DATA")
    with pytest.raises(DataNotFound, match="ROBUSTSUITE_DATA is not set") as error:
        load_text("sentiment_sentences", "train")
    assert "--download" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": {"bytes": b"no image", "path": ""}, "label": 0}, "row 1 is not an image"),
        ({"image": None, "label": 0}, "row 1 is not an image"),
        (
            {"image": {"bytes": _png(np.zeros((2, 2), np.uint8)), "path": ""}, "label": None},
            "row 1 has label",
        ),
        (
            {"image": {"bytes": _png(np.zeros((2, 2), np.uint8)), "path": ""}, "label": -1},
            "row 1 has a label outside",
        ),
        ({"image": {"bytes": _png(np.zeros((3, 2), np.uint8)), "path": ""}, "label": 1}, "one shape for all"),
    ],
)
def test_wrong_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    good = {"image": {"bytes": _png(np.zeros((2, 2), np.uint8)), "path": ""}, "label": 1}
    pd.DataFrame([good, row]).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InvalidInput, match=message) as error:
        load_images(str(tmp_path), "train")
    assert "\n" not in str(error.value)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    pd.DataFrame({"sentence": ["fine"] * 100, "label": [1] * 100}).to_parquet(tmp_path / "train.parquet")
    whole = (tmp_path / "train.parquet").read_bytes()
    (tmp_path / "train.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"train.parquet' is damaged"):
        load_text(str(tmp_path), "train")
    pd.DataFrame({"words": ["fine"], "label": [1]}).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(InvalidInput, match="expected one named 'sentence'"):
        load_text(str(tmp_path), "train")


def _images(**changes: Any) -> ImageData:
    values: dict[str, Any] = {"name": "made", "x": torch.rand(4, 1, 2, 2), "y": torch.arange(4), "classes": 4}
    return ImageData(**(values | changes))


def test_wrong_tensors_are_named() -> None:
    x = torch.rand(4, 1, 2, 2)
    x[2, 0, 1, 1] = torch.nan
    with pytest.raises(InvalidInput, match="row 2 holds NaN"):
        _images(x=x)
    with pytest.raises(InvalidInput, match="row 0 has values outside"):
        _images(x=torch.full((4, 1, 2, 2), 255.0))
    with pytest.raises(InvalidInput, match=r"labels have shape \(3,\).*expected \(n,\) = \(4,\)"):
        _images(y=torch.arange(3))
    with pytest.raises(InvalidInput, match=r"row 3 has a label outside 0..2 \(3\)"):
        _images(classes=3)
    with pytest.raises(InvalidInput, match="expected \\(n, channels, height, width\\)"):
        _images(x=torch.rand(4, 2))
    with pytest.raises(InvalidInput, match="row 1 is '  '; expected a sentence"):
        TextData(name="made", sentences=("a", "  "), y=torch.tensor([0, 1]), classes=2)
