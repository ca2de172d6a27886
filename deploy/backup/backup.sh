#!/bin/sh
# Makes a base backup of Postgres, with all databases in it, and ends what is older than ARCHIVE_KEPT_DAYS (30) in the archive.
# With the archived WAL it leads to any moment after it, without it to its own end.
set -eu
archive=${ARCHIVE:-/archive}
draft=$archive/base/draft
rm -rf "$draft"
mkdir -p -m 700 "$draft"
touch "$draft/begun"
pg_basebackup --pgdata="$draft/data" --format=tar --gzip --checkpoint=fast
pg_verifybackup --format=tar --no-parse-wal --quiet "$draft/data"
made=$(date -u +%Y%m%dT%H%M%SZ)
mv -T "$draft" "$archive/base/$made"

over=$(date -u -d "-${ARCHIVE_KEPT_DAYS:-30} days" +%Y%m%dT%H%M%SZ)
for folder in "$archive"/base/2* "$archive"/wal.until-*; do
    named=${folder##*/}
    moment=${named#wal.until-}
    if [ "$moment" != "$made" ] && [ "$(printf '%s\n' "$moment" "$over" | sort | head -n 1)" = "$moment" ]; then
        rm -rf "$folder"
    fi
done
# WAL that was complete before the oldest base backup began.
oldest=$(find "$archive/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | head -n 1)
if [ -d "$archive/wal" ]; then
    find "$archive/wal" -type f ! -name '*.history' ! -name '*.partial' ! -newer "$oldest/begun" -delete
fi
du -sh "$archive/base/$made" | cut -f 1 | xargs echo "base backup $made:"
