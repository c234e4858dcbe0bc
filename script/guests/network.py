"""A guest's network: one veth pair with four addresses of its own, translated to this host's where it leads outside."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from script.guests.place import GuestError, run

ADDRESSES = ipaddress.IPv4Network("10.213.0.0/16")
"""Each guest takes four in a row of these; those that this host has a route to are left alone."""

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Link:
    """The two ends of a guest's network."""

    name: str
    """Of the interface on this host and of the table of packet filter rules."""
    addresses: ipaddress.IPv4Network

    @property
    def here(self) -> str:
        """This host's address on it."""
        return str(self.addresses[1])

    @property
    def there(self) -> str:
        """The guest's."""
        return str(self.addresses[2])


def choose(name: str) -> Link:
    """Addresses that nobody here uses. Between this and `open` nobody else may choose: the caller holds a lock."""
    routes = json.loads(run("ip", "-json", "-4", "route", "show", "table", "all").stdout)
    used = [
        ipaddress.ip_network(route["dst"], strict=False) for route in routes if route.get("dst", "default") != "default"
    ]
    for candidate in ADDRESSES.subnets(new_prefix=30):
        if not any(candidate.overlaps(network) for network in used):
            return Link(name, candidate)
    raise GuestError(f"No four addresses of {ADDRESSES} are free on this host.")


def configure(link: Link, tree: Path) -> None:
    """Writes the guest's side into its tree: systemd-networkd brings it up at each boot."""
    (tree / "etc/systemd/network/10-host0.network").write_text(
        f"[Match]\nName=host0\n\n[Network]\nAddress={link.there}/30\nGateway={link.here}\nLinkLocalAddressing=no\n"
    )
    run("systemctl", f"--root={tree}", "enable", "systemd-networkd.service")


def open_(link: Link) -> None:
    """Brings up this host's side, once the interface is there."""
    run("ip", "address", "add", f"{link.here}/30", "dev", link.name)
    run("ip", "link", "set", link.name, "up")
    table = f"pairscope_{link.name}"
    run(
        "nft",
        f"add table ip {table}; add chain ip {table} out {{ type nat hook postrouting priority srcnat; }}; "
        f"add rule ip {table} out ip saddr {link.addresses} ip daddr != {link.addresses} masquerade",
    )
    if FORWARDING.read_text().strip() != "1":
        FORWARDING.write_text("1")


def close(name: str) -> None:
    """Takes away what `open_` made and what is left of it. The interface goes with the guest's namespace, or here if
    that never came up."""
    table = f"pairscope_{name}"
    run("nft", f"add table ip {table}; delete table ip {table}")
    run("ip", "link", "delete", name, check=False)
