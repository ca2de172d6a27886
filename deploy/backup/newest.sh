#!/bin/sh
# Says how old the newest base backup is, by its name; ends with 1 where it is of more than 36 hours ago, or there is none: no
# night's was made. For whatever watches cron's work.
set -eu
archive=${ARCHIVE:-/archive}
newest=$(find "$archive/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | tail -n 1)
[ -n "$newest" ] || { echo "$archive/base has no base backup" >&2; exit 1; }
moment=${newest##*/}
echo "the newest base backup is $moment"
over=$(date -u -d '-36 hours' +%Y%m%dT%H%M%SZ)
[ "$(printf '%s\n' "$moment" "$over" | sort | tail -n 1)" = "$moment" ]
