"""The proxy to the cluster's API: how it starts, what it lets through, how it ends; kubectl is a script."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.clock import wait_until
from harness.environments.kube.api_proxy import ApiProxy, ask, start_proxy
from harness.environments.kube.kubectl import Kubectl
from harness.environments.processes import process_started
from harness.errors import HarnessError
from tests.environments.fake_api import FakeApi

LINE = "Starting to serve on 127.0.0.1:40123"


class FakeProxy:
    """``kubectl`` that says one line and then does as it is told; what it was asked is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "proxy.log"
        self.started: list[ApiProxy] = []

    def does(self, script: str) -> None:
        text = f'#!/bin/sh\nprintf "%s\\n" "$@" > {self.folder}/argv\necho $$ > {self.folder}/pid\n{script}\n'
        (self.folder / "kubectl").write_text(text, encoding="utf-8")
        (self.folder / "kubectl").chmod(0o755)

    def start(self, *namespaces: str, start_s: float = 15.0, dies_with_harness: bool = True) -> ApiProxy:
        cluster = Kubectl(self.folder / "config", "ctx")
        proxy = start_proxy(cluster, namespaces, log=self.log, dies_with_harness=dies_with_harness, start_s=start_s)
        self.started.append(proxy)
        return proxy

    def argv(self) -> list[str]:
        return (self.folder / "argv").read_text(encoding="utf-8").splitlines()

    def pid(self) -> int:
        return int((self.folder / "pid").read_text(encoding="utf-8"))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProxy]:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    fake = FakeProxy(tmp_path)
    yield fake
    for proxy in fake.started:
        proxy.stop()


@pytest.mark.parametrize("dies_with_harness", [True, False])
def test_a_proxy_is_where_kubectl_says_and_ends_when_it_is_stopped(fake: FakeProxy, dies_with_harness: bool) -> None:
    fake.does(f"echo '{LINE}'; exec sleep 60")
    proxy = fake.start("a", dies_with_harness=dies_with_harness)
    assert proxy.url == "http://127.0.0.1:40123"
    assert (proxy.pid, proxy.pid_started) == (fake.pid(), process_started(fake.pid()))
    assert proxy.alive()
    assert fake.argv()[:5] == [
        *(f"--kubeconfig={fake.folder}/config", "--context=ctx", "proxy"),
        *("--port=0", "--address=127.0.0.1"),
    ]
    proxy.stop()
    assert not proxy.alive()
    assert not psutil.pid_exists(proxy.pid)
    proxy.stop()


def test_another_process_that_knows_its_number_and_start_can_end_it(fake: FakeProxy) -> None:
    fake.does(f"echo '{LINE}'; exec sleep 60")
    proxy = fake.start("a")
    known = ApiProxy(proxy.url, proxy.pid, proxy.pid_started)
    assert known.alive()
    known.stop()
    wait_until(lambda: not known.alive(), what="the proxy ends", timeout_s=10)
    known.stop()


def test_a_later_process_of_the_same_number_is_left_alone(fake: FakeProxy) -> None:
    fake.does(f"echo '{LINE}'; exec sleep 60")
    proxy = fake.start("a")
    other = ApiProxy(proxy.url, proxy.pid, proxy.pid_started - 1)
    assert not other.alive()
    other.stop()
    assert proxy.alive()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'error: no such context' >&2; exit 1", "error: no such context"),
        ("echo 'Unable to listen'; exec sleep 60", "Unable to listen"),
        ("exit 0", ""),
    ],
)
def test_a_proxy_that_does_not_start_is_an_error_in_its_own_words(fake: FakeProxy, script: str, said: str) -> None:
    fake.does(script)
    with pytest.raises(HarnessError, match=rf"^kubectl proxy did not start: {said}"):
        fake.start("a")
    assert not psutil.pid_exists(fake.pid())


def test_a_proxy_that_says_nothing_is_ended(fake: FakeProxy) -> None:
    fake.does("exec sleep 60")
    with pytest.raises(HarnessError, match="kubectl proxy did not start"):
        fake.start("a", start_s=0.5)
    pid = fake.folder / "pid"  # not there where half a second was too short to begin
    assert not pid.exists() or not psutil.pid_exists(fake.pid())


def test_what_kubectl_says_later_does_not_end_it(fake: FakeProxy) -> None:
    fake.does(f"echo '{LINE}'; while [ ! -e {fake.folder}/go ]; do sleep 0.01; done; echo late >&2; exec sleep 60")
    proxy = fake.start("a")
    (fake.folder / "go").touch()
    wait_until(lambda: "late" in fake.log.read_text(), what="kubectl's words are kept", timeout_s=10)
    assert proxy.alive()


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("/version", True),
        ("/readyz", True),
        ("/api/v1/nodes", True),
        ("/api/v1/nodes/n-1", True),
        ("/api/v1/namespaces/a/pods", True),
        ("/api/v1/namespaces/a/pods/p-0:9090/proxy/api/v1/query", True),
        ("/api/v1/namespaces/b.c/services/s:8080/proxy/notifications", True),
        ("/api/v1/namespaces/a/events", True),
        ("/api/v1/namespaces/bxc/pods", False),
        ("/api/v1/namespaces/other/pods", False),
        ("/api/v1/pods", False),
        ("/api/v1/namespaces/a/secrets", False),
        ("/api/v1/namespaces/a/configmaps/c", False),
        ("/api/v1/namespaces/a", False),
        ("/api/v1/namespaces", False),
        ("/api/v1/nodes/n-1/proxy/run/a/p/c", False),
        ("/api/v1/nodes/n-1/proxy/metrics", False),
        ("/apis/apps/v1/namespaces/a/deployments", False),
        ("/api/v1/namespaces/a/podsandmore", False),
        ("/x/version", False),
    ],
)
def test_it_lets_through_what_is_read_in_the_harness_namespaces_and_nothing_else(
    fake: FakeProxy, path: str, accepted: bool
) -> None:
    fake.does(f"echo '{LINE}'; exec sleep 60")
    fake.start("a", "b.c")
    options = dict(word.removeprefix("--").split("=", 1) for word in fake.argv() if "=" in word)
    assert bool(re.search(options["accept-paths"], path)) is accepted
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert re.search(options["reject-methods"], method)
    assert not re.search(options["reject-methods"], "GET")


STARTER = """
import sys
from pathlib import Path
from harness.environments.kube.api_proxy import start_proxy
from harness.environments.kube.kubectl import Kubectl
proxy = start_proxy(Kubectl(Path("c"), "ctx"), ["a"], log=Path(sys.argv[1]), dies_with_harness=sys.argv[2] == "yes")
print(proxy.pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.e2e
@pytest.mark.parametrize("dies", ["yes", "no"])
def test_a_killed_harness_leaves_no_proxy_unless_it_is_meant_to_stay(fake: FakeProxy, dies: str) -> None:
    fake.does(f"echo '{LINE}'; exec sleep 60")
    argv = [sys.executable, "-c", STARTER, str(fake.log), dies]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        pid = int(harness.stdout.readline())
        started = process_started(pid)
        assert started is not None
        harness.kill()
    try:
        if dies == "yes":
            wait_until(lambda: process_started(pid) is None, what="the proxy ends", timeout_s=10)
        else:
            assert process_started(pid) == started
    finally:
        if process_started(pid) == started:
            os.kill(pid, signal.SIGKILL)


def test_a_proxy_of_the_surroundings_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with FakeApi() as api:
        api.answers("/version?a=b+c", {"major": "1"})
        assert ask(f"{api.url}/version", timeout_s=5, params={"a": "b c"}).json() == {"major": "1"}
