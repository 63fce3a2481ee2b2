"""Which hosts a new job is for, and how a dialect tells that they are too many."""

import pytest

from rollcall_api.foreman.errors import of_problem
from rollcall_api.parsing import parse_host
from rollcall_api.problems import TooManyHosts
from rollcall_api.records import Host
from rollcall_api.targets import chosen, every_host, schedulable


def a_host(name: str, *, unschedulable: bool = False) -> Host:
    metadata = {"name": name, "uid": name, "resourceVersion": "1"}
    return parse_host({"metadata": metadata, "spec": {"unschedulable": unschedulable}})


def test_hosts_keep_their_order_unless_they_are_shuffled() -> None:
    hosts = [a_host(f"web{number}") for number in range(50)]
    names = tuple(host.name for host in hosts)
    assert chosen(hosts).hosts == names
    shuffled = chosen(hosts, shuffled=True).hosts or ()
    assert (shuffled != names, sorted(shuffled)) == (True, sorted(names))


def test_hosts_that_take_no_new_work_are_not_chosen() -> None:
    hosts = [a_host("web1"), a_host("web2", unschedulable=True)]
    assert [host.name for host in schedulable(hosts)] == ["web1"]


def test_more_hosts_than_a_job_can_have_are_refused_in_the_dialects_shape() -> None:
    with pytest.raises(TooManyHosts) as refusal:
        chosen([a_host("web1")] * 10_001)
    answer = of_problem(refusal.value)
    message = "Validation failed: Targeting: 10001 hosts match, and a job can have at most 10000"
    assert (answer.status, answer.body) == (500, {"error": {"message": message}})


def test_a_late_choice_says_so() -> None:
    wire = every_host(shuffled=True).model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    assert wire == {"selector": {}, "resolve": "AtStart", "order": "Shuffled"}
