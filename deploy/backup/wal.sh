#!/bin/sh
# What Postgres calls while it recovers, for each file of WAL: wal.sh FOLDER FILE COPY. 1 says that there is no more, 255 ends it.
file=$1/$2
[ -f "$file" ] || file=$file.partial # the last one, of which the rest is still to be written
[ -f "$file" ] || exit 1
cp "$file" "$3" || exit 255
