"""Growing one tree."""
