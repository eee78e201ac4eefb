"""Is everything there to work with? The vendor's three words, and what stands behind each."""

from __future__ import annotations

from dataclasses import dataclass, field

from mithril_cli import answers, client, times
from mithril_cli.account.file import BrokenSettings
from mithril_cli.account.marketplace import Away, KeyRefused, Marketplace
from mithril_cli.account.settings import Settings, read
from mithril_cli.errors import Failure

TYPE_CHECKING = False  # as everywhere in this package
if TYPE_CHECKING:
    from collections.abc import Mapping

    from mithril_cli.answers import Object

DAEMON_PATIENCE = 2.0  # seconds; the daemon is an aside here
# What the billing check says of accounts that have yet to be set up, as the vendor's client knows it.
UNCONFIGURED = (
    "customer_not_found",
    "billing_address_missing",
    "payment_method_missing",
    "payment_method_pending",
    "payment_method_failed",
    "card_required",
)


@dataclass
class Check:
    """Each of the three is `ok`, `missing`, `invalid`, `not_configured`, `skipped`, or `error`: it cannot be told."""

    api_key: str = "missing"
    project: str = "missing"
    billing: str = "skipped"
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.api_key == self.project == self.billing == "ok"

    @property
    def line(self) -> str:
        """Word for word the vendor's."""
        verdict = "READY" if self.ready else "NOT READY"
        return f"Setup check: {verdict} (api_key={self.api_key}, project={self.project}, billing={self.billing})"


def check(env: Mapping[str, str]) -> Check:
    try:
        settings = read(env)
    except BrokenSettings as error:
        return Check("error", "error", reasons={"api_key": str(error)})
    found = Check()
    if settings.project:
        found.project = "error"  # until it can be asked about
    else:
        found.reasons["project"] = "there is none: type `ml setup`, or set MITHRIL_PROJECT"
    if not settings.key:
        found.reasons["api_key"] = "there is none: type `ml setup`, or set MITHRIL_API_KEY"
        return found
    marketplace = Marketplace(settings.api_url, settings.key)
    try:
        user = marketplace.user()
    except KeyRefused as error:
        found.api_key, found.reasons["api_key"] = "invalid", f"{error}; it is from {settings.sources['api_key']}"
        return found
    except Away as error:
        found.api_key, found.reasons["api_key"] = "error", str(error)
        return found
    found.api_key = "ok"
    _check_project(found, settings, marketplace)
    _check_billing(found, marketplace, user)
    return found


def _check_project(found: Check, settings: Settings, marketplace: Marketplace) -> None:
    if not settings.project:
        return
    try:
        projects = marketplace.projects()
    except (KeyRefused, Away) as error:
        found.reasons["project"] = str(error)
        return
    if len(named(projects, settings.project)) == 1:
        found.project = "ok"
        return
    found.project = "invalid"
    there = ", ".join(f"{name} ({fid})" for fid, name in projects) or "none"
    said = f"{settings.project}, from {settings.sources['project_id']},"
    found.reasons["project"] = f"{said} is not one project of this key (there are: {there})"


def _check_billing(found: Check, marketplace: Marketplace, user: Object) -> None:
    try:
        code = marketplace.billing(user)
    except (KeyRefused, Away) as error:
        found.billing, found.reasons["billing"] = "error", str(error)
        return
    if code == "ok":
        found.billing = "ok"
    else:
        found.billing = "not_configured" if code in UNCONFIGURED else "error"
        found.reasons["billing"] = f"the marketplace says {code}"


def named(projects: list[tuple[str, str]], word: str) -> list[tuple[str, str]]:
    """The projects that a fid or a name stands for: a fid before a name, and more than one only by name."""
    return [one for one in projects if one[0] == word] or [one for one in projects if one[1] == word]


def daemon_state() -> Object:
    """What is to be said of the daemon, whose absence is no failure here."""
    try:
        status = client.get("/v1/status", timeout=DAEMON_PATIENCE)
    except Failure as failure:
        return {"running": False, "reason": str(failure)}
    key, account, freshness = (answers.part(status, part) for part in ("key", "account", "freshness"))
    return {
        "running": True,
        "version": status.get("version"),
        "sandbox": bool(status.get("sandbox")),
        "key": key.get("state"),
        "key_source": key.get("source"),
        "api_url": account.get("api_url"),
        "age_seconds": answers.number(freshness.get("age_seconds")),
        "stale": bool(freshness.get("stale")),
        "projects": [one.get("fid") for one in answers.objects(status, "projects")] if status.get("projects") else [],
    }


def daemon_line(state: Object) -> str:
    if not state["running"]:
        return str(state["reason"])
    box = ", watching the sandbox" if state["sandbox"] else ""
    age = state["age_seconds"]
    fresh = "nothing polled yet" if age is None else f"its record is {times.age(age)} old"
    return (
        f"the daemon runs ({answers.words(state['version'])}{box}), its key is {answers.words(state['key'])}, {fresh}"
    )
