"""Which host keys that runners have accepted are to be recorded, so that no other is accepted after them."""

from collections.abc import Iterable, Mapping

from rollcall.outputs import AcceptedKey
from rollcall.plan.observed import Collected
from rollcall.resources.host import Host
from rollcall.work import HostKeyPolicy


def keys_to_record(collected: Iterable[Collected], hosts: Mapping[str, Host]) -> dict[str, AcceptedKey]:
    """By Host, the first key that was accepted of it, when it still wants one recorded."""
    found: dict[str, AcceptedKey] = {}
    for of_slice in collected:
        for progress in of_slice.hosts.values():
            for accepted in progress.exit.accepted_keys if progress.exit else ():
                host = hosts.get(accepted.host)
                if host is not None and wants(host, accepted):
                    found.setdefault(accepted.host, accepted)
    return found


def wants(host: Host, accepted: AcceptedKey) -> bool:
    """Whether the key is the first of this machine. The Host may have been changed, or replaced, since then."""
    return (
        host.spec.host_key_policy is HostKeyPolicy.ACCEPT_NEW
        and not host.spec.host_keys
        and not host.status.host_keys
        and (host.address, host.spec.port) == (accepted.address, accepted.port)
    )
