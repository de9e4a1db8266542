"""The torch backend against the NumPy one. Needs torch: `make test-torch` installs it and runs this."""

from __future__ import annotations

import pytest

from harness.system import models
from harness.system.models.corpus import examples
from harness.system.models.fit import probe_accuracy


def test_torch_takes_the_same_steps_as_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    losses, batch = {}, examples()
    for name in models.BACKENDS:
        monkeypatch.setenv(models.BACKEND_VARIABLE, name)
        model = models.fresh(1)
        losses[name] = [model.step(*batch, learning_rate=3.0).loss for _ in range(20)]
        assert probe_accuracy(models.load(models.SHIPPED_WEIGHTS)) >= 0.97
    assert losses["torch"] == pytest.approx(losses["numpy"], abs=1e-4)
