"""What a stand-in for a runner says: the lines of a real one, computed from its work instead of heard from hosts.

The work's script is not run. It is a `Part`, which tells what every host of the work does and how long that takes, so
that each line has a moment at which it is due. A log is never held in memory: it is computed for whoever reads it.
"""

import heapq
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import count, islice
from operator import itemgetter
from typing import Final, Self

from rollcall.lastwords import Said
from rollcall.names import HostState
from rollcall.outputs import MAX_DATA_BYTES, Event, Exit, Stream, parse_line
from rollcall.work import HostWork, Work

_TICK: Final = 1e-6
"""The shortest time between two events of a host, which is a real runner's."""
_TEXT_BYTES: Final = 262_144


@dataclass(frozen=True, slots=True)
class Part:
    """What a host does, as the script says it in JSON."""

    lines: int = 1
    """How many events of output it makes."""
    line_bytes: int = 64
    """How many bytes each of them carries."""
    seconds: float = 0.0
    """How long it takes; its output is spread evenly over that."""
    spread: float = 0.0
    """Every host takes some of this longer, by its place among the hosts of its work: the last takes all of it."""

    def __post_init__(self) -> None:
        if not 0 < self.line_bytes <= MAX_DATA_BYTES:
            raise ValueError(f"an event carries 1 to {MAX_DATA_BYTES} bytes")

    @property
    def script(self) -> str:
        """The text that `read` understands."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, script: str) -> Self:
        """The part in a script. Raises ValueError for any other text."""
        try:
            return cls(**json.loads(script))
        except TypeError as error:
            raise ValueError("not the script of a stand-in runner") from error


class Log:
    """The log of a container that began to carry out a work at a moment; one without work says nothing and ends."""

    def __init__(self, work: Work | None, began: float) -> None:
        self.began = began
        self._turns = [] if work is None else list(_turns(work, began))
        self.ends_at = max((turn.end for turn in self._turns), default=began)

    def lines(self) -> Iterator[tuple[float, bytes]]:
        """Every line with the moment at which it is due, in this order."""
        for due, line in heapq.merge(*(turn.lines() for turn in self._turns), key=itemgetter(0)):
            if due > self.ends_at:
                break
            yield due, line

    def cut(self, moment: float) -> None:
        """Let nothing follow after the moment: the container was killed."""
        self.ends_at = min(self.ends_at, moment)

    @property
    def summary(self) -> str:
        """The termination message."""
        said = Said()
        for _, line in self.lines():
            said.add(line)
            if said.too_much:
                break
        return said.last_words(Exit(HostState.SUCCEEDED, 0) for _ in self._turns)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One host at work."""

    host: HostWork
    part: Part
    start: float
    end: float

    def lines(self) -> Iterator[tuple[float, bytes]]:
        host = self.host
        first = f"Connecting to {host.address}:{host.port} as {host.user}\n".encode()
        yield self.start, Event(host.name, 0, self.start, Stream.DEBUG, first).line()
        head, size = f'{{"host":{json.dumps(host.name, ensure_ascii=False)},"seq":', self.part.line_bytes
        step = (self.end - self.start) / (self.part.lines + 1)
        for seq in range(1, self.part.lines + 1):
            due = self.start + seq * step
            yield due, f'{head}{seq},"time":{round(due, 6)},'.encode() + _rest(seq % (_TEXT_BYTES // size), size)
        exit_ = Exit(HostState.SUCCEEDED, 0, start_time=self.start)
        yield self.end, Event(host.name, self.part.lines + 1, self.end, Stream.EXIT, exit_).line()


def _turns(work: Work, began: float) -> Iterator[_Turn]:
    """The hosts as a runner takes them: so many at a time as the work allows, the next when one is done."""
    free = [began] * min(work.parallelism, len(work.hosts))
    for index, host in enumerate(work.hosts):
        part = Part.read(work.scripts[host.script])
        seconds = part.seconds + part.spread * (index + 1) / len(work.hosts)
        start = heapq.heappop(free)
        end = start + max(seconds, (part.lines + 1) * _TICK)
        heapq.heappush(free, end)
        yield _Turn(host, part, start, end)


@lru_cache(maxsize=512)
def _rest(page: int, size: int) -> bytes:
    """An event's line from its stream on, which is what takes long to write, with a page of the text as its data."""
    data = (_text()[page * size : (page + 1) * size - 1] + "\n").encode()
    line = Event("", 0, 0.0, Stream.STDOUT, data).line()
    assert parse_line(line).data == data
    return line[line.index(b'"stream":') :]


@lru_cache(maxsize=1)
def _text() -> str:
    """Text as programs write it into their logs, the same sentences with other numbers: it shrinks to a fifth."""
    chance = random.Random(0)
    words = ["".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(1_000)]
    sentences = [" ".join(chance.choices(words, k=10)) for _ in range(200)]
    lines = (
        f"12:{chance.randrange(3600):04} {chance.choice(sentences)} {chance.randrange(100_000)}\n" for _ in count()
    )
    return "".join(islice(lines, _TEXT_BYTES // 60))[:_TEXT_BYTES]
