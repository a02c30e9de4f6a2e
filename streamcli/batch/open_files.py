"""The limit of open files, raised to what a batch needs."""

from __future__ import annotations

from ..errors import usage


def raise_limit(jobs: int) -> None:
    """Allow the open files that `jobs` connections need; a usage error where the limit is hard."""
    import resource

    needed = 2 * jobs + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < jobs + 64:
        raise usage(
            f"-j {jobs} needs {jobs + 64} open files, and {hard} is the limit",
            f"-j {max(1, hard - 64)}, or raise it (ulimit -Hn)",
        )
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        pass  # macOS may refuse below its hard limit; what fails for it will say so
