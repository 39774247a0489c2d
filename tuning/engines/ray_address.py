"""A quick check whether anything answers at the address of a Ray cluster.

Ray itself tries for minutes, and meanwhile shows only internal warnings. This module
does not import Ray, which would take seconds.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuning.engines.options import EngineOptions

SECONDS_TO_ANSWER = 5.0
"""More than enough for any network on which a cluster is usable."""

SCHEMES = ("", "ray")
"""Schemes of addresses whose host and port Ray connects to: none for the cluster
itself, ``ray://`` for Ray's client."""


def check_reachable(options: EngineOptions) -> None:
    """Check that something answers at the address that the options name.

    Raises:
        ValueError: nothing answers there.
    """
    check_answers(options.ray_address)


def check_answers(address: str | None, seconds: float = SECONDS_TO_ANSWER) -> None:
    """Check that something listens at the address of a Ray cluster.

    Addresses without a host and a port (``auto``, ``local``) are left to Ray, and so
    are all addresses once this process is connected to a cluster.

    Args:
        address: as for ``ray.init``; ``None`` takes the environment variable
            ``RAY_ADDRESS``.
        seconds: how long to wait for an answer.

    Raises:
        ValueError: nothing answers there.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    place = _host_and_port(address) if address and not _is_connected() else None
    if place is None:
        return
    try:
        socket.create_connection(place, timeout=seconds).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ValueError(
            f"no Ray cluster can be reached at {address}: {reason}. Start one there "
            "(ray start --head), or name another address; without one, Ray is "
            "started on this machine."
        ) from None


def _is_connected() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _host_and_port(address: str) -> tuple[str, int] | None:
    scheme, separator, rest = address.rpartition("://")
    if scheme not in SCHEMES or (separator and not scheme):
        return None
    try:
        place = urllib.parse.urlsplit(f"//{rest}")
        host, port = place.hostname, place.port
    except ValueError:  # Ray has its own error for such an address
        return None
    return (host, port) if host and port else None
