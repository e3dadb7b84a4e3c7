#!/bin/sh
# The health check of our containers: succeed while a process of the container touches its file (overlord/liveness.py).
#
# Docker only shows that a container is unhealthy; it restarts a container when its process ends. So this script kills a
# process that has not touched its file for a minute. Granian then starts another one; any other process ends its
# container, which Docker restarts. The health checks of PostgreSQL, Valkey and Caddy kill nothing: these may be slow for
# good reasons, and PostgreSQL would have to recover before anybody could buy again.
set -u

for file in "$OVERLORD_LIVENESS_FILE".*; do
	if [ -n "$(find "$file" -mmin +1 2>/dev/null)" ]; then
		pid=${file##*.}
		kill -9 "$pid" 2>/dev/null && echo "Process $pid hangs. Killing it."
		rm -f "$file" # another process may have this pid one day
	fi
done
find "$OVERLORD_LIVENESS_FILE".* -mmin -0.5 2>/dev/null | grep -q .
