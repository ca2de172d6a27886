"""The queue's way out: claim, render, hand to the relay, write down what became of it (DESIGN.md, 4).

The promises: a mail is never sent twice without an operator's word, never dropped, and whatever happens
between two lines of this package leaves it in a state that says the truth. ``deliverer`` claims and stops,
``workers`` send one mail after the other, ``outcomes`` say what an attempt came to, ``domains`` share out the
connections, ``batching`` makes one statement of many small writes.
"""

from services.notifier.delivery.deliverer import CLAIM_LEASE, Deliverer
from services.notifier.delivery.workers import DATA_LEASE

__all__ = ["CLAIM_LEASE", "DATA_LEASE", "Deliverer"]
