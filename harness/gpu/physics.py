"""How the simulated device's clocks, power and temperature follow its work. Figures: an H100 SXM5 80 GB.

Temperature relaxes exponentially towards what power and cooling would settle at. Between two calls the device
was busy for a first part and idle for the rest, and each part is integrated in closed form: the result does
not depend on who reads the device, or how often.
"""

from __future__ import annotations

import math

from harness.gpu.state import CHECKPOINTS, DeviceState

NAME = "NVIDIA H100 80GB HBM3 (simulated)"
MEMORY_TOTAL_BYTES = 80 * 1024**3
MEMORY_RESERVED_BYTES = 560 * 1024**2
SM_CLOCK_MAX_MHZ = 1980
SM_CLOCK_IDLE_MHZ = 345
MEMORY_CLOCK_MHZ = 2619
POWER_IDLE_WATTS = 70.0
POWER_BUSY_WATTS = 650.0
POWER_LIMIT_WATTS = 700.0
AMBIENT_CELSIUS = 30.0
# A full load settles at 30 + 650 × 0.055 ≈ 66 °C: far enough below 80 that only a fault gets there.
THERMAL_RESISTANCE_CELSIUS_PER_WATT = 0.055
TIME_CONSTANT_S = 60.0
# Without air the die heats up much faster than it cools with it.
UNCOOLED_TIME_CONSTANT_S = TIME_CONSTANT_S / 4
UNCOOLED_OVERSHOOT_CELSIUS = 2.0
SLOWDOWN_CELSIUS = 90.0
SLOWDOWN_ENDS_CELSIUS = 85.0
SHUTDOWN_CELSIUS = 95.0
WINDOW_NS = 1_000_000_000

# Bits of NVML's clocks event reasons (nvml.h, nvmlClocksEventReason*).
GPU_IDLE = 0x1
APPLICATIONS_CLOCKS_SETTING = 0x2
SW_POWER_CAP = 0x4
HW_SLOWDOWN = 0x8
SW_THERMAL_SLOWDOWN = 0x20
HW_THERMAL_SLOWDOWN = 0x40
HW_POWER_BRAKE = 0x80

_CHECKPOINT_NS = 50_000_000


def advance(state: DeviceState, *, now_ns: int, time_scale: float) -> None:
    """Bring the device up to ``now_ns``; a clock that ran backwards starts it anew."""
    if now_ns < state.advanced_ns:  # the machine was started again: its monotonic clock too
        state.advanced_ns = state.busy_until_ns = now_ns
        state.checkpoints[:] = [state.busy_total_ns] * CHECKPOINTS
    idle_from_ns = min(max(state.busy_until_ns, state.advanced_ns), now_ns)
    _checkpoint(state, now_ns=now_ns, idle_from_ns=idle_from_ns)
    busy_ns = idle_from_ns - state.advanced_ns
    for part_ns, busy_ratio in ((busy_ns, 1.0), (now_ns - idle_from_ns, 0.0)):
        if part_ns:
            _relax(state, part_s=part_ns / 1e9 * time_scale, power_watts=power_watts(state, busy_ratio))
            _count_violations(state, part_ns)
    state.busy_total_ns += busy_ns
    state.advanced_ns = now_ns


def clock_limit_mhz(state: DeviceState) -> int:
    """The SM clock that work gets now, after throttling, overheating and locked clocks."""
    limits = [SM_CLOCK_MAX_MHZ]
    limits += [limit for limit in (state.throttle_mhz, state.locked_mhz) if limit]
    if state.overheated:
        limits.append(SM_CLOCK_MAX_MHZ // 2)
    return min(limits)


def power_watts(state: DeviceState, busy_ratio: float) -> float:
    """Power at this share of busy time; its dynamic part goes with the square of the clock."""
    speed = clock_limit_mhz(state) / SM_CLOCK_MAX_MHZ
    return POWER_IDLE_WATTS + (POWER_BUSY_WATTS - POWER_IDLE_WATTS) * busy_ratio * speed**2


def busy_ratio(state: DeviceState) -> float:
    """The share of the last second, up to when the device was last advanced, in which any work ran on it."""
    oldest = (state.advanced_ns - WINDOW_NS) // _CHECKPOINT_NS + 1
    span_ns = state.advanced_ns - oldest * _CHECKPOINT_NS
    busy_ns = state.busy_total_ns - state.checkpoints[oldest % CHECKPOINTS]
    return min(1.0, max(0.0, busy_ns / span_ns))


def reasons(state: DeviceState) -> int:
    """The clocks event reasons that hold now, as NVML's bit mask."""
    mask: int = state.throttle_mask
    if state.overheated:
        mask |= HW_SLOWDOWN | HW_THERMAL_SLOWDOWN
    if state.locked_mhz:
        mask |= APPLICATIONS_CLOCKS_SETTING
    if not mask and not busy_ratio(state):
        mask = GPU_IDLE
    return mask


def _checkpoint(state: DeviceState, *, now_ns: int, idle_from_ns: int) -> None:
    """Note the busy time at every 50 ms boundary passed; the ring goes back a little over the window."""
    last = now_ns // _CHECKPOINT_NS
    first = max(state.advanced_ns // _CHECKPOINT_NS + 1, last - CHECKPOINTS + 1)
    for number in range(first, last + 1):
        busy_ns = min(number * _CHECKPOINT_NS, idle_from_ns) - state.advanced_ns
        state.checkpoints[number % CHECKPOINTS] = state.busy_total_ns + max(0, busy_ns)


def _relax(state: DeviceState, *, part_s: float, power_watts: float) -> None:
    settles_at = AMBIENT_CELSIUS + power_watts * THERMAL_RESISTANCE_CELSIUS_PER_WATT
    time_constant_s = TIME_CONSTANT_S
    if state.cooling_target_celsius:
        settles_at = max(settles_at, state.cooling_target_celsius + UNCOOLED_OVERSHOOT_CELSIUS)
        time_constant_s = UNCOOLED_TIME_CONSTANT_S
    kept = math.exp(-part_s / time_constant_s)
    state.temperature_celsius = settles_at + (state.temperature_celsius - settles_at) * kept
    if state.temperature_celsius >= SLOWDOWN_CELSIUS:
        state.overheated = 1
    elif state.temperature_celsius < SLOWDOWN_ENDS_CELSIUS:
        state.overheated = 0


def _count_violations(state: DeviceState, part_ns: int) -> None:
    mask = reasons(state)
    if mask & (SW_POWER_CAP | HW_POWER_BRAKE):
        state.power_violation_ns += part_ns
    if mask & (SW_THERMAL_SLOWDOWN | HW_THERMAL_SLOWDOWN):
        state.thermal_violation_ns += part_ns
