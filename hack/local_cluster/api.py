"""Asking a cluster's API server whether it is ready for use."""

import base64
import http.client
import json
import ssl
import tempfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .configuration import NODE_NAME
from .layout import Layout

TIMEOUT = 5.0


@dataclass(frozen=True)
class Client:
    """Reads the API with the administrator's certificate."""

    host: str
    port: int
    trust: ssl.SSLContext

    def get(self, path: str) -> dict[str, Any] | None:
        """Returns the object at `path`, or None if the server does not answer or does not have it."""
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=TIMEOUT, context=self.trust)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except OSError:
            return None
        finally:
            connection.close()
        if response.status != http.client.OK:
            return None
        answer: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {"text": body.decode()}
        return answer


def connect(layout: Layout) -> Client:
    """Returns a client for the kubeconfig that this tool wrote for a bare cluster."""
    config = json.loads(layout.kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    address = urlsplit(cluster["server"])
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    with tempfile.NamedTemporaryFile() as pair:
        # The ssl module reads certificates from files only.
        pair.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        pair.flush()
        trust.load_cert_chain(pair.name)
    assert address.hostname is not None
    return Client(address.hostname, address.port or 443, trust)


def missing(client: Client) -> str | None:
    """Returns the first thing that the cluster lacks before it can run a pod, or None if it can."""
    if client.get("/readyz") is None:
        return "the API server"
    node = client.get(f"/api/v1/nodes/{NODE_NAME}") or {"status": {}}
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", [])):
        return "a ready node"
    if client.get("/api/v1/namespaces/default/serviceaccounts/default") is None:
        return "the default service account"
    return None
