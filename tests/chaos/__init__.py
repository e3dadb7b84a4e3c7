"""Break parts of the running system under load, and check what must stay true: `bin/chaos`."""
