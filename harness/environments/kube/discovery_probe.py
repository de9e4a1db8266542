"""Whether a Prometheus image can discover targets through the Kubernetes API; some distributions build it without."""

from __future__ import annotations

import subprocess

from harness.errors import HarnessError

_TIMEOUT_S = 60.0
_CONFIG = "scrape_configs: [{job_name: probe, kubernetes_sd_configs: [{role: pod}]}]"


def knows_kubernetes(image: str) -> bool:
    """Whether the image's own ``promtool`` accepts such a configuration. Raises HarnessError when it cannot be run."""
    script = f"echo '{_CONFIG}' > /tmp/probe.yml && promtool check config --syntax-only /tmp/probe.yml"
    argv = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", script]
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            start_new_session=True,  # a terminal's Ctrl-C is the harness's to answer
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HarnessError(f"{image}: cannot be asked what it can discover: {error}") from error
    said = done.stdout + done.stderr
    if done.returncode != 0 and "kubernetes_sd_configs" not in said:
        raise HarnessError(f"{image}: cannot be asked what it can discover: {said.strip()[-500:]}")
    return done.returncode == 0
