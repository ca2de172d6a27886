#!/bin/sh
# Has the archive receive what Postgres writes ahead (WAL), as it is written. As root it first makes the archive's folders.
set -eu
archive=${ARCHIVE:-/archive}
if [ "$(id -u)" = 0 ]; then
    for folder in "$archive/wal" "$archive/base"; do
        [ -d "$folder" ] || install -d -o postgres -g postgres -m 700 "$folder"
    done
    exec gosu postgres sh "$0"
fi
export PGAPPNAME=archive
# The slot keeps what the archive does not have yet.
pg_receivewal --slot=archive --create-slot --if-not-exists
exec pg_receivewal --slot=archive --directory="$archive/wal" --synchronous
