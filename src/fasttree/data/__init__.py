"""Reading arrays and frames; columns as integer codes."""
