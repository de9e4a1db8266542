"""supervisord as the node's kubelet: it starts every container, restarts what ends, and says what runs."""

from __future__ import annotations

import configparser
import io
import secrets
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, cast
from xml.parsers.expat import ExpatError

from supervisor.xmlrpc import Faults

PORT = 9001
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Program:
    """One supervised container. ``restart``: ``Always``, ``OnFailure`` or ``Never``, as Kubernetes has them.

    ``script``, ``log``: paths from the directory that supervisord runs in.
    """

    name: str
    script: str
    log: str
    restart: str


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What supervisord knows of a program; ``pid`` is as seen inside the node and None while it does not run."""

    name: str
    state: str
    pid: int | None
    exit_code: int | None
    description: str


_AUTORESTART = {"Always": "true", "OnFailure": "unexpected", "Never": "false"}


def new_password() -> str:
    """A password for one run's supervisor."""
    return secrets.token_hex(16)


def configuration(*, address: str, password: str, programs: Sequence[Program]) -> str:
    """supervisord's configuration file for these programs, listening on ``address`` only.

    All its paths start at the directory that supervisord runs in, which so may have any name: blanks, quotes, ``%``,
    ``;`` and ``#`` mean something in this file, each in a way of its own.
    A container that ends within a second of its start is restarted with growing delays; supervisord never gives up,
    as a kubelet never does.
    """
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "logfile": "supervisord.log",
        "pidfile": "supervisord.pid",
        "childlogdir": ".",
        "loglevel": "info",
    }
    config["inet_http_server"] = {"port": f"{address}:{PORT}", "username": "harness", "password": password}
    config["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for program in programs:
        config[f"program:{program.name}"] = {
            "command": f"/bin/sh {program.script}",
            "autostart": "true",
            "autorestart": _AUTORESTART[program.restart],
            # Work that has an end may be done at once, and is not begun again for that.
            "startsecs": "1" if program.restart == "Always" else "0",
            "startretries": "1000000",
            "stopasgroup": "true",
            "killasgroup": "true",
            "stopwaitsecs": "3",
            "redirect_stderr": "true",
            "stdout_logfile": program.log,
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "1",
        }
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


class SupervisorClient:
    """Talks to the node's supervisord. Raises OSError or HTTPException while it does not answer."""

    def __init__(self, *, address: str, password: str) -> None:
        self._url = f"http://harness:{password}@{address}:{PORT}/RPC2"

    def states(self) -> tuple[ProgramState, ...]:
        """Every program's state, in the order of their names."""
        # A proxy keeps one connection, which two threads must not share: each call has its own.
        with xmlrpc.client.ServerProxy(self._url, transport=_TimeoutTransport()) as server:
            infos = cast("list[dict[str, Any]]", server.supervisor.getAllProcessInfo())
        return tuple(
            ProgramState(
                name=info["name"],
                state=info["statename"],
                pid=info["pid"] or None,
                # Of one that ended within a second of its start, supervisord keeps no status, and says 0.
                exit_code=info["exitstatus"] if info["stop"] and info["statename"] != "BACKOFF" else None,
                description=info["description"] or info["spawnerr"],
            )
            for info in sorted(infos, key=lambda info: str(info["name"]))
        )

    def stop(self, name: str) -> None:
        """The program ends, and is not started again. Nothing happens when it is stopped already."""
        self._call("stopProcess", name, unless=Faults.NOT_RUNNING)

    def start(self, name: str) -> None:
        """The program is started. Nothing happens when it runs already."""
        self._call("startProcess", name, unless=Faults.ALREADY_STARTED)

    def _call(self, method: str, name: str, *, unless: int) -> None:
        with xmlrpc.client.ServerProxy(self._url, transport=_TimeoutTransport()) as server:
            try:
                getattr(server.supervisor, method)(name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != unless:
                    raise


class _TimeoutTransport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> Any:
        connection = super().make_connection(host)
        connection.timeout = _TIMEOUT_S
        return connection


UNREACHABLE = (OSError, HTTPException, xmlrpc.client.Error, ExpatError)
