"""The work that a slice's runner is given, from the Host objects, the template and the Secrets.

What comes from a Secret goes into the work, and nowhere else: no failure's message quotes it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from rollcall.inputs import InputError, InputValue, bind_inputs, hidden_texts, read_host
from rollcall.inventory import InventoryView
from rollcall.names import Reason
from rollcall.plan.choosing import inventory_of
from rollcall.plan.inpod import environment
from rollcall.plan.playbooks import extra_vars, host_variables, playbook_work, provider_of, source_problem
from rollcall.plan.pods import Trouble
from rollcall.plan.rollout import parallelism
from rollcall.plan.ways import LOGIN_KEYS, NOWHERE, ConfigMaps, WayError, Ways, jump_secret
from rollcall.playbook import HostVariables
from rollcall.resources.host import Host, variables_problem
from rollcall.resources.inventory import Inventory
from rollcall.resources.jobinvocation import JobInvocation
from rollcall.resources.jobslice import JobSlice
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.steps import Part, most_hosts_per_slice, parts
from rollcall.targeting import TargetingError
from rollcall.template import RenderError, effective_user, render_parts
from rollcall.work import MAX_WORK_BYTES, Credentials, EffectiveUser, HostWork, Work

BECOME_KEY: Final = "become-password"
CREDENTIAL_KEYS: Final = {
    "ssh-privatekey": "private_key",
    "ssh-certificate": "certificate",
    "passphrase": "passphrase",
    "password": "password",
    BECOME_KEY: "become_password",
}
"""The keys of a credentials Secret (core/v1 SecretTypeSSHAuth's, and ours) and what they are."""

SecretData = Mapping[str, bytes]
Secrets = Mapping[str, SecretData | None]
"""Secrets by name; None for one that is not there."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slice's work as its Secret holds it, None when no host can be started; and the trouble of those that can't."""

    work: bytes | None
    failures: dict[str, Trouble]


def credential_secrets(invocation: JobInvocation, host: Host) -> tuple[str, ...]:
    """The Secrets with the host's credentials; what a later one holds comes first."""
    references = (host.spec.credentials_ref, invocation.spec.credentials_ref)
    return tuple(reference.name for reference in references if reference is not None)


def template_secrets(template: JobTemplate | str | None) -> tuple[str, ...]:
    """The Secret with which the template's Git repository is fetched, which only the runner pod reads."""
    ansible = provider_of(template) if isinstance(template, JobTemplate) else None
    reference = ansible.git.credentials_ref if ansible and ansible.git else None
    return () if reference is None else (reference.name,)


def invocation_secrets(invocation: JobInvocation) -> tuple[str, ...]:
    """The Secrets with the inputs and the password of the effective user: the same for all hosts."""
    override = invocation.spec.effective_user
    inputs = tuple(source.secret_ref.name for source in invocation.spec.inputs_from)
    return inputs if override is None or override.password_ref is None else (*inputs, override.password_ref.name)


def work_secrets(invocation: JobInvocation, hosts: Iterable[Host], jump_hosts: Iterable[Host] = ()) -> frozenset[str]:
    """All Secrets that the work of these hosts is made from."""
    logins = {name for host in hosts for name in credential_secrets(invocation, host)}
    jumps = {host.spec.credentials_ref.name for host in jump_hosts if host.spec.credentials_ref is not None}
    return frozenset({*logins, *jumps, *invocation_secrets(invocation)})


def usable(keys: Iterable[str]) -> bool:
    """Whether Secrets with these keys hold something to log in with."""
    return not LOGIN_KEYS.isdisjoint(keys)


def prepare(
    invocation: JobInvocation,
    slice_: JobSlice,
    template: JobTemplate | str | None,
    hosts: Mapping[str, Host],
    secrets: Secrets,
    output_limit_bytes: int,
    config_maps: ConfigMaps = MappingProxyType({}),
    inventories: Mapping[str, Inventory | str] = MappingProxyType({}),
) -> Prepared:
    """The work of a slice. A host that is gone, or whose credentials are, fails by itself; the others run."""
    ended = {result.name for result in slice_.status.hosts if result.state.ended}
    names = [name for name in slice_.spec.hosts if name not in ended]  # the others failed when it was offered before
    try:
        task = _task(invocation, template, secrets)
        inventory = _inventory(invocation, inventories)
    except _UnusableError as error:
        return Prepared(None, dict.fromkeys(names, error.trouble))
    most = most_hosts_per_slice(task.template, task.parts)
    if len(names) > most:
        text = (
            f"template {template_name(invocation)} was changed since hosts were dealt to pods: a pod may have {most} of"
            f" them now, and this one has {len(names)}; run it again"
        )
        return Prepared(None, dict.fromkeys(names, Trouble(Reason.TEMPLATE_ERROR, text)))
    bench = _Bench(invocation, task, secrets, hosts, config_maps, inventory)
    for name in names:
        bench.add(name, hosts.get(name))
    if not bench.hosts:
        return Prepared(None, bench.failures)
    packed = bench.work(slice_, output_limit_bytes).dump()
    if len(packed) > MAX_WORK_BYTES:
        what = "scripts" if provider_of(task.template) is None else "variables"
        text = (
            f"the {what} of {len(bench.hosts)} hosts are too large for one runner pod: set spec.rollout.hostsPerSlice"
            " to a lower number"
        )
        trouble = Trouble(Reason.TEMPLATE_ERROR, text)
        return Prepared(None, bench.failures | {entry.name: trouble for entry in bench.hosts})
    return Prepared(packed, bench.failures)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is the same for all hosts."""

    template: JobTemplate
    inputs: Mapping[str, InputValue]
    secret_inputs: Mapping[str, str]
    effective_user: EffectiveUser | None
    become_password: str | None
    parts: tuple[Part, ...]


def _task(invocation: JobInvocation, template: JobTemplate | str | None, secrets: Secrets) -> _Task:
    """What all hosts are to do. Raises _UnusableError when none can be started."""
    if not isinstance(template, JobTemplate):
        gone = f"the JobTemplate {template_name(invocation)} was deleted before the host's turn came"
        raise _UnusableError(Reason.TEMPLATE_NOT_FOUND, gone)
    if (problem := source_problem(template)) is not None:
        raise _UnusableError(Reason.TEMPLATE_ERROR, problem)
    secret_inputs = _secret_inputs(invocation, template, secrets)
    try:
        return _Task(
            template,
            bind_inputs(template, invocation.spec.inputs, secret_inputs),
            secret_inputs,
            effective_user(template, invocation.spec.effective_user),
            _become_password(invocation, secrets),
            parts(template, invocation.spec.steps),
        )
    except InputError as error:
        raise _UnusableError(Reason.INVALID_INPUT, str(error)) from None


def _inventory(invocation: JobInvocation, inventories: Mapping[str, Inventory | str]) -> InventoryView | None:
    """What the hosts have from the inventory that they were chosen by. Raises _UnusableError."""
    try:
        return inventory_of(invocation.status.inventory, inventories)
    except TargetingError as error:
        message = f"{error}: the hosts were chosen by it, and are to have its variables"
        raise _UnusableError(error.reason, message) from None


def unschedulable(host: str) -> str:
    """The sentence about a host that takes no new work."""
    return (
        f"the Host {host} takes no new work: its spec.unschedulable is true; set it to false and run the job again on"
        " this host"
    )


def template_name(invocation: JobInvocation) -> str:
    """The name of the invocation's template as it was chosen, else as it is asked for."""
    spec, chosen = invocation.spec, invocation.status.template
    if chosen is not None:
        return chosen.name
    return spec.template_ref.name if spec.template_ref else f"with the feature {spec.feature}"


def _secret_inputs(invocation: JobInvocation, template: JobTemplate, secrets: Secrets) -> dict[str, str]:
    """The values of inputs that come from Secrets, a later Secret's before an earlier one's."""
    found: dict[str, str] = {}
    for source in invocation.spec.inputs_from:
        name = source.secret_ref.name
        data = _data(secrets, name, "that spec.inputsFrom names")
        for entry in template.spec.inputs:
            if entry.name in data:
                found[entry.name] = _text(data[entry.name], Reason.INVALID_INPUT, name)
    return found


def _become_password(invocation: JobInvocation, secrets: Secrets) -> str | None:
    override = invocation.spec.effective_user
    if override is None or override.password_ref is None:
        return None
    name = override.password_ref.name
    data = _data(secrets, name, "with the effective user's password")
    if BECOME_KEY not in data:
        raise _UnusableError(Reason.INVALID_CREDENTIALS, missing_password(name))
    return _text(data[BECOME_KEY], Reason.INVALID_CREDENTIALS, name)


class _Bench:
    """Where the work of a slice is put together, host by host."""

    def __init__(
        self,
        invocation: JobInvocation,
        task: _Task,
        secrets: Secrets,
        hosts: Mapping[str, Host],
        config_maps: ConfigMaps,
        inventory: InventoryView | None,
    ) -> None:
        self._invocation = invocation
        self._ways = Ways(hosts, config_maps, self._jump_login)
        self._task = task
        self._secrets = secrets
        self._inventory = inventory
        self._scripts: dict[str, int] = {}
        self._credentials: dict[Credentials, int] = {}
        self._masked = hidden_texts(task.template, task.inputs, task.secret_inputs)
        self._ansible = provider_of(task.template)
        self._variables: dict[str, HostVariables] = {}
        self.hosts: list[HostWork] = []
        self.failures: dict[str, Trouble] = {}

    def add(self, name: str, host: Host | None) -> None:
        """Take in a host, or its trouble."""
        try:
            self.hosts.append(self._host(name, host))
        except (_UnusableError, WayError) as error:
            self.failures[name] = error.trouble
        except InputError as error:
            self.failures[name] = Trouble(Reason.INVALID_INPUT, str(error))
        except RenderError as error:
            self.failures[name] = Trouble(Reason.TEMPLATE_ERROR, str(error))

    def _host(self, name: str, host: Host | None) -> HostWork:
        if host is None:
            raise _UnusableError(Reason.HOST_NOT_FOUND, f"the Host {name} was deleted before its turn came")
        if host.spec.unschedulable:
            raise _UnusableError(Reason.HOST_UNSCHEDULABLE, unschedulable(name))
        if (problem := variables_problem(host)) is not None:
            raise InputError(f"Host {name}: {problem}")
        if self._inventory:
            if (problem := self._inventory.problem(host)) is not None:
                raise InputError(f"Host {name}: {problem}")
            host = self._inventory.of(host)
        task = self._task
        in_pod = task.template.in_pod
        login = Credentials() if in_pod else self._login(host)
        way = NOWHERE if in_pod else self._ways.to(host)
        of_host = read_host(task.template, host)
        if self._ansible is None:
            scripts = render_parts(task.template, task.parts, {**task.inputs, **of_host}, host)
        else:
            scripts = (self._ansible.playbook or "",)  # one in a Git repository is fetched into the pod
            self._variables[name] = host_variables(host, of_host)
        numbers = tuple(self._scripts.setdefault(script, len(self._scripts)) for script in scripts)
        self._masked |= hidden_texts(task.template, of_host)
        return HostWork(
            name=name,
            address=host.address,
            port=host.spec.port,
            user=self._invocation.spec.user or host.spec.user,
            host_keys=way.host_keys,
            credentials=self._credentials.setdefault(login, len(self._credentials)),
            script=numbers[0],
            policy=way.policy,
            known_hosts=way.known_hosts,
            via=way.via,
            steps=numbers if any(part.step for part in task.parts) else (),
            environment=environment(self._invocation, host) if in_pod else None,
        )

    def _login(self, host: Host) -> Credentials:
        login = _credentials(credential_secrets(self._invocation, host), host, self._secrets)
        if self._task.become_password is not None:
            login = replace(login, become_password=self._task.become_password)
        return login

    def _jump_login(self, host: Host) -> int:
        """The place of a jump host's credentials. They are its own: what an invocation names is for its hosts."""
        login = _credentials((jump_secret(host, self._secrets),), host, self._secrets)
        return self._credentials.setdefault(login, len(self._credentials))

    def work(self, slice_: JobSlice, output_limit_bytes: int) -> Work:
        """The work of all hosts that were taken in."""
        spec, template = self._invocation.spec, self._task.template.spec
        slices = self._invocation.status.slices
        at_once = parallelism(len(self.hosts), spec.rollout.concurrency)
        given = {*spec.inputs, *self._task.secret_inputs}
        return Work(
            hosts=tuple(self.hosts),
            scripts=tuple(self._scripts),
            credentials=tuple(self._credentials),
            parallelism=at_once,
            execution_timeout_seconds=spec.execution_timeout_seconds or template.execution_timeout_seconds,
            output_limit_bytes=min(output_limit_bytes, spec.output.limit_bytes_per_host or output_limit_bytes),
            on_excess=spec.output.on_excess,
            stop_grace_seconds=template.termination_grace_period_seconds,
            # Each slice has its share of the time span; another attempt has waited already.
            spread_seconds=0 if slice_.spec.attempt or not slices else spec.rollout.time_span_seconds / slices,
            effective_user=self._task.effective_user,
            masked=tuple(sorted(self._masked)),
            jump_hosts=tuple(self._ways.jump_hosts),
            known_hosts=self._ways.known_hosts,
            tty=template.ssh.tty if template.ssh else False,
            steps=tuple(part.step for part in self._task.parts if part.step),
            playbook=None
            if self._ansible is None
            else playbook_work(self._ansible, extra_vars(self._task.inputs, given), self._variables, at_once),
        )


class _UnusableError(Exception):
    """A host cannot be started."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.trouble = Trouble(reason, message)


def _data(secrets: Secrets, name: str, what: str) -> SecretData:
    data = secrets.get(name)
    if data is None:
        raise _UnusableError(
            Reason.SECRET_NOT_FOUND, f"the Secret {name} {what} was deleted before the host's turn came"
        )
    return data


def _text(value: bytes, reason: Reason, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _UnusableError(reason, f"the Secret {name} holds a value that is not text") from None


def _credentials(names: Iterable[str], host: Host, secrets: Secrets) -> Credentials:
    login = Credentials()
    for name in names:
        data = _data(secrets, name, "with the credentials")
        texts = {
            field: _text(data[key], Reason.INVALID_CREDENTIALS, name)
            for key, field in CREDENTIAL_KEYS.items()
            if key in data
        }
        login = replace(login, **texts)
    if login.private_key is None and login.password is None:
        raise _UnusableError(Reason.INVALID_CREDENTIALS, missing_credentials(host.metadata.name))
    return login


def missing_password(secret: str) -> str:
    """The sentence about a Secret that should have the password of the effective user."""
    return f"the Secret {secret}, which spec.effectiveUser.passwordRef names, has no key {BECOME_KEY}"


def missing_credentials(host: str) -> str:
    """The sentence about a host that nothing is known to log in with."""
    return (
        f"nothing to log in with on Host {host}: give spec.credentialsRef, on the Host or the invocation, a Secret"
        " with the key ssh-privatekey or password"
    )
