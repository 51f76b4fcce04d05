"""Message templates: versions, languages, checks."""
