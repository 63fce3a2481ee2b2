"""What the simulated operator has read of the output of slices."""

from dataclasses import dataclass, field

from rollcall.outputs import Event, Exit
from rollcall.plan.observed import Collected, HostProgress


@dataclass
class Heard:
    """What the operator has read of a slice's output in this life."""

    events: list[Event] = field(default_factory=list)
    complete: bool = False

    def snapshot(self) -> Collected:
        hosts: dict[str, HostProgress] = {}
        for event in self.events:
            before = hosts.get(event.host)
            data = event.data if isinstance(event.data, bytes) else b""
            hosts[event.host] = HostProgress(
                started=before.started if before else event.time,
                last=event.time,
                exit=event.data if isinstance(event.data, Exit) else None,
                bytes=(before.bytes if before else 0) + len(data),
                cut_bytes=0,
                tail=((before.tail if before else "") + data.decode())[-256:],
            )
        return Collected(hosts, self.complete)
