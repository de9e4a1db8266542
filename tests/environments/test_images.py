"""Which image a pod really runs, what a built one is named, and what Docker is asked for; Docker itself is a script."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from harness.environments.images import ImageMapping, ResolvedImage, build_images, load_mapping
from harness.environments.images.contexts import assemble_context, image_name, index_settings
from harness.errors import HarnessError, InputError
from harness.stack import load_stack

CHECKOUT = Path(__file__).resolve().parents[2]
SHA = "sha256:" + "ab" * 32
DOCKERFILE = """\
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS dependencies
COPY requirements.txt setting[s] /build/
FROM ${BASE}
COPY --from=dependencies /opt /opt
COPY --chown=1:1 source \\
    tool /opt/
"""
# Answers what build_images may ask; all else is an error. `present` lists images, `down` means no daemon.
DOCKER = """\
#!/bin/sh
cd "$(dirname "$0")" || exit 99
for last; do :; done
case "$1 $2" in
"version --format") [ ! -e down ] || { echo "Cannot connect to the Docker daemon"; exit 1; }; echo 20.10 ;;
"image inspect") grep -qxF "$3" present || { echo "Error: No such image: $3" >&2; exit 1; } ;;
"build --tag")
    echo "$*" >> builds
    (cd "$last" && find . -type f | sort) > context
    [ ! -e broken ] || { cat broken >&2; exit 1; }
    [ -e forgetful ] || echo "$3" >> present ;;
*) echo "not expected: $*" >&2; exit 99 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with one image, ``app``, that copies a file, a directory and a program."""
    root = tmp_path / "checkout"
    for path, text in {
        "fixtures/images/app/Dockerfile": DOCKERFILE,
        "fixtures/images/official.yaml": "images:\n  team/app: {build: app}\n",
        "requirements.txt": "numpy\n",
        "source/main.py": "print()\n",
        "source/inner/more.txt": "more\n",
        "tool": "#!/bin/sh\n",
        "not-copied.txt": "x\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory first on PATH, with a ``docker`` in it and the files it reads and writes."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    (folder / "present").write_text("debian:bookworm-slim\n", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return folder


def mapping(root: Path, text: str) -> ImageMapping:
    file = root / "mapping.yaml"
    file.write_text(text, encoding="utf-8")
    return load_mapping(str(file), checkout=root)


def mistakes(root: Path, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        mapping(root, text)
    assert {mistake.file for mistake in caught.value.mistakes} == {root / "mapping.yaml"}
    return [f"{mistake.where}: {mistake.problem}" for mistake in caught.value.mistakes]


def app(root: Path) -> ResolvedImage:
    return load_mapping("official", checkout=root).resolve("team/app:1")


def test_the_shipped_mappings_cover_the_shipped_stack() -> None:
    workloads = load_stack(CHECKOUT / "fixtures" / "stack").workloads
    official = load_mapping("official").resolve_all(workloads)
    offline = load_mapping("offline").resolve_all(workloads)
    assert {name: each.reference for name, each in official.items() if each.build is None} == {
        name: name for name in official if name.startswith("prom/")
    }
    assert {each.build.name for each in offline.values() if each.build} == {
        *("prometheus", "alertmanager", "node-exporter", "workloads")
    }
    assert not any(each.pull for each in offline.values())


@pytest.mark.parametrize("name", ["official", "offline"])
def test_an_image_that_no_shipped_mapping_names_is_pulled_only_where_a_registry_is(name: str) -> None:
    found = load_mapping(name)
    if name == "official":
        assert found.resolve("quay.io/x/y:1") == ResolvedImage("quay.io/x/y:1", None, pull=True)
        return
    with pytest.raises(InputError, match=r"offline\.yaml: images: Job a/b: runs quay\.io/x/y:1, which is not named"):
        found.resolve("quay.io/x/y:1", workload="Job a/b")


def test_every_mistake_names_its_workloads(checkout: Path) -> None:
    workloads = load_stack(CHECKOUT / "fixtures" / "stack").workloads
    with pytest.raises(InputError) as caught:
        mapping(checkout, "images: {prom/prometheus: {image: p}}\npull: never\n").resolve_all(workloads)
    problems = [mistake.problem for mistake in caught.value.mistakes]
    assert len(problems) == 3
    (shared,) = [problem for problem in problems if "model-serving/workloads" in problem]
    assert "Deployment model-serving/inference" in shared
    assert ", Job " in shared


def test_an_exact_match_wins_and_other_tags_go_by_the_name(checkout: Path) -> None:
    found = mapping(
        checkout,
        """
        images:
          prom/p: {image: "r.example/p:{tag}"}
          prom/p:v2: {image: "r.example/two:lts"}
          prom/p:latest: {image: r.example/newest:9}
        """,
    )
    assert found.resolve("prom/p:v2").reference == "r.example/two:lts"
    assert found.resolve("docker.io/prom/p:v2").reference == "r.example/two:lts"
    assert found.resolve("prom/p:v3").reference == "r.example/p:v3"
    assert found.resolve("prom/p").reference == "r.example/newest:9"
    assert found.resolve(f"prom/p@{SHA}").reference == f"r.example/p@{SHA}"
    assert found.resolve("quay.io/prom/p:v2").reference == "quay.io/prom/p:v2"


def test_an_image_without_tag_stays_without(checkout: Path) -> None:
    assert mapping(checkout, "images: {}\n").resolve("prom/p") == ResolvedImage("prom/p", None, pull=True)


def test_a_mirror_has_what_images_does_not_name(checkout: Path) -> None:
    text = 'images: {prom/p: {image: q:1}, team/app: {build: app}}\nmirror: {image: "r.example:5000/{name}:{tag}"}\n'
    found = mapping(checkout, text)
    assert found.resolve("prom/p:v1").reference == "q:1"
    assert found.resolve("quay.io/other/x:v1") == ResolvedImage("r.example:5000/other/x:v1", None, pull=True)
    assert found.resolve("team/app").reference.startswith("harness/app:")
    assert mapping(checkout, text + "pull: never\n").resolve("other/x:v1").pull is False


def test_what_is_no_image_is_a_mistake_of_its_workload(checkout: Path) -> None:
    with pytest.raises(InputError, match=r"Job a/b: image: got 'Team/App:1', need an image"):
        mapping(checkout, "images: {}\n").resolve("Team/App:1", workload="Job a/b")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ": got nothing, need a mapping with the key images"),
        ("- a\n", ": got a list, need a mapping with the key images"),
        ("images: [a, b\n", ": line 2: is not YAML: "),
        ("images: {}\nimages: {}\n", ": line 2: the key 'images' stands already on line 1"),
        ("image: {}\n", "image: is no key here; there are: images, mirror, pull, base"),
        ("images: 1\n", "images: got 1, need a mapping"),
        ("images: {a: b}\n", 'images.a: got "b", need a mapping'),
        ("images: {a: {}}\n", "images.a: has neither, need one of build and image"),
        ("images: {a: {image: b, build: app}}\n", "images.a: has both, need one of build and image"),
        ("images: {a: {image: 1}}\n", "images.a.image: got 1, need a string; put it in quotes"),
        ("images: {a: {image: b, tag: c}}\n", "images.a.tag: is no key here; there are: build, image"),
        ("images: {a: {image: 'b:1:{tag}'}}\n", "images.a.image: got 'b:1:{tag}', need "),
        ("images: {a: {build: nosuch}}\n", "images.a.build: got 'nosuch', need a directory of "),
        ("images: {a: {build: ../images/app}}\n", "images.a.build: got '../images/app', need a directory of "),
        ("images: {A: {image: b}}\n", "images.A: got 'A', need an image"),
        (f"images: {{'a@{SHA}': {{image: b}}}}\n", f"images.a@{SHA}: has a digest, need "),
        ("images: {a: {image: b}, docker.io/a: {image: c}}\n", "images.docker.io/a: names an image that stands above"),
        ("mirror: r.example\n", 'mirror: got "r.example", need a mapping'),
        ("mirror: {}\n", "mirror.image: is missing"),
        ("mirror: {image: 'r.example/{name}'}\n", "mirror.image: got 'r.example/{name}', need {name} and {tag}"),
        ("mirror: {image: '{name}:{tag}', images: {}}\n", "mirror.images: is no key here; there are: image"),
        ("pull: always\n", "pull: got \"always\", need 'never'"),
        ("base: A\n", "base: got 'A', need an image"),
    ],
)
def test_what_is_wrong_with_a_mapping_is_named_with_its_key(checkout: Path, text: str, found: str) -> None:
    (mistake,) = mistakes(checkout, text)
    assert mistake.startswith(found)


def test_all_mistakes_of_a_mapping_come_at_once(checkout: Path) -> None:
    images = "images: {A: {image: b}, c: {}, d: {build: x, extra: 1}, e: {image: 1}}\n"
    found = mistakes(checkout, images + "mirror: {image: m}\nbase: B\nmirrors: 1\n")
    assert sorted(mistake.split(":")[0] for mistake in found) == [
        *("base", "images.A", "images.c", "images.d.build", "images.d.extra", "images.e.image"),
        *("mirror.image", "mirrors"),
    ]


def test_a_mapping_that_is_not_there_is_named_with_those_that_are(checkout: Path) -> None:
    with pytest.raises(InputError, match="offical: is not there; need official or offline, or the path"):
        load_mapping("offical", checkout=checkout)
    with pytest.raises(InputError, match="cannot be read"):
        load_mapping(str(checkout), checkout=checkout)


def test_without_a_checkout_the_mistake_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the harness is not installed from its checkout"):
        load_mapping("official", checkout=tmp_path)
    (built,) = mistakes(tmp_path, "images: {a: {build: prometheus}}\n")
    assert built.endswith("fixtures/images has no Dockerfiles: building needs the harness's checkout")
    assert mapping(tmp_path, "images: {a: {image: b}}\n").resolve("a").reference == "b"


def test_equal_content_gives_an_equal_name(checkout: Path) -> None:
    first = app(checkout)
    (checkout / "not-copied.txt").write_text("changed\n", encoding="utf-8")
    (checkout / "source" / "__pycache__").mkdir()
    (checkout / "source" / "__pycache__" / "main.cpython-311.pyc").write_bytes(b"x")
    (checkout / "source" / ".main.py.swp").write_bytes(b"x")
    os.utime(checkout / "source" / "main.py", (0, 0))
    assert app(checkout) == first
    assert first == ResolvedImage(first.reference, checkout / "fixtures" / "images" / "app", pull=False)
    assert len(first.reference.removeprefix("harness/app:")) == 12


@pytest.mark.parametrize(
    "changed", ["fixtures/images/app/Dockerfile", "requirements.txt", "source/main.py", "source/inner/more.txt", "tool"]
)
def test_any_change_of_what_is_copied_gives_another_name(checkout: Path, changed: str) -> None:
    first = app(checkout).reference
    with (checkout / changed).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert app(checkout).reference != first


def test_a_file_renamed_added_or_made_executable_gives_another_name(checkout: Path) -> None:
    names = [app(checkout).reference]
    (checkout / "source" / "main.py").rename(checkout / "source" / "other.py")
    names.append(app(checkout).reference)
    (checkout / "settings").write_text("optional\n", encoding="utf-8")
    names.append(app(checkout).reference)
    (checkout / "tool").chmod(0o755)
    names.append(app(checkout).reference)
    assert len(set(names)) == 4


def test_the_base_counts_and_the_argument_goes_before_the_file(checkout: Path) -> None:
    text = "images: {team/app: {build: app}}\nbase: debian:trixie-slim\n"
    trixie = mapping(checkout, text).resolve("team/app")
    sid = load_mapping(str(checkout / "mapping.yaml"), base="debian:sid-slim", checkout=checkout).resolve("team/app")
    assert (trixie.base, sid.base, app(checkout).base) == (
        "debian:trixie-slim",
        "debian:sid-slim",
        "debian:bookworm-slim",
    )
    assert len({trixie.reference, sid.reference, app(checkout).reference}) == 3


def test_a_copied_file_that_is_missing_is_named(checkout: Path) -> None:
    (checkout / "tool").unlink()
    with pytest.raises(HarnessError, match="Dockerfile: copies tool, which is not in"):
        app(checkout)


def test_a_context_holds_what_is_copied_and_others_can_read_it(checkout: Path, tmp_path: Path) -> None:
    build = checkout / "fixtures" / "images" / "app"
    (checkout / "tool").chmod(0o700)
    (checkout / "source" / "main.py").chmod(0o600)
    (tmp_path / "context").mkdir()
    name = assemble_context(build, "b", tmp_path / "context")
    assert name == image_name(build, "b")
    files = {path.relative_to(tmp_path / "context").as_posix(): path for path in (tmp_path / "context").rglob("*")}
    modes = {name: stat.S_IMODE(path.stat().st_mode) for name, path in files.items()}
    assert modes == {
        "Dockerfile": 0o644,
        "requirements.txt": 0o644,
        "source": 0o755,
        "source/inner": 0o755,
        "source/inner/more.txt": 0o644,
        "source/main.py": 0o644,
        "tool": 0o755,
    }


def test_the_shipped_dockerfiles_have_a_base_of_choice_and_an_ordinary_user() -> None:
    found = sorted((CHECKOUT / "fixtures" / "images").glob("*/Dockerfile"))
    assert [path.parent.name for path in found] == ["alertmanager", "node-exporter", "prometheus", "workloads"]
    for path in found:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert lines[0] == "ARG BASE=debian:bookworm-slim", path
        assert {line.split(" AS ")[0] for line in lines if line.startswith("FROM")} == {"FROM ${BASE}"}, path
        assert [line for line in lines if line.startswith("USER")] == ["USER 65534"], path


def test_the_workloads_image_takes_the_source_and_nothing_else(tmp_path: Path) -> None:
    dependencies, source = {"pyproject.toml", "constraints.txt"}, {"harness", "loadtests"}
    assemble_context(CHECKOUT / "fixtures" / "images" / "workloads", "b", tmp_path)
    settings = {"pip.conf", "ca.crt"}  # where this machine has any
    assert {path.name for path in tmp_path.iterdir()} - settings == {"Dockerfile", *dependencies, *source}


def test_only_settings_about_packages_origin_are_handed_in() -> None:
    listing = "\n".join(
        [
            "global.index-url='https://one.example/simple'",
            "global.extra-index-url='file:///srv/simple https://two.example/simple'",
            "global.constraint='/etc/constraints.txt'",
            "global.find-links='/opt/wheels'",
            "install.index-url='https://three.example/simple'",
            "install.user='true'",
            ":env:.cert='/etc/ca.crt'",
            ":env:.default-timeout='180'",
            "freeze.timeout='10'",
        ]
    )
    assert index_settings(listing) == {
        "index-url": "https://three.example/simple",
        "extra-index-url": "https://two.example/simple",
        "cert": "/etc/ca.crt",
        "timeout": "180",
    }


def test_without_settings_none_are_handed_in() -> None:
    assert index_settings("") == {}
    assert index_settings("WARNING: no configuration\n") == {}


def test_an_image_is_built_once_and_found_the_next_time(checkout: Path, docker: Path) -> None:
    lines: list[str] = []
    wanted = app(checkout)
    pulled = ResolvedImage("prom/p:1", None, pull=True)
    assert build_images([wanted, pulled, wanted], progress=lines.append) == (wanted.reference,)
    assert build_images([wanted], progress=lines.append) == (wanted.reference,)
    (build,) = (docker / "builds").read_text(encoding="utf-8").splitlines()
    assert build.startswith(
        f"build --tag {wanted.reference} --label harness.image=built --build-arg BASE=debian:bookworm-slim /"
    )
    assert not Path(build.split()[-1]).exists()
    assert (docker / "context").read_text(encoding="utf-8").split() == [
        *("./Dockerfile", "./requirements.txt", "./source/inner/more.txt", "./source/main.py", "./tool")
    ]
    assert [line.removeprefix(f"image 1 of 1: {wanted.reference} ").split(",")[0] for line in lines] == [
        *("is being built", "is built", "is built already")
    ]


def test_nothing_to_build_needs_no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build_images([ResolvedImage("prom/p:1", None, pull=True)], progress=str) == ()


def test_without_docker_the_error_says_what_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HarnessError, match=r"cannot run docker \(No such file.*apt-get install docker\.io"):
        build_images([app(checkout)], progress=str)


def test_without_a_daemon_the_error_says_what_to_do(checkout: Path, docker: Path) -> None:
    (docker / "down").touch()
    with pytest.raises(
        HarnessError, match=r"Cannot connect to the Docker daemon; images are built by.*systemctl start"
    ):
        build_images([app(checkout)], progress=str)


def test_a_failed_build_shows_its_last_lines(checkout: Path, docker: Path) -> None:
    output = "\n".join(f"\x1b[91mline {number}\x1b[0m" for number in range(30))
    (docker / "broken").write_text(output, encoding="utf-8")
    with pytest.raises(HarnessError) as caught:
        build_images([app(checkout)], progress=str)
    head, *lines = str(caught.value).splitlines()
    assert head.endswith("failed with status 1; its last lines:")
    assert lines == [f"line {number}" for number in range(10, 30)]
    build = (docker / "builds").read_text(encoding="utf-8").split()[-1]
    assert not Path(build).exists()


def test_a_base_that_is_not_there_is_named_when_the_build_fails(checkout: Path, docker: Path) -> None:
    (docker / "broken").write_text("no such host\n", encoding="utf-8")
    (docker / "present").write_text("", encoding="utf-8")
    with pytest.raises(HarnessError, match=r"its base debian:bookworm-slim is not in Docker(.|\n)*no such host"):
        build_images([app(checkout)], progress=str)


def test_a_build_that_left_no_image_has_failed(checkout: Path, docker: Path) -> None:
    (docker / "forgetful").touch()
    with pytest.raises(HarnessError, match="failed with status 0"):
        build_images([app(checkout)], progress=str)


def test_source_that_changed_since_the_image_was_named_is_not_built_under_that_name(
    checkout: Path, docker: Path
) -> None:
    wanted = app(checkout)
    (checkout / "tool").write_text("changed\n", encoding="utf-8")
    with pytest.raises(HarnessError, match="changed since it got this name; run again"):
        build_images([wanted], progress=str)
    assert not (docker / "builds").exists()


def test_a_proxy_is_handed_in_by_its_name_only(checkout: Path, docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example:3128")
    build_images([app(checkout)], progress=str)
    build = (docker / "builds").read_text(encoding="utf-8")
    assert " --build-arg HTTPS_PROXY " in build
    assert "secret" not in build
