"""What an anonymous inode tells in its fdinfo: the counter of an eventfd, the process of a pidfd.
proc_pid_fdinfo(5)"""

from __future__ import annotations

from collections.abc import Mapping

from pairscope.lab.run import Object


def describe(told: Object, info: Mapping[str, str]) -> None:
    """Fills in what `info` says. Another kind than these two says nothing that is known here, and is left as it is."""
    if "eventfd-count" in info:
        told.kind, told.count = "eventfd", int(info["eventfd-count"], 16)
        told.how = {"count": "observed"}
    if "Pid" in info:
        told.kind, told.process = "pidfd", int(info["Pid"])
        told.how = {"process": "observed"}
