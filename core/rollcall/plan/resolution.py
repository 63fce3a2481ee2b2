"""The first decision about an invocation: can it be carried out, and on which hosts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from rollcall.inputs import InputError, bind_inputs, listed
from rollcall.names import Reason
from rollcall.plan.choosing import RerunError, choose_hosts, inventory_name, inventory_of
from rollcall.plan.inpod import check_rollout
from rollcall.plan.observed import Observed
from rollcall.plan.playbooks import source_problem
from rollcall.plan.prepare import (
    BECOME_KEY,
    credential_secrets,
    invocation_secrets,
    missing_credentials,
    missing_password,
    template_name,
    template_secrets,
    usable,
    work_secrets,
)
from rollcall.plan.ways import all_jump_hosts, missing
from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import JobInvocation, TemplateRecord
from rollcall.resources.jobslice import MAX_HOSTS_PER_SLICE
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.steps import most_hosts_per_object, most_hosts_per_slice, parts
from rollcall.targeting import TargetingError
from rollcall.template import RenderError, describe, effective_user, try_scripts


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the invocation cannot be carried out as things are; `may_heal` when another object may turn up."""

    reason: Reason
    message: str
    may_heal: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """The names of the chosen hosts in their order, the description, and the template that was chosen."""

    hosts: tuple[str, ...]
    description: str
    template: TemplateRecord
    lacks: Problem | None = None
    """What some of the hosts lack on the way to them. It may turn up; if not, they fail by themselves."""
    most_per_slice: int = MAX_HOSTS_PER_SLICE
    most_per_object: int = MAX_HOSTS_PER_SLICE
    """How many hosts a slice may have at most."""
    inventory: str | None = None
    """The Inventory that the hosts have variables from."""


def chosen_template(invocation: JobInvocation, templates: Mapping[str, JobTemplate | str]) -> JobTemplate | str | None:
    """The invocation's template among those of its namespace, by name; a sentence for one that cannot be read.

    One that was chosen before is kept to. For a feature it is the one template that lists it: None when there is
    none, and a sentence when there are several.
    """
    spec, chosen = invocation.spec, invocation.status.template
    if chosen is not None:
        return templates.get(chosen.name)
    if spec.template_ref is not None:
        return templates.get(spec.template_ref.name)
    serving = sorted(
        name
        for name, found in templates.items()
        if isinstance(found, JobTemplate) and spec.feature in found.spec.features
    )
    if len(serving) > 1:
        return f"several JobTemplates list the feature {spec.feature}: {listed(serving)}; name one in spec.templateRef"
    return templates[serving[0]] if serving else None


def examine(observed: Observed, now: datetime) -> Resolution | Problem:
    """The hosts of the invocation, or the first problem that stands in the way."""
    found = survey(observed, now)
    if isinstance(found, Problem) or (isinstance(observed.template, JobTemplate) and observed.template.in_pod):
        return found
    hosts = _known(observed, found.hosts)
    if (problem := _credentials_problem(observed, hosts)) is not None:
        return problem
    lacks = missing(hosts, observed.hosts, observed.secrets)
    return replace(found, lacks=Problem(lacks.reason, lacks.message, may_heal=True) if lacks else None)


def survey(observed: Observed, now: datetime) -> Resolution | Problem:
    """As `examine`, but whether the hosts can be logged in to is left open."""
    invocation = observed.invocation
    template = observed.template
    if not isinstance(template, JobTemplate):
        return _template_problem(invocation, template)
    if (text := source_problem(template)) is not None:
        return Problem(Reason.TEMPLATE_ERROR, text, may_heal=True)
    unseen = dict.fromkeys(_secret_keys(observed))
    try:
        effective_user(template, invocation.spec.effective_user)
        # Only now: nobody is to make a Secret for a user that the template does not let them name.
        if (problem := _secrets_problem(observed)) is not None:
            return problem
        inputs = bind_inputs(template, invocation.spec.inputs, unseen)
        chosen = parts(template, invocation.spec.steps)
        check_rollout(invocation, template)
        names = choose_hosts(observed, now)
        inventory = inventory_name(observed)
        view = inventory_of(inventory, observed.inventories)
        hosts = _known(observed, names)
        for host in hosts[:1] if chosen else ():
            known = view.of(host) if view else host
            try_scripts(template, chosen, inputs, known, complete=unseen.keys().isdisjoint(inputs))
    except InputError as error:
        return Problem(Reason.INVALID_INPUT, str(error))
    except TargetingError as error:
        return Problem(error.reason, str(error), error.may_heal)
    except RerunError as error:
        return Problem(Reason.INVALID_RERUN, str(error), may_heal=error.may_heal)
    except RenderError as error:
        return Problem(Reason.TEMPLATE_ERROR, str(error))
    metadata = template.metadata
    return Resolution(
        names,
        describe(template, inputs, invocation.spec.description_format, unseen),
        TemplateRecord(name=metadata.name, uid=metadata.uid, generation=metadata.generation),
        most_per_slice=most_hosts_per_slice(template, chosen),
        most_per_object=most_hosts_per_object(chosen),
        inventory=inventory,
    )


def _template_problem(invocation: JobInvocation, template: str | None) -> Problem:
    """Why there is no template."""
    name = template_name(invocation)
    if template is None:
        return Problem(Reason.TEMPLATE_NOT_FOUND, f"there is no JobTemplate {name} in this namespace", may_heal=True)
    if invocation.spec.template_ref is None and invocation.status.template is None:
        return Problem(Reason.TEMPLATE_NOT_FOUND, template)
    return Problem(Reason.INVALID_SPEC, f"the JobTemplate {name} cannot be read: {template}")


def _secrets_problem(observed: Observed) -> Problem | None:
    """What is wrong with the Secrets that the invocation names for all hosts."""
    invocation = observed.invocation
    for name in invocation_secrets(invocation):
        if observed.secrets.get(name) is None:
            message = f"there is no Secret {name}, which spec.inputsFrom or spec.effectiveUser names"
            return Problem(Reason.SECRET_NOT_FOUND, message, may_heal=True)
    for name in template_secrets(observed.template):
        if observed.secrets.get(name) is None:
            message = f"there is no Secret {name}, which ansible.git.credentialsRef of the template names"
            return Problem(Reason.SECRET_NOT_FOUND, message, may_heal=True)
    override = invocation.spec.effective_user
    if override is not None and override.password_ref is not None:
        name = override.password_ref.name
        if BECOME_KEY not in (observed.secrets[name] or ()):
            return Problem(Reason.INVALID_CREDENTIALS, missing_password(name), may_heal=True)
    return None


def _secret_keys(observed: Observed) -> frozenset[str]:
    """The names that the Secrets with inputs have values for."""
    sources = observed.invocation.spec.inputs_from
    return frozenset(key for source in sources for key in observed.secrets.get(source.secret_ref.name) or ())


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


def _known(observed: Observed, names: Iterable[str]) -> tuple[Host, ...]:
    """The hosts of these names that exist."""
    return tuple(observed.hosts[name] for name in names if name in observed.hosts)


def shared_secrets(observed: Observed) -> frozenset[str]:
    """The Secrets that `survey` wants to know the keys of: those that are the same for all hosts."""
    return frozenset((*invocation_secrets(observed.invocation), *template_secrets(observed.template)))


def needed_secrets(observed: Observed, now: datetime) -> frozenset[str]:
    """The Secrets that `examine` wants to know the keys of."""
    if isinstance(observed.template, JobTemplate) and observed.template.in_pod:
        return work_secrets(observed.invocation, ())
    try:
        hosts = _known(observed, choose_hosts(observed, now))
    except (TargetingError, RerunError):
        hosts = ()
    secrets = work_secrets(observed.invocation, hosts, all_jump_hosts(hosts, observed.hosts))
    return secrets | frozenset(template_secrets(observed.template))
