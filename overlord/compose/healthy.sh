#!/bin/sh
# The health check of our containers: succeed while a process of this one touches its file (overlord/liveness.py).
#
# Docker shows a container that is unhealthy and does not restart it; it restarts one whose process ends. So a process
# that has not touched its file for a minute is killed: Granian replaces its own, and the end of any other is the end
# of its container, which Docker starts again. PostgreSQL, Valkey and Caddy are never killed by their health checks:
# they may be slow for good reasons, and the end of PostgreSQL would cost everybody the time of its recovery.
set -u

for file in "$OVERLORD_LIVENESS_FILE".*; do
	if [ -n "$(find "$file" -mmin +1 2>/dev/null)" ]; then
		pid=${file##*.}
		kill -9 "$pid" 2>/dev/null && echo "Process $pid hangs. Killing it."
		rm -f "$file" # another process may have this pid one day
	fi
done
find "$OVERLORD_LIVENESS_FILE".* -mmin -0.5 2>/dev/null | grep -q .
