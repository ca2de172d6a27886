"""The whole system on one machine without Docker: Postgres, a broker, a mailbox and the services.

Owns everything that only a developer's machine, a demonstration or a test needs: starting and
stopping servers as child processes, the mailbox, the simulated portal. Nothing outside this
package and the tests imports it, and it never imports a service: services are started as
processes, exactly as they run for real.
"""
