"""The page dials again by the policy of `client/backoff.py`: the same constants, and the same pauses to the bit."""

from __future__ import annotations

import random
from itertools import cycle
from typing import Any

import pytest

from client import backoff
from client.backoff import Backoff, asked_pause_s

# `cases` are [patience, draws of chance, what the server asks for at each attempt].
PAUSES = """async (cases) => {
  const { Backoff } = await import("/page/backoff.js");
  return cases.map(([patienceS, chances, asked]) => {
    let drawn = 0;
    const backoff = new Backoff(patienceS, () => chances[drawn++ % chances.length]);
    return asked.map((askedS) => backoff.nextPauseS(askedS));
  });
}"""
POLICY = 'async () => (await import("/page/backoff.js")).POLICY'
ASKED = """async (headers) => {
  const { askedPauseS } = await import("/page/backoff.js");
  return headers.map((header) => askedPauseS(header));
}"""
UNTIL_PATIENCE_ENDS = """async () => {
  const { Backoff } = await import("/page/backoff.js");
  const backoff = new Backoff();
  const pauses = [];
  for (let pauseS; (pauseS = backoff.nextPauseS()) !== null;) pauses.push(pauseS);
  return pauses;
}"""

Case = tuple[float, list[float], list[float | None]]


def cases() -> list[Case]:
    """The corners, and some hundred by chance."""
    draw = random.Random(5).random  # noqa: S311 - no secret
    corners: list[Case] = [
        (1_000.0, [1.0], [None] * 12),
        (1_000.0, [0.0], [None] * 12),
        (0.0, [0.5], [None, 5.0]),
        (120.0, [0.0, 0.999], [5.0, None, 0.1, 60.0] * 4),
    ]
    by_chance: list[Case] = [
        (
            draw() * 200,
            [draw() for _ in range(7)],
            [draw() * 60 if draw() < 0.5 else None for _ in range(20)],
        )
        for _ in range(100)
    ]
    return corners + by_chance


def pauses(case: Case) -> list[float | None]:
    patience_s, chances, asked = case
    drawn = cycle(chances)
    ours = Backoff(patience_s, lambda: next(drawn))
    return [ours.next_pause_s(asked_s) for asked_s in asked]


@pytest.mark.asyncio
async def test_the_page_has_the_policy_of_the_client(running: Any, visit: Any) -> None:
    headers = ["", "0", "5", "60", "61", "9" * 400, "-1", "1.5", " 5", "٣", "Wed, 21 Oct 2026 07:28:00 GMT"]
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        policy = await visit.page.evaluate(POLICY)
        told = await visit.page.evaluate(PAUSES, [list(case) for case in cases()])
        asked = await visit.page.evaluate(ASKED, headers)
        whole = await visit.page.evaluate(UNTIL_PATIENCE_ENDS)
    assert policy == {
        "firstS": backoff.FIRST_S,
        "factor": backoff.FACTOR,
        "longestS": backoff.LONGEST_S,
        "longestAskedS": backoff.LONGEST_ASKED_S,
        "patienceS": backoff.PATIENCE_S,
        "steadyS": backoff.STEADY_S,
        # A connection that broke without a close frame is 1006 to a browser.
        "passingCodes": sorted([*backoff.PASSING_CODES, 1006]),
        "passingStatuses": [*backoff.PASSING_STATUSES],
    }
    assert told == [pauses(case) for case in cases()]
    assert asked == [asked_pause_s(header) for header in headers]
    assert sum(whole) <= backoff.PATIENCE_S
    assert len(set(whole)) == len(whole) > 5


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "title", "again"),
    [
        (502, "The server does not answer", True),
        (429, "The server cannot take you yet", True),
        (403, "The server ended it", False),
    ],
)
async def test_a_gateway_that_has_lost_the_server_is_asked_again_and_one_that_refuses_is_not(
    running: Any, visit: Any, status: int, title: str, again: bool
) -> None:
    async with running() as server, visit(f"http://127.0.0.1:{server.port}/") as visit:
        # The websocket ends before there is a session; whoever then asks by HTTP is answered by the gateway.
        await visit.page.route("**/v1/realtime", lambda route: route.fulfill(status=status, body="of the gateway"))
        await visit.page.route_web_socket("**/v1/realtime", lambda socket: socket.close(code=1011))
        await visit.page.click("#talk")
        assert await visit.text("#trouble-title") == title
        assert ("Trying again in" in await visit.text("#trouble-advice")) is again
