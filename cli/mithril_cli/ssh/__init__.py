"""Reaching instances and clusters through the system's `ssh`."""
