"""The first decision about an invocation: can it be carried out, and on which hosts."""

from dataclasses import dataclass

from rollcall.names import Reason
from rollcall.plan.observed import Observed
from rollcall.plan.prepare import credential_secrets, missing_credentials, usable
from rollcall.resources.host import Host
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.targeting import UnknownHostsError, resolve
from rollcall.template import InputError, RenderError, bind_inputs, describe, render_script


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the invocation cannot be carried out as things are; `may_heal` when another object may turn up."""

    reason: Reason
    message: str
    may_heal: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen hosts in their order, and the description."""

    hosts: tuple[Host, ...]
    description: str


def examine(observed: Observed) -> Resolution | Problem:
    """The hosts of the invocation, or the first problem that stands in the way."""
    invocation = observed.invocation
    template = observed.template
    if not isinstance(template, JobTemplate):
        name = invocation.spec.template_ref.name
        if template is None:
            return Problem(
                Reason.TEMPLATE_NOT_FOUND, f"there is no JobTemplate {name} in this namespace", may_heal=True
            )
        return Problem(Reason.INVALID_SPEC, f"the JobTemplate {name} cannot be read: {template}")
    try:
        inputs = bind_inputs(template, invocation.spec.inputs)
        hosts = resolve(invocation.spec.targeting, observed.hosts)
        for host in hosts[:1]:
            render_script(template, inputs, host)  # what is wrong with the script is wrong for all
    except InputError as error:
        return Problem(Reason.INVALID_INPUT, str(error))
    except UnknownHostsError as error:
        return Problem(Reason.HOST_NOT_FOUND, str(error), may_heal=True)
    except RenderError as error:
        return Problem(Reason.TEMPLATE_ERROR, str(error))
    description = describe(template, inputs, invocation.spec.description_format)
    return _credentials_problem(observed, hosts) or Resolution(hosts, description)


def _credentials_problem(observed: Observed, hosts: tuple[Host, ...]) -> Problem | None:
    """What is wrong with the hosts' credentials, the first of it."""
    for host in hosts:
        names = credential_secrets(observed.invocation, host)
        for name in names:
            if observed.secrets.get(name) is None:
                return Problem(
                    Reason.SECRET_NOT_FOUND,
                    f"there is no Secret {name}, which Host {host.metadata.name} is to be logged in to with",
                    may_heal=True,
                )
        if not usable(key for name in names for key in observed.secrets[name] or ()):
            return Problem(Reason.INVALID_CREDENTIALS, missing_credentials(host.metadata.name), may_heal=True)
    return None


def needed_secrets(observed: Observed) -> frozenset[str]:
    """The Secrets that `examine` wants to know the keys of."""
    try:
        hosts = resolve(observed.invocation.spec.targeting, observed.hosts)
    except UnknownHostsError:
        return frozenset()
    return frozenset(name for host in hosts for name in credential_secrets(observed.invocation, host))
