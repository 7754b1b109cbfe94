"""Model files, and what they hold."""
