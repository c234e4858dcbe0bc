"""What goes together to one of the processes of pytest that run side by side (pytest-xdist)."""

from __future__ import annotations

from itertools import groupby

from xdist.scheduler import LoadScopeScheduling


class Shares(LoadScopeScheduling):  # type: ignore[misc]  # a library without types
    """Gives out what stands side by side in the order of the tests and is of one file: its tests of one cost.

    So the order is kept, cheapest first, and a fixture of a module is made once for each cost, as in one process. Who
    is nearly through with its share gets the next one.
    """

    def _split_scope(self, nodeid: str) -> str:
        return self._shares[nodeid]

    def schedule(self) -> None:
        self.config.option.loadscopereorder = False
        tests = next(iter(self.registered_collections.values()))
        self._shares: dict[str, str] = {}
        for number, (file, of_it) in enumerate(groupby(tests, lambda nodeid: nodeid.partition("::")[0])):
            self._shares.update(dict.fromkeys(of_it, f"{number} {file}"))
        super().schedule()
