"""What a node's supervisor and containers find: as supervisord reads it, and by running a container's script."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from harness.environments.local.addresses import lease_block
from harness.environments.local.containers import NodePaths
from harness.environments.local.layout import NodeLayout
from harness.environments.local.plan import plan_node
from harness.environments.local.programs import require_programs
from harness.environments.local.sandbox import node_argv
from harness.errors import HarnessError
from harness.stack import Container, EnvVar, Mount, Volume, Workload, load_stack
from tests.environments.stacks import STACK
from tests.environments.test_local_containers import written
from tests.environments.test_local_plan import container, workload

EMPTY_DIR, CLAIM = Volume("data", "empty_dir", "", 2**20), Volume("data", "claim", "disk", 2**20)
HOST_PATH = Volume("data", "host_path", "/srv/team", None)


def says(run_dir: Path, runs: Workload, *, times: int = 1) -> subprocess.CompletedProcess[str]:
    """What the workload's first container wrote and how it ended, the last time of several."""
    stack, block = load_stack(STACK), lease_block(1)
    with block.lease:
        plan = plan_node(dataclasses.replace(stack, workloads=(runs,), services=()), block)
    bwrap = require_programs(["bwrap"])["bwrap"]
    paths = NodePaths(run_dir / "node")
    NodeLayout(
        plan=plan,
        paths=paths,
        bwrap=bwrap,
        read_only=(),
        rendered={},
        variables={"PATH": "/usr/bin:/bin"},
        simulated_gpu=False,
        address="127.9.0.1",
        password="x",
    ).write()
    script = paths.script(plan.pods[0].program(runs.containers[0]))
    argv = node_argv(
        bwrap=bwrap,
        read_only=(),
        run_dir=run_dir,
        volumes=plan.volumes,
        real_devices=False,
        dies_with_parent=True,
        docker_socket=None,
        working_dir=paths.root,
        command=["/bin/sh", "-c", " && ".join([f"/bin/sh {script}"] * times)],
    )
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def shell(script: str, **changes: object) -> Container:
    return container(command=("sh", "-c", script), **changes)


@pytest.mark.parametrize("volume", [EMPTY_DIR, CLAIM, HOST_PATH])
def test_a_sub_path_is_made_in_its_volume_and_stays(tmp_path: Path, volume: Volume) -> None:
    mounts = (Mount("data", "/whole", "", False), Mount("data", "/part", "a b/c", False))
    writes = shell("echo x >> /part/file && cat '/whole/a b/c/file'", mounts=mounts)
    done = says(tmp_path, workload("web", containers=(writes,), volumes=(volume,)), times=2)
    assert (done.stdout, done.returncode) == ("x\nx\nx\n", 0), done.stderr


def test_a_sub_path_that_is_a_file_of_an_init_container_stays_one(tmp_path: Path) -> None:
    init = shell("echo made > /whole/file", name="first", mounts=(Mount("data", "/whole", "", False),))
    main = shell("cat /etc/its-file", mounts=(Mount("data", "/etc/its-file", "file", False),))
    done = says(tmp_path, workload("web", containers=(main,), init_containers=(init,), volumes=(EMPTY_DIR,)))
    assert done.stdout == "made\n", done.stderr


def test_a_projected_volume_holds_files_and_what_the_downward_api_tells(tmp_path: Path) -> None:
    files = {"a/text": "Grüße", "blob": b"\xff\x00".decode(errors="surrogateescape")}
    fields = {"labels": "metadata.labels", "name": "metadata.name", "none": "spec.somewhere"}
    volume = Volume("all", "projected", "", None, files, fields)
    looks = "cd /all && ls && cat a/text && od -An -tx1 blob && cat name && echo && cat labels"
    main = shell(looks, mounts=(Mount("all", "/all", "", False),))
    labels = {"tier": 'a "b"', "app": "web"}
    done = says(tmp_path, workload("web", containers=(main,), volumes=(volume,), labels=labels))
    assert done.stdout == 'a\nblob\nlabels\nname\nGrüße ff 00\nweb-0\napp="web"\ntier="a \\"b\\""', done.stderr


def test_a_device_of_the_machine_is_mounted_and_its_other_files_are_not(tmp_path: Path) -> None:
    volumes = (Volume("null", "host_file", "/dev/null", None), Volume("socket", "host_file", "/run/x.sock", None))
    mounts = (Mount("null", "/data/null", "", False), Mount("socket", "/data/socket", "", False))
    main = shell("ls /data && cat /data/null", mounts=mounts)
    done = says(tmp_path, workload("web", containers=(main,), volumes=volumes))
    assert (done.stdout, done.returncode) == ("null\n", 0), done.stderr


def test_a_working_directory_that_is_nowhere_is_made(tmp_path: Path) -> None:
    nowhere = shell("pwd && touch here", working_dir="/opt-of/team")
    assert says(tmp_path, workload("web", containers=(nowhere,))).stdout == "/opt-of/team\n"


def test_nothing_is_made_on_the_machine_itself(tmp_path: Path) -> None:
    main = shell("true", mounts=(Mount("data", "/data", "no-such-directory", False),))
    machine = Volume("data", "host_path", "/proc", None)
    done = says(tmp_path, workload("web", containers=(main,), volumes=(machine,)))
    assert "no-such-directory" in done.stderr
    assert "mkdir" not in done.stderr


def test_references_in_a_sub_path_are_filled_in_and_may_not_lead_out(tmp_path: Path) -> None:
    pod_name = EnvVar("NAME", field_path="metadata.name")
    mounts = (Mount("data", "/whole", "", False), Mount("data", "/own", "$(NAME)/x", False, expands=True))
    main = shell("ls /whole && ls /whole/web-0", env=(pod_name,), mounts=mounts)
    assert says(tmp_path / "a", workload("web", containers=(main,), volumes=(EMPTY_DIR,))).stdout == "web-0\nx\n"
    literal = dataclasses.replace(main, mounts=(mounts[0], dataclasses.replace(mounts[1], expands=False)))
    found = says(tmp_path / "b", workload("web", containers=(literal,), volumes=(EMPTY_DIR,)))
    assert found.stdout == "$(NAME)\n"
    out = dataclasses.replace(main, env=(EnvVar("NAME", "../.."),))
    with pytest.raises(HarnessError, match=r"^test: container main: '../../x' leads out of data$"):
        says(tmp_path / "c", workload("web", containers=(out,), volumes=(EMPTY_DIR,)))


@pytest.mark.parametrize("name", ["run", "my run", "100%", "a ;b #c", 'it\'s "$HOME" \\ ~', "Läufe"])
def test_a_node_may_lie_in_a_directory_of_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stack, block = load_stack(STACK), lease_block(1)
    with block.lease:
        plan = plan_node(stack, block)
    paths = written(stack, plan, tmp_path / name, None)
    monkeypatch.chdir(paths.root)  # where the node runs it
    options = ServerOptions()
    options.realize(["-c", str(paths.root / "supervisord.conf")])
    programs = [each for group in options.process_group_configs for each in group.process_configs]
    assert len(programs) == 1 + sum(len(pod.workload.containers) for pod in plan.pods)
    for program in programs:
        shell, script = program.command.split()
        assert (shell, Path(script).resolve()) == ("/bin/sh", paths.script(program.name))
        assert Path(program.stdout_logfile).resolve() == paths.log(program.name)
        assert Path(script).exists()
    assert Path(options.logfile).resolve() == paths.root / "supervisord.log"
    assert Path(options.pidfile).resolve() == paths.root / "supervisord.pid"
