"""The remote side of a script: the shell text that receives and runs it, and the one that stops it.

One exec request uploads and runs. The *launcher*, a constant text that POSIX sh runs, reads a header and exactly the
script's bytes from the channel's stdin into a private directory, checks that all of it has arrived, and then becomes
the script's interpreter by `exec`. So the process that the SSH server watches is the script itself, and its exit code
or signal arrives unchanged. The script's bytes are in no argument; its `#!` line is carried out by the launcher, as the
kernel would, so that a `noexec` temporary directory does not matter.

A short script is received by the shell itself, line by line, which saves the host a process. What such a shell cannot
do, `dd` does: a long script, which would take a system call for each byte, one with zero bytes, which no shell variable
can hold, and any where `printf` is not a part of the shell.

Before the `exec` the launcher leaves a *janitor* behind: a subshell, adopted by init, that holds only the channel's
stdin. The SSH server closes that when the script has ended and when the connection has broken; the janitor then removes
the directory. Nothing waits for it. Where stdin is a terminal it lets go of that, because sudo waits until nobody has
its terminal open, and looks every second whether the script has ended.

The script needs a process group of its own, or else it could not be stopped with its children. OpenSSH gives every exec
request one. Where a server does not, the launcher uses `setsid`; where that is missing too, only the script's own
process can be stopped, and the result of a stop says so.

The directory has a random name of 128 bits that the runner chooses and that `mkdir` refuses to reuse, which is what
`mktemp -d` does, but lets the *stopper* on a second channel find it without being told. In it, the file `group` holds
the process group (or `-`) and the process.

The texts contain no single quote, exclamation mark, backslash or line end, so that every login shell, csh and fish
included, hands them to sh as they are.
"""

import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

_NAP: Final = "sleep 0.2 2>/dev/null || { sleep 1; i=$((i+8)); }; i=$((i+2))"
"""Two tenths of a second, which `i` counts; a whole one where `sleep` knows only whole ones, as POSIX demands."""

_MAX_READ_BYTES: Final = 1_000
"""Up to here a shell's own `read`, which asks the system for one byte at a time, costs the host less than a process."""

LAUNCHER: Final = "; ".join(
    (
        "say() { echo rollcall: $* >&2; exit 126; }",
        'spoilt() { rm -rf "$d"; say the script was not started: it cannot be written to "${TMPDIR:-/tmp}"; }',
        "IFS= read -r name && read -r size && read -r lines || exit 126",
        "IFS= read -r program && IFS= read -r argument || exit 126",
        'd="${TMPDIR:-/tmp}/$name"',
        'mkdir -m 700 "$d" || say the script was not started: no directory can be made in "${TMPDIR:-/tmp}"',
        'copy() { while IFS= read -r line; do printf %s "$line" && lines=$((lines-1)) || return 1'
        "; [ $lines -gt 0 ] || { unset line; return 0; }; echo || return 1; done; return 1; }",
        # Where printf is a program, the script would be in its arguments.
        'if [ "$lines" -gt 0 ] && { PATH=/dev/null printf ""; } 2>/dev/null; then copy >"$d/script"'
        # One process receives the script and says whether all of it came: "1+0 records in", against "0+1" for less.
        '; else dd bs="$size" count=1 iflag=fullblock of="$d/script" 2>"$d/received"'
        ' && IFS=+ read -r blocks rest <"$d/received" && [ "$blocks" = 1 ]; fi'
        " || spoilt",
        # /proc/PID/stat is "PID (NAME) STATE PARENT GROUP ...": reading it costs no process.
        "if { read -r stat </proc/$$/stat; } 2>/dev/null; then set -- ${stat##*) }; group=$3"
        '; else group=$(ps -o pgid= -p $$ | tr -d " "); fi',
        "leader=",
        'if [ "$group" = $$ ]; then :'
        "; elif command -v setsid >/dev/null; then leader=setsid; group=$$; else group=-; fi",
        'echo "$group $$" >"$d/group"',
        # A shell gives /dev/null as stdin to what it runs with &, so the janitor takes it from elsewhere.
        "exec 3<&0",
        # Its signals are ignored before it is there: a terminal that is closed at once would end it.
        '( trap "" HUP INT QUIT TERM; ( if [ -t 0 ]; then exec </dev/null; while kill -s 0 $$; do sleep 1; done'
        '; else while read -r line; do :; done; fi; exec rm -rf "$d" ) <&3 3<&- >/dev/null 2>&1'
        # The shell that leaves the janitor behind has nothing else to do: it becomes what has to be done yet.
        ' & exec 3<&- chmod 700 "$d/script" ) || spoilt',
        'exec 3<&- $leader "$program" ${argument:+"$argument"} "$d/script" </dev/null',
    )
)
"""Reads from stdin: the directory's name, the script's size in bytes, the lines that it may be read as or 0, its
interpreter, the interpreter's argument or nothing, each on a line, then the script; where it may be read as lines, a
line end after that. Exits with 126 and a sentence on stderr when the script cannot be started."""

STOPPER: Final = "; ".join(
    (
        "LC_ALL=C",
        "export LC_ALL",
        "IFS= read -r name",
        "read -r grace",
        'd="${TMPDIR:-/tmp}/$name"',
        "i=0",
        f"nap() {{ {_NAP}; }}",
        # The launcher may still be at work.
        'until [ -s "$d/group" ] || [ $i -ge 20 ]; do nap; done',
        # Without its directory a late launcher has nothing to start.
        '{ read -r group pid <"$d/group"; } 2>/dev/null || { rm -rf "$d"; echo absent; exit 0; }',
        'if [ "$group" = - ]; then target=$pid; else target=-$group; fi',
        # What may not be signalled is alive. What may be is dead all the same when it is a zombie that nobody reaps.
        "alive() { m=$(kill -s 0 -- $target 2>&1) || case $m in *ermitted*) return 0;; *) return 1;; esac"
        "; [ -r /proc/self/stat ] || return 0"
        "; for f in /proc/$pid/stat /proc/[0-9]*/stat; do { read -r stat <$f; } 2>/dev/null || continue"
        '; p=${stat%% *}; set -- ${stat##*) }; [ "$1" = Z ] && continue'
        '; if [ "$3" = "$group" ] || [ "$p" = "$pid" ]; then return 0; fi; done; return 1; }',
        "[ $grace -eq 0 ] || kill -s TERM -- $target 2>/dev/null",
        "i=0",
        "while alive && [ $i -lt $((grace*10)) ]; do nap; done",
        "if alive; then kill -s KILL -- $target 2>/dev/null; i=0; while alive && [ $i -lt 30 ]; do nap; done; fi",
        'rm -rf "$d"',
        'if alive; then echo alive; elif [ "$group" = - ]; then echo alone; else echo gone; fi',
    )
)
"""Reads from stdin: the directory's name and the seconds between SIGTERM and SIGKILL (0: SIGKILL at once), each on a
line. Prints what became of the processes, a value of `Stopped`."""


class Stopped(Enum):
    """What became of a script's processes that were told to end."""

    GONE = "gone"
    ALIVE = "alive"
    ALONE = "alone"
    """The script's process is gone; it had no process group, so that its children were not reached."""
    ABSENT = "absent"
    """There is no trace of the script: it has ended, or never began."""
    UNKNOWN = "unknown"
    """The host did not answer."""
    BUSY = "busy"
    """The host did not open a second session."""
    REFUSED = "refused"
    """The host did not make the login user the effective one a second time."""

    @property
    def confirmed(self) -> bool:
        """Whether the processes are known to be gone."""
        return self in (Stopped.GONE, Stopped.ABSENT)

    @property
    def sentence(self) -> str:
        """The state in words that follow 'the script was told to end'; what to do, where it may still be there."""
        match self:
            case Stopped.GONE | Stopped.ABSENT:
                return "its processes are confirmed gone"
            case Stopped.ALONE:
                return (
                    "its own process is gone, but children may remain, because the host has no `setsid`: "
                    "look for them there, and install util-linux"
                )
            case Stopped.ALIVE:
                why = "they are still there after SIGKILL"
            case Stopped.UNKNOWN:
                why = "the host did not answer in time"
            case Stopped.BUSY:
                why = "the host opens no second SSH session (MaxSessions in its sshd_config)"
            case Stopped.REFUSED:
                why = "the host did not let the login user become the effective one again"
        return f"its processes could not be confirmed stopped: {why}; look for them there"


def command(text: str) -> str:
    """The exec request that runs a launcher or stopper, whatever the login shell."""
    return f"exec sh -c '{text}'"


def interpreter(script: bytes) -> tuple[bytes, bytes]:
    """The program and its argument (or nothing) in a script's `#!` line, split as Linux does; /bin/sh without one."""
    if not script.startswith(b"#!"):
        return b"/bin/sh", b""
    line = script[2:].split(b"\n", 1)[0].split(b"\0", 1)[0].replace(b"\t", b" ").strip(b" ")
    program, _, argument = line.partition(b" ")
    return program or b"/bin/sh", argument.strip(b" ")


@dataclass(frozen=True, slots=True)
class Launch:
    """One script on its way to one host."""

    directory: str
    script: bytes

    @classmethod
    def of(cls, script: str) -> "Launch":
        """A launch into a directory that has never been used."""
        return cls(f"rollcall.{secrets.token_hex(16)}", script.encode())

    @property
    def launcher_input(self) -> bytes:
        """What the launcher reads."""
        program, argument = interpreter(self.script)
        script = self.script or b"\n"  # a block of nothing cannot be received
        short = len(script) <= _MAX_READ_BYTES and b"\0" not in script
        lines = script.count(b"\n") + 1 if short else 0
        header = (self.directory.encode(), b"%d" % len(script), b"%d" % lines, program, argument)
        return b"".join(line + b"\n" for line in header) + script + b"\n" * short

    def stopper_input(self, grace_seconds: int) -> bytes:
        """What the stopper reads."""
        return f"{self.directory}\n{grace_seconds}\n".encode()
