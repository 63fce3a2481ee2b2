"""Jump hosts, as options of ssh name them."""

import pytest

from rollcall_cli.jumps import Hop, hops, hops_in_options


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("bastion", (Hop("bastion"),)),
        ("ops@bastion:2222", (Hop("bastion", "ops", 2222),)),
        ("ssh://ops@bastion:2222", (Hop("bastion", "ops", 2222),)),
        ("[2001:db8::1]:22", (Hop("2001:db8::1", None, 22),)),
        ("first,ops@second", (Hop("first"), Hop("second", "ops"))),
        ("none", ()),
    ],
)
def test_proxy_jump(text: str, wanted: tuple[Hop, ...]) -> None:
    assert hops(text) == wanted


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", ()),
        ("-o StrictHostKeyChecking=no", ()),
        ("-o ProxyJump=bastion", (Hop("bastion"),)),
        ("-oProxyJump=ops@bastion:23 -oForwardAgent=yes", (Hop("bastion", "ops", 23),)),
        ("-o 'ProxyJump bastion'", (Hop("bastion"),)),
        ("-o proxyjump=bastion", (Hop("bastion"),)),
        ("-J bastion", (Hop("bastion"),)),
        ("-CJbastion", (Hop("bastion"),)),
        ("-J one -J two", (Hop("one"),)),
        ("-o ControlPersist=60s -o ProxyCommand='ssh -W %h:%p -q ops@bastion'", (Hop("bastion", "ops"),)),
        ('-o ProxyCommand="/usr/bin/ssh -q -W %h:%p -p 2222 -l ops bastion"', (Hop("bastion", "ops", 2222),)),
        ("-o 'ProxyCommand=\"ssh -W %h:%p bastion\"'", (Hop("bastion"),)),
        ("-o ProxyCommand='exec ssh -J outer -W %h:%p inner'", (Hop("outer"), Hop("inner"))),
    ],
)
def test_options(options: str, wanted: tuple[Hop, ...]) -> None:
    assert hops_in_options(options) == wanted


@pytest.mark.parametrize("options", [
    "-o ProxyCommand='nc -X connect %h %p'", "-o ProxyCommand='ssh bastion nc %h %p'", "-o ProxyJump='a b:c:d'",
    "-o 'x",
    "-o ProxyCommand='ssh -W %h:%p'",
])  # fmt: skip
def test_what_names_no_jump_host_is_an_error(options: str) -> None:
    with pytest.raises(ValueError):
        hops_in_options(options)
