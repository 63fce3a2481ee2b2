"""`rollcall-api`: serves the REST facade until it is told to stop.

SIGTERM lets the requests at work finish, for at most twenty seconds.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import uvicorn

from rollcall.outputkeys import StoreAddress
from rollcall_api import logs
from rollcall_api.app import Facade, Settings
from rollcall_api.readers import Readers
from rollcall_api.throttle import MAX_FAILURES, WINDOW_SECONDS
from rollcall_api.whole import WholeAnswers

GRACE_SECONDS: Final = 20
_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the facade."""
    parser = _parser()
    options = parser.parse_args(arguments)
    logs.configure(options.log_level)
    own = os.environ.get("POD_NAMESPACE") or _service_account_namespace() or options.namespace
    if not own:
        parser.error("outside a pod --namespace is needed")
    settings = Settings(
        namespace=options.namespace or own,
        ids_namespace=options.ids_namespace or own,
        users_dir=options.users_dir,
        output_stores=tuple(options.output_store),
        metrics_address=(options.bind, options.metrics_port) if options.metrics_port else None,
        login_failures=options.login_failures,
        login_window_seconds=options.login_window,
    )
    facade = Facade(settings)
    readers = Readers(lambda: facade.outputs.room.waited_for)
    config = uvicorn.Config(
        WholeAnswers(facade),
        host=options.bind,
        port=options.port,
        loop="uvloop",
        http=readers.protocol,  # type: ignore[arg-type]  # it is only called
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=options.access_log,
        server_header=False,
        proxy_headers=bool(options.trusted_proxies),
        forwarded_allow_ips=options.trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rollcall-api", description="Serves the REST facade of Rollcall.")
    parser.add_argument(
        "--namespace",
        default=os.environ.get("ROLLCALL_NAMESPACE", ""),
        help="the namespace whose objects are shown [ROLLCALL_NAMESPACE; default: the pod's own]",
    )
    parser.add_argument(
        "--ids-namespace",
        default=os.environ.get("ROLLCALL_IDS_NAMESPACE", ""),
        help="the namespace of the ConfigMap with the id sequences [ROLLCALL_IDS_NAMESPACE; default: the pod's own]",
    )
    parser.add_argument(
        "--users-dir",
        type=Path,
        default=os.environ.get("ROLLCALL_USERS_DIR") or None,
        help="a directory with one JSON file per user who may log in with a password [ROLLCALL_USERS_DIR]",
    )
    parser.add_argument(
        "--output-store",
        type=_store,
        action="append",
        default=[_store(text) for text in os.environ.get("ROLLCALL_OUTPUT_STORES", "").split()],
        metavar="STORE",
        help="where output may be, besides the cluster: file:///folder, or s3://bucket/prefix, gs://..., az://..., also"
        " with ?endpoint=...&region=...; may be repeated; credentials come from the environment"
        " [ROLLCALL_OUTPUT_STORES, with spaces between them]",
    )
    parser.add_argument(
        "--bind",
        default=os.environ.get("ROLLCALL_BIND", "0.0.0.0"),  # noqa: S104 - a pod is reached by its own address
        help="the address to listen on [ROLLCALL_BIND]",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("ROLLCALL_PORT", "8080"),
        help="the port to listen on [ROLLCALL_PORT]",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=os.environ.get("ROLLCALL_METRICS_PORT", "0"),
        help="the port to answer /metrics on, for anybody; 0: none [ROLLCALL_METRICS_PORT]",
    )
    parser.add_argument(
        "--trusted-proxies",
        default=os.environ.get("ROLLCALL_TRUSTED_PROXIES", ""),
        help="addresses and networks of proxies, with commas between them, whose X-Forwarded-For says where a request"
        " comes from; nobody's by default [ROLLCALL_TRUSTED_PROXIES]",
    )
    parser.add_argument(
        "--login-failures",
        type=_positive,
        default=os.environ.get("ROLLCALL_LOGIN_FAILURES", str(MAX_FAILURES)),
        help="how often one login may fail from one address before it is refused [ROLLCALL_LOGIN_FAILURES]",
    )
    parser.add_argument(
        "--login-window",
        type=_positive,
        default=os.environ.get("ROLLCALL_LOGIN_WINDOW", str(int(WINDOW_SECONDS))),
        help="for how many seconds a failed login counts [ROLLCALL_LOGIN_WINDOW]",
    )
    parser.add_argument(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default=os.environ.get("ROLLCALL_LOG_LEVEL", "info"),
        help="how much is logged [ROLLCALL_LOG_LEVEL]",
    )
    parser.add_argument("--access-log", action="store_true", help="log every request")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _store(text: str) -> StoreAddress:
    try:
        return StoreAddress.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _service_account_namespace() -> str:
    try:
        return _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    except OSError:
        return ""


if __name__ == "__main__":
    main()
