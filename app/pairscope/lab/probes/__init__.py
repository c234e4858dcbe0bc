"""The probes: what the kernel says, from outside, of tasks, descriptors, and what waits in sockets and pipes.

They take pids, pidfds and numbers of descriptors, and give values of :mod:`pairscope.lab.run`. They know nothing of
scenarios, steps and actors: the stage uses them for a run, and whoever records other programs can do so too. Which
tasks and which numbers are looked at is the caller's to say, and so is what the kernel cannot tell: who sent a
descriptor, how an empty message came to wait.

======================  =================================================================================
``tasks``               where a task is: state, system call, wait channel; signals; how it ended
``tables``              the numbers that a process has, their fdinfo, a duplicate of one
``descriptions``        which numbers are one open file description, and a duplicate to ask each by
``in_flight``           what waits in the queues of sockets, and the descriptors that are in flight there
``peek``                one socket's queue, looked at without taking anything away
``diag``                AF_UNIX sockets by their inodes
``sockets``, ``pipes``, ``files``, ``anonymous``   what each kind of object holds
``objects``             the same for a description, whatever its kind
======================  =================================================================================

**Nothing is consumed or moved.** No byte is read, no offset moves, no flag stays changed. What looking would change is
not looked at, and said to be unknown.

**Duplicates.** A descriptor that is looked at is duplicated into this process (pidfd_getfd(2)). A duplicate withholds
end-of-file from others, so :class:`~pairscope.lab.probes.descriptions.Descriptions` owns them all and closes them.

**Stillness.** Values of one call are of one moment only where the tasks stand still. A number that its process has
closed meanwhile is left out. Errors: OSError where the kernel refuses to let this process look (ptrace(2), "Ptrace
access mode checking").
"""
