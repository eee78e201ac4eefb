"""Who is asked for by name, in which turn, and when so many 404s are not believed."""

from __future__ import annotations

import asyncio

from mithrild.errors import BrokenAnswer, KeyRefused, NotFound, Unreachable
from mithrild.fleet.model import Bid, Record, Seen
from mithrild.watcher.by_name import AT_ONCE, Answers, ByName, Trouble
from tests.unit.fleet_builders import bid, moment


class Desk:
    """Answers as told, and notes who was asked for."""

    def __init__(self, **answers: Exception) -> None:
        self.asked: list[str] = []
        self.answers, self.otherwise = answers, Exception()
        self.by_name = ByName("bid", self.ask)

    async def ask(self, fid: str) -> Seen[Bid]:
        self.asked.append(fid)
        answer = self.answers.get(fid, self.otherwise)
        if isinstance(answer, (NotFound, Unreachable, BrokenAnswer, KeyRefused)):
            raise answer
        return Seen(bid(fid, "Terminated"), 1)

    def __call__(self, fids: list[str], known: int = 0) -> tuple[Answers[Bid], Trouble]:
        trouble = Trouble()
        records: dict[str, Record[Bid]] = {
            f"bid_{number}": Record(bid(f"bid_{number}"), moment(0)) for number in range(known)
        }
        return asyncio.run(self.by_name(fids, records, trouble)), trouble


def fids(count: int) -> list[str]:
    return [f"bid_{number:03}" for number in range(count)]


def test_each_answer_counts_for_its_own_thing() -> None:
    desk = Desk(a=NotFound("no a"), b=BrokenAnswer("no JSON"), c=Unreachable("500"))
    answers, trouble = desk(["a", "b", "c", "d"], known=10)
    assert answers.absent == {"a"}
    assert answers.found.keys() == {"d"}
    assert not answers.resolved, "c may be asked for again"
    assert trouble.lines == ["500"]
    assert trouble.set_aside == ["no JSON"]


def test_one_that_is_closed_to_us_does_not_hide_another() -> None:
    answers, trouble = Desk(a=KeyRefused("403"))(["a", "b"], known=10)
    assert answers.found.keys() == {"b"}
    assert not answers.resolved
    assert trouble.lines == ["403"]


def test_everyone_has_a_turn_though_nobody_answers() -> None:
    desk = Desk()
    desk.otherwise = Unreachable("500")
    for _ in range(3):
        answers, trouble = desk(fids(120))
        assert not answers.resolved
        assert trouble.lines[-1] == f"120 bids left the listings; {AT_ONCE} were asked for by name"
    assert set(desk.asked) == set(fids(120))
    assert len(desk.asked) == 3 * AT_ONCE


def test_half_a_fleet_is_not_believed_gone_a_slice_at_a_time() -> None:
    desk = Desk()
    desk.otherwise = NotFound("nothing there")
    for _ in range(8):
        answers, trouble = desk(fids(200), known=200)
        assert answers.absent == frozenset()
        assert trouble.lines[-1] == "about 200 of 200 bids are not there any more: not believed"


def test_a_few_that_are_gone_are_believed_in_a_crowd_that_ended() -> None:
    desk = Desk(bid_007=NotFound("nothing there"))
    answers, _ = desk(fids(120), known=120)
    assert answers.absent == {"bid_007"}
    assert len(answers.found) == AT_ONCE - 1
