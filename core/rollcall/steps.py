"""What a template runs on a host, in its order: one script, or those of its named steps that an invocation chooses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rollcall.inputs import InputError, listed
from rollcall.resources.jobslice import MAX_HOSTS_PER_SLICE
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.steps import StepSelection
from rollcall.work import StepWork

STEP_RESULT_BYTES: Final = 200
"""The most that the result of one step takes in a slice's status, as JSON."""
STEP_RESULTS_BYTES: Final = 48_000
"""How much the results of all steps of all hosts may take in a slice's status, which is to stay below 100 kB."""


@dataclass(frozen=True, slots=True)
class Part:
    """A script of a template as its author wrote it."""

    script: str
    step: StepWork | None = None
    """What its step is told with; None for the script of a template without steps."""

    @property
    def runs(self) -> bool:
        """Whether it is run."""
        return self.step is None or not self.step.skipped

    def title(self, template: JobTemplate) -> str:
        """What messages call it."""
        what = "the script" if self.step is None else f"step {self.step.name}"
        return f"{what} of template {template.metadata.name}"


def parts(template: JobTemplate, selection: StepSelection | None = None) -> tuple[Part, ...]:
    """All that the template has, with the steps marked as skipped that the selection leaves out.

    Raises InputError for a selection that the template does not allow, or that leaves nothing.
    """
    scripted = template.scripted
    if selection is not None and (scripted is None or scripted.script is not None):
        raise InputError(f"template {template.metadata.name} has no steps: leave spec.steps out")
    if scripted is None:
        return ()
    if scripted.script is not None:
        return (Part(scripted.script),)
    chosen = _chosen(template, [step.name for step in scripted.steps], selection or StepSelection())
    return tuple(
        Part(step.script, StepWork(step.name, step.timeout_seconds, step.on_failure, skipped=step.name not in chosen))
        for step in scripted.steps
    )


def _chosen(template: JobTemplate, names: Sequence[str], selection: StepSelection) -> frozenset[str]:
    given = [*filter(None, (selection.from_, selection.to)), *selection.skip]
    name = template.metadata.name
    if unknown := [step for step in dict.fromkeys(given) if step not in names]:
        raise InputError(f"template {name} has no step {listed(unknown)}; it has: {listed(names)}")
    first = 0 if selection.from_ is None else names.index(selection.from_)
    last = len(names) - 1 if selection.to is None else names.index(selection.to)
    if last < first:
        raise InputError(f"spec.steps of template {name}: {selection.to} comes before {selection.from_}")
    chosen = frozenset(names[first : last + 1]) - frozenset(selection.skip)
    if not chosen:
        raise InputError(f"spec.steps leaves no step of template {name} to run")
    return chosen


def most_hosts_per_slice(template: JobTemplate, parts_: Sequence[Part]) -> int:
    """How many hosts a pod may have: one where the script runs in the pod itself, else so many as an object."""
    return 1 if template.in_pod else most_hosts_per_object(parts_)


def most_hosts_per_object(parts_: Sequence[Part]) -> int:
    """How many hosts a slice object may have: so many that the results of all their steps fit into its status."""
    steps = sum(part.step is not None for part in parts_)
    return min(MAX_HOSTS_PER_SLICE, STEP_RESULTS_BYTES // (STEP_RESULT_BYTES * steps)) if steps else MAX_HOSTS_PER_SLICE
