from __future__ import annotations

import json
from itertools import chain, islice

import pytest

from harness.load.arrivals import planned_offsets, prompts
from harness.load.shares import BEGIN_LEAD_S, NoShare, Share, share_out, take_share


def told() -> dict[str, object]:
    """What a master told its workers at 1000, as it comes over the network."""
    plain: dict[str, object] = json.loads(json.dumps(share_out(["b", "a", "c"], now_unix_s=1000.0, run_time_s=30)))
    return plain


def test_each_worker_takes_its_own_number_and_what_is_common() -> None:
    shares = [take_share(told(), client, now_unix_s=1000.01) for client in ("b", "a", "c")]
    assert shares == [Share(number, 3, 1000.0 + BEGIN_LEAD_S, 30) for number in range(3)]


@pytest.mark.parametrize("arrivals", ["poisson", "uniform"])
def test_all_shares_together_are_what_one_process_sends(arrivals: str) -> None:
    def plan() -> list[tuple[float, str]]:
        offsets = planned_offsets(rate=50, arrivals=arrivals, seed=3)
        return list(islice(zip(offsets, prompts(seed=3), strict=False), 1000))

    shares = [list(Share(number, 3, 0.0, 30).of(plan())) for number in range(3)]
    assert sorted(chain.from_iterable(shares)) == sorted(plan())
    assert {len(share) for share in shares} == {333, 334}
    assert list(Share(None, 1, 0.0, 30).of(plan())) == plan()


def test_a_worker_that_the_master_did_not_count_has_no_share() -> None:
    with pytest.raises(NoShare, match="divided among 3 others before it came"):
        take_share(told(), "late", now_unix_s=1000.0)


def test_without_any_word_of_shares_there_is_none() -> None:
    with pytest.raises(NoShare, match="the master gave out no shares"):
        take_share(None, "a", now_unix_s=1000.0)


@pytest.mark.parametrize("now_unix_s", [995.9, 1006.1], ids=["clock behind", "clock ahead, or told late"])
def test_a_begin_too_far_off_is_refused(now_unix_s: float) -> None:
    with pytest.raises(NoShare, match="by this machine's clock"):
        take_share(told(), "a", now_unix_s=now_unix_s)


@pytest.mark.parametrize("now_unix_s", [996.0, 1006.0])
def test_a_begin_just_near_enough_is_kept(now_unix_s: float) -> None:
    assert take_share(told(), "a", now_unix_s=now_unix_s).begin_unix_s == 1001.0
