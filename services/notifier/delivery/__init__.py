"""The queue's way out: claim, render, hand to the relay, write down what became of it (DESIGN.md, 4).

The promises: a mail is never sent twice without an operator's word, never dropped, and whatever happens
between two lines of this package leaves it in a state that says the truth. ``deliverer`` claims and stops,
``workers`` send one mail after the other, ``pool`` and ``connection`` talk to the relay, ``outcomes`` say
what an attempt came to, ``domains`` share out the connections, ``batching`` makes one statement of many small
writes, ``returns`` reads the mailbox that mails come back to.
"""
