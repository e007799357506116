"""Two sides on the same clips, A B B A, until it is known what changed or the budget is spent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from client.play import LoopClock
from harness.comparison.decide import Change, Deciding, undecided
from harness.comparison.results import ComparisonWriter, Ending, Reason
from harness.comparison.samples import Pair, Sample
from harness.comparison.sides import Side
from harness.fixtures import Fixture
from harness.sequential import Look


class Comparing:
    """A comparison under way.

    Each clip is played on both sides, one right after the other, and which side comes first alternates from clip to
    clip and from round to round: whatever the machine does meanwhile, it does to both.

    Attributes:
        pairs: that could be compared so far.
    """

    def __init__(
        self, a: Side, b: Side, clips: Sequence[Fixture], writer: ComparisonWriter, *, budget_s: float | None
    ) -> None:
        """Args: `budget_s` None plays as many rounds as a stored side has turns for, and looks once, at the end."""
        self.pairs: list[Pair] = []
        self._a = a
        self._b = b
        self._clips = clips
        self._writer = writer
        self._budget_s = budget_s
        self._clock = LoopClock()
        self._started_s = self._clock.now()
        self._tries = 0
        self._deciding = Deciding()
        self._looked_at = 0
        self._reason: Reason = "stopped"

    @property
    def elapsed_s(self) -> float:
        """Since it began."""
        return self._clock.now() - self._started_s

    async def rounds(self) -> AsyncIterator[Pair | None]:
        """Play on until all is decided or the budget is spent; gives each pair, or None for one that was spoilt.

        The first round is not cut short.
        """
        number = 0
        while True:
            before = self._tries
            for place, fixture in enumerate(self._clips):
                if number and self._spent >= 1 and self._budget_s is not None:
                    self._reason = "budget"
                    return
                both = await self._both(fixture, a_first=(number + place) % 2 == 0)
                if both is None:
                    continue
                yield self._keep(*both)
                if self._a.is_lost or self._b.is_lost:
                    self._reason = "lost b" if self._b.is_lost else "lost a"
                    return
            if self._tries == before:
                self._reason = "played out"
                return
            if self._budget_s is not None and not undecided(self._look()):
                self._reason = "decided"
                return
            number += 1

    def close(self) -> None:
        """Decide upon what there is, and write it down."""
        if self.pairs and self._looked_at < len(self.pairs):
            self._look()
        for change in self._deciding.changes:
            self._writer.add(change)
        self._writer.add(Ending(self._tries, self._reason))

    @property
    def _spent(self) -> float:
        """The share of the budget that is used up: all of it when there is no time for another pair."""
        if self._budget_s is None:
            return 1.0
        pair_s = self.elapsed_s / max(1, self._tries)
        return 1.0 if self.elapsed_s + pair_s > self._budget_s else self.elapsed_s / self._budget_s

    async def _both(self, fixture: Fixture, *, a_first: bool) -> tuple[Sample, Sample] | None:
        if self._a.is_stored or self._b.is_stored:
            a_first = self._a.is_stored  # so that nothing is played for which there is no turn to compare it with
        first, second = (self._a, self._b) if a_first else (self._b, self._a)
        found = await first.turn(fixture)
        other = await second.turn(fixture) if found else None
        if found is None or other is None:
            return None
        return (found, other) if a_first else (other, found)

    def _keep(self, a: Sample, b: Sample) -> Pair | None:
        self._tries += 1
        if "invalid" in (a.outcome, b.outcome):
            return None
        pair = Pair(a, b)
        self.pairs.append(pair)
        self._writer.add(pair)
        return pair

    def _look(self) -> list[Change]:
        look = Look(len(self.pairs), self._spent)
        self._writer.add(look)
        self._looked_at = look.turns
        return self._deciding.look(self.pairs, look.spent)
