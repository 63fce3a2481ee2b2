"""What a template would do on a host, without running it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollcall.inputs import InputError, bind_inputs, read_host, stand_in
from rollcall.plan.playbooks import provider_of
from rollcall.resources.host import Host
from rollcall.resources.jobtemplate import InputType, JobTemplate
from rollcall.steps import parts
from rollcall.template import RenderError, describe, effective_user, render_parts
from rollcall.work import EffectiveUser


@dataclass(frozen=True, slots=True)
class StepPreview:
    """A step as the host would get it."""

    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What would run; values that must not be shown are stood in for, those of Secrets by `*****`."""

    script: str | None
    """The script as the host would get it, or the playbook; None when it cannot be rendered, is somewhere else, or the
    template has steps."""
    description: str | None
    """The description of the invocation, None when its inputs are not right."""
    effective_user: EffectiveUser | None
    """The user that the script would run as, None for the one who logs in."""
    problems: tuple[str, ...]
    """What is wrong with the template, the inputs or the host; none of it holds a hidden value."""
    steps: tuple[StepPreview, ...] = ()
    """The scripts of the template's steps, all of them in their order."""


def preview(template: JobTemplate, given: Mapping[str, Any], host: Host) -> Preview:
    """What an invocation with these inputs would do on the host. Secrets need not be given: they are taken as there."""
    declared = template.spec.inputs
    problems: list[str] = []
    scripts: tuple[str, ...] = ()
    chosen = parts(template)
    secret = {entry.name for entry in declared if entry.type is InputType.SECRET}
    visible = {name: value for name, value in given.items() if name not in secret}
    try:
        inputs = bind_inputs(template, visible, dict.fromkeys(secret))
    except InputError as error:
        return Preview(None, None, effective_user(template), (str(error),))
    description = describe(template, inputs)
    try:
        values = {**inputs, **read_host(template, host)}
        hidden = {entry.name: stand_in(entry) for entry in declared if entry.concealed and values[entry.name] != ""}
        scripts = render_parts(template, chosen, {**values, **hidden}, host)
    except (InputError, RenderError) as error:
        problems.append(str(error))
    ansible = provider_of(template)
    steps = tuple(
        StepPreview(part.step.name, script) for part, script in zip(chosen, scripts, strict=False) if part.step
    )
    script = ansible.playbook if ansible else scripts[0] if scripts and not steps else None
    return Preview(script, description, effective_user(template), tuple(problems), steps)
