"""What the runner pod of a playbook has beside that of a script: its image, room to write, and a Git repository."""

from typing import Any

from rollcall.plan.playbooks import provider_of
from rollcall.playbook import GIT_CREDENTIALS_DIRECTORY, PROJECT_DIRECTORY, SCRATCH_DIRECTORY
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.providers import GitSource
from rollcall_operator.settings import RunnerSettings

Manifest = dict[str, Any]

_PROJECT_MOUNT = {"name": "project", "mountPath": PROJECT_DIRECTORY}


def shaped(pod: Manifest, template: JobTemplate, settings: RunnerSettings) -> Manifest:
    """The pod as the template's provider needs it. It still satisfies the *restricted* Pod Security Standard."""
    ansible = provider_of(template)
    if ansible is None:
        return pod
    spec = pod["spec"]
    (runner,) = spec["containers"]
    runner = {
        **runner,
        "image": settings.ansible_image or settings.image,
        "resources": {
            "requests": {"cpu": settings.cpu_request, "memory": settings.ansible_memory_request},
            "limits": {"memory": settings.ansible_memory_limit},
        },
        "volumeMounts": [*runner["volumeMounts"], {"name": "scratch", "mountPath": SCRATCH_DIRECTORY}],
    }
    scratch = {"name": "scratch", "emptyDir": {"medium": "Memory"}}
    if ansible.git is None:
        return {**pod, "spec": {**spec, "containers": [runner], "volumes": [*spec["volumes"], scratch]}}
    credentials = _credentials(ansible.git)
    return {
        **pod,
        "spec": {
            **spec,
            "initContainers": [_fetch(runner, ansible.git)],
            "containers": [{**runner, "volumeMounts": [*runner["volumeMounts"], _PROJECT_MOUNT]}],
            "volumes": [*spec["volumes"], scratch, {"name": "project", "emptyDir": {}}, *credentials],
        },
    }


def _fetch(runner: Manifest, git: GitSource) -> Manifest:
    """The init container that fetches the repository. It alone sees the credentials for it."""
    arguments = [f"--url={git.url}", f"--revision={git.revision}", f"--path={git.path}"]
    secret = {"name": "git-credentials", "mountPath": GIT_CREDENTIALS_DIRECTORY, "readOnly": True}
    return {
        "name": "fetch",
        "image": runner["image"],
        "imagePullPolicy": runner["imagePullPolicy"],
        "command": ["python3", "-m", "rollcall_runner.fetch", *arguments],
        "terminationMessagePolicy": "File",
        "securityContext": runner["securityContext"],
        "resources": runner["resources"],
        "volumeMounts": [_PROJECT_MOUNT, *([secret] if git.credentials_ref else [])],
    }


def _credentials(git: GitSource) -> list[Manifest]:
    if git.credentials_ref is None:
        return []
    # One that was deleted since must not keep the pod from starting: fetching fails, and says why.
    secret = {"secretName": git.credentials_ref.name, "defaultMode": 0o440, "optional": True}
    return [{"name": "git-credentials", "secret": secret}]
