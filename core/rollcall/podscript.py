"""How a script runs in the pod itself: beside the runner, in a container with the template's image.

The two containers share a volume in memory, and in it two FIFOs. The *launcher*, a constant text that the image's
/bin/sh runs as the first process of its container, reads what to do from `orders`, and says into `pulse` what became
of it:

    orders: run, a number, the interpreter, its argument or nothing      pulse: ready
            stop, the seconds between SIGTERM and SIGKILL                       end NUMBER CODE OOM-KILLS
            done                                                               stopped gone | stopped alive

Each line holds one of these words. For each script there is a folder with its number: the script itself, the
environment as shell text, and the FIFOs `out` and `err` for what it says.

Nothing has to be waited for in vain. Whichever container ends, the kernel closes its FIFOs, and the other one notices:
the launcher ends with the runner, and the runner knows at once that the launcher is gone. Opening a FIFO waits for the
other end; the launcher opens it for both directions first, which does not.

The launcher is process 1 of its container: a signal to -1 reaches all that the script has started, whatever session it
is in, and when the launcher ends the kernel ends the rest. SIGTERM, which a deleted pod gets, does nothing to it while
it works: the runner gets it too, and says what to do.
"""

from typing import Final

SCRIPT_DIRECTORY: Final = "/run/rollcall-script"
"""Where both containers find the volume that they share."""
ORDERS: Final = "orders"
PULSE: Final = "pulse"
CONTAINER_LOST_CODE: Final = 3
"""The exit code of a runner whose script's container ended before the script did: what ended it, its pod tells."""

LAUNCHER: Final = f"""\
d={SCRIPT_DIRECTORY}
nap() {{ sleep 0.1 2>/dev/null && i=$((i+1)) || {{ sleep 1; i=$((i+10)); }}; }}
ooms() {{
  o=0
  for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do
    if [ -r "$f" ]; then while read -r key value; do [ "$key" = oom_kill ] && o=$value; done <"$f"; fi
  done
  echo "$o"
}}
alive() {{
  for f in /proc/[0-9]*/stat; do
    {{ read -r stat <"$f"; }} 2>/dev/null || continue
    case ${{stat%% *}} in 1|"$me") continue;; esac
    set -- ${{stat##*) }}
    [ "$1" = Z ] || return 0
  done
  return 1
}}
stop() {{
  read -r me rest </proc/self/stat
  [ "$1" -eq 0 ] || kill -s TERM -- -1 2>/dev/null
  i=0
  while alive && [ $i -lt $(($1*10)) ]; do nap; done
  if alive; then kill -s KILL -- -1 2>/dev/null; i=0; while alive && [ $i -lt 30 ]; do nap; done; fi
  if alive; then echo stopped alive; else echo stopped gone; fi >&9
}}
run() {{
  (
    exec 7<&- 9>&- </dev/null >"$d/$n/out" 2>"$d/$n/err"
    . "$d/$n/environment"
    exec $leader "$program" ${{argument:+"$argument"}} "$d/$n/script"
  )
  code=$?
  echo "end $n $code $(($(ooms)-before))" >&9
}}
i=0
trap 'exit 0' TERM
until [ -p "$d/{ORDERS}" ]; do nap; done
trap - TERM
exec 8<>"$d/{ORDERS}" 7<"$d/{ORDERS}" 8>&-
exec 8<>"$d/{PULSE}" 9>"$d/{PULSE}" 8>&-
leader=
command -v setsid >/dev/null 2>&1 && leader=setsid
echo ready >&9
while IFS= read -r order <&7; do
  case $order in
  run)
    IFS= read -r n <&7 && IFS= read -r program <&7 && IFS= read -r argument <&7 || exit 1
    before=$(ooms)
    (trap : HUP TERM; run) &
    ;;
  stop) IFS= read -r grace <&7; (exec 7<&-; stop "$grace") & ;;
  done) exit 0 ;;
  esac
done
exit 1
"""
"""What the image's /bin/sh runs. It is the same for all scripts, and holds nothing of any."""
