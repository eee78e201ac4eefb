"""Kubeconfigs: fetched from a cluster, and merged into the one on this machine."""
