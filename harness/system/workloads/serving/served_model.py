"""The model a service serves: loaded from a file that may change, asked for text, and scored on its probes."""

from __future__ import annotations

import asyncio
import os
import random
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.system import models
from harness.system.models import text
from harness.system.telemetry.logs import get_logger

# How much of the probe set one round asks; with about 200 probes, four rounds ask all of it.
PROBES_PER_ROUND = 50
# The event loop is given back after this long, so that requests under way are not held up.
_STRETCH_S = 0.005
_CACHED_ANSWERS = 256
# A usual request of 16 tokens then takes 0.13 s, and 2.6 s at a twentieth of the clock.
_DEVICE_S_PER_TOKEN = 0.008

# What tells a file's content from another without reading it: modification time, inode and size.
Identity = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model made of a prompt. ``cached``: it was made earlier."""

    result: str
    tokens: int
    cached: bool


class Device(Protocol):
    """What takes the time the model's work takes on the accelerator."""

    async def run_async(self, device_s: float) -> None:
        """Return when the device has worked for this long at full clock. Raises GpuLostError."""


class NotLoaded(Exception):
    """No weights could be read yet."""


@dataclass(slots=True)
class _Loaded:
    """One version of the weights with all that depends on it: a reload replaces the three together."""

    model: models.LanguageModel
    cache: OrderedDict[tuple[str, int], tuple[str, int]] = field(default_factory=OrderedDict)
    right: dict[int, bool] = field(default_factory=dict)  # the latest answer to each probe asked


class ServedModel:
    """The model in a weights file. For one event loop; nothing here is safe for threads.

    ``score`` reads the file again when it changed. Weights that parse are served whatever they are worth, for
    the accuracy shows that; a file that does not parse is one error event, and the weights before it stay.
    """

    def __init__(self, path: Path, device: Device) -> None:
        """``device`` does each token's work as well, where there is one to keep busy."""
        self._path = path
        self._device = device
        self._probes = list(models.probe_set())
        # Neighbours in the text are alike: each round asks probes from all over it.
        random.Random(0).shuffle(self._probes)
        self._next_probe = 0
        self._identity: Identity | None = None  # of the file last read, whether it parsed or not
        self._missing_told = False
        self._loaded: _Loaded | None = None

    @property
    def accuracy(self) -> float | None:
        """Share of probes the present weights answer rightly, of those asked so far; None before any was."""
        if self._loaded is None or not self._loaded.right:
            return None
        right = self._loaded.right.values()
        return sum(right) / len(right)

    async def score(self) -> float | None:
        """The accuracy after one more round of probes, with the file read again first where it changed."""
        await self.refresh()
        loaded = self._loaded
        if loaded is None:
            return None
        began_s = time.perf_counter()
        for _ in range(min(PROBES_PER_ROUND, len(self._probes))):
            number = self._next_probe
            self._next_probe = (number + 1) % len(self._probes)
            context, expected = self._probes[number]
            loaded.right[number] = int(loaded.model.next_token(context)) == expected
            if time.perf_counter() - began_s > _STRETCH_S:
                await asyncio.sleep(0)
                began_s = time.perf_counter()
        return self.accuracy

    async def refresh(self) -> None:
        """Read the weights if the file is another than the one last read."""
        try:
            stat = self._path.stat()
        except OSError as error:
            if not self._missing_told:
                self._missing_told = True
                get_logger().error("weights are not there", path=str(self._path), exc_info=error)
            return
        self._missing_told = False
        identity = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if identity != self._identity:
            self._identity = identity
            await self._read(self._path)

    async def answer(self, prompt: str, max_tokens: int) -> Answer:
        """The model's continuation of a prompt, token by token. Raises NotLoaded, and GpuLostError."""
        loaded = self._loaded
        if loaded is None:
            raise NotLoaded(f"no weights were read from {self._path} yet")
        key = (prompt, max_tokens)
        known = loaded.cache.get(key)
        if known is not None:
            loaded.cache.move_to_end(key)
            return Answer(*known, cached=True)
        tokens = [token async for token in _continuation(loaded.model, prompt, max_tokens)]
        await self._device.run_async(len(tokens) * _DEVICE_S_PER_TOKEN)
        made = (text.decode(tokens), len(tokens))
        # Only now: what a lost device could not finish must not be served from the cache afterwards.
        loaded.cache[key] = made
        while len(loaded.cache) > _CACHED_ANSWERS:
            loaded.cache.popitem(last=False)
        return Answer(*made, cached=False)

    async def _read(self, path: Path) -> None:
        log = get_logger().bind(path=str(path))
        try:
            model = await asyncio.to_thread(models.load, path)
        except models.WeightsError as error:
            log.error("weights cannot be read", kept_old=self._loaded is not None, exc_info=error)
            return
        self._loaded = _Loaded(model)
        log.info("weights loaded", backend=models.backend(), bytes=model.parameters_bytes)


def provide_weights(path: Path) -> bool:
    """Whether the file is there, written from the shipped weights if it was not; a failure is one error event."""
    if path.exists():
        return True
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = models.SHIPPED_WEIGHTS.read_bytes()
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        get_logger().error("shipped weights cannot be written", path=str(path), exc_info=error)
        return False
    get_logger().info("shipped weights written", path=str(path), bytes=len(content))
    return True


async def _continuation(model: models.LanguageModel, prompt: str, max_tokens: int) -> AsyncIterator[int]:
    context = list(text.encode(prompt))[-models.CONTEXT :]
    began_s = time.perf_counter()
    for _ in range(max_tokens):
        token = int(model.next_token(context))
        yield token
        context = [*context, token][-models.CONTEXT :]
        if time.perf_counter() - began_s > _STRETCH_S:
            await asyncio.sleep(0)
            began_s = time.perf_counter()
