"""What a run remembers from look to look, because the kernel cannot be asked for it. It has no behaviour."""

from __future__ import annotations

import dataclasses

from pairscope.lab.probes.diag import Asker
from pairscope.lab.run import Object
from pairscope.lab.stage.numbering import Numbering
from pairscope.lab.stage.queues import Queues


@dataclasses.dataclass(slots=True)
class Memory:
    """Of one run. Whoever makes it closes `asker`."""

    asker: Asker = dataclasses.field(default_factory=Asker)
    numbering: Numbering = dataclasses.field(default_factory=Numbering)
    """The ledger tells it what was made and received, a look has it number what is there."""
    queues: Queues = dataclasses.field(default_factory=Queues)
    """The ledger tells it what was sent and received, a look how many are in flight."""
    options: tuple[str, ...] = ()
    """Options of sockets that a call of the run sets, by their names. Of the manager."""
    peers: dict[int, int] = dataclasses.field(default_factory=dict)
    """Inode to inode, as last seen. Of the ledger (socketpair) and of the look."""
    kinds: dict[int, str] = dataclasses.field(default_factory=dict)
    """Inode to the kind of object; of a socket, its type. Of the look, as are the next two."""
    objects: dict[int, Object] = dataclasses.field(default_factory=dict)
    """Inode to what the look before has told."""
    unix: set[int] = dataclasses.field(default_factory=set)
    """Inodes of sockets of AF_UNIX, the ones that carry descriptors."""
