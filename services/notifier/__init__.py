"""The notifier: every mail, what was sent to whom, when, and what is still to send.

It decides nothing about seats: it listens to what was decided and tells people, once. The queue
(``delivery``) is the only way to the relay.
"""
