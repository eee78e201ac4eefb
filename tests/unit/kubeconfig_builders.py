"""Kubeconfigs for tests: what a control node has, and what credentials come of it."""

from __future__ import annotations

from typing import Any

from mithril_cli.kubeconfig import credentials
from mithril_cli.kubeconfig.credentials import Credentials

# As kubeadm writes it.
REMOTE = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://10.0.0.1:6443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
"""

TWO = """\
apiVersion: v1
kind: Config
clusters:
- {name: b, cluster: {server: 'https://10.0.0.2:7443/sub'}}
- {name: a, cluster: {server: 'http://[fd00::1]'}}
contexts:
- {name: spare, context: {cluster: b, user: two}}
- {name: main, context: {cluster: a, user: one, namespace: team}}
users:
- {name: two, user: {token: two-token}}
- {name: one, user: {token: one-token}}
current-context: main
"""

# A person's own, with everything that is easily lost.
LOCAL = """\
# kept by hand; ask Ada before changing
apiVersion: v1
kind: Config
preferences: {}
clusters:
# the one in the cellar
- name: "cellar"   # quoted
  cluster:
    server: 'https://192.0.2.1:6443'
    certificate-authority-data: >-
      QUFB
      QkJC

- cluster: {server: "https://192.0.2.2", insecure-skip-tls-verify: true}
  name: lab
# after the clusters
contexts:
- context:
    cluster: cellar
    user: me
    namespace: default    # mine
  name: cellar
current-context: cellar   # on purpose
users:
- name: me
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: my-login
      args: [--quiet, "--for=cellar"]
# the end
"""


def given(cluster: str = "train", host: str = "198.51.100.7", text: str = REMOTE) -> Credentials:
    return credentials.take(text, cluster, host)


def foreign(content: dict[str, Any], mine: Credentials) -> dict[str, Any]:
    """What is not of a cluster of ours."""
    return {
        key: [entry for entry in value if not mine.owns(entry["name"])] if isinstance(value, list) else value
        for key, value in content.items()
        if value is not None and value != [] and key != "current-context"
    }
