"""`ml instance list-types`: what there is to rent where, and what it costs."""

from __future__ import annotations

from mithril_cli import answers, client, output, times
from mithril_cli.table import Column, render
from mithrild import wire

TYPE_CHECKING = False  # `typing` costs milliseconds on every start; type checkers know this name
if TYPE_CHECKING:
    import argparse

    from mithril_cli.answers import Object

OLD = 240.0  # seconds: two auctions, and prices have most likely changed
COLUMNS = (
    Column("NAME", least=12),
    Column("GPUS", rank=1),
    Column("REGION"),
    Column("CAPACITY", rank=3),
    Column("SPOT"),
    Column("WIN", rank=2),
    Column("FID", rank=5),
)
MEMORY = (Column("GPU MEM", rank=4), Column("RAM", rank=4))


def run(args: argparse.Namespace) -> int:
    answer = client.get("/v1/types", [("region", args.region)])
    types = answers.objects(answer, "types")
    _tell_age(answer)
    if args.json:
        output.document([_documented(one) for one in types])
    elif types:
        columns = (*COLUMNS[:2], *MEMORY, *COLUMNS[2:]) if args.verbose else COLUMNS
        output.write(render(columns, [_row(one, verbose=args.verbose) for one in types], output.room()))
    else:
        output.note("no prices are known yet: the daemon has not heard of any auction")
    return wire.EXIT_DONE


def _tell_age(answer: Object) -> None:
    looked = times.moment(answer.get("market_as_of"))
    age = answers.present() - looked if looked is not None else 0.0
    if age <= OLD:
        return
    reason = answers.words(answers.part(answer, "freshness").get("reason"), "")
    output.note(f"these prices are {times.age(age)} old{f': {reason}' if reason else ''}")


def _documented(one: Object) -> Object:
    """A price that there is none of is null."""
    return {**one, "spot_price": one.get("spot_price") or None, "win_price": one.get("win_price") or None}


def _row(one: Object, *, verbose: bool) -> tuple[str, ...]:
    words, get = answers.words, one.get
    memory = (_gigabytes(get("gpu_memory_gb")), _gigabytes(get("ram_gb"))) if verbose else ()
    return (
        words(get("name")),
        "-" if get("gpu_count") is None else f"{words(get('gpu_count'))}x {words(get('gpu_type'))}",
        *memory,
        words(get("region")),
        words(get("capacity")),
        words(get("spot_price")),
        words(get("win_price")),
        words(get("fid")),
    )


def _gigabytes(value: object) -> str:
    return "-" if value is None else f"{answers.words(value)} GB"
