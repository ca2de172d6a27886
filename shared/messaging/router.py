"""A service's handlers, each with its topic and its events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from fast_depends.library import CustomField

from shared.database import Transaction
from shared.events.cloudevents import Received
from shared.events.index import EVENTS
from shared.events.topics import TOPICS, Topic, is_of_portals
from shared.events.vocabulary import Event
from shared.messaging.portals.admission import Rejected


class FromContext(CustomField):
    """A handler's parameter: the value with this ``name`` in FastStream's context.

    ``faststream.Context`` does the same, but takes a thread for each parameter of each batch: a tenth of the
    work of a service at 200 requests a second.
    """

    def __init__(self, name: str) -> None:
        super().__init__(cast=False)
        self._name = name

    async def use(self, /, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # it is awaited
        value = kwargs["context__"].get(self._name)
        if value is None:
            raise LookupError(f"FastStream's context has no {self._name}")
        return kwargs | {str(self.param_name): value}


Tx = Annotated[Transaction, FromContext("tx")]

Rejections = Annotated[list[Rejected], FromContext("rejections")]
"""A handler appends the records that it rejects. They have no effect, and are in no inbox.

Only for a topic whose rejections the service keeps, with ``own_inbox``.
"""

REST_SECONDS = 0.2
"""For topics whose effects nobody waits for."""

Handler = Callable[..., Awaitable[int | None]]
"""Returns how many events had an effect, or None if all had."""
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Subscription:
    """One topic of a service: ``handler`` takes the events of ``types``; ``for_later`` are parked.

    Other types of the topic are ignored. See :meth:`Router.subscriber`.
    """

    topic: Topic
    handler: Handler
    types: tuple[type[Event], ...]
    service: str
    for_later: tuple[type[Event], ...] = ()
    own_inbox: bool = False
    rest: float = REST_SECONDS
    accepts: bool = False
    answered_elsewhere: bool = False
    keeps_rejected: bool = False
    consumers: int = 1

    @property
    def group_id(self) -> str:
        """One group per service and topic: a rebalance of one does not stop the others."""
        return f"{self.service}.{self.topic}"

    @property
    def is_of_portals(self) -> bool:
        return is_of_portals(self.topic)

    def answers(self, event_type: str | None) -> bool:
        """Return whether this service handles or keeps such a record, and so answers its portal."""
        if self.answered_elsewhere:
            return False
        handled = any(event_type == event.TYPE for event in EVENTS if issubclass(event, self.types))
        return self.is_of_portals and (self.keeps_rejected or handled)

    @property
    def events(self) -> list[type[Event]]:
        return [
            event
            for event in EVENTS
            if event.TOPIC is self.topic and issubclass(event, (*self.types, *self.for_later))
        ]


class Router:
    """Everything that one service listens to, filled by its ``handlers.py``."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.subscriptions: dict[Topic, Subscription] = {}

    def subscriber(
        self,
        topic: Topic,
        *,
        for_later: Sequence[type[Event]] = (),
        own_inbox: bool = False,
        rest: float = REST_SECONDS,
        accepts: bool = False,
        answered_elsewhere: bool = False,
        consumers: int = 1,
    ) -> Callable[[H], H]:
        """Register ``on_…(tx: Tx, events: list[Received[A | B]])`` for the events A and B of ``topic``.

        The handler gets a batch, in order, in one transaction; FastStream fills in its other parameters.

        - ``for_later``: requests that only a later version answers. They are parked until a redrive after the
          upgrade.
        - ``own_inbox``: the handler itself drops events that come twice, by what it stores of each.
        - ``rest``: seconds after a batch that was not full. The next batch then has more records, but later.
        - ``accepts``: no decision answers these requests, so their portals are told that they were accepted.
        - ``answered_elsewhere``: another service that takes them too answers their portals.
        - ``consumers``: members of the group in each process: one works while another waits for the database.
        """

        def register(handler: H) -> H:
            if topic in self.subscriptions:
                raise ValueError(f"{topic} has a handler already: one consumer group per topic")
            self.subscriptions[topic] = Subscription(
                topic,
                handler,
                _events_taken_by(handler),
                self.service,
                for_later=tuple(for_later),
                own_inbox=own_inbox,
                rest=rest,
                accepts=accepts,
                answered_elsewhere=answered_elsewhere,
                keeps_rejected=TOPICS[topic].rejected_by == self.service,
                consumers=consumers,
            )
            return handler

        return register


def _events_taken_by(handler: Handler) -> tuple[type[Event], ...]:
    """Return A and B of a parameter ``list[Received[A | B]]``. Raises ``TypeError`` if there is none."""
    for annotation in get_type_hints(handler).values():
        if get_origin(annotation) is list and get_origin(item := get_args(annotation)[0]) is Received:
            return tuple(_members(get_args(item)[0]))
    raise TypeError(f"{handler.__qualname__} has no parameter list[Received[…]] that says what it takes")


def _members(annotation: Any) -> list[type[Event]]:
    if get_origin(annotation) in (Union, UnionType):
        return [event for member in get_args(annotation) for event in _members(member)]
    return [annotation]
