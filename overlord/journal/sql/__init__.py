"""The app's SQL. Functions are made by migrations; their files here say what they are now."""

PRUNE = "SELECT journal_prune(%(before)s, %(most)s) AS deleted"
