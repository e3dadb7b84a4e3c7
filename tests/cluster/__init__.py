"""Break a cluster of machines under load and read what must stay true: `bin/cluster` (docs/reliability.md)."""
