"""Runs another Python program on the simulated GPU: ``python -m harness.gpu.simulated -- gpustat``.

The program is unmodified and runs in this process, with pynvml's library replaced: a console script found on
PATH, a Python file, or a module (``-m NAME`` after the ``--``). Without ``--state`` the file is the one
``SIMULATED_GPU`` names.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import sys
from collections.abc import Sequence

from harness.gpu import STATE_VARIABLE, GpuUnavailable, install


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program named; it ends the process as it would on its own, or 2 when it cannot be run."""
    parser = argparse.ArgumentParser(prog="python -m harness.gpu.simulated", description=__doc__)
    parser.add_argument("--state", default=os.environ.get(STATE_VARIABLE), help="state file of the simulated devices")
    parser.add_argument("program", nargs=argparse.REMAINDER, help="-- PROGRAM [ARGUMENT ...]")
    options = parser.parse_args(arguments)
    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    if not program or program == ["-m"]:
        parser.error("which program? e.g. -- gpustat --json")
    if not options.state:
        parser.error(f"which simulated device? Set {STATE_VARIABLE} or give --state FILE")
    try:
        install(options.state)
    except GpuUnavailable as error:
        parser.error(str(error))
    os.environ[STATE_VARIABLE] = options.state
    _run(parser, program)


def _run(parser: argparse.ArgumentParser, program: Sequence[str]) -> None:
    if program[0] == "-m":
        sys.argv = list(program[1:])
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
        return
    path = shutil.which(program[0]) or program[0]
    if not os.path.isfile(path):
        parser.error(f"{program[0]}: neither on PATH nor a file")
    sys.argv = [path, *program[1:]]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
