"""Measures on a machine with an NVIDIA GPU what a simulated one cannot prove. Without one it says so.

    python -m benchmarks.gpu

The exporter against nvidia-smi, reading for reading; the experiments a real device allows; what the instruments cost a
training step (with torch and CUDA on the device, otherwise on the processor). With a GPU the figures go into
docs/gpu.md.

Exit code 0: what was measured holds; 1: something does not; 4: a measurement failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import pynvml
import requests

from benchmarks.command import HARNESS
from benchmarks.gpu import nvidia_smi, overhead
from benchmarks.gpu.agreement import Comparison, compare
from harness import defaults, gpu
from harness.experiment import load_experiments
from harness.faults.catalogue import FAULTS, SIMULATED

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "gpu.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OVERHEAD_BOUND = 0.01
ROUNDS = 20
_ROUND_S = 0.5
_EXPORTER_START_S = 20.0
_CERTIFY_TIMEOUT_S = 600.0

# What was measured, its outcome, and whether it holds; None: not measured, which proves nothing.
Line = tuple[str, str, bool | None]


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measures, prints, and writes where there is something to write."""
    try:
        connection = gpu.connect()
        absent = "the device is simulated" if connection.simulated else None
    except gpu.GpuUnavailable as error:
        absent = str(error)
    if absent is not None:
        click.echo(f"This machine has no GPU: {absent}. What needs one is not measured; the rest is.")
    lines: list[Line] = []
    failed = False
    for name, measure in (("exporter", _exporter), ("experiments", _experiments), ("training step", _training_step)):
        click.echo(f"measuring: {name}", err=True)
        if absent is not None and measure is not _training_step:
            lines.append((name, "not measured: no GPU", None))
            continue
        try:
            lines += measure()
        except Exception as error:  # noqa: BLE001 - the other measurements still count
            lines.append((name, f"not measured: {type(error).__name__}: {error}", None))
            failed = True
    text = report(lines)
    click.echo(text)
    if absent is None:
        write(DOCUMENT, f"{_machine()}\n\n{text}")
        click.echo(f"written: {DOCUMENT}")
    sys.exit(4 if failed else 1 if any(holds is False for *_, holds in lines) else 0)


def report(lines: list[Line]) -> str:
    """The lines as a Markdown table."""
    words = {True: "yes", False: "NO", None: "–"}
    rows = [f"| {name} | {outcome} | {words[holds]} |" for name, outcome, holds in lines]
    return "\n".join(["| what | measured | holds |", "| --- | --- | --- |", *rows])


def write(document: Path, text: str) -> None:
    """Puts the text between the document's two marks. Raises ValueError when it has none."""
    before, begin, rest = document.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{document}: has no {BEGIN} … {END}")
    document.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def agreement(comparisons: list[Comparison]) -> Iterator[Line]:
    """A line for each figure of each device."""
    for gpu_id, metric in dict.fromkeys((each.gpu_id, each.metric) for each in comparisons):
        own = [each for each in comparisons if (each.gpu_id, each.metric) == (gpu_id, metric)]
        wrong = [each for each in own if each.agrees is False]
        name = f"GPU {gpu_id}: {metric}"
        if wrong:
            worst = wrong[0]
            told = f"exporter {worst.exporter}, nvidia-smi {worst.before} before and {worst.after} after"
            yield name, f"{len(wrong)} of {len(own)} readings disagree, the first: {told}", False
        elif any(each.agrees for each in own):
            yield name, f"{len(own)} of {len(own)} readings agree, the last {own[-1].exporter:g}", True
        else:
            yield name, "neither has the figure", None


def _exporter() -> list[Line]:
    between = threading.Event()
    with exporter() as url:

        def scrape() -> str:
            answer = requests.get(f"{url}/metrics", timeout=5)
            answer.raise_for_status()
            return answer.text

        comparisons = []
        for _ in range(ROUNDS):
            comparisons += compare(scrape, nvidia_smi.query)
            between.wait(_ROUND_S)  # so that the readings are not all of one sample period
    return list(agreement(comparisons))


@contextmanager
def exporter() -> Iterator[str]:
    """The exporter's address while it runs."""
    command = [sys.executable, "-m", "harness.system.workloads.gpu_exporter", "--host=127.0.0.1", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                said = json.loads(line)
                if said["message"] == "exporting":
                    yield f"http://{said['address']}"
                    return
            raise RuntimeError(f"the GPU exporter ended with {process.wait(_EXPORTER_START_S)}")
        finally:
            process.terminate()


def _experiments() -> list[Line]:
    """One certification with the experiments that ask no fault of a simulated device."""
    experiments = load_experiments([defaults.EXPERIMENTS], None)
    left_out = {e.name for e in experiments for fault in e.faults if FAULTS[fault.kind].needs == SIMULATED}
    chosen = [each for each in experiments if each.name not in left_out]
    arguments = [argument for each in chosen for argument in ("--experiments", each.path)]
    with tempfile.TemporaryDirectory(prefix="harness-gpu-") as directory:
        run_dir = Path(directory) / "run"
        subprocess.run(
            [HARNESS, "certify", "--report", run_dir, *arguments],
            check=False,
            capture_output=True,
            timeout=_CERTIFY_TIMEOUT_S,
        )
        result = json.loads((run_dir / "result.json").read_text(encoding="utf-8"))
    verdicts: dict[str, set[str]] = {}
    for check in result["results"]:
        verdicts.setdefault(check["experiment"], set()).add(check["verdict"])
    lines: list[Line] = [
        (f"experiment {name}", f"{'/'.join(sorted(seen))} on {result['gpu']}", seen == {"PASS"})
        for name, seen in verdicts.items()
    ]
    return [*lines, *((f"experiment {name}", "not run: needs a simulated GPU", None) for name in sorted(left_out))]


def _training_step() -> list[Line]:
    cost = overhead.measure()
    outcome = (
        f"{cost.share:+.2%} with the instruments ({cost.low:+.2%} to {cost.high:+.2%} at 95 %), "
        f"{cost.bare_s * 1e3:.2f} ms without, {cost.backend}; bound {OVERHEAD_BOUND:.0%}"
    )
    return [("training step", outcome, cost.share <= OVERHEAD_BOUND)]


def _machine() -> str:
    driver = pynvml.nvmlSystemGetDriverVersion()
    names = [pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(i)) for i in range(gpu.connect().device_count)]
    return f"{datetime.now(UTC):%Y-%m-%d}, {', '.join(names)}, driver {driver}."


if __name__ == "__main__":
    main()
