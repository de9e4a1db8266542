"""Image references as runtimes take them, and the templates that make others of them."""

from __future__ import annotations

import pytest

from harness.environments.images.references import ImageReference, check_template, fill_template, parse_reference

SHA = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("debian", ("", "debian", None, None)),
        ("prom/prometheus:v2.42.0", ("", "prom/prometheus", "v2.42.0", None)),
        ("localhost/app", ("localhost", "app", None, None)),
        ("registry.example:5000/app", ("registry.example:5000", "app", None, None)),
        ("registry.example:5000/a/b/c:1_2", ("registry.example:5000", "a/b/c", "1_2", None)),
        ("localhost:5000/app:1", ("localhost:5000", "app", "1", None)),
        ("[fd00::1]:5000/app:1", ("[fd00::1]:5000", "app", "1", None)),
        (f"quay.io/team/app@{SHA}", ("quay.io", "team/app", None, SHA)),
        (f"quay.io/team/app:1@{SHA}", ("quay.io", "team/app", "1", SHA)),
        ("app:5000", ("", "app", "5000", None)),
        ("team/my__app-x.y:1", ("", "team/my__app-x.y", "1", None)),
    ],
)
def test_a_reference_is_taken_apart(text: str, parts: tuple[str, str, str | None, str | None]) -> None:
    assert parse_reference(text) == ImageReference(*parts)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            ":1",
            "app:",
            "app@",
            "app@sha256:12",
            "Team/app",
            "a//b",
            "/app",
            "app/",
            "app:1:2",
            "app:-1",
            "a b",
        ),
        *("registry.example:5000/", "registry.example:port/app", "https://registry.example/app", "app:{tag}", "-a/b"),
        *("app:" + "x" * 129, "x" * 256, f"app@{SHA}:1", "a..b/c/", "app\n", "app:1\n"),
    ],
)
def test_what_no_runtime_would_take_is_no_reference(text: str) -> None:
    with pytest.raises(ValueError, match=r"^got .*need an image such as registry\.example:5000/team/app:1\.0"):
        parse_reference(text)


@pytest.mark.parametrize("other", ["docker.io/library/debian", "docker.io/debian", "index.docker.io/library/debian:1"])
def test_one_repository_has_several_spellings(other: str) -> None:
    assert parse_reference(other).repository == parse_reference("debian").repository


@pytest.mark.parametrize("other", ["team/debian", "quay.io/debian", "localhost/debian", "quay.io/library/debian"])
def test_another_repository_is_another(other: str) -> None:
    assert parse_reference(other).repository != parse_reference("debian").repository


@pytest.mark.parametrize(
    ("template", "asked", "given"),
    [
        ("r.example/p:{tag}", "prom/p:v2", "r.example/p:v2"),
        ("r.example/p:{tag}", "prom/p", "r.example/p:latest"),
        ("r.example/p:{tag}", f"prom/p@{SHA}", f"r.example/p@{SHA}"),
        ("r.example/p:{tag}", f"prom/p:v2@{SHA}", f"r.example/p:v2@{SHA}"),
        ("r.example/p:lts", f"prom/p:v2@{SHA}", "r.example/p:lts"),
        ("r.example:5000/{name}:{tag}", "quay.io:443/team/p:v2", "r.example:5000/team/p:v2"),
        ("r.example/mirror/{name}:{tag}", "busybox:1", "r.example/mirror/busybox:1"),
    ],
)
def test_a_template_is_filled_with_what_was_asked_for(template: str, asked: str, given: str) -> None:
    check_template(template, mirror="{name}" in template)
    assert fill_template(template, parse_reference(asked)) == given
    assert parse_reference(given)


@pytest.mark.parametrize(
    "template", ["p:1:{tag}", f"p@{SHA}:{{tag}}", "p-{tag}", "{name}:{tag}", "p:{version}", "P:{tag}"]
)
def test_a_template_that_gives_no_reference_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"^got "):
        check_template(template)


@pytest.mark.parametrize(
    "template", ["r.example/p:{tag}", "r.example/{name}", "r.example/{name}:1", "{name}/{name}:{tag}", "R/{name}:{tag}"]
)
def test_a_mirror_that_would_mix_images_up_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"^got "):
        check_template(template, mirror=True)


@pytest.mark.parametrize(
    ("written", "qualified"),
    [
        ("debian", "docker.io/library/debian:latest"),
        ("harness/workloads:1a2b", "docker.io/harness/workloads:1a2b"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        (f"far.example/team/app:1@sha256:{'0' * 64}", f"far.example/team/app@sha256:{'0' * 64}"),
    ],
)
def test_a_container_runtime_knows_an_image_by_its_whole_name(written: str, qualified: str) -> None:
    assert parse_reference(written).qualified == qualified
