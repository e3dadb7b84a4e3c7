#!/bin/sh
# The health check of our containers: succeed while a process of the container touches its file (overlord/liveness.py).
#
# Docker only shows that a container is unhealthy; it restarts a container only when its process ends. So this script
# kills a process that has not touched its file for a minute. Granian then starts another process. In other containers,
# the killed process is the main one, so the container ends, and Docker restarts it. The health checks of PostgreSQL,
# Valkey and Caddy kill nothing: these servers can be slow for good reasons, and PostgreSQL would have to recover before
# anybody could buy again.
#
# If the machine has slept, or its clock was set forward, all files look old for a moment. So the script looks twice.
set -u

hanging() {
	find "$OVERLORD_LIVENESS_FILE".* -mmin +1 2>/dev/null
}

if [ -n "$(hanging)" ]; then
	sleep 2 # a process that works touches its file every second
	hanging | while read -r file; do
		pid=${file##*.}
		kill -9 "$pid" 2>/dev/null && echo "Process $pid hangs. Killing it."
		rm -f "$file" # another process may have this pid one day
	done
fi
find "$OVERLORD_LIVENESS_FILE".* -mmin -0.5 2>/dev/null | grep -q .
