"""Measures the figures and says which bound does not hold.

    python -m benchmarks                     all of them, in about a quarter of an hour
    python -m benchmarks --only readiness    one measurement

That of kind needs Docker, kind and kubectl; without a registry also HARNESS_IMAGES=offline and KIND_NODE_IMAGE.

Exit code 0: every bound holds; 1: one does not; 4: a measurement failed.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import click

from benchmarks import certification, kind, load_generator, readiness
from benchmarks.figure import Figure, table

MEASUREMENTS: dict[str, Callable[[Path], list[Figure]]] = {
    "readiness": readiness.measure,
    "load": load_generator.measure,
    "certification": certification.measure,
    "kind": kind.measure,
}


@click.command(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", multiple=True, type=click.Choice(list(MEASUREMENTS)), help="Measure this alone; repeatable.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write bench.json and bench.md here.")
def main(only: tuple[str, ...], out: Path | None) -> None:
    """Measures, prints, writes."""
    figures: list[Figure] = []
    failed = False
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as directory:
        for name in only or MEASUREMENTS:
            click.echo(f"measuring: {name}", err=True)
            try:
                figures += MEASUREMENTS[name](Path(directory))
            except Exception as error:  # noqa: BLE001 - the other measurements still count
                click.echo(f"{name}: not measured: {type(error).__name__}: {error}", err=True)
                failed = True
    machine = (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load {busy:.1f} before the first measurement"
    )
    text = f"{table(figures)}\n\n{machine}\n"
    click.echo(text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "bench.md").write_text(text, encoding="utf-8")
        record = {
            "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine,
            "figures": [figure.to_json() for figure in figures],
        }
        (out / "bench.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    broken = [figure.name for figure in figures if not figure.holds]
    if broken:
        click.echo(f"does not hold: {'; '.join(broken)}", err=True)
    sys.exit(4 if failed else 1 if broken else 0)


if __name__ == "__main__":
    main()
