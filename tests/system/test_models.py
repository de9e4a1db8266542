"""The language model: it learns, it answers, and its files are whole or refused."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from harness.system import models
from harness.system.models.corpus import examples
from harness.system.models.fit import main as fit_main
from harness.system.models.fit import probe_accuracy


@pytest.fixture(autouse=True)
def _numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.BACKEND_VARIABLE, "numpy")


def test_the_shipped_weights_know_their_text() -> None:
    assert probe_accuracy(models.load(models.SHIPPED_WEIGHTS)) >= 0.97


def test_fresh_weights_do_not() -> None:
    assert probe_accuracy(models.fresh(1)) < 0.5


def test_the_shipped_weights_are_small() -> None:
    assert models.SHIPPED_WEIGHTS.stat().st_size <= 300 * 1024


def test_words_survive_encoding_without_regard_to_case() -> None:
    assert models.decode(models.encode("Alerts are Requests.")) == "alerts are requests."


def test_unknown_words_share_one_token() -> None:
    first, second = models.encode("xylophone"), models.encode("zeppelin")
    assert first == second
    assert len(first) == 1


@pytest.mark.parametrize("token", [-1, models.VOCABULARY_SIZE])
def test_a_number_that_is_no_token_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match="need one of 0"):
        models.decode([token])


def test_training_lowers_the_loss() -> None:
    model, batch = models.fresh(1), examples()
    losses = [model.step(*batch, learning_rate=10.0).loss for _ in range(20)]
    assert losses[0] == pytest.approx(math.log(models.VOCABULARY_SIZE), abs=0.1)
    assert losses[-1] < losses[0] - 0.5


def test_a_rate_of_zero_changes_nothing() -> None:
    model, batch = models.fresh(1), examples()
    assert len({model.step(*batch, learning_rate=0.0).loss for _ in range(5)}) == 1


def test_the_same_seed_gives_the_same_losses_and_another_does_not() -> None:
    def losses(seed: int) -> list[float]:
        model = models.fresh(seed)
        return [model.step(*examples(), learning_rate=1.0).loss for _ in range(3)]

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


def test_the_gradients_are_the_losses_slope() -> None:
    """Each layer's change, against the loss measured a little to both sides."""
    inputs, targets = (array[:50] for array in examples())
    for name, before in models.fresh(1).weights().items():
        model = models.fresh(1)
        model.step(inputs, targets, learning_rate=1.0)
        gradient = before - model.weights()[name]
        direction = gradient / np.linalg.norm(gradient)
        sides = []
        for sign in (1, -1):
            moved = models.fresh(1)
            moved.restore({**moved.weights(), name: (before + sign * np.float32(0.05) * direction).astype(np.float32)})
            sides.append(moved.step(inputs, targets, learning_rate=0.0).loss)
        assert (sides[0] - sides[1]) / 0.1 == pytest.approx(float(np.linalg.norm(gradient)), rel=0.05), name


def test_a_short_context_is_padded_and_a_long_one_cut() -> None:
    model = models.load(models.SHIPPED_WEIGHTS)
    context, following = models.probe_set()[50]
    assert model.next_token((1, 2, 3, *context)) == following
    assert 0 <= model.next_token(()) < models.VOCABULARY_SIZE


def test_a_saved_model_is_the_same_after_loading(tmp_path: Path) -> None:
    model = models.fresh(3)
    model.step(*examples(), learning_rate=1.0)
    model.save(tmp_path / "model.npz")
    loaded = models.load(tmp_path / "model.npz")
    assert loaded.steps == 1
    assert all(np.array_equal(array, loaded.weights()[name]) for name, array in model.weights().items())
    assert os.listdir(tmp_path) == ["model.npz"]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(models.WeightsError, match=r"gone\.npz"):
        models.load(tmp_path / "gone.npz")


@pytest.mark.parametrize("keep", [0, 10, 1000, 60_000, 116_000])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes(models.SHIPPED_WEIGHTS.read_bytes()[:keep])
    with pytest.raises(models.WeightsError):
        models.load(path)


@pytest.mark.parametrize("at", [5, 200, 30_000, 90_000])
def test_a_file_overwritten_in_the_middle_is_refused(tmp_path: Path, at: int) -> None:
    content = bytearray(models.SHIPPED_WEIGHTS.read_bytes())
    content[at : at + 64] = b"\xff" * 64
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(models.WeightsError):
        models.load(tmp_path / "bad.npz")


def test_every_layer_that_is_wrong_is_named(tmp_path: Path) -> None:
    weights = models.fresh(1).weights()
    weights["embedding"] = weights["embedding"][:-1]
    weights["output_bias"][0] = np.nan
    del weights["hidden_bias"]
    np.savez(tmp_path / "bad.npz", **weights)
    with pytest.raises(models.WeightsError, match=r"embedding is .*hidden_bias is missing.*output_bias has values"):
        models.load(tmp_path / "bad.npz")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "model.npz"
    target.mkdir()
    with pytest.raises(OSError):
        models.fresh(1).save(target)
    assert os.listdir(tmp_path) == ["model.npz"]


def test_an_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.BACKEND_VARIABLE, "abacus")
    with pytest.raises(ValueError, match="MODEL_BACKEND=abacus: need one of torch, numpy"):
        models.backend()


def test_the_fit_command_writes_a_loadable_model(tmp_path: Path) -> None:
    fit_main(["--out", str(tmp_path / "made.npz"), "--steps", "2"])
    assert models.load(tmp_path / "made.npz").steps == 2
