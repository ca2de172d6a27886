"""From the queue to the relay: claim, render, send, store the result.

No mail is dropped. No mail is sent twice unless an operator decides so. A crash between any two lines leaves
each mail in a state that is true.
"""
