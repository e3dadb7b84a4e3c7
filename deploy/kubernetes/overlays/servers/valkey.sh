#!/bin/sh
# Start Valkey, or a Sentinel, on one of several machines:   sh valkey.sh server|sentinel
#   ADDRESS               the address by which the other machines reach this one
#   PEERS                 the addresses of all machines, this one too, separated by spaces, in the same order everywhere
#   VALKEY_PASSWORD       the password of all servers and Sentinels: letters, digits, - and _
#   VALKEY_FOLDER         the folder for the configuration and the data. A Sentinel also writes its configuration
# After a restart, Valkey has no data: the other machines have a copy, and the shop can make all of it again.
set -eu
umask 077

case ${1:-} in
server | sentinel) ;;
*)
	echo "The argument must be server or sentinel." >&2
	exit 1
	;;
esac
case $VALKEY_PASSWORD in
'' | *[!A-Za-z0-9_-]*)
	echo "VALKEY_PASSWORD must have only letters, digits, - and _." >&2
	exit 1
	;;
esac
export REDISCLI_AUTH="$VALKEY_PASSWORD"

# Print the first line of an answer, or nothing:   ask ADDRESS PORT COMMAND...
ask() {
	host=$1 port=$2
	shift 2
	answer=$(timeout 2 valkey-cli -e -h "$host" -p "$port" "$@" 2>/dev/null) || return 0
	echo "$answer" | head -n 1
}

# Print the address of the primary. The Sentinels know it, and each server knows whether it is the primary. If no
# machine knows a primary, all machines are starting. Then the first machine of PEERS becomes the primary at once. Each
# later machine becomes the primary only after some more checks without a primary, so that no two machines become it at
# the same time. A Sentinel waits until there is a primary.
primary() {
	checks=0
	for peer in $PEERS; do
		[ "$peer" != "$ADDRESS" ] || break
		checks=$((checks + 4))
	done
	while :; do
		for peer in $PEERS; do
			found=$(ask "$peer" 26379 sentinel get-master-addr-by-name overlord)
			if [ -n "$found" ]; then
				echo "$found"
				return
			fi
		done
		for peer in $PEERS; do
			if [ "$(ask "$peer" 6379 role)" = master ]; then
				echo "$peer"
				return
			fi
		done
		if [ "$1" = server ] && [ "$checks" -eq 0 ]; then
			echo "$ADDRESS"
			return
		fi
		checks=$((checks - 1))
		sleep 2
	done
}

now=$(primary "$1")
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
esac
