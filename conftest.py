"""The harness's own pytest plugin, also where the package is not installed but only checked out."""

pytest_plugins = ["harness.pytest_plugin"]
