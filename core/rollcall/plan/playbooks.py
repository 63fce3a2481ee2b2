"""A playbook's part of a slice's work, from the template, the inputs and the Hosts."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from rollcall.inputs import InputError, InputValue
from rollcall.playbook import HostVariables, PlaybookWork
from rollcall.resources.host import Host, facts_problem
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.providers import AnsibleProvider, Provider
from rollcall.work import BecomeMethod

_BECOME_METHODS: Final = {BecomeMethod.SUDO: "sudo", BecomeMethod.SU: "su"}


def provider_of(template: JobTemplate) -> AnsibleProvider | None:
    """What the template says of its playbook; None when it has a script."""
    return template.spec.ansible if template.spec.provider is Provider.ANSIBLE else None


def source_problem(template: JobTemplate) -> str | None:
    """The sentence about a playbook that is to come from a ConfigMap which does not have it."""
    ansible = provider_of(template)
    if ansible is None or ansible.playbook_from is None or ansible.playbook is not None:
        return None
    source = ansible.playbook_from.config_map_key_ref
    return (
        f"the playbook of template {template.metadata.name} is to come from the key {source.key} of the ConfigMap "
        f"{source.name}: there is no such ConfigMap, or no such key with text in it"
    )


def with_text(template: JobTemplate, text: str | None) -> JobTemplate:
    """The template with the playbook that was read for it; None leaves it without."""
    ansible = template.spec.ansible
    if ansible is None or not text:
        return template
    spec = template.spec.model_copy(update={"ansible": ansible.model_copy(update={"playbook": text})})
    return template.model_copy(update={"spec": spec})


def host_variables(host: Host, of_host: Mapping[str, InputValue]) -> HostVariables:
    """What the playbook knows of a host; inputs that are read from it come before its variables of the same name.

    Raises InputError for facts that are too many to be read.
    """
    if problem := facts_problem(host):
        raise InputError(f"Host {host.metadata.name}: {problem}")
    return HostVariables(host.spec.groups, {**host.spec.variables, **of_host}, host.spec.facts)


def extra_vars(inputs: Mapping[str, InputValue], given: Collection[str]) -> dict[str, Any]:
    """The extra vars that inputs are. One that nobody has given is left out, so that the playbook's own default counts.

    `given` are the names of those that an invocation gives, in its spec or by a Secret.
    """
    return {name: value for name, value in inputs.items() if value != "" or name in given}


def playbook_work(
    ansible: AnsibleProvider, extra: Mapping[str, Any], hosts: Mapping[str, HostVariables], parallelism: int
) -> PlaybookWork:
    """How the playbook is run on these hosts, of which so many may be at work at once."""
    return PlaybookWork(
        path=ansible.git.path if ansible.git else "",
        extra_vars=dict(extra),
        hosts=dict(hosts),
        forks=min(ansible.forks, parallelism),
        verbosity=ansible.verbosity,
        tags=ansible.tags,
        skip_tags=ansible.skip_tags,
        check=ansible.check,
        diff=ansible.diff,
        become_method=_BECOME_METHODS[ansible.become_method],
    )
