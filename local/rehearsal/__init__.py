"""The country's first hour, rehearsed: `make rehearsal`.

`hour.py` plays it on a stack, and the demonstration's model checks it. `measuring.py` reads what it cost and
how long everybody waited. `simulation.py` computes the hour of the whole country from these costs. `page.py`
shows both.
"""
