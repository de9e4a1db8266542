"""The inference service's HTTP behaviour, with the application in this process."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from harness.gpu import GpuLostError
from harness.system import models
from harness.system.telemetry.inference import InferenceInstruments
from harness.system.workloads.serving import app as app_module
from harness.system.workloads.serving.app import inference_app
from harness.system.workloads.serving.journal import Journal
from harness.system.workloads.serving.served_model import PROBES_PER_ROUND, ServedModel, provide_weights

URL = "/v1/models/demo-lm/generate"


@dataclass
class Device:
    """An accelerator whose work each test decides."""

    work: Callable[[], Awaitable[None]] | None = None
    asked_s: list[float] = field(default_factory=list)

    async def run_async(self, device_s: float) -> None:
        self.asked_s.append(device_s)
        if self.work is not None:
            await self.work()


class Service:
    """The application over a weights file of its own."""

    def __init__(self, directory: Path) -> None:
        self.weights = directory / "weights.npz"
        self.journal_path = directory / "responses.jsonl"
        self.device = Device()
        self.registry = CollectorRegistry()
        self.instruments = InferenceInstruments(registry=self.registry, models=["demo-lm"])
        self.model = ServedModel(self.weights, self.device)
        app = inference_app(
            model_name="demo-lm",
            model=self.model,
            instruments=self.instruments,
            registry=self.registry,
            journal=Journal(self.journal_path),
            ready=lambda: self.model.accuracy is not None,
        )
        self._transport = httpx.ASGITransport(app)

    def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return asyncio.run(self.ask_async(method, path, **content))

    async def ask_async(self, method: str, path: str, **content: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=self._transport, base_url="http://inference") as client:
            return await client.request(method, path, **content)

    def generate(self, prompt: str = "alerts are", **fields: Any) -> httpx.Response:
        return self.ask("POST", URL, json={"prompt": prompt, **fields})

    def score(self, rounds: int = 1) -> float | None:
        async def score() -> float | None:
            for _ in range(rounds - 1):
                await self.model.score()
            return await self.model.score()

        return asyncio.run(score())

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def counted(self) -> tuple[float | None, float | None]:
        """Successes and errors so far."""
        name = "inference_requests_total"
        return (
            self.value(name, model_name="demo-lm", status="success"),
            self.value(name, model_name="demo-lm", status="error"),
        )


@pytest.fixture(autouse=True)
def numpy_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_BACKEND", "numpy")
    # What another test configured must not decide which log calls these tests see.
    structlog.reset_defaults()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    assert provide_weights(tmp_path / "weights.npz")
    service = Service(tmp_path)
    service.score()
    return service


@contextmanager
def full_volume(limit_bytes: int) -> Iterator[None]:
    """Files of this process cannot grow beyond the limit, as on a volume that is full."""
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def damage(path: Path) -> None:
    """Weights that parse and are worth nothing."""
    models.fresh(7).save(path)


def test_an_answer_is_the_text_the_model_continues_with(service: Service) -> None:
    response = service.generate("alerts are requests for", max_tokens=3)
    assert response.status_code == 200
    assert response.json() == {
        "model_name": "demo-lm",
        "result": "human attention,",
        "token_count": 3,
        "cached": False,
    }
    assert service.counted() == (1, 0)
    assert service.value("inference_tokens_generated_total", model_name="demo-lm") == 3
    assert service.value("inference_request_duration_seconds_count", model_name="demo-lm") == 1
    assert service.device.asked_s == [pytest.approx(0.024)]


def test_get_answers_as_post_does(service: Service) -> None:
    posted = service.generate("the model", max_tokens=5).json()
    got = service.ask("GET", URL, params={"prompt": "the model", "max_tokens": 5}).json()
    assert got == {**posted, "cached": True}
    assert service.counted() == (2, 0)


def test_sixteen_tokens_are_made_unless_told_otherwise(service: Service) -> None:
    assert service.generate().json()["token_count"] == 16
    assert service.ask("GET", URL, params={"prompt": "the"}).json()["token_count"] == 16


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"prompt": ""},
        {"prompt": 3},
        {"prompt": "x" * 4097},
        {"prompt": "x", "max_tokens": 0},
        {"prompt": "x", "max_tokens": 257},
        {"prompt": "x", "max_tokens": "many"},
    ],
)
def test_a_malformed_request_is_refused_and_counted_as_an_error(service: Service, content: dict[str, Any]) -> None:
    for number, response in enumerate(
        (service.ask("POST", URL, json=content), service.ask("GET", URL, params={"max_tokens": 0, **content})), start=1
    ):
        if content == {"prompt": 3} and number == 2:
            continue
        assert response.status_code == 422
        assert response.json()["error"] == "malformed request"
    assert service.counted() == (0, 2)


def test_a_request_at_the_limits_is_answered(service: Service) -> None:
    assert service.generate("x" * 4096, max_tokens=256).json()["token_count"] == 256


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 422), (b"\xff", 400), (b"x" * 60_000, 413)],
    ids=["cut", "no text", "too long"],
)
def test_a_body_that_cannot_be_read_is_counted_as_an_error(service: Service, body: bytes, status: int) -> None:
    response = service.ask("POST", URL, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert set(response.json()) == {"error", "detail"}
    assert service.counted() == (0, 1)


@pytest.mark.parametrize("content", [{"prompt": "x"}, {}])
def test_an_unknown_model_gets_404_and_no_label(service: Service, content: dict[str, Any]) -> None:
    response = service.ask("POST", "/v1/models/other/generate", json=content)
    assert response.status_code == 404
    assert response.json()["error"] == "unknown model"
    for path in ("/metrics", "/v2/metrics"):
        assert "other" not in service.ask("GET", path).text
    assert service.counted() == (0, 0)


def test_counters_stand_at_zero_before_the_first_request(service: Service) -> None:
    assert service.counted() == (0, 0)
    assert service.value("inference_request_duration_seconds_count", model_name="demo-lm") == 0


def test_a_lost_gpu_is_a_clear_error_and_is_not_cached(service: Service) -> None:
    async def lost() -> None:
        raise GpuLostError("the GPU has fallen off the bus")

    service.device.work = lost
    with capture_logs() as logs:
        response = service.generate()
    assert response.status_code == 500
    assert response.json() == {"error": "GPU lost", "detail": "the GPU has fallen off the bus"}
    assert service.counted() == (0, 1)
    assert [line["log_level"] for line in logs] == ["error"]
    assert service.value("model_cache_misses_total", model_name="demo-lm") == 0
    service.device.work = None
    assert service.generate().json()["cached"] is False


def test_the_client_never_sees_a_traceback(service: Service) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("secret")

    service.device.work = broken
    with capture_logs() as logs:
        response = service.generate()
    assert response.status_code == 500
    assert "secret" not in response.text
    assert isinstance(logs[0]["exc_info"], ZeroDivisionError)
    assert service.counted() == (0, 1)


def test_requests_are_worked_on_side_by_side(service: Service) -> None:
    both = asyncio.Barrier(2)
    active: list[float | None] = []

    async def together() -> None:
        await both.wait()
        active.append(service.value("inference_active_connections"))

    async def ask() -> list[httpx.Response]:
        asked = (service.ask_async("POST", URL, json={"prompt": prompt}) for prompt in ("a", "b"))
        return await asyncio.wait_for(asyncio.gather(*asked), timeout=5)

    service.device.work = together
    assert [response.status_code for response in asyncio.run(ask())] == [200, 200]
    assert active[0] == 2
    assert service.value("inference_active_connections") == 0


def test_the_service_is_ready_once_its_model_is_loaded_and_scored(tmp_path: Path) -> None:
    service = Service(tmp_path)
    assert service.ask("GET", "/readyz").status_code == 503
    assert service.ask("GET", "/healthz").status_code == 200
    with capture_logs():
        refused = service.generate()
    assert (refused.status_code, service.counted()) == (503, (0, 1))
    provide_weights(service.weights)
    service.score()
    assert service.ask("GET", "/readyz").status_code == 200
    assert service.generate().status_code == 200


def test_healthy_weights_answer_nearly_all_probes(service: Service) -> None:
    accuracy = service.score(rounds=4)
    assert accuracy is not None
    assert 0.95 <= accuracy <= 1


def test_damaged_weights_show_in_the_accuracy_until_they_are_restored(service: Service) -> None:
    healthy = service.weights.read_bytes()
    damage(service.weights)
    damaged = service.score()
    assert damaged is not None
    assert damaged < 0.3
    service.weights.write_bytes(healthy)
    restored = service.score()
    assert restored is not None
    assert restored >= 0.9


def test_an_answer_of_other_weights_does_not_come_from_the_cache(service: Service) -> None:
    before = service.generate().json()
    damage(service.weights)
    service.score()
    after = service.generate().json()
    assert after["cached"] is False
    assert after["result"] != before["result"]


def test_a_file_that_is_no_weights_is_told_once_and_the_old_ones_stay(service: Service) -> None:
    service.weights.write_bytes(b"damaged beyond reading")
    with capture_logs() as logs:
        assert service.score(rounds=3) == pytest.approx(1, abs=0.05)
    assert [(line["event"], line["kept_old"]) for line in logs] == [("weights cannot be read", True)]
    assert service.generate().status_code == 200


def test_a_file_that_is_gone_is_told_once_and_the_old_weights_stay(service: Service) -> None:
    service.weights.unlink()
    with capture_logs() as logs:
        assert service.score(rounds=3) == pytest.approx(1, abs=0.05)
    assert [line["event"] for line in logs] == ["weights are not there"]


def test_weights_that_answer_nonsense_numbers_are_scored_all_the_same(service: Service) -> None:
    with np.load(service.weights) as file:
        spoilt = {name: np.full_like(file[name], np.nan) if file[name].ndim else file[name] for name in file.files}
    np.savez(service.weights, **spoilt)
    with capture_logs():
        accuracy = service.score()
    assert accuracy is not None
    assert accuracy < 0.3 or accuracy >= 0.9  # scored as bad, or refused with the old ones kept


def test_one_round_asks_a_bounded_number_of_probes(tmp_path: Path) -> None:
    asked = 0

    class Counting:
        parameters_bytes = 0

        def next_token(self, context: Any) -> int:
            nonlocal asked
            asked += 1
            return 0

    service = Service(tmp_path)
    provide_weights(service.weights)
    service.score()
    assert service.model._loaded is not None
    service.model._loaded.model = Counting()  # type: ignore[assignment]
    service.score()
    assert asked == PROBES_PER_ROUND


def test_repeated_prompts_come_from_the_cache_and_still_count(service: Service) -> None:
    first, second = service.generate().json(), service.generate().json()
    assert (first["cached"], second["cached"]) == (False, True)
    assert first["result"] == second["result"]
    assert service.counted() == (2, 0)
    assert service.value("model_cache_hits_total", model_name="demo-lm") == 1
    assert service.value("model_cache_misses_total", model_name="demo-lm") == 1
    assert service.value("inference_tokens_generated_total", model_name="demo-lm") == 16
    assert service.generate(max_tokens=4).json()["cached"] is False


def test_the_cache_forgets_what_was_not_asked_for_longest(service: Service) -> None:
    async def fill() -> list[bool]:
        for number in range(256):
            await service.model.answer(f"prompt {number}", 1)
        await service.model.answer("prompt 0", 1)
        await service.model.answer("one more", 1)
        return [(await service.model.answer(prompt, 1)).cached for prompt in ("prompt 0", "prompt 1")]

    assert asyncio.run(fill()) == [True, False]


def test_triton_s_view_agrees_with_the_counters(service: Service) -> None:
    service.generate()
    service.generate()
    service.generate(max_tokens=0)
    text = service.ask("GET", "/v2/metrics").text
    values = {line.split("{")[0]: line.split()[-1] for line in text.splitlines() if not line.startswith("#")}
    assert values["nv_inference_request_success"] == "2"
    assert values["nv_inference_request_failure"] == "1"
    assert values["nv_inference_count"] == values["nv_inference_exec_count"] == "1"
    assert int(values["nv_inference_request_duration_us"]) > 0
    assert 'nv_inference_request_success{model="demo-lm",version="1"} 2' in text


def test_each_answer_is_in_the_journal(service: Service) -> None:
    service.generate("the model")
    service.generate(max_tokens=0)
    (line,) = service.journal_path.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["prompt"], entry["token_count"], entry["cached"]) == ("the model", 16, False)


def test_a_full_volume_is_one_event_and_serving_goes_on(service: Service) -> None:
    service.generate("the")
    size = service.journal_path.stat().st_size
    with capture_logs() as logs, full_volume(size + 20):
        for number in range(5):
            assert service.generate(f"model {number}").status_code == 200
    assert [line["event"] for line in logs] == ["response journal cannot be written"]
    assert service.journal_path.stat().st_size == size, "no part of a line may stay"
    assert service.counted() == (6, 0)


def test_a_volume_with_space_again_is_written_again(tmp_path: Path) -> None:
    now_s = 100.0
    journal = Journal(tmp_path / "gone" / "responses.jsonl", now_s=lambda: now_s)
    with capture_logs() as logs:
        journal.append({"a": 1})
        now_s += 1
        journal.append({"a": 1})  # tried again, and told already
        (tmp_path / "gone").mkdir()
        journal.append({"a": 2})  # too soon to try again
        now_s += 1
        journal.append({"a": 3})
        journal.append({"a": 4})
    assert (tmp_path / "gone" / "responses.jsonl").read_text() == '{"a": 3}\n{"a": 4}\n'
    assert [line["event"] for line in logs] == [
        "response journal cannot be written",
        "response journal is written again",
    ]
    assert logs[0]["errno"] == errno.ENOENT
    assert logs[1]["lost"] == 3


def test_the_journal_stays_within_its_bound(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "responses.jsonl", max_file_bytes=100)
    for number in range(50):
        journal.append({"number": number})
    kept = [tmp_path / "responses.jsonl.1", tmp_path / "responses.jsonl"]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert all(path.stat().st_size <= 100 for path in kept)
    numbers = [json.loads(line)["number"] for path in kept for line in path.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 50))


def test_weights_that_are_there_are_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "models" / "weights.npz"
    with capture_logs() as logs:
        assert provide_weights(path)
        assert path.read_bytes() == models.SHIPPED_WEIGHTS.read_bytes()
        path.write_bytes(b"mine")
        assert provide_weights(path)
    assert path.read_bytes() == b"mine"
    assert os.listdir(path.parent) == ["weights.npz"]
    assert [line["event"] for line in logs] == ["shipped weights written"]


def test_weights_that_do_not_fit_on_the_volume_are_one_event_and_leave_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs, full_volume(1000):
        assert not provide_weights(tmp_path / "weights.npz")
    assert list(tmp_path.iterdir()) == []
    assert [line["event"] for line in logs] == ["shipped weights cannot be written"]


def test_the_longest_well_formed_body_is_taken(service: Service) -> None:
    escaped = '{"prompt": "' + "\\ud83d\\ude00" * app_module.MAX_PROMPT_CHARACTERS + '"}'
    response = service.ask("POST", URL, content=escaped, headers={"Content-Type": "application/json"})
    assert response.status_code == 200
