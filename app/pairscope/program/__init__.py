"""Programs that come as their source: compiled and run apart from everything, and recorded. docs/programs.md.

==============  ===========================================================================================
``request``     what is asked for: language, source, arguments, standard input
``box``         namespaces, and a root of its own: what a program finds there
``confine``     Landlock, seccomp and limits, of who compiles, who records, and the program
``compiling``   gcc, and what it remarks
``bounds``      how much a program may take
``watch``       the bounds of all processes together; standard input, output and error
``inside``      what the first process of a box does
``run``         one process for one program: outside of the box, from request to result
``collection``  classic programs of our own
``sentences``   what is told where nothing ran, and at which bound a program ended
==============  ===========================================================================================

It imports neither web nor pool nor the lab's stage.
"""
