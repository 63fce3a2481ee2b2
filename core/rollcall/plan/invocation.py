"""`reconcile`: what to do next for an invocation.

An invocation goes through three stages, each visible in its status: it is *examined* until its hosts are dealt into
slices, all of them and for good (condition Resolved, the commit point: no pod exists before it); it is *rolled out*
until every slice is Done; then it is finished and never changes again. Slices start in the order of their index, and
`status.startedSlices` remembers how far that has come, so that a pod that vanished is told from one never made.
"""

from dataclasses import replace
from datetime import datetime

from rollcall.names import LABEL_INVOCATION, ConditionType, Reason
from rollcall.plan.choosing import inventory_name
from rollcall.plan.conditions import conclude, unless_same
from rollcall.plan.counting import counted
from rollcall.plan.holding import chooses_at_start, held_by, hold_back, latest_choice, may_choose_since, turn
from rollcall.plan.observed import Note, Observed, Plan
from rollcall.plan.playbooks import provider_of
from rollcall.plan.resolution import Problem, Resolution, examine, survey
from rollcall.plan.rolling import roll_out
from rollcall.plan.rollout import deal
from rollcall.plan.starting import TEMPLATE
from rollcall.plan.stopping import stop_all
from rollcall.plan.waiting import turned, with_waiting
from rollcall.resources.jobinvocation import HostCounts, InvocationState, JobInvocation
from rollcall.resources.jobtemplate import JobTemplate
from rollcall.resources.meta import ConditionStatus
from rollcall.resources.targeting import WhenEmpty


def reconcile(observed: Observed, now: datetime) -> Plan:
    """The next step for the invocation, as of `now`."""
    invocation = observed.invocation
    if invocation.metadata.deletion_timestamp is not None:
        return tear_down(observed, now)
    if invocation.finished:
        held = {name: pod for name, pod in observed.pods.items() if pod.held}
        plan = tear_down(replace(observed, pods=held), now)
        return replace(plan, clean_up=plan.done)
    resolved = invocation.condition(ConditionType.RESOLVED)
    committed = resolved is not None and resolved.status == ConditionStatus.TRUE
    if not committed or invocation.status.hosts is None or invocation.status.slices is None:
        return _begin(observed, now)
    return roll_out(observed, now)


def tear_down(observed: Observed, now: datetime) -> Plan:
    """The next step towards the end of an invocation that is over or being deleted: stop its pods, let them go."""
    pods = observed.pods.values()
    overdue = [pod.deleting_since for pod in pods if pod.deleting_since and not pod.over(now)]
    working = {pod.slice for pod in pods if not pod.over(now)}
    return Plan(
        delete_pods=tuple(pod.name for pod in pods if pod.deleting_since is None),
        release_pods=tuple(pod.name for pod in pods if pod.held and pod.over(now)),
        held=frozenset(working | {TEMPLATE} if working else working),
        again_at=now + observed.timing.progress if overdue else None,
        # A pod whose node is lost stays listed until somebody gives the node up: nothing waits for that.
        done=all(pod.over(now) and not pod.held for pod in pods),
    )


def _begin(observed: Observed, now: datetime) -> Plan:
    """Examine the invocation; deal its hosts, wait for what is missing, or give up."""
    if observed.pods and not observed.slices:
        return _clear(observed, now)
    if observed.pods or any(slice_.status.state for slice_ in observed.slices):
        return _recover(observed, now)
    if observed.slices:
        # A dealing that was cut short. Hosts may have changed since: none of it is kept.
        return Plan(discard_slices=True, again_at=now)
    found = examine(observed, now) if held_by(observed, now) is None else survey(observed, now)
    cancelled = stop_all(observed.invocation, output_exceeded=False, now=now) is not None
    if cancelled and (chooses_at_start(observed.invocation) or isinstance(found, Problem)):
        return _cancel(observed.invocation, now)
    if (plan := hold_back(observed, found, now)) is not None:
        return plan
    match found:
        case Problem() as problem:
            return _reject(observed, problem, now)
        case Resolution(lacks=Problem() as problem) if not cancelled and now < _patience_ends(observed, now):
            return _reject(observed, problem, now)
        case Resolution() as resolution:
            return _deal(observed, resolution, now)


def _clear(observed: Observed, now: datetime) -> Plan:
    """Let pods go whose slices are gone, deleted by somebody or with an earlier invocation of the same name."""
    plan = tear_down(observed, now)
    return replace(plan, done=False, again_at=now + observed.timing.progress)


def _recover(observed: Observed, now: datetime) -> Plan:
    """Restore a status that somebody wiped: slices at work are no leftovers, and are not run again."""
    total = sum(len(slice_.spec.hosts) for slice_ in observed.slices if slice_.spec.attempt == 0)
    status = conclude(
        observed.invocation.status,
        observed.invocation,
        now,
        (ConditionType.RESOLVED, True, Reason.HOSTS_RESOLVED, f"{counted(total)}, as the slices that exist say"),
        state=InvocationState.RUNNING,
        inventory=inventory_name(observed),
        slices=max((slice_.spec.index + 1 for slice_ in observed.slices), default=0),
        hosts=HostCounts(total=total, pending=total),
    )
    working = frozenset(pod.slice for pod in observed.pods.values() if not pod.over(now))
    return Plan(status=status, held=working | {TEMPLATE} if working else working, again_at=now)


def _patience_ends(observed: Observed, now: datetime) -> datetime:
    """Until when what is missing may turn up."""
    return may_choose_since(observed.invocation, now) + observed.timing.reference_grace


def _reject(observed: Observed, problem: Problem, now: datetime) -> Plan:
    invocation = observed.invocation
    deadline = _patience_ends(observed, now)
    waiting = problem.may_heal and now < deadline
    message = f"{problem.message}; waiting for it until {deadline:%H:%M:%S} UTC" if waiting else problem.message
    status = conclude(
        with_waiting(invocation.status, invocation, None, now), invocation, now,
        (ConditionType.VALID, False, problem.reason, message),
        state=InvocationState.PENDING if waiting else InvocationState.FAILED,
    )  # fmt: skip
    if not waiting:
        status = conclude(
            status, invocation, now, (ConditionType.FAILED, True, problem.reason, message),
            hosts=status.hosts or HostCounts(), completion_time=now,
        )  # fmt: skip
    said = invocation.condition(ConditionType.VALID)
    repeated = waiting and said is not None and said.message == message
    return Plan(
        status=unless_same(status, invocation),
        notes=() if repeated else (Note(problem.reason, message, warning=True),),
        again_at=min(deadline, now + observed.timing.progress, latest_choice(invocation) or deadline)
        if waiting
        else None,
        # Those who come later have their turn when this one's patience has ended: else it would begin anew each time.
        held=turn(observed, now) if waiting else frozenset(),
        done=not waiting,
    )


def _cancel(invocation: JobInvocation, now: datetime) -> Plan:
    """End an invocation that is cancelled before its hosts are chosen."""
    message = "cancelled on request before its hosts were chosen"
    status = conclude(
        invocation.status, invocation, now, (ConditionType.CANCELLED, True, Reason.CANCELLED, message),
        state=InvocationState.CANCELLED, hosts=invocation.status.hosts or HostCounts(), completion_time=now,
    )  # fmt: skip
    return Plan(status=status, notes=(Note(Reason.CANCELLED, message),), done=True)


def _changes(observed: Observed, resolution: Resolution) -> tuple[Note, ...]:
    """What is not as it was in the invocation that is run again."""
    before = observed.origin.invocation.status.template if observed.origin else None
    if before is None or before == resolution.template:
        return ()
    message = f"the template is {resolution.template.name}, generation {resolution.template.generation}; "
    message += f"the earlier run had {before.name}, generation {before.generation}"
    if before.name == resolution.template.name and before.uid != resolution.template.uid:
        message += ", which has been deleted since"
    return (Note(Reason.TEMPLATE_CHANGED, message),)


def _deal(observed: Observed, resolution: Resolution, now: datetime) -> Plan:
    invocation, total = observed.invocation, len(resolution.hosts)
    playbook = isinstance(observed.template, JobTemplate) and provider_of(observed.template) is not None
    # Results of steps leave room for what is said of each host's pod, and for its output.
    pods = min(observed.pods_per_slice, resolution.most_per_object // 2)
    slices = deal(invocation, resolution.hosts, resolution.most_per_slice, together=playbook, pods_per_slice=pods)
    status = conclude(
        with_waiting(invocation.status, invocation, None, now), invocation, now,
        (ConditionType.VALID, True, Reason.ACCEPTED, "nothing is wrong with it"),
        state=InvocationState.PENDING, description=resolution.description, template=resolution.template,
        inventory=resolution.inventory, slices=sum(made.spec.places for made in slices),
        hosts=HostCounts(total=total, pending=total),
    )  # fmt: skip
    message = f"{counted(total)} in {counted(len(slices), 'slice')}" if total else "the targeting selects no host"
    message += ", with a pod for each host" if any(made.spec.pod_per_host for made in slices) else ""
    message += f"; see them with kubectl describe js -l {LABEL_INVOCATION}={invocation.metadata.name}" if total else ""
    status = conclude(status, invocation, now, (ConditionType.RESOLVED, True, Reason.HOSTS_RESOLVED, message))
    if total:
        waits = (Note(Reason(c.reason), c.message) for c in turned(status, invocation.status))
        notes = (Note(Reason.HOSTS_RESOLVED, message), *_changes(observed, resolution), *waits)
        # Nobody else's turn comes between the choice and the start.
        return Plan(create_slices=slices, status=status, notes=notes, held=turn(observed, now), again_at=now)
    targeting = invocation.spec.targeting
    failed = targeting is not None and targeting.when_empty == WhenEmpty.FAIL
    end = ConditionType.FAILED if failed else ConditionType.COMPLETE
    message = "the targeting selects no host; check what it asks for"
    status = conclude(
        status, invocation, now, (end, True, Reason.NO_HOSTS, message),
        state=InvocationState.FAILED if failed else InvocationState.COMPLETE, completion_time=now,
    )  # fmt: skip
    return Plan(status=status, notes=(Note(Reason.NO_HOSTS, message, warning=failed),), done=True)
