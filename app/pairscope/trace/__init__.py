"""The recorder of real programs: what it sees, what it cannot, and what it changes stand in docs/recorder.md.

``ptrace``     the calls of ptrace(2) that are made here, and what a stop tells
``followed``   which calls stop a program, and where each is made
``filter``     the seccomp filter of them
``kinds``      kinds of steps, of which some alone may be wanted
``decoding``   what calls are given and give that the lab has none of
``guard``      what a program that is confined is watched by
``guard``         what a program that is confined is watched by
``launch``     the program, from fork to exec
``attach``     a program that runs already, and its release
``tasks``      tasks, their processes, and the tables of descriptors that they share
``turnstile``  lets one task at a time into a call; takes the stops in
``births``     who comes, by fork and clone; who becomes another by exec; who ends
``telling``    a call as a step: what it was given and gave, and what it changed
``sockets``    who is whose other end, and what waits there
``flights``    descriptors that are in flight, and the proof of their receipt
``recording``  the schema of what is kept
``file``       a recording as a file, written while it is made and read with distrust
``sentences``  why a recording ended, and what was not seen
``passages``   the passages of a recording, as values
``lines``      a step as a line in the manner of strace, and the transcript
``reading``    a recording read once for people: rows of its steps, waits, folding, whose table is whose
``choosing``   the filter of steps
``capture``    the messages of a recording as a capture for Wireshark
=============  ============================================================================================
=======
================  ============================================================================================
``ptrace``        the calls of ptrace(2) that are made here, and what a stop tells
``followed``      which calls stop a program, and where each is made
``filter``        the seccomp filter of them
``kinds``         kinds of steps, of which some alone may be wanted
``decoding``      what calls are given and give that the lab has none of
``guard``         what a program that is confined is watched by
``launch``        the program, from fork to exec
``attach``        a program that runs already, and its release
``tasks``         tasks, their processes, and the tables of descriptors that they share
``turnstile``     lets one task at a time into a call; takes the stops in
``births``        who comes, by fork and clone; who becomes another by exec; who ends
``telling``       a call as a step: what it was given and gave, and what it changed
``sockets``       who is whose other end, and what waits there
``flights``       descriptors that are in flight, and the proof of their receipt
``source_lines``  at which line of its source a compiled program stands
``line_table``    from which line each of its instructions comes
``cfi``           where each function's caller is found: call frame information
``callers``       the registers of a caller, by these rules
``python_lines``  at which line of its source a Python script stands
``maps``          what a process has mapped
``memory``        memory of a task that stands still, by pages
``recording``     the schema of what is kept
``file``          a recording as a file, written while it is made and read with distrust
``sentences``     why a recording ended, and what was not seen
``passages``      the passages of a recording, as values
``lines``         a step as a line in the manner of strace, and the transcript
``reading``       a recording read once for people: rows of its steps, waits, folding, whose table is whose
``choosing``      the filter of steps
``capture``       the messages of a recording as a capture for Wireshark
================  ============================================================================================

It imports neither web nor pool, and shares the table of calls and the probes with the lab.
"""
