"""From the queue to the relay: claim, render, send, store what became of it.

The promises: a mail is never sent twice without an operator's decision, never dropped, and whatever happens
between two lines of this package leaves it in a state that is true. ``deliverer`` claims and stops,
``workers`` send one mail after the other, ``pool`` and ``connection`` talk to the relay, ``outcomes`` reads
what an attempt came to, ``domains`` shares out the connections, ``batching`` makes one statement of many
small writes, ``returns`` reads the mailbox that mails come back to.
"""
