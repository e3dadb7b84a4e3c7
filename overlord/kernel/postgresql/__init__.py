"""Django's PostgreSQL backend, with connections that the threads of a process can share."""
