from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.load.target import TargetRefused, check_target


def resolver(*addresses: str) -> Callable[[str], tuple[str, ...]]:
    return lambda _host: addresses


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://127.9.8.7", "http://[::1]:80/prefix", "https://127.0.0.1"]
)
def test_this_machine_may_be_loaded(url: str) -> None:
    check_target(url, allowed=None)


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1:8080", "http://[2001:db8::1]/", "http://0.0.0.0:80", "https://192.0.2.1"]
)
def test_any_other_address_is_refused_with_the_way_to_allow_it(url: str) -> None:
    with pytest.raises(TargetRefused, match=r"not this machine.*set HARNESS_LOAD_ALLOW="):
        check_target(url, allowed=None)


def test_a_name_is_judged_by_its_addresses() -> None:
    check_target("http://model.example", allowed=None, resolve=resolver("127.0.0.5", "::1"))
    with pytest.raises(TargetRefused, match=r"model.example has 192\.0\.2\.1"):
        check_target("http://model.example", allowed=None, resolve=resolver("127.0.0.5", "192.0.2.1"))


def test_a_name_without_addresses_is_refused() -> None:
    with pytest.raises(TargetRefused, match="no address"):
        check_target("http://model.example", allowed=None, resolve=resolver())


def test_the_host_named_on_purpose_may_be_loaded() -> None:
    check_target("http://Model.example:8080/v", allowed="model.EXAMPLE", resolve=resolver("192.0.2.1"))


@pytest.mark.parametrize(
    "allowed", ["example", "model.example:8080", "*", "", "model.example,other", "http://model.example"]
)
def test_naming_a_host_allows_no_other(allowed: str) -> None:
    with pytest.raises(TargetRefused):
        check_target("http://model.example:8080", allowed=allowed, resolve=resolver("192.0.2.1"))


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://127.0.0.1", "http://", "http:///path"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused, match="expected a URL"):
        check_target(url, allowed=None)
