"""The rules of seats. Pure and total: requests and numbers in, decisions out, no clock, no I/O.

``requests`` and ``states`` are the vocabulary. ``eligibility`` judges one request. ``seats`` and
``waiting_list`` are what a session has to give, ``holds`` the end of offers. A ``session_roster`` is one
session while requests are decided: seats and waiting list change only there. ``answering`` processes
requests, ``session_changes`` follows the catalogue, ``expiry`` the clock. ``organising`` has the acts of
organisers, ``attendance`` the attendance. Rules have the numbers of docs/domain.md.
"""
