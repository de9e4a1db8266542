"""What ends a run in order, and what does not."""

from __future__ import annotations

import os
import signal

import pytest

from harness.run.interrupt import Interruption


@pytest.fixture
def ignoring_hangups() -> object:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_a_hangup_ends_the_run() -> None:
    interruption = Interruption()
    with interruption.handled():
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt, match="SIGHUP"):
            interruption.check()


@pytest.mark.usefixtures("ignoring_hangups")
def test_under_nohup_it_does_not() -> None:
    interruption = Interruption()
    with interruption.handled():
        os.kill(os.getpid(), signal.SIGHUP)
        interruption.check()
        os.kill(os.getpid(), signal.SIGTERM)
        assert interruption.signal_name == "SIGTERM"
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
