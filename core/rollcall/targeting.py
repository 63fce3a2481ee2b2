"""Which hosts an invocation runs on."""

from collections.abc import Iterable, Mapping

from rollcall.resources.host import Host
from rollcall.resources.jobinvocation import Targeting
from rollcall.resources.meta import LabelOperator, LabelRequirement, LabelSelector


class UnknownHostsError(ValueError):
    """The targeting names hosts that do not exist."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        shown = ", ".join(self.names[:5]) + (f" and {len(self.names) - 5} more" if len(self.names) > 5 else "")
        super().__init__(f"no Host named {shown} in this namespace")


def resolve(targeting: Targeting, hosts: Mapping[str, Host]) -> tuple[Host, ...]:
    """The selected hosts: by name in the order given, by selector in the order of their names.

    `hosts` are the namespace's hosts by name. Raises UnknownHostsError when a named host is not among them.
    """
    if targeting.selector is not None:
        selector = targeting.selector
        return tuple(hosts[name] for name in sorted(hosts) if matches(selector, hosts[name].metadata.labels))
    names = tuple(dict.fromkeys(targeting.hosts or ()))
    if missing := [name for name in names if name not in hosts]:
        raise UnknownHostsError(missing)
    return tuple(hosts[name] for name in names)


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether the labels satisfy the selector, as the API server decides it (metav1.LabelSelector)."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _satisfies(requirement, labels) for requirement in selector.match_expressions
    )


def _satisfies(requirement: LabelRequirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case LabelOperator.IN:
            return value is not None and value in requirement.values
        case LabelOperator.NOT_IN:
            # An object without the label satisfies NotIn, as in apimachinery's labels.Requirement.
            return value is None or value not in requirement.values
        case LabelOperator.EXISTS:
            return value is not None
        case LabelOperator.DOES_NOT_EXIST:
            return value is None
