"""The state of a session at a given moment, what may be done to it, and which events are due.

A session has one decision (``status``) and two properties derived from the dates and the clock (``phase``,
``enrolment``). Rules are pure and total. Every event has its own version, because consumers drop an event
whose version is not newer.
"""
