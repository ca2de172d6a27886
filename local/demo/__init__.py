"""The demonstration: a day of enrolments on the whole system, checked to the last mail.

`local.model` computes the right results, `decisions.py` reads the real ones, and `comparison.py` finds the
differences.
"""
