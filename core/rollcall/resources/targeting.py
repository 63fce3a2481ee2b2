"""Which hosts a job runs on, as people say it: by name, by label, by an inventory, by a query."""

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from rollcall.query.errors import MAX_LENGTH
from rollcall.resources.meta import LabelSelector, LocalReference, Model, rule

MAX_HOSTS: Final = 10_000
HostName = Annotated[str, Field(min_length=1, max_length=253)]
HostNames = Annotated[
    tuple[HostName, ...] | None, Field(max_length=MAX_HOSTS, json_schema_extra={"x-kubernetes-list-type": "set"})
]

ONE_WAY_TO_TARGET: Final = rule(
    "[has(self.hosts), has(self.selector), has(self.inventoryRef), has(self.query)].filter(given, given).size() == 1",
    "give exactly one of hosts, selector, inventoryRef and query",
)
_NOT_BLANK: Final[dict[str, Any]] = {
    "x-kubernetes-validations": [
        rule(r"self.text.matches('\\S')", "text is blank; to select all hosts, give selector: {} instead of a query")
    ]
}


class HostOrder(StrEnum):
    """The orders in which hosts can be dealt."""

    NAME = "Name"
    GIVEN = "Given"
    SHUFFLED = "Shuffled"


class WhenEmpty(StrEnum):
    """What becomes of an invocation whose targeting selects no host."""

    COMPLETE = "Complete"
    FAIL = "Fail"


class Resolve(StrEnum):
    """When hosts are chosen."""

    AT_CREATION = "AtCreation"
    AT_START = "AtStart"


class QueryLanguage(StrEnum):
    """The languages that queries over hosts can be written in."""

    FOREMAN = "Foreman"
    ANSIBLE = "Ansible"
    PQL = "PQL"


class HostQuery(Model):
    """Asks for hosts in one of several languages."""

    language: QueryLanguage
    """`Foreman`: the search language of Foreman and Katello, as in `facts.os::family = Debian and hostgroup = web`.
    `Ansible`: a host pattern, as in `web:&prod:!web3`. `PQL`: the Puppet Query Language, as in
    `inventory { facts.os.family = "Debian" }`."""
    text: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
    """The query. Hosts come in the order that it asks for, else in that of their names. It may ask about 32 different
    fields and facts, and have 64 tests other than equality; values to be equal to are not counted."""


Query = Annotated[HostQuery | None, Field(json_schema_extra=_NOT_BLANK)]


class InventoryReference(LocalReference):
    """Names an Inventory in the same namespace, and takes all of its hosts or some."""

    limit: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)] | None = None
    """Takes only those hosts of the inventory that this Ansible host pattern selects, as in `ansible-playbook --limit`:
    names, groups and shell patterns, as in `web:&prod:!web3`. All when absent."""


class Targeting(Model):
    """Says which hosts the job runs on; exactly one of `hosts`, `selector`, `inventoryRef` and `query`."""

    hosts: HostNames = None
    """The names of Host objects in the same namespace."""
    selector: LabelSelector | None = None
    """Selects Host objects in the same namespace by their labels. An empty selector selects all."""
    inventory_ref: InventoryReference | None = None
    """Selects the hosts of an Inventory in the same namespace, who then have its variables and its groups too."""
    query: Query = None
    """Selects Host objects in the same namespace by what is known of them: names, facts, variables, groups."""
    resolve: Resolve = Resolve.AT_CREATION
    """When the hosts are chosen. `AtCreation`: at once. `AtStart`: when the first of them could start, which is after
    startAt, not while suspended, and when the template's turn has come if it allows one invocation at a time."""
    order: HostOrder | None = None
    """The order in which hosts are started: `Name`, `Given` (as `hosts` names them, or a query orders them) or
    `Shuffled` (once, for this invocation). `Given` when absent, which for a selector is the order of the names."""
    when_empty: WhenEmpty = WhenEmpty.COMPLETE
    """What happens when no host is selected: `Complete` ends the invocation as complete, `Fail` as failed."""
