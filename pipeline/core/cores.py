"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """The number of cores that this process may use: by its affinity, and the quota of its cgroup.

    Containers are given a share of all cores by a quota; then the machine has more than may be
    used. A part of a core counts as one.
    """
    allowed = len(os.sched_getaffinity(0))
    quota = cgroup_quota(_GROUPS, _own_groups())
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def cgroup_quota(groups: Path, own: dict[str, str]) -> float | None:
    """The least quota of a cgroup and those above it, in cores; None where there is none.

    Args:
        groups: where cgroups are mounted.
        own: the paths of this process's cgroups by controller, "" for all controllers (version 2).
    """
    found: list[float] = []
    for controller, path in own.items():
        mount = groups / controller if controller else groups
        for place in (path, *map(str, PurePosixPath(path).parents)):
            quota = _quota(mount / place.lstrip("/"))
            if quota is not None:
                found.append(quota)
    return min(found, default=None)


def _quota(group: Path) -> float | None:
    """The quota of one cgroup, in cores."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max", or no cgroup at all
        return None
    return share if share > 0 else None


def _own_groups() -> dict[str, str]:
    """The cgroups of this process by controller, and that of version 2 as ""."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    own = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers or "cpu" in controllers.split(","):
            own[controllers] = path
    return own
