#!/bin/sh
# Make the role and the database of the application. Patroni runs this once, on the first primary. The last statement
# lets the role see how far the standbys are behind.
set -eu
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --set password="$(cat /srv/secrets/password)" "$1" <<SQL
CREATE ROLE overlord LOGIN PASSWORD :'password';
CREATE DATABASE overlord OWNER overlord;
GRANT pg_read_all_stats TO overlord;
SQL
