"""The work that a slice's runner is given, from the Host objects, the template and the credentials."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from rollcall.names import Reason
from rollcall.plan.pods import Trouble
from rollcall.plan.rollout import parallelism
from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.template import InputError, RenderError, bind_inputs, render_script
from rollcall.work import MAX_WORK_BYTES, Credentials, HostWork, Work

CREDENTIAL_KEYS: Final = {
    "ssh-privatekey": "private_key",
    "ssh-certificate": "certificate",
    "passphrase": "passphrase",
    "password": "password",
}
"""The keys of a credentials Secret (core/v1 SecretTypeSSHAuth's, and ours) and what they are."""

SecretData = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slice's work as its Secret holds it, None when no host can be started; and the trouble of those that can't."""

    work: bytes | None
    failures: dict[str, Trouble]


def credential_secrets(invocation: JobInvocation, host: Host) -> tuple[str, ...]:
    """The Secrets with the host's credentials; what a later one holds comes first."""
    references = (host.spec.credentials_ref, invocation.spec.credentials_ref)
    return tuple(reference.name for reference in references if reference is not None)


def usable(keys: Iterable[str]) -> bool:
    """Whether Secrets with these keys hold something to log in with."""
    return not {"ssh-privatekey", "password"}.isdisjoint(keys)


def prepare(
    invocation: JobInvocation,
    slice_: JobSlice,
    template: JobTemplate | str | None,
    hosts: Mapping[str, Host],
    secrets: Mapping[str, SecretData | None],
    output_limit_bytes: int,
) -> Prepared:
    """The work of a slice. A host that is gone, or whose credentials are, fails by itself; the others run."""
    if not isinstance(template, JobTemplate):
        gone = f"the JobTemplate {invocation.spec.template_ref.name} was deleted before the host's turn came"
        return Prepared(None, dict.fromkeys(slice_.spec.hosts, Trouble(Reason.TEMPLATE_NOT_FOUND, gone)))
    failures: dict[str, Trouble] = {}
    scripts: dict[str, int] = {}
    credentials: dict[Credentials, int] = {}
    entries: list[HostWork] = []
    ended = {result.name for result in slice_.status.hosts if result.state.ended}
    for name in slice_.spec.hosts:
        if name in ended:
            continue  # it failed when the slice was offered before
        try:
            host = _host(hosts, name)
            login = _credentials(invocation, host, secrets)
            script = render_script(template, bind_inputs(template, invocation.spec.inputs), host)
        except _UnusableError as error:
            failures[name] = error.trouble
            continue
        except (InputError, RenderError) as error:
            reason = Reason.INVALID_INPUT if isinstance(error, InputError) else Reason.TEMPLATE_ERROR
            failures[name] = Trouble(reason, str(error))
            continue
        entries.append(
            HostWork(
                name=name,
                address=host.address,
                port=host.spec.port,
                user=invocation.spec.user or host.spec.user,
                host_keys=host.spec.host_keys,
                credentials=credentials.setdefault(login, len(credentials)),
                script=scripts.setdefault(script, len(scripts)),
            )
        )
    if not entries:
        return Prepared(None, failures)
    timeout = invocation.spec.execution_timeout_seconds or template.spec.execution_timeout_seconds
    work = Work(
        hosts=tuple(entries),
        scripts=tuple(scripts),
        credentials=tuple(credentials),
        parallelism=parallelism(len(entries), invocation.spec.rollout.concurrency),
        execution_timeout_seconds=timeout,
        output_limit_bytes=output_limit_bytes,
    )
    packed = work.dump()
    if len(packed) > MAX_WORK_BYTES:
        trouble = Trouble(
            Reason.TEMPLATE_ERROR, f"the scripts of {len(entries)} hosts are too large for one runner pod"
        )
        return Prepared(None, failures | {entry.name: trouble for entry in entries})
    return Prepared(packed, failures)


class _UnusableError(Exception):
    """A host cannot be started."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(reason, message)


def _host(hosts: Mapping[str, Host], name: str) -> Host:
    if name not in hosts:
        raise _UnusableError(Reason.HOST_NOT_FOUND, f"the Host {name} was deleted before its turn came")
    return hosts[name]


def _credentials(invocation: JobInvocation, host: Host, secrets: Mapping[str, SecretData | None]) -> Credentials:
    login = Credentials()
    for name in credential_secrets(invocation, host):
        data = secrets.get(name)
        if data is None:
            raise _UnusableError(
                Reason.SECRET_NOT_FOUND,
                f"the Secret {name} with the credentials was deleted before the host's turn came",
            )
        try:
            login = replace(
                login, **{field: data[key].decode() for key, field in CREDENTIAL_KEYS.items() if key in data}
            )
        except UnicodeDecodeError:
            raise _UnusableError(
                Reason.INVALID_CREDENTIALS, f"the Secret {name} holds a value that is not text"
            ) from None
    if login.private_key is None and login.password is None:
        raise _UnusableError(Reason.INVALID_CREDENTIALS, missing_credentials(host.metadata.name))
    return login


def missing_credentials(host: str) -> str:
    """The sentence about a host that nothing is known to log in with."""
    return (
        f"nothing to log in with on Host {host}: give spec.credentialsRef, on the Host or the invocation, a Secret"
        " with the key ssh-privatekey or password"
    )
