import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from local.clock import MovedClock
from local.failures import LocalStackError
from local.services import start_again
from local.year.acts import PARIS, Year, paris
from local.year.keeping import Finding, look_for
from local.year.quiet import Quiet
from local.year.situations import Act, Situation
from local.year.timeline import parse

Say = Callable[[str], None]
_HOUR = " 10:00"
"""By this hour the letters of the morning have come."""
_LETTERS_WAIT = timedelta(minutes=2)


def stops(situations: Iterable[Situation]) -> Mapping[datetime, Sequence[Act]]:
    acts: dict[datetime, list[Act]] = defaultdict(list)
    for situation in situations:
        for act in situation.acts:
            acts[paris(act.at)].append(act)
        heard = [event for listener in situation.listeners for event in parse(listener.expected)]
        written = [*situation.stops, *situation.forgotten, *(f"{event.day}{_HOUR}" for event in heard)]
        for moment in map(paris, written):
            acts.setdefault(moment, [])
    return dict(sorted(acts.items()))


class Script:
    def __init__(self, clock: MovedClock, year: Year, quiet: Quiet, say: Say) -> None:
        self._clock = clock
        self._year = year
        self._quiet = quiet
        self._say = say

    async def play(self, situations: Sequence[Situation], urls: Mapping[str, str]) -> list[Finding]:
        """Return whether the agents who were to be forgotten are found in the databases."""
        findings: list[Finding] = []
        began, day = time.monotonic(), date.min
        try:
            for moment, acts in stops(situations).items():
                if moment.date() != day:
                    day = moment.astimezone(PARIS).date()
                    self._say(f"{time.monotonic() - began:5.0f} s  {day:%d/%m/%Y}")
                await self._stop(moment, acts)
                for at, agent in [item for each in situations for item in each.forgotten.items()]:
                    if paris(at) == moment:
                        findings.append(await look_for(urls, agent, at))
            await self._quiet.wait_until_all_is_read()
        except LocalStackError as error:
            findings.append(Finding(str(day), "the year ended here", {}, [str(error)]))
        return findings

    async def _stop(self, moment: datetime, acts: Sequence[Act]) -> None:
        await self.go_to(moment)
        for act in acts:
            # One after the other, because two acts in the same minute have an order.
            await act.does(self._year)
            await self._quiet.settle()
        if acts:
            # A letter may wait a minute for the facts that it reports.
            await self.go_to(self._clock.now() + _LETTERS_WAIT)

    async def go_to(self, moment: datetime) -> None:
        self._clock.set(moment)
        await self._quiet.wait()

    async def start_services_again(self) -> None:
        """The services do their hourly work at once."""
        start_again(self._year.stack.services)
        await self._quiet.wait()
