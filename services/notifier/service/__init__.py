"""What this service does, one file per subject: ``(tx, command) → result``.

Handlers, API, pages, jobs and commands open the transaction and call a function here. Only ``delivery`` calls
``store`` directly.
"""
