"""Reads each recording of a directory as the pages and commands do, and prints in JSON what is said of each: a
sentence, or nothing. How much memory it took, in KiB, comes last."""

import json
import pathlib
import resource
import sys

from pairscope.trace.file import NoRecording, Recording
from pairscope.trace.passages import items

resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
said = {}
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        with Recording(str(path)) as found:
            for step in found.all():
                str(step)
            for number in {1, found.steps // 2, found.steps} & set(range(1, found.steps + 1)):
                found.step(number), found.state(number)
            items(found.index)
        said[path.name] = ""
    except NoRecording as error:
        said[path.name] = str(error)
# Not ru_maxrss: exec keeps in it what the process was before, fork's copy of whoever runs the tests. getrusage(2)
status = pathlib.Path("/proc/self/status").read_text()
memory = int(status.partition("VmHWM:")[2].split()[0])
print(json.dumps({"said": said, "memory": memory}))
