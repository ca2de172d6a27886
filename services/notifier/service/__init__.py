"""One file per subject: ``(tx, command) → result``. Only ``delivery`` calls ``store`` directly."""
