"""Break things under load and read what must stay true: `bin/chaos` (docs/reliability.md)."""
