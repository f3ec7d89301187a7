"""What a run leaves on disk: files that are never half-written, tables with versions, and their readers. No torch."""
