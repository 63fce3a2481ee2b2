"""Script rendering and descriptions.

A script is a Jinja template in which every inserted value is quoted for the shell; only `| raw` inserts a value as it
is. (`{{ input }}` pasted into a script unquoted is how shell injection happens.) Templates insert, compare and choose;
they do not loop, call or assign: the shell does that, and no author can make the operator compute without end. What
bounds it: the length of a script, the number and depth of its expressions, the text that expressions make on the way,
and the length of what comes out.

No message of this module holds a value: a name that a script computes could be a secret.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from jinja2 import TemplateError

from rollcall.inputs import InputError, InputValue, concealed_inputs, plain, stand_in
from rollcall.language import CertainError, Names, UseError, compiled
from rollcall.resources.host import Host, facts_problem
from rollcall.resources.jobinvocation import EffectiveUserOverride
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.providers import EffectiveUserPolicy, PlaybookUserPolicy, Provider
from rollcall.steps import Part
from rollcall.work import BecomeMethod, EffectiveUser

MAX_SCRIPT_BYTES: Final = 262_144
MAX_DESCRIPTION_LENGTH: Final = 255
MAX_MESSAGE_LENGTH: Final = 1000
HIDDEN: Final = "***"
"""What a description shows in the place of a value that must not be shown."""
_PLACEHOLDER: Final = re.compile(r"%\{([^}]*)\}")


class RenderError(ValueError):
    """A script cannot be rendered; the message tells the template's author why.

    `certain` when that is so for every host and all values.
    """

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message[:MAX_MESSAGE_LENGTH])
        self.certain = certain


class _Facts(Names):
    """A host's facts, unless they are more than may be read."""

    def __init__(self, host: Host) -> None:
        super().__init__("host.facts", host.spec.facts)
        self._host = host

    @cached_property
    def _problem(self) -> str | None:
        return facts_problem(self._host)

    def values(self) -> Mapping[str, Any]:
        if self._problem is not None:
            raise UseError(self._problem)
        return super().values()


def _host_names(host: Host) -> Names:
    return Names(
        "host",
        {
            "name": host.metadata.name,
            "address": host.address,
            "facts": _Facts(host),
            "variables": Names("host.variables", host.spec.variables),
        },
    )


def render_parts(
    template: JobTemplate, chosen: Iterable[Part], inputs: Mapping[str, InputValue], host: Host
) -> tuple[str, ...]:
    """The scripts for one host, those that are not run left out. Raises RenderError when one cannot be rendered, or all
    together become too long."""
    texts: list[str] = []
    left = MAX_SCRIPT_BYTES
    for part in chosen:
        if part.runs:
            texts.append(_rendered(part.title(template), part.script, left, inputs, host))
            left -= len(texts[-1].encode())
    return tuple(texts)


def _rendered(title: str, text: str, most: int, inputs: Mapping[str, InputValue], host: Host) -> str:
    script = compiled(text)
    if script.template is None:
        raise RenderError(f"{title} cannot be rendered{script.problem}", certain=True)
    # Of several steps, the one that is too long is the last of many.
    too_long = f"{title} is over {MAX_SCRIPT_BYTES} bytes" + (
        ", with those before it" if most < MAX_SCRIPT_BYTES else ""
    )
    try:
        return _join(script.pieces(Names("inputs", inputs), _host_names(host)), most, too_long)
    except RenderError:
        raise
    except TemplateError as error:
        certain = isinstance(error, CertainError)
        raise RenderError(f"{title} cannot be rendered: {error.message}", certain=certain) from None
    except (TypeError, ZeroDivisionError, OverflowError) as error:  # their messages name types, and no values
        raise RenderError(f"{title} cannot be rendered: {type(error).__name__}: {error}") from None
    except Exception as error:  # an expression may raise anything, and its message may hold a value
        raise RenderError(f"{title} cannot be rendered: {type(error).__name__}") from None


def try_scripts(
    template: JobTemplate, chosen: Sequence[Part], inputs: Mapping[str, InputValue], host: Host, *, complete: bool
) -> None:
    """Raise RenderError for scripts that cannot be rendered for any host.

    `complete` when the inputs hold no stand-ins for values that come from Secrets.
    """
    of_host = {entry.name: stand_in(entry) for entry in template.spec.inputs if entry.value_from is not None}
    try:
        render_parts(template, chosen, {**inputs, **of_host}, host)
    except RenderError as error:
        reads_host = any(compiled(part.script).reads_host for part in chosen if part.runs)
        same_everywhere = complete and not of_host and not reads_host
        if error.certain or same_everywhere:
            raise


def _join(pieces: Iterable[str], most: int, too_long: str) -> str:
    """The rendered text; stops as soon as it is too long."""
    text: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece.encode())
        if size > most:
            raise RenderError(too_long)
        text.append(piece)
    return "".join(text)


def effective_user(template: JobTemplate, override: EffectiveUserOverride | None = None) -> EffectiveUser | None:
    """The user that the script runs as, None for the one who logs in.

    `override` is what an invocation says. Raises InputError when the template does not let it.
    """
    if template.in_pod:
        if override is not None:
            raise InputError(f"template {template.metadata.name} runs in pods: leave spec.effectiveUser out")
        return None
    wanted = override.name if override else None
    policy, method = _user_policy(template)
    own = policy.name if policy else None
    if wanted is not None and wanted != own and not (policy and policy.overridable):
        raise InputError(
            f"template {template.metadata.name} does not let an invocation name the effective user: leave"
            " spec.effectiveUser.name out, or set effectiveUser.overridable in the template"
        )
    name = own if wanted is None else wanted
    return None if name is None else EffectiveUser(name, method)


def _user_policy(template: JobTemplate) -> tuple[EffectiveUserPolicy | PlaybookUserPolicy | None, BecomeMethod]:
    ssh, ansible = template.spec.ssh, template.spec.ansible
    if template.spec.provider is Provider.ANSIBLE and ansible is not None:
        return ansible.effective_user, ansible.become_method
    policy = ssh.effective_user if ssh else None
    return policy, policy.method if policy else BecomeMethod.SUDO


def describe(
    template: JobTemplate,
    inputs: Mapping[str, InputValue],
    override: str | None = None,
    from_secrets: Collection[str] = (),
) -> str:
    """The description of an invocation, at most 255 characters (contracts/foreman.md §4.7).

    `from_secrets` are the inputs whose values come from Secrets: these are not shown, as those of hidden inputs.
    """
    format_ = override or template.spec.description_format or _default_format(template)
    concealed = concealed_inputs(template, from_secrets)
    known = {
        name: HIDDEN if name in concealed and value != "" else plain(value)[:MAX_DESCRIPTION_LENGTH]
        for name, value in inputs.items()
    }
    known |= {"template_name": template.title, "job_category": template.spec.category}
    return _PLACEHOLDER.sub(lambda match: known.get(match[1]) or "''", format_)[:MAX_DESCRIPTION_LENGTH]


def _default_format(template: JobTemplate) -> str:
    names = [entry.name for entry in template.spec.inputs if entry.value_from is None]
    inputs = " ".join(f'{name}="%{{{name}}}"' for name in names)
    return "%{template_name}" + (f" with inputs {inputs}" if inputs else "")
