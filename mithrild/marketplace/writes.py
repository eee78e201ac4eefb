"""What people change at the marketplace. Each request is sent once; AnswerLost says that its fate is unknown."""

from __future__ import annotations

from mithrild.errors import AnswerLost, BrokenAnswer
from mithrild.fleet.model import Bid, Seen
from mithrild.fleet.order import Order
from mithrild.marketplace import mapping
from mithrild.marketplace.asking import Asking, segment
from mithrild.marketplace.transport import Answer


class Writes(Asking):
    async def place_bid(self, order: Order) -> Seen[Bid]:
        """POST, once. AnswerLost where nobody knows whether the bid was placed."""
        answer = await self._transport.send("POST", "/spot/bids", mapping.order_body(order), what=f"bid {order.name}")
        return self._changed(answer, order.name)

    async def change_bid(self, fid: str, *, limit_price: str | None = None, paused: bool | None = None) -> Seen[Bid]:
        """PATCH: what is None stays. `limit_price` as `"$8.00"`."""
        changes = {"limit_price": limit_price, "paused": paused}
        body = {name: value for name, value in changes.items() if value is not None}
        path = f"/spot/bids/{segment(fid, 'bid')}"
        return self._changed(await self._transport.send("PATCH", path, body, what=f"bid {fid}"), fid)

    async def cancel_bid(self, fid: str) -> None:
        """DELETE: the bid ends, and its instances with it."""
        await self._transport.send("DELETE", f"/spot/bids/{segment(fid, 'bid')}", what=f"bid {fid}")

    def _changed(self, answer: Answer, what: str) -> Seen[Bid]:
        try:
            return Seen(self._value(answer, f"bid {what}", mapping.bid), answer.ticket)
        except BrokenAnswer as error:
            raise AnswerLost(str(error)) from None  # it was done, but what came of it is not readable
