"""The stage: real processes carry out a scenario one step at a time, and what they hold is looked at after each step.
docs/lab.md tells how a run is made.

**Who decides.** ``manager`` has the turn: order, judge, look, go on; and the verdict of the run. ``guard`` refuses a
step that would reach anybody outside of the run, with ``reach`` and ``bounds``. ``expect`` says whether what came is
what was expected, ``races`` which steps are open.

**Who acts.** ``orders`` has an actor take a step. ``births`` forks the first actor, takes on others, kills and reaps
all. ``settling`` waits until all stand still, and takes in answers and ends. ``actor`` is the other end, a process that
makes the calls, with ``system`` and ``confine``.

**Who looks.** ``observation`` gives the state after a step, by the probes; ``contents`` what waits in a socket,
``beyond`` what no descriptor leads to. ``standing`` tells where the actors are.

**What is kept.** ``scene`` is the state of a run without behaviour, and each of its entries has one writer. ``ledger``
enters what calls have done to names, descriptions and queues, into ``memory``: ``numbering`` and ``queues``, both pure.

**What fails** is marked where it is seen, and handled in one place. ``settling`` alone sees that a process has ended:
it marks it and completes its calls. What ends the run is one of ``errors``, and the manager alone catches it.
"""
