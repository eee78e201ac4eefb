"""A Kubernetes API server as far as `kubectl cluster-info` looks: TLS on a loopback port, with an authority of its own,
and only for who shows a certificate of that."""

from __future__ import annotations

import base64
import datetime
import http.server
import ipaddress
import json
import os
import shutil
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

KUBECTL = shutil.which("kubectl")
ANSWERS: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {"name": "services", "singularName": "service", "namespaced": True, "kind": "Service", "verbs": ["list"]}
        ],
    },
    "/api/v1/namespaces/kube-system/services": {
        "kind": "ServiceList",
        "apiVersion": "v1",
        "metadata": {},
        "items": [],
    },
}


def need_kubectl() -> None:
    """Where tests are meant to be complete (CI), the absence of kubectl is a failure."""
    if KUBECTL:
        return
    if os.environ.get("CI"):
        pytest.fail("kubectl is missing, and CI is set: apt install kubernetes-client")
    pytest.skip("kubectl is not installed: apt install kubernetes-client")


class ClusterServer:
    """Answers as long as the `with` lasts. `asked` has the paths."""

    def __init__(self, folder: Path) -> None:
        self._authority = _Authority()
        self.asked: list[str] = []
        asked = self.asked

        class Exchange(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                asked.append(path)
                body = json.dumps(ANSWERS.get(path, {"kind": "Status", "apiVersion": "v1", "code": 404})).encode()
                self.send_response(200 if path in ANSWERS else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *args: object) -> None:
                pass  # a client that does not trust us hangs up in the middle

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name, pem in zip(("cert.pem", "key.pem"), self._authority.issue("server"), strict=True):
            (folder / name).write_bytes(pem)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        context.load_verify_locations(cadata=self._authority.pem.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        self._server = Server(("127.0.0.1", 0), Exchange)
        # The handshake is each connection's own: else one that does not speak would hold up all.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def kubeconfig(self, **changes: str) -> str:
        """What lies on the control node: an address inside the cluster, and the certificate of an administrator."""
        cert, key = self._authority.issue("kubernetes-admin")
        values = {"ca": _base64(self._authority.pem), "cert": _base64(cert), "key": _base64(key), **changes}
        return f"""\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {values["ca"]}
    server: https://10.0.0.1:{self.port}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {{}}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: {values["cert"]}
    client-key-data: {values["key"]}
"""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("authority of the tests")
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        made = (
            _certificate(self._name, self._name, self._key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
        )
        self.pem = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        """A certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        made = _certificate(_named(name), self._name, key).add_extension(here, critical=False)
        return (
            made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            ),
        )


def _certificate(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
