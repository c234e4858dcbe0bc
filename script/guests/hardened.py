"""What Debian's next release puts into apache2.service, for the unit of Debian 12, and what is stricter still.
systemd.exec(5)."""

from __future__ import annotations

from script.guests.machine import Machine
from script.guests.place import GuestError

DROP_IN = "/etc/systemd/system/apache2.service.d/hardened.conf"

SETTINGS = """
OOMPolicy=continue
RemoveIPC=yes
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=read-only
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectSystem=full
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
ProtectProc=invisible
ProcSubset=pid
ReadWritePaths=-/var/log/apache2
InaccessiblePaths=/boot
InaccessiblePaths=/root
InaccessiblePaths=-/etc/ssh
InaccessiblePaths=-/etc/apt
"""
"""Of apache2 2.4.69-1 in Debian's unstable; PrivateTmp is in Debian 12's unit, too."""

STRICT = "ProtectSystem=strict\nRuntimeDirectory=apache2\nReadWritePaths=/run/lock /var/cache\n"
"""A unit that names what Apache itself writes to, and cannot know of anything of ours."""


def harden(guest: Machine, more: str = "") -> None:
    """Gives the guest's apache2.service the settings, before Apache is installed or at its next start."""
    guest.run(
        f"mkdir -p $(dirname {DROP_IN}) && printf %s '[Service]\n"
        f"{SETTINGS}{more}' > {DROP_IN} && systemctl daemon-reload"
    )


def holds(guest: Machine) -> None:
    """GuestError where a process of web is not confined so: systemd leaves out what a kernel has not."""
    mounts = guest.run("cat /proc/$(pgrep -f wsgi:web | head -n 1)/mountinfo")
    proc = [line for line in mounts.splitlines() if line.split()[4] == "/proc"]
    if not proc or "subset=pid" not in proc[-1] or "hidepid=" not in proc[-1]:
        raise GuestError(f"the /proc of web hides nothing: {proc}")
    status = guest.run("cat /proc/$(pgrep -f wsgi:web | head -n 1)/status")
    if "Seccomp:\t2" not in status:
        raise GuestError("no filter of system calls confines web")
