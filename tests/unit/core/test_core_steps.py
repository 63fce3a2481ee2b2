"""A template may have named steps; an invocation chooses among them, and each has a result of its own per host."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rollcall.inputs import InputError
from rollcall.names import HostState, Reason, StepState
from rollcall.outputs import Event, StepNews, Stream, parse_line
from rollcall.plan.observed import Collected, Observed, StepProgress
from rollcall.plan.pods import Phase
from rollcall.plan.prepare import prepare
from rollcall.plan.resolution import Problem, Resolution, examine
from rollcall.plan.results import final_status, progress_status
from rollcall.plan.rollout import deal
from rollcall.plan.stopping import Stops
from rollcall.preview import StepPreview, preview
from rollcall.resources.jobslice import JobSliceStatus, StepResult
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.steps import MAX_STEPS, StepSelection
from rollcall.steps import STEP_RESULT_BYTES, most_hosts_per_slice, parts
from rollcall.template import MAX_SCRIPT_BYTES, RenderError, render_parts
from rollcall.work import OnFailure, StepWork, Work
from unit.core.objects import (
    FAILED,
    KEY_SECRET,
    NOW,
    SUCCEEDED,
    host,
    invocation,
    pod,
    progress,
    slice_,
    stored,
    template,
)

STEPS = [
    {"name": "fetch", "script": "fetch {{ inputs.what }}\n"},
    {"name": "build", "script": "build on {{ host.name }}\n", "timeoutSeconds": 60},
    {"name": "test", "script": "test\n", "onFailure": "Continue"},
    {"name": "clean-up", "script": "rm\n"},
]
INPUTS = [{"name": "what", "default": "a b"}]


def declared(steps: Any = STEPS) -> JobTemplate:
    return template(inputs=INPUTS, ssh={"steps": steps})


def chosen(selection: Any) -> list[str]:
    found = parts(declared(), StepSelection.model_validate(selection))
    return [part.step.name for part in found if part.step and part.runs]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({}, ["fetch", "build", "test", "clean-up"]),
        ({"from": "build"}, ["build", "test", "clean-up"]),
        ({"to": "build"}, ["fetch", "build"]),
        ({"from": "build", "to": "build"}, ["build"]),
        ({"from": "build", "skip": ["test"]}, ["build", "clean-up"]),
        ({"to": "build", "skip": ["clean-up"]}, ["fetch", "build"]),
    ],
)
def test_a_selection_begins_ends_and_skips(selection: Any, expected: list[str]) -> None:
    assert chosen(selection) == expected


WRONG = [
    ({"from": "biuld"}, "template run has no step biuld; it has: fetch, build, test, clean-up"),
    ({"skip": ["a", "fetch", "b"]}, "template run has no step a, b"),
    ({"from": "test", "to": "build"}, "spec.steps of template run: build comes before test"),
    ({"from": "test", "to": "test", "skip": ["test"]}, "spec.steps leaves no step of template run to run"),
]


@pytest.mark.parametrize(("selection", "words"), WRONG)
def test_a_wrong_selection_ends_an_invocation_before_any_host(selection: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        chosen(selection)
    found = examined(steps=selection)
    assert isinstance(found, Problem)
    assert (found.reason, found.may_heal) == (Reason.INVALID_INPUT, False)
    assert words in found.message


def test_a_selection_is_not_for_a_template_with_one_script() -> None:
    with pytest.raises(InputError, match="template run has no steps: leave spec.steps out"):
        parts(template("uptime"), StepSelection())


def examined(steps: Any = None) -> Resolution | Problem:
    return examine(
        Observed(
            invocation("a", steps=steps),
            template=declared(),
            hosts={"a": host("a")},
            secrets={KEY_SECRET: frozenset({"ssh-privatekey"})},
        ),
        NOW,
    )


def prepared(steps: Any, of: JobTemplate | None = None) -> Work:
    job = invocation("a", "b", steps=steps)
    found = prepare(
        job, slice_(0, "a", "b"), of or declared(), {name: host(name) for name in "ab"},
        {KEY_SECRET: {"ssh-privatekey": b"key"}}, 1_000,
    )  # fmt: skip
    assert found.failures == {}
    assert found.work is not None
    return Work.load(found.work)


def test_a_runner_gets_the_chosen_scripts_and_knows_what_is_skipped() -> None:
    work = prepared({"from": "build", "skip": ["clean-up"]})
    assert work.steps == (
        StepWork("fetch", skipped=True),
        StepWork("build", 60),
        StepWork("test", on_failure=OnFailure.CONTINUE),
        StepWork("clean-up", skipped=True),
    )
    scripts = {entry.name: [work.scripts[number] for number in entry.steps] for entry in work.hosts}
    assert scripts == {"a": ["build on a\n", "test\n"], "b": ["build on b\n", "test\n"]}
    assert len(work.scripts) == 3
    assert [entry.script for entry in work.hosts] == [entry.steps[0] for entry in work.hosts]


def test_a_template_with_one_script_has_no_steps() -> None:
    work = prepared(None, template("uptime\n"))
    assert (work.steps, work.hosts[0].steps, work.scripts) == ((), (), ("uptime\n",))


def test_steps_share_the_inputs_and_the_bound_of_a_script() -> None:
    half = "x" * (MAX_SCRIPT_BYTES // 2)
    long = template(inputs=[{"name": "x"}], ssh={"steps": [
        {"name": name, "script": "{{ inputs.x | raw }}"} for name in ("first", "second", "third")
    ]})  # fmt: skip
    two = parts(long, StepSelection(skip=("third",)))
    assert render_parts(long, two, {"x": half}, host()) == (half, half)
    with pytest.raises(RenderError, match="^step third of template run is over 262144 bytes, with those before it$"):
        render_parts(long, parts(long), {"x": half}, host())
    with pytest.raises(RenderError, match=r"^step build of template run cannot be rendered: host has no 'nmae'"):
        render_parts(long, parts(declared([{"name": "build", "script": "{{ host.nmae }}"}])), {}, host())


def test_a_preview_shows_every_step() -> None:
    found = preview(declared(), {}, host("web1"))
    assert (found.script, found.problems) == (None, ())
    assert found.steps[:2] == (StepPreview("fetch", "fetch 'a b'\n"), StepPreview("build", "build on web1\n"))
    assert len(found.steps) == 4


NEWS = st.builds(
    StepNews,
    st.text("abc-._09", min_size=1, max_size=63),
    st.sampled_from(StepState),
    st.none() | st.integers(0, 255),
    st.none() | st.sampled_from(Reason),
    st.none() | st.integers(0, 4_000_000_000).map(float),
)


@given(NEWS)
def test_a_step_event_is_read_as_it_was_written(news: StepNews) -> None:
    event = Event("web1", 3, 1.5, Stream.STEP, news)
    assert parse_line(event.line()) == event
    assert news.name in news.sentence
    assert "\n" not in news.sentence


@pytest.mark.parametrize(
    "data", ["build", {"name": "x"}, {"name": "", "state": "Running"}, {"name": "x", "state": "Lost"},
             {"name": "x" * 64, "state": "Running"}, {"name": "x", "state": "Failed", "exitCode": "1"}],
)  # fmt: skip
def test_what_is_no_step_event_is_refused(data: Any) -> None:
    line = json.dumps({"host": "web1", "seq": 0, "time": 1.0, "stream": "step", "data": data})
    with pytest.raises(ValueError, match="not|step"):
        parse_line(line.encode())


def said(*news: StepNews) -> Any:
    """The progress of a host whose steps said this, a second after another."""
    began = NOW.timestamp()
    steps = tuple(StepProgress(entry, began + number) for number, entry in enumerate(news))
    return replace(progress(), steps=steps)


BEGAN = NOW.timestamp()
FIRST = StepNews("fetch", StepState.SUCCEEDED, 0, None, BEGAN)
SECOND = StepNews("build", StepState.RUNNING)


def steps_of(status: JobSliceStatus) -> list[Any]:
    return [result.wire() for result in status.hosts[0].steps or ()]


def test_the_slice_shows_each_step_while_it_works_and_at_its_end() -> None:
    at_work = progress_status(
        slice_(0, "a"), pod(0), Collected({"a": said(FIRST, SECOND)}, complete=False), Stops(), NOW
    )
    first = {
        "name": "fetch", "state": "Succeeded", "exitCode": 0,
        "startTime": "2026-03-01T12:00:00Z", "completionTime": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    assert steps_of(at_work) == [first, {"name": "build", "state": "Running", "startTime": "2026-03-01T12:00:01Z"}]
    failed = StepNews("build", StepState.FAILED, 3, Reason.EXIT_CODE, BEGAN + 1)
    left = StepNews("test", StepState.NOT_STARTED)
    heard = replace(said(FIRST, failed, left), exit=FAILED)
    ended = final_status(
        slice_(0, "a"), pod(0, Phase.ENDED), Collected({"a": heard}, complete=True), None, Stops(), NOW
    )
    assert [step["state"] for step in steps_of(ended)] == ["Succeeded", "Failed", "NotStarted"]
    assert steps_of(ended)[1]["exitCode"] == 3
    assert steps_of(ended)[2] == {"name": "test", "state": "NotStarted"}


def test_a_step_whose_runner_fell_silent_ends_as_its_host() -> None:
    heard = Collected({"a": said(FIRST, SECOND)}, complete=True)
    ended = final_status(slice_(0, "a"), pod(0, Phase.ENDED), heard, None, Stops(), NOW)
    assert ended.hosts[0].state is HostState.FAILED
    assert steps_of(ended)[1] == {
        "name": "build", "state": "Failed", "startTime": "2026-03-01T12:00:01Z",
        "completionTime": "2026-03-01T12:00:00Z",
    }  # fmt: skip


def test_a_host_without_steps_has_no_word_of_them() -> None:
    ended = final_status(
        slice_(0, "a"), pod(0), Collected({"a": replace(progress(), exit=SUCCEEDED)}, complete=True), None, Stops(), NOW
    )
    assert "steps" not in ended.hosts[0].wire()


LONGEST = StepResult.model_validate({
    "name": "n" * 63, "state": "CancelFailed", "exitCode": 255,
    "startTime": "2026-03-01T12:00:01Z", "completionTime": "2026-03-01T12:00:01Z",
})  # fmt: skip


@pytest.mark.parametrize(("steps", "most"), [(1, 240), (2, 120), (4, 60), (10, 24), (MAX_STEPS, 7)])
def test_slices_are_small_enough_for_the_results_of_all_steps(steps: int, most: int) -> None:
    named = declared([{"name": f"s{number}", "script": "true"} for number in range(steps)])
    assert most_hosts_per_slice(named, parts(named)) == most
    assert len(json.dumps(LONGEST.wire())) <= STEP_RESULT_BYTES
    assert steps * most * len(json.dumps(LONGEST.wire())) < 50_000
    names = [f"h{number}" for number in range(1_000)]
    for wanted in ("auto", 250):
        dealt = deal(invocation(rollout={"hostsPerSlice": wanted}), names, most)
        assert max(len(made.spec.hosts) for made in dealt) <= most
        assert [name for made in dealt for name in made.spec.hosts] == names


def test_a_template_without_steps_has_slices_as_large_as_ever() -> None:
    plain = template("uptime")
    assert most_hosts_per_slice(plain, parts(plain)) == 250
    found = examined()
    assert isinstance(found, Resolution)
    assert found.most_per_slice == 60


def test_an_invocation_keeps_what_it_asked_for() -> None:
    selection = {"from": "build", "to": "test", "skip": ["clean-up"]}
    assert stored(invocation("a", steps=selection)).spec.wire()["steps"] == selection
