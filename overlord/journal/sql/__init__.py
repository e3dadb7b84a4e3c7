"""The SQL of the journal. Migrations make its functions; the files in this folder have their current text."""

PRUNE = "SELECT journal_prune(%(before)s, %(most)s) AS deleted"
