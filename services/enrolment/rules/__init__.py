"""The rules of seats. Pure and total: requests and numbers in, decisions out, without clock or I/O.

Seats and the waiting list change only in ``session_roster``. ``answering`` processes requests,
``session_changes`` follows the catalogue, ``expiry`` the clock, ``organising`` the organisers. Rules are
numbered as in docs/domain.md.
"""
