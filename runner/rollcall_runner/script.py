"""The remote side of a script: the shell text that receives and runs it, and the one that stops it.

One exec request uploads and runs. The *launcher*, a constant text that POSIX sh runs, reads a header and exactly the
script's bytes from the channel's stdin, checks that all of it has arrived, and then becomes the script's interpreter by
`exec`. So the process that the SSH server watches is the script itself, and its exit code or signal arrives unchanged.
The script's bytes are in no argument; its `#!` line is carried out by the launcher, as the kernel would, so that a
`noexec` temporary directory does not matter.

A short shell script that does not look at its own path (see `fileless`) gets no file: the launcher hands it over as a
here-document, which shells keep in a pipe (bash before 5.1 in a file without a name), and the interpreter reads
`/dev/fd/3`. The first thing that it reads there closes the descriptor, so that what the script runs does not inherit
it. Before that the launcher *announces* itself on stderr: a line with the launch's name and what the stopper must know.
The runner takes that line out of the output. Where there is no `/dev/fd`, or no here-document can be made, the launcher
announces nothing but the name, and goes on as for all other scripts, which it puts into a private directory.

A short script is received by the shell itself, line by line, which saves the host a process. What such a shell cannot
do, `dd` does: a long script, which would take a system call for each byte, one with zero bytes, which no shell variable
can hold, and any where `printf` is not a part of the shell.

Before the `exec` of a script in a directory the launcher leaves a *janitor* behind: a subshell, adopted by init, that
holds only the channel's stdin. The SSH server closes that when the script has ended and when the connection has broken;
the janitor then removes the directory. Nothing waits for it. Where stdin is a terminal it lets go of that, because sudo
waits until nobody has its terminal open, and looks every second whether the script has ended.

The script needs a process group of its own, or else it could not be stopped with its children. OpenSSH gives every exec
request one. Where a server does not, the launcher uses `setsid`; where that is missing too, only the script's own
process can be stopped, and the result of a stop says so.

The directory has a random name of 128 bits that the runner chooses and that `mkdir` refuses to reuse, which is what
`mktemp -d` does, but lets the *stopper* on a second channel find it without being told. In it, the file `group` holds
what is announced otherwise: the process group (or `-`), the process, and, where there is /proc, when that started, in
the kernel's ticks. What has the process's number but started at another time is not signalled.

The texts contain no single quote, exclamation mark, backslash or line end, so that every login shell, csh and fish
included, hands them to sh as they are.
"""

import re
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

_NAP: Final = "sleep 0.2 2>/dev/null || { sleep 1; i=$((i+8)); }; i=$((i+2))"
"""Two tenths of a second, which `i` counts; a whole one where `sleep` knows only whole ones, as POSIX demands."""

_MAX_READ_BYTES: Final = 1_000
"""Up to here a shell's own `read`, which asks the system for one byte at a time, costs the host less than a process."""

_SHELLS: Final = frozenset((b"sh", b"bash", b"dash", b"ash", b"ksh"))
_PLAIN_ARGUMENT: Final = re.compile(rb"(?:-[euf]+)?")
"""An interpreter's argument that does not show what the launcher puts before a script."""
_LOOKS_AT_ITSELF: Final = re.compile(
    rb"\$(?:[0_]|\{[0_!]|\{[@*]:)|BASH_|FUNCNAME|\bcaller\b|\.sh\.|/dev/fd|/proc/(?![a-z]*info\b|loadavg\b|uptime\b)"
)
"""What a script may learn its own path by, or see how it is read."""

LAUNCHER: Final = "; ".join(
    (
        "say() { echo rollcall: $* >&2; exit 126; }",
        'spoilt() { rm -rf "$d"; say the script was not started: it cannot be written to "${TMPDIR:-/tmp}"; }',
        "IFS= read -r name && read -r file && read -r size && read -r lines || exit 126",
        "IFS= read -r program && IFS= read -r argument || exit 126",
        # The text may hold no line end, but what separates fields by default ends in one. If it did not, what follows
        # it after a number sign would be a comment.
        "nl=${IFS#??}",
        # Exported variables of these names would take the script into the environment.
        "unset script line body",
        "receive() { script=; while IFS= read -r line; do script=$script$line; lines=$((lines-1))"
        "; [ $lines -gt 0 ] || return 0; script=$script$nl; done; return 1; }",
        # Where printf is a program, the script would be in its arguments.
        'short=; if [ "$lines" -gt 0 ] && { PATH=/dev/null printf ""; } 2>/dev/null; then eval "#${nl}short=yes"; fi',
        '[ -z "$short" ] || receive || say the script was not started: it did not arrive whole',
        # /proc/PID/stat is "PID (NAME) STATE PARENT GROUP ...": reading it costs no process.
        "if { read -r stat </proc/$$/stat; } 2>/dev/null; then set -- ${stat##*) }; group=$3; start=${20}"
        '; else group=$(ps -o pgid= -p $$ | tr -d " "); start=; fi',
        "leader=",
        'if [ "$group" = $$ ]; then :'
        "; elif command -v setsid >/dev/null; then leader=setsid; group=$$; else group=-; fi",
        "begin() { { true </dev/fd/3; } 2>/dev/null || return 0; echo $name $group $$ $start >&2"
        '; exec $leader "$program" ${argument:+"$argument"} /dev/fd/3 </dev/null 3<&3; }',
        # What a variable holds is not expanded again. The here-document adds the last line end.
        'if [ "$file" = no ]; then [ -z "$short" ] || { body=${script%"$nl"}'
        '; eval "{ begin; } 3<<E${nl}exec 3<&-;$""{body}${nl}E"; }; echo $name >&2; fi',
        'd="${TMPDIR:-/tmp}/$name"',
        'mkdir -m 700 "$d" || say the script was not started: no directory can be made in "${TMPDIR:-/tmp}"',
        'if [ "$short" ]; then printf %s "$script" >"$d/script"'
        # One process receives the script and says whether all of it came: "1+0 records in", against "0+1" for less.
        '; else dd bs="$size" count=1 iflag=fullblock of="$d/script" 2>"$d/received"'
        ' && IFS=+ read -r blocks rest <"$d/received" && [ "$blocks" = 1 ]; fi'
        " || spoilt",
        'echo "$group $$ $start" >"$d/group"',
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
"""Reads from stdin: the launch's name, `no` where the script needs no file, its size in bytes, the lines that it may be
read as or 0, its interpreter, the interpreter's argument or nothing, each on a line, then the script; where it may be
read as lines, a line end after that. Exits with 126 and a sentence on stderr when the script cannot be started."""

STOPPER: Final = "; ".join(
    (
        "LC_ALL=C",
        "export LC_ALL",
        "IFS= read -r name",
        "read -r grace",
        "read -r group pid start",
        'd="${TMPDIR:-/tmp}/$name"',
        "i=0",
        f"nap() {{ {_NAP}; }}",
        # The launcher may still be at work.
        '[ "$group" ] || until [ -s "$d/group" ] || [ $i -ge 20 ]; do nap; done',
        # Without its directory a late launcher has nothing to start.
        '[ "$group" ] || { read -r group pid start <"$d/group"; } 2>/dev/null || { rm -rf "$d"; echo absent; exit 0; }',
        'if [ "$group" = - ]; then target=$pid; else target=-$group; fi',
        # No process gets a number that is still a group's: where the process is another one, the group is gone too.
        'other() { [ "$start" ] && { read -r stat </proc/$pid/stat; } 2>/dev/null || return 1'
        '; set -- ${stat##*) }; [ "${20}" = "$start" ] && return 1; return 0; }',
        # What may not be signalled is alive. What may be is dead all the same when it is a zombie that nobody reaps.
        "alive() { other && return 1"
        "; m=$(kill -s 0 -- $target 2>&1) || case $m in *ermitted*) return 0;; *) return 1;; esac"
        "; [ -r /proc/self/stat ] || return 0"
        "; for f in /proc/$pid/stat /proc/[0-9]*/stat; do { read -r stat <$f; } 2>/dev/null || continue"
        '; p=${stat%% *}; set -- ${stat##*) }; [ "$1" = Z ] && continue'
        '; if [ "$3" = "$group" ] || [ "$p" = "$pid" ]; then return 0; fi; done; return 1; }',
        "[ $grace -eq 0 ] || other || kill -s TERM -- $target 2>/dev/null",
        "i=0",
        "while [ $i -lt $((grace*10)) ] && alive; do nap; done",
        "if alive; then kill -s KILL -- $target 2>/dev/null; i=0; while alive && [ $i -lt 30 ]; do nap; done; fi",
        'rm -rf "$d"',
        'if alive; then echo alive; elif [ "$group" = - ]; then echo alone; else echo gone; fi',
    )
)
"""Reads from stdin: the launch's name, the seconds between SIGTERM and SIGKILL (0: SIGKILL at once), and what was
announced or nothing, each on a line. Prints what became of the processes, a value of `Stopped`."""


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


def fileless(script: bytes) -> bool:
    """Whether a script runs the same without a file of its own. True only where that is plain to see: a short shell
    script in ASCII that neither looks at its path nor ends in the middle of something."""
    program, argument = interpreter(script)
    called = program.rsplit(b"/", 1)[-1]
    known = argument in _SHELLS if called == b"env" else called in _SHELLS and _PLAIN_ARGUMENT.fullmatch(argument)
    # A here-document ends with a line end in any case.
    whole = script.endswith(b"\n") or not (script.endswith(b"\\") or b"<<" in script)
    return bool(known) and whole and _readable(script) and script.isascii() and not _LOOKS_AT_ITSELF.search(script)


def _readable(script: bytes) -> bool:
    """Whether a shell may read the script by itself."""
    return len(script) <= _MAX_READ_BYTES and b"\0" not in script


@dataclass(frozen=True, slots=True)
class Launch:
    """One script on its way to one host."""

    name: str
    """The name of the directory, where there is one, and what the announcement begins with."""
    script: bytes

    @classmethod
    def of(cls, script: str) -> "Launch":
        """A launch whose name has never been used."""
        return cls(f"rollcall.{secrets.token_hex(16)}", script.encode())

    @property
    def announced(self) -> bool:
        """Whether the launcher announces itself when it is given a choice."""
        return fileless(self.script)

    def launcher_input(self, *, announced: bool = False) -> bytes:
        """What the launcher reads; `announced` asks it to do without a file."""
        program, argument = interpreter(self.script)
        script = self.script or b"\n"  # a block of nothing cannot be received
        short = _readable(script)
        lines = script.count(b"\n") + 1 if short else 0
        sizes = (b"%d" % len(script), b"%d" % lines)
        header = (self.name.encode(), b"no" if announced else b"yes", *sizes, program, argument)
        return b"".join(line + b"\n" for line in header) + script + b"\n" * short

    def stopper_input(self, grace_seconds: int, place: str = "") -> bytes:
        """What the stopper reads; `place` is what was announced."""
        return f"{self.name}\n{grace_seconds}\n{place}\n".encode()
