"""What a session is at a given moment, what may be done to it, and which events are due.

Owns the lifecycle of DOMAIN's sessions: one decision (``status``), two properties derived from the dates and
the clock (``phase``, ``enrolment``). Pure and total: time is an argument, a refusal is a value. No query,
no clock, no broker may enter.

Every event has a version of its own, the clock's too: a reader drops an event whose version is not newer.
"""
