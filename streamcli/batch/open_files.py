"""Raise the limit of open files (RLIMIT_NOFILE) to what a batch needs."""

from __future__ import annotations

from ..errors import usage

_OURS = 16  # files beside the connections: stdio, input, outputs, certificates, name lookups


def raise_limit(jobs: int) -> None:
    """Allow the open files that `jobs` connections need.

    Raise a usage error if the hard limit is too low.
    """
    import resource

    needed = 2 * jobs + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < jobs + _OURS and jobs > 1:
        raise usage(
            f"{jobs} connections need {jobs + _OURS} open files, and {hard} is the limit",
            f"-j {max(1, hard - _OURS)}, or raise the limit (ulimit -Hn)",
        )
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        pass  # macOS may refuse below its hard limit: a connection that fails then reports it
