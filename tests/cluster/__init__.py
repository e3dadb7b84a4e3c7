"""Break a cluster of machines under load, and check what must stay true: `bin/cluster`."""
