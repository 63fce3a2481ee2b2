"""The same by REST: the commands that anybody could type, run by curl."""

import json
import time

from commands import Object, run
from installation import Facade
from terminal import Progress, Trouble, say

PATIENCE_SECONDS = 120
JOB = {
    "job_invocation": {
        "feature": "run_script",
        "inputs": {"command": "echo Hello from $(hostname) by REST; date -u"},
        "search_query": "name ^ (web1, db1)",
        "targeting_type": "static_query",
    }
}


def run_job(facade: Facade) -> None:
    """Start a job, watch it, and print what its hosts said."""
    job = _curl(facade, "/api/job_invocations", body=JOB)
    path = f"/api/job_invocations/{job['id']}"
    say(f"-> job {job['id']}: {job['description']}")
    print()
    _wait(facade, path)
    print()
    shown = _curl(facade, path, quiet=True)
    names = {host["id"]: host["name"] for host in shown["targeting"]["hosts"]}
    for entry in _curl(facade, f"{path}/outputs?raw=true")["outputs"]:
        for line in entry["output"].splitlines():
            say(f"{names[entry['host_id']]:5} | {line}")


def _wait(facade: Facade, path: str) -> None:
    """Ask for the job until it has ended."""
    progress = Progress()
    deadline = time.monotonic() + PATIENCE_SECONDS
    shown = _curl(facade, path)
    while True:
        # Before its hosts are dealt out, a job has no counts: the contract has them as N/A.
        succeeded = f": {shown['succeeded']} of {shown['total']} hosts succeeded" if shown["succeeded"] != "N/A" else ""
        progress.show(f"-> {shown['status_label']}{succeeded}")
        if shown["status_label"] != "running":
            progress.end()
            return
        if time.monotonic() > deadline:
            progress.end()
            raise Trouble(f"the job is still {shown['status_label']} after {PATIENCE_SECONDS} s")
        time.sleep(0.5)
        shown = _curl(facade, path, quiet=True)


def _curl(facade: Facade, path: str, body: Object | None = None, *, quiet: bool = False) -> Object:
    """The answer, as curl gets it. The login goes to curl's standard input: arguments are for all to see."""
    options = ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body else []
    if not quiet:
        typed = [f"'{part}'" if " " in part or "{" in part else part for part in options]
        say(" ".join(["$ curl", '-u "$ROLLCALL_USER:$ROLLCALL_PASSWORD"', *typed, f'"$ROLLCALL_URL{path}"']))
    always = ["--silent", "--show-error", "--fail-with-body", "--globoff", "--noproxy", "*", "--config", "-"]
    answer = run("curl", *always, *options, facade.url + path, stdin=f'user = "{facade.login}:{facade.password}"\n')
    return json.loads(answer)  # type: ignore[no-any-return]
