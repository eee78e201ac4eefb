"""What holds for all tests: no duration fails one, Ctrl-C reaches what they start, and what they counted is printed."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

settings.register_profile("patient", deadline=None)  # a busy machine is no defect
settings.load_profile("patient")

# A shell has what it runs in the background ignore Ctrl-C, and programs hand that on to those that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.getreports("passed"):
        if report.when == "call":
            for name, value in report.user_properties:
                terminalreporter.write_line(f"{report.head_line}: {name}: {value}")
