"""How short of processors the machine was: by the kernel's own count, and not known without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.run.pressure import Pressure


def written(path: Path, total_us: int) -> Path:
    path.write_text(
        f"some avg10=1.00 avg60=2.00 avg300=3.00 total={total_us}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    )
    return path


@pytest.mark.parametrize(("waited_s", "share"), [(0.0, 0.0), (1000.0, 1.0)])
def test_the_share_is_of_the_time_since_it_began(tmp_path: Path, waited_s: float, share: float) -> None:
    begun = Pressure.begin(written(tmp_path / "cpu", 5_000_000))
    assert begun is not None
    assert begun.waited_s == 5.0
    assert begun.share(written(tmp_path / "cpu", 5_000_000 + int(waited_s * 1e6))) == share


@pytest.mark.parametrize("text", ["", "full total=5\n", "some total=many\n"])
def test_a_kernel_that_does_not_count_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "cpu").write_text(text)
    assert Pressure.begin(tmp_path / "cpu") is None
    assert Pressure.begin(tmp_path / "none") is None
    begun = Pressure.begin(written(tmp_path / "whole", 1))
    assert begun is not None
    assert begun.share(tmp_path / "none") is None
