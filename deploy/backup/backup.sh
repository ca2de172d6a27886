#!/bin/sh
# Makes a base backup of Postgres, with all databases in it, and ends what is older than ARCHIVE_KEPT_DAYS (30) in the archive.
# With the archived WAL it leads to any moment after it, without it to its own end.
set -eu
archive=${ARCHIVE:-/archive}
[ -r "$archive" ] || { echo "$archive cannot be read by $(id -un)" >&2; exit 1; } # or nothing in it would end
draft=$archive/base/draft
rm -rf "$draft"
mkdir -p -m 700 "$draft"
pg_basebackup --pgdata="$draft/data" --format=tar --gzip --checkpoint=fast
pg_verifybackup --format=tar --no-parse-wal --quiet "$draft/data"
# When it began, and with which file of WAL: times of files do not survive every copy.
tar -xzf "$draft/data/base.tar.gz" -C "$draft" backup_label
while made=$(date -u +%Y%m%dT%H%M%SZ) && [ -e "$archive/base/$made" ]; do sleep 1; done # each has a second of its own
mv -T "$draft" "$archive/base/$made"

over=$(date -u -d "-${ARCHIVE_KEPT_DAYS:-30} days" +%Y%m%dT%H%M%SZ)
for folder in "$archive"/base/2* "$archive"/wal.until-*; do
    named=${folder##*/}
    moment=${named#wal.until-}
    if [ "$moment" != "$made" ] && [ "$(printf '%s\n' "$moment" "$over" | sort | head -n 1)" = "$moment" ]; then
        rm -rf "$folder"
    fi
done
# WAL from before the oldest base backup.
oldest=$(find "$archive/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | head -n 1)
if [ -d "$archive/wal" ]; then
    # Beside its data, as above; an older one has it in them alone.
    label=$(cat "$oldest/backup_label" 2> /dev/null || tar -xzOf "$oldest/data/base.tar.gz" --occurrence=1 backup_label)
    pg_archivecleanup "$archive/wal" "$(printf '%s\n' "$label" | sed -n 's/^START WAL LOCATION: .* (file \(.*\))$/\1/p')"
fi
du -sh "$archive/base/$made" | cut -f 1 | xargs echo "base backup $made:"
