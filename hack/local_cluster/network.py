"""The network of a bare cluster: one veth pair joins its namespace to the machine, and nothing leads any further.

The namespace has no default route and nothing is masqueraded, so no packet of a pod leaves the machine. The machine
reaches the node, the pods and the services by routes over the pair; pods reach the machine at its end of the pair.
"""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from .shell import ClusterError, run

# Each cluster on a machine has a number, and by it a piece of each of these ranges.
LINKS = ipaddress.ip_network("10.99.0.0/16")
PODS = ipaddress.ip_network("10.98.0.0/16")
SERVICES = ipaddress.ip_network("10.97.0.0/16")
CLUSTERS = 64

DEVICES = Path("/sys/class/net")
DEVICE_PREFIX = "rc-"
NODE_DEVICE = "node0"
SERVICE_DEVICE = "svc0"


@dataclass(frozen=True)
class Network:
    """The addresses of one cluster, all given by its number (0 to 63)."""

    number: int

    @property
    def outside(self) -> str:
        """The machine's end of the veth pair: where pods find servers that run on the machine."""
        return f"10.99.{self.number}.1"

    @property
    def node(self) -> str:
        """The other end: the node, its node ports, and the API server."""
        return f"10.99.{self.number}.2"

    @property
    def pods(self) -> str:
        return f"10.98.{self.number * 4}.0/22"

    @property
    def services(self) -> str:
        return f"10.97.{self.number * 4}.0/22"

    @property
    def api_service(self) -> str:
        """The address of the service `kubernetes`: always the first of the range."""
        return f"10.97.{self.number * 4}.1"


def in_use() -> bool:
    """Tells whether any checkout's cluster is joined to this machine."""
    return any(DEVICES.glob(f"{DEVICE_PREFIX}*"))


def device(key: str) -> str:
    """Returns the name of the machine's end of the pair (a device's name has at most 15 bytes)."""
    return f"{DEVICE_PREFIX}{key}"


def choose(key: str) -> Network:
    """Returns a network that no route of this machine touches; the same one for the same checkout if it can be had."""
    taken = [
        ipaddress.ip_network(line.split()[0])
        for line in run("ip", "-4", "route", "show").splitlines()
        if line[0].isdigit()
    ]
    first = int(key, 16) % CLUSTERS
    for offset in range(CLUSTERS):
        candidate = Network((first + offset) % CLUSTERS)
        wanted = [ipaddress.ip_network(f"{candidate.outside}/30", strict=False)]
        wanted += [ipaddress.ip_network(candidate.pods), ipaddress.ip_network(candidate.services)]
        if not any(mine.overlaps(theirs) for mine in wanted for theirs in taken):
            return candidate
    raise ClusterError(f"every piece of {LINKS}, {PODS} and {SERVICES} is in use on this machine")


def connect(network: Network, key: str, process: int) -> None:
    """Joins the network namespace of `process` to the machine and sets both sides up."""
    outer = device(key)
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", NODE_DEVICE, "netns", str(process))
    run("ip", "address", "add", f"{network.outside}/30", "dev", outer)
    run("ip", "link", "set", outer, "up")
    inside = ["nsenter", "--target", str(process), "--net"]
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "address", "add", f"{network.node}/30", "dev", NODE_DEVICE)
    run(*inside, "ip", "link", "set", NODE_DEVICE, "up")
    # An address of the service range that has no endpoints must go nowhere. This device is the nowhere.
    run(*inside, "ip", "link", "add", SERVICE_DEVICE, "type", "bridge")
    run(*inside, "ip", "link", "set", SERVICE_DEVICE, "up")
    run(*inside, "ip", "route", "add", network.services, "dev", SERVICE_DEVICE)
    run(*inside, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    for destination in (network.pods, network.services):
        run("ip", "route", "add", destination, "via", network.node, "dev", outer)


def disconnect(key: str) -> None:
    """Takes the pair away, which takes its routes along. The kernel does so too, a moment after the namespace ended."""
    if (DEVICES / device(key)).exists():
        run("ip", "link", "delete", device(key))
