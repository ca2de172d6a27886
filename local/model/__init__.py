"""The reference model: computes the right result of every request from the rules of the domain.

Its functions do no I/O. It is written from docs/domain.md, not from the enrolment service's code.
"""
