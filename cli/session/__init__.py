"""A run of the command: settings, engines, folder, end."""
