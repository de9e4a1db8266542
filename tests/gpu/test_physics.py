"""The model of clocks, power and temperature, on a clock of its own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from harness.gpu import physics
from harness.gpu.state import DeviceState

SECOND_NS = 1_000_000_000
START_NS = 1_000 * SECOND_NS
EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").rglob("*.yaml"))


def device(**fields: float) -> DeviceState:
    return DeviceState(advanced_ns=START_NS, busy_until_ns=START_NS, temperature_celsius=33.85, **fields)


def advance(state: DeviceState, seconds: float, *, time_scale: float = 1.0) -> None:
    physics.advance(state, now_ns=state.advanced_ns + round(seconds * SECOND_NS), time_scale=time_scale)


def keep_busy(state: DeviceState, seconds: float) -> None:
    state.busy_until_ns = state.advanced_ns + round(seconds * SECOND_NS)
    advance(state, seconds)


def test_an_idle_device_stays_where_it_was_made() -> None:
    state = device()
    advance(state, 3600)
    assert state.temperature_celsius == pytest.approx(33.85)
    assert physics.power_watts(state, physics.busy_ratio(state)) == 70
    assert physics.reasons(state) == physics.GPU_IDLE


def test_a_full_load_for_an_hour_stays_well_below_75_degrees() -> None:
    state = device()
    keep_busy(state, 3600)
    assert 60 < state.temperature_celsius < 70
    assert physics.power_watts(state, physics.busy_ratio(state)) == 650
    assert not physics.reasons(state)


def test_it_covers_63_percent_of_the_way_in_one_time_constant() -> None:
    state = device()
    keep_busy(state, 60)
    settles_at = 30 + 650 * 0.055
    assert state.temperature_celsius == pytest.approx(settles_at - (settles_at - 33.85) / math.e)


def test_the_time_scale_shortens_the_time_constant() -> None:
    slow, fast = device(cooling_target_celsius=86), device(cooling_target_celsius=86)
    advance(slow, 30)
    advance(fast, 0.5, time_scale=60)
    assert fast.temperature_celsius == pytest.approx(slow.temperature_celsius)


def test_the_result_does_not_depend_on_how_often_it_is_read() -> None:
    once, often = device(), device()
    for state in (once, often):
        state.busy_until_ns = START_NS + 7 * SECOND_NS
    advance(once, 20)
    for _ in range(2000):
        advance(often, 0.01)
    assert often.temperature_celsius == pytest.approx(once.temperature_celsius)
    assert often.busy_total_ns == once.busy_total_ns == 7 * SECOND_NS


@pytest.mark.parametrize("target", [70, 82, 89, 95])
def test_without_cooling_an_idle_device_passes_the_target_within_a_time_constant(target: float) -> None:
    state = device(cooling_target_celsius=target)
    advance(state, 60)
    assert target < state.temperature_celsius < target + 2


def test_with_cooling_back_it_leaves_80_degrees_soon() -> None:
    state = device(cooling_target_celsius=86)
    advance(state, 600)
    assert state.temperature_celsius == pytest.approx(88)
    state.cooling_target_celsius = 0
    advance(state, 12)
    assert state.temperature_celsius < 80


def test_below_90_degrees_heat_alone_does_not_throttle() -> None:
    state = device(cooling_target_celsius=87.9)
    for _ in range(600):
        keep_busy(state, 1)
    assert 89.8 < state.temperature_celsius < 90
    assert physics.clock_limit_mhz(state) == 1980
    assert not physics.reasons(state)


def test_from_90_degrees_on_the_clock_is_halved_until_it_has_cooled_below_85() -> None:
    state = device(cooling_target_celsius=92)
    advance(state, 600)
    assert physics.clock_limit_mhz(state) == 990
    assert physics.reasons(state) == physics.HW_SLOWDOWN | physics.HW_THERMAL_SLOWDOWN
    state.cooling_target_celsius = 0
    advance(state, 5)
    assert 85 < state.temperature_celsius < 90
    assert physics.clock_limit_mhz(state) == 990
    advance(state, 10)
    assert physics.clock_limit_mhz(state) == 1980


def test_busy_time_counts_over_the_last_second_only() -> None:
    state = device()
    keep_busy(state, 0.5)
    advance(state, 0.25)
    assert physics.busy_ratio(state) == pytest.approx(0.5, abs=0.06)
    advance(state, 0.5)
    assert physics.busy_ratio(state) == pytest.approx(0.25, abs=0.06)
    advance(state, 0.5)
    assert physics.busy_ratio(state) == 0


def test_a_slower_clock_draws_less_power() -> None:
    state = device(throttle_mhz=990, throttle_mask=physics.SW_POWER_CAP)
    assert physics.power_watts(state, 1.0) == pytest.approx(70 + 580 / 4)


def test_throttled_time_is_counted_by_policy() -> None:
    state = device(throttle_mhz=990, throttle_mask=physics.SW_POWER_CAP)
    advance(state, 3)
    assert (state.power_violation_ns, state.thermal_violation_ns) == (3 * SECOND_NS, 0)


def test_a_clock_that_starts_anew_neither_heats_nor_works() -> None:
    state = device()
    keep_busy(state, 5)
    before = state.temperature_celsius
    physics.advance(state, now_ns=5 * SECOND_NS, time_scale=1)
    assert state.temperature_celsius == before
    assert physics.busy_ratio(state) == 0


def test_no_shipped_experiment_heats_a_device_until_it_slows_down_however_long_it_holds() -> None:
    """The device gets closer to where it settles for as long as it is held there: exactly there in the end."""
    heats = [
        step["provider"]["arguments"]["celsius"]
        for path in EXPERIMENTS
        for step in yaml.safe_load(path.read_text(encoding="utf-8"))["method"]
        if step["provider"]["func"] == "lose_gpu_cooling"
    ]
    assert len(heats) >= 3
    for celsius in heats:
        state = device(cooling_target_celsius=celsius)
        advance(state, 3600)
        assert not state.overheated, celsius
