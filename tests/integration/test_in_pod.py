"""Scripts in the pod itself, on a real kubelet: in the template's image, with the host in the environment."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rollcall.outputs import Event, Stream
from support.jobs import end_of, events, invocation, output, results, run, slices, template
from support.kube import Kube, Object, condition
from support.operator import Operator

IMAGE = "rollcall-sshhost:dev"
FACTS = {"os": {"family": "Debian", "motto": 'it\'s "free"; $(id)'}}
CANARY = "canary-8d1f"


@pytest.fixture(scope="module", autouse=True)
def furniture(kube: Kube, namespace: str, operator: Operator) -> None:
    for name in ("router", "switch"):
        spec = {"address": "192.0.2.7", "port": 2222, "user": "admin", "facts": FACTS, "variables": {"http-port": "80"}}
        metadata = {"name": name, "namespace": namespace}
        kube.apply({"apiVersion": "rollcall.dev/v1alpha1", "kind": "Host", "metadata": metadata, "spec": spec})


def script(kube: Kube, namespace: str, name: str, text: str | list[Any], **spec: Any) -> Object:
    """Makes a template with the script, or the steps, and gives an invocation of it."""
    pod = {"image": spec.pop("image", IMAGE), ("script" if isinstance(text, str) else "steps"): text}
    asked = {key: spec.pop(key) for key in ("rollout", "inputs", "inputsFrom", "pickupTimeoutSeconds") if key in spec}
    hosts = spec.pop("hosts", ["router"])
    made = template(namespace, f"in-pod-{name}", provider="Pod", pod=pod, **{"inputs": [], "displayName": name, **spec})
    del made["spec"]["ssh"], made["spec"]["features"]
    kube.apply(made)
    return invocation(namespace, f"in-pod-{name}", None, hosts, templateRef={"name": f"in-pod-{name}"}, **asked)


def said(found: list[Event], stream: Stream) -> bytes:
    return b"".join(e.data for e in found if e.stream is stream and isinstance(e.data, bytes))


def result(kube: Kube, namespace: str, name: str) -> Object:
    return results(kube, namespace, f"in-pod-{name}")["router"]


def processes(mark: str) -> list[int]:
    """The processes of this machine with the mark in their command line; the node's are among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def test_a_script_runs_in_its_image_with_the_host_in_its_environment(kube: Kube, namespace: str) -> None:
    text = f"""#!/usr/bin/env python3
import json, os, sys
shown = {{name: os.environ["ROLLCALL_HOST_" + name] for name in ("NAME", "ADDRESS", "PORT", "USER")}}
shown["facts"] = json.loads(os.environ["ROLLCALL_HOST_FACTS"])
shown["variables"] = json.loads(os.environ["ROLLCALL_HOST_VARIABLES"])
shown["uid"] = os.getuid()
shown["sshd"] = os.path.exists("/usr/sbin/sshd")
shown["token"] = os.path.exists("/var/run/secrets/kubernetes.io/serviceaccount/token")
shown["work"] = os.path.exists("/run/rollcall/work.json.gz")
shown["hidden"] = any("{CANARY}" in value for value in os.environ.values())
open("/tmp/writable", "w").close()
print(json.dumps(shown))
print("to stderr", file=sys.stderr)
# {CANARY}
"""
    ended = run(kube, script(kube, namespace, "environment", text, hosts=["router", "switch"]))
    assert condition(ended, "Complete"), ended["status"]
    assert [len(made["spec"]["hosts"]) for made in slices(kube, namespace, "in-pod-environment")] == [1, 1]
    found = events(kube, namespace, "in-pod-environment")
    for name in ("router", "switch"):
        assert json.loads(said(found[name], Stream.STDOUT)) == {
            "NAME": name, "ADDRESS": "192.0.2.7", "PORT": "2222", "USER": "admin", "facts": FACTS,
            "variables": {"http-port": "80"}, "uid": 65532, "sshd": True, "token": False, "work": False,
            "hidden": False,
        }  # fmt: skip
        assert said(found[name], Stream.STDERR) == b"to stderr\n"


CASES = {
    "exit-code": ("echo said; exit 3", "ExitCode", 3, "the script ended with exit code 3"),
    "signal": ("echo said; kill -SEGV $$", "Signal", 139, "signal SEGV ended the script"),
    "no-interpreter": ("#!/no/such\necho said", "ExitCode", 127, "interpreter in its #! line was not found"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_script_fails_as_it_fails(kube: Kube, namespace: str, name: str) -> None:
    text, reason, code, words = CASES[name]
    run(kube, script(kube, namespace, name, text))
    found = result(kube, namespace, name)
    assert (found["state"], found["reason"], found["exitCode"]) == ("Failed", reason, code)
    assert words in found["message"]


def test_a_secret_input_is_in_no_spec_and_masked(kube: Kube, namespace: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "in-pod-token", "namespace": namespace}}
    kube.create({**secret, "stringData": {"token": CANARY}})
    manifest = script(
        kube, namespace, "secret", "echo token {{ inputs.token }}; sleep 2",
        inputs=None, **{"inputsFrom": [{"secretRef": {"name": "in-pod-token"}}]},
    )  # fmt: skip
    manifest["spec"].pop("inputs")
    declared = {"spec": {"inputs": [{"name": "token", "type": "Secret", "required": True}]}}
    kube.patch("jobtemplates", namespace, "in-pod-secret", declared)
    kube.create(manifest)
    mine = {"labelSelector": "rollcall.dev/invocation=in-pod-secret"}
    pods = kube.wait("pod", lambda: kube.list("pods", namespace, **mine) or None)
    end_of(kube, namespace, "in-pod-secret")
    assert CANARY not in json.dumps(pods)
    assert output(events(kube, namespace, "in-pod-secret")["router"]) == b"token ********\n"


def test_a_script_that_takes_too_long_is_stopped(kube: Kube, namespace: str) -> None:
    text = "#!/bin/bash\ntrap 'echo ending; exit 0' TERM\nsetsid sleep 86397.125 &\nwhile :; do sleep 0.1; done\n"
    limits = {"executionTimeoutSeconds": 2, "terminationGracePeriodSeconds": 1}
    run(kube, script(kube, namespace, "timeout", text, **limits))
    found = result(kube, namespace, "timeout")
    assert (found["state"], found["reason"]) == ("Failed", "Timeout")
    assert "confirmed gone" in found["message"]
    assert said(events(kube, namespace, "in-pod-timeout")["router"], Stream.STDOUT) == b"ending\n"
    assert processes("86397.125") == []


@pytest.mark.parametrize("policy", ["Graceful", "Force"])
def test_a_cancelled_script_is_gone_with_all_that_it_started(kube: Kube, namespace: str, policy: str) -> None:
    name, mark = f"cancel-{policy.lower()}", {"Graceful": "86396.125", "Force": "86395.125"}[policy]
    text = f"#!/bin/bash\ntrap '' TERM\nsetsid sleep {mark} &\nsleep {mark} &\necho at work\nwhile :; do wait; done\n"
    kube.create(script(kube, namespace, name, text, terminationGracePeriodSeconds=1))
    kube.wait("processes", lambda: len(processes(mark)) == 2)
    kube.patch("jobinvocations", namespace, f"in-pod-{name}", {"spec": {"cancellation": {"policy": policy}}})
    assert condition(end_of(kube, namespace, f"in-pod-{name}"), "Cancelled")
    assert processes(mark) == []
    found = result(kube, namespace, name)
    assert (found["state"], found["reason"]) == ("Cancelled", "Cancelled")
    assert "confirmed gone" in found["message"]


def test_a_script_that_needs_too_much_memory_says_what_to_raise(kube: Kube, namespace: str) -> None:
    text = "#!/usr/bin/env python3\nprint('hungry', flush=True)\nx = bytearray(400_000_000)\nprint('full')\n"
    shape = {"resources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "64Mi"}}}
    run(kube, script(kube, namespace, "oom", text, runner=shape))
    found = result(kube, namespace, "oom")
    assert (found["state"], found["reason"]) == ("Failed", "OOMKilled")
    assert "raise spec.runner.resources.limits of the template" in found["message"]
    assert output(events(kube, namespace, "in-pod-oom")["router"]) == b"hungry\n"


def test_an_image_that_cannot_be_pulled_is_named(kube: Kube, namespace: str) -> None:
    image = "nowhere.invalid/no-such-image:1"
    run(kube, script(kube, namespace, "image", "true", image=image, pickupTimeoutSeconds=15), 120)
    found = result(kube, namespace, "image")
    assert (found["state"], found["reason"]) == ("Failed", "ImagePull")
    assert "the template's image cannot be pulled" in found["message"]
    assert image in found["message"]


def test_an_image_without_a_shell_is_told_at_once(kube: Kube, namespace: str) -> None:
    """Every node has one: the image of the process that holds a pod's namespaces."""
    names = [name for node in kube.list("nodes") for image in node["status"]["images"] for name in image["names"] or ()]
    pause = next(name for name in names if "pause" in name and "@" not in name)
    run(kube, script(kube, namespace, "no-shell", "true", image=pause), 60)
    found = result(kube, namespace, "no-shell")
    assert (found["state"], found["reason"]) == ("Failed", "ContainerFailed")
    assert "it needs /bin/sh" in found["message"]


def test_a_container_that_ends_before_its_script_is_told(kube: Kube, namespace: str) -> None:
    kube.create(script(kube, namespace, "killed", "echo at work; exec sleep 86394.125"))
    sleeping = kube.wait("script", lambda: processes("sleep\x0086394.125") or None)[0]
    parent = sleeping
    while b"/run/rollcall-script" not in Path(f"/proc/{parent}/cmdline").read_bytes() or not first(parent):
        parent = int(Path(f"/proc/{parent}/stat").read_text().rsplit(") ", 1)[1].split()[1])
    os.kill(parent, signal.SIGKILL)
    end_of(kube, namespace, "in-pod-killed")
    found = result(kube, namespace, "killed")
    assert (found["state"], found["reason"]) == ("Failed", "ContainerFailed")
    assert "ended with exit code 137 before its script did" in found["message"]
    assert output(events(kube, namespace, "in-pod-killed")["router"]) == b"at work\n"


def test_a_runner_that_dies_takes_the_script_with_it(kube: Kube, namespace: str) -> None:
    kube.create(script(kube, namespace, "orphan", "echo at work; sleep 86392.125"))
    sleeping = kube.wait("script", lambda: processes("sleep\x0086392.125") or None)[0]
    runner = next(pid for pid in processes("rollcall-runner") if same_pod(pid, sleeping) and first(pid))
    os.kill(runner, signal.SIGKILL)
    end_of(kube, namespace, "in-pod-orphan")
    found = result(kube, namespace, "orphan")
    assert (found["state"], found["reason"]) == ("Failed", "RunnerCrashed")
    assert "the runner ended with exit code 137" in found["message"]
    assert processes("sleep\x0086392.125") == []


def same_pod(one: int, other: int) -> bool:
    """Whether two processes share a pod's network."""
    return os.stat(f"/proc/{one}/ns/net").st_ino == os.stat(f"/proc/{other}/ns/net").st_ino


def first(pid: int) -> bool:
    """Whether the process is the first one of its PID namespace."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1"


def test_steps_run_in_the_pod(kube: Kube, namespace: str) -> None:
    steps = [
        {"name": "probe", "script": "echo probing; echo 42 >/tmp/found"},
        {"name": "check", "script": "cat /tmp/found; exit 1", "onFailure": "Continue"},
        {"name": "report", "script": "echo {{ host.name }}"},
    ]
    run(kube, script(kube, namespace, "steps", steps))
    found = result(kube, namespace, "steps")
    assert found["message"] == "step check: the script ended with exit code 1"
    assert [(step["name"], step["state"], step["exitCode"]) for step in found["steps"]] == [
        ("probe", "Succeeded", 0), ("check", "Failed", 1), ("report", "Succeeded", 0),
    ]  # fmt: skip
    assert output(events(kube, namespace, "in-pod-steps")["router"]) == b"probing\n42\nrouter\n"


def test_several_hosts_in_a_pod_are_refused(kube: Kube, namespace: str) -> None:
    ended = run(kube, script(kube, namespace, "packed", "true", rollout={"hostsPerSlice": 2}))
    valid = condition(ended, "Valid")
    assert valid is not None
    assert (valid["status"], valid["reason"]) == ("False", "InvalidInput")
    assert "one pod for each host" in valid["message"]


def test_a_deleted_pod_stops_its_script(kube: Kube, namespace: str) -> None:
    kube.create(script(kube, namespace, "deleted", "echo at work; sleep 86393.125"))
    kube.wait("script", lambda: processes("sleep\x0086393.125") or None)
    (made,) = slices(kube, namespace, "in-pod-deleted")
    kube.delete("pods", namespace, made["metadata"]["name"])
    end_of(kube, namespace, "in-pod-deleted")
    found = result(kube, namespace, "deleted")
    assert (found["state"], found["reason"]) == ("Failed", "PodDeleted")
    assert processes("sleep\x0086393.125") == []
