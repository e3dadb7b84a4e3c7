#!/bin/sh
# Start Valkey, or a Sentinel, on one of several machines:   sh valkey.sh server|sentinel
#   ADDRESS               the address of this machine for the others
#   PEERS                 all machines, this one too, separated by spaces; the first one begins as the primary
#   VALKEY_PASSWORD       of all of them: letters, digits, - and _
#   VALKEY_FOLDER         where the configuration and the data go; a Sentinel writes to its own
# Nothing survives a restart: Valkey contains only data that can be made again, and the others have a copy.
set -eu
umask 077

case $VALKEY_PASSWORD in
'' | *[!A-Za-z0-9_-]*)
	echo "VALKEY_PASSWORD must have letters, digits, - and _ alone." >&2
	exit 1
	;;
esac
export REDISCLI_AUTH="$VALKEY_PASSWORD"

# The Sentinels know the primary. When none answers, all machines are starting, and the first one is the primary.
primary() {
	for peer in $PEERS; do
		found=$(timeout 2 valkey-cli -e -h "$peer" -p 26379 sentinel get-master-addr-by-name overlord 2>/dev/null) || continue
		found=$(echo "$found" | head -n 1)
		if [ -n "$found" ]; then
			echo "$found"
			return
		fi
	done
	echo "${PEERS%% *}"
}

now=$(primary)
mkdir -p "$VALKEY_FOLDER"
file=$VALKEY_FOLDER/$1.conf
case $1 in
server)
	cat >"$file" <<-CONF
		port 6379
		requirepass $VALKEY_PASSWORD
		masterauth $VALKEY_PASSWORD
		replica-announce-ip $ADDRESS
		dir $VALKEY_FOLDER
		save ""
		appendonly no
		maxmemory-policy noeviction
	CONF
	if [ "$now" != "$ADDRESS" ]; then
		echo "replicaof $now 6379" >>"$file"
	fi
	exec valkey-server "$file"
	;;
sentinel)
	cat >"$file" <<-CONF
		port 26379
		dir $VALKEY_FOLDER
		requirepass $VALKEY_PASSWORD
		sentinel sentinel-pass $VALKEY_PASSWORD
		sentinel resolve-hostnames yes
		sentinel announce-hostnames yes
		sentinel announce-ip $ADDRESS
		sentinel monitor overlord $now 6379 2
		sentinel auth-pass overlord $VALKEY_PASSWORD
		sentinel down-after-milliseconds overlord 3000
		sentinel failover-timeout overlord 10000
	CONF
	exec valkey-server "$file" --sentinel
	;;
*)
	echo "It starts a server or a sentinel." >&2
	exit 1
	;;
esac
