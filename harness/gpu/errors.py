"""What goes wrong with a GPU, for those who only use one."""

from __future__ import annotations


class GpuUnavailable(RuntimeError):
    """No GPU can be reached: no driver, no device, or no readable simulated one. The cause is chained."""


class GpuLostError(RuntimeError):
    """The device has fallen off the bus: work on it ends here, as a CUDA call would with a sticky error."""
