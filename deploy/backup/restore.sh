#!/bin/sh
# Puts back what the archive has: the databases as they were at --until a time (UTC, where it names no zone), or else at the end of
# the archived WAL (without WAL at the end of the last base backup). docs/operations.md has the steps before and after it.
#   restore.sh [--until TIME] [--wal NAME] all         all databases, while Postgres is stopped
#   restore.sh [--until TIME] [--wal NAME] enrolment   one database, while Postgres runs and its service is stopped
# --base NAME instead: as at the end of that base backup. --wal: by the WAL that a restore has put aside (wal.until-<time>).
# What was there before stays, under a name that ends with the time of now.
set -eu
archive=${ARCHIVE:-/archive}
here=$(cd "$(dirname "$0")" && pwd)
now=$(date -u +%Y%m%dT%H%M%SZ)
for last in "$@"; do :; done
if [ "$(id -u)" = 0 ] && [ "${last:-}" != all ] && command -v gosu > /dev/null; then
    exec gosu postgres sh "$0" "$@" # whom a server and the socket want
fi
target_time=
base=
wal=$archive/wal
while [ "$#" -gt 1 ]; do
    case "$1" in
        --until) target_time=$(TZ=UTC date -d "$2" '+%Y-%m-%d %H:%M:%S.%6N+00') ;;
        --base) base=$archive/base/$2 ;;
        --wal) wal=$archive/$2 ;;
        *) break ;;
    esac
    shift 2
done
[ -z "$base" ] || [ "$target_time$wal" = "$archive/wal" ] || set -- # not both
case "$#:${1:-}" in
    1:all | 1:catalogue | 1:enrolment | 1:notifier) ;;
    *) echo "usage: restore.sh [--until TIME] [--wal NAME] | [--base NAME] all|catalogue|enrolment|notifier" >&2; exit 2 ;;
esac

refuse() { # refuse WHY: nothing was touched
    echo "$1" >&2
    exit 1
}

last_commit() { # last_commit: when the last transaction of the WAL ended; nothing where none did since the base backup
    [ -d "$wal" ] || return 0
    copy=$(mktemp -d)
    first=$(printf '%s\n' "$label" | sed -n 's/^START WAL LOCATION: .* (file \(.*\))$/\1/p')
    find "$wal" -type f ! -name '*.history' | sort -r | while read -r file; do
        segment=$(basename "$file" .partial)
        cp "$file" "$copy/$segment"
        # It complains of the end of what is written.
        ended=$(TZ=UTC pg_waldump --rmgr=Transaction "$copy/$segment" 2> /dev/null \
            | sed -n 's/.*desc: \(COMMIT\|ABORT\)[A-Z_]* .*\([0-9-]\{10\} [0-9:.]\{15\} UTC\).*/\2/p' | sort | tail -n 1) || :
        rm "$copy/$segment"
        if [ -n "$ended" ] || [ "$segment" = "$first" ]; then
            echo "$ended"
            break
        fi
    done
    rmdir "$copy"
}

[ -r "$archive" ] || refuse "$archive cannot be read by $(id -un)"
[ "$wal" = "$archive/wal" ] || [ -d "$wal" ] || refuse "$wal is no folder"
# To the end of the base backup that is named, or from the last one that had ended by then on by the WAL.
by_wal=
if [ -z "$base" ]; then
    by_wal=yes
    by_then=$(date -u -d "${target_time:-now}" +%Y%m%dT%H%M%SZ)
    base=$(find "$archive/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | awk -v by_then="$by_then" -F / '$NF <= by_then' | tail -n 1)
fi
[ -f "$base/data/backup_manifest" ] || refuse "$archive/base has no such base backup, or none from before that time"
# When it began, and with which file of WAL: beside its data, as backup.sh put it there, or else in them.
label=$(cat "$base/backup_label" 2> /dev/null || tar -xzOf "$base/data/base.tar.gz" --occurrence=1 backup_label 2> /dev/null) \
    || refuse "$base is not whole: it has no backup_label, in base.tar.gz neither. Copy it once more, or take another one with --base NAME"
moment=$(printf '%s\n' "$label" | sed -n 's/^START TIME: //p')
target="recovery_target = 'immediate'"
if [ -n "$by_wal" ]; then
    target=${target_time:+recovery_target_time = \'$target_time\'}
    aside=$(find "$archive" -maxdepth 1 -name 'wal.until-*' | sort | awk -v base="wal.until-${base##*/}" -F / '$NF >= base' | head -n 1)
    if [ "$wal" = "$archive/wal" ] && [ -n "$aside" ]; then
        refuse "a restore has put aside the WAL that leads on from base backup ${base##*/}, the last one: say --wal ${aside##*/}"
    fi
    ended=$(last_commit)
    if [ -n "$target_time" ] && { [ -z "$ended" ] || [ "$(date -d "$target_time" +%s%6N)" -ge "$(date -d "$ended" +%s%6N)" ]; }; then
        refuse "$wal ends with what was committed at ${ended:-no time}: say an earlier time, or leave --until out for all of it"
    fi
    moment=${target_time:-${ended:-$moment}}
fi

unpack() { # unpack FOLDER WAL: the base backup, for a Postgres that goes on as told when it starts
    rm -rf "$1"
    mkdir -m 700 "$1"
    tar -xzf "$base/data/base.tar.gz" -C "$1"
    tar -xzf "$base/data/pg_wal.tar.gz" -C "$1/pg_wal"
    # A backup has the settings of the restore before it.
    sed -i '/^recovery_target/d; /^restore_command/d; /^hot_standby/d' "$1/postgresql.auto.conf"
    cat >> "$1/postgresql.auto.conf" <<SETTINGS
restore_command = 'sh "$here/wal.sh" "$2" %f "%p"'
recovery_target_action = 'promote'
hot_standby = 'off'
$target
SETTINGS
    touch "$1/recovery.signal"
}

restore_all() {
    answer=0
    pg_isready --quiet || answer=$?
    [ "$answer" = 2 ] || refuse "Postgres runs, or is starting or stopping: stop it first" # 2: nobody answers
    mkdir -p "$(dirname "$PGDATA")"
    # What was archived belongs to a past that ends here: a new archive begins when Postgres has started.
    put_aside=$archive/wal.until-$now
    [ "$wal" != "$archive/wal" ] || wal=$put_aside
    unpack "$PGDATA.restored" "$wal"
    [ ! -d "$archive/wal" ] || mv "$archive/wal" "$put_aside"
    [ ! -d "$PGDATA" ] || mv "$PGDATA" "$PGDATA.until-$now"
    mv "$PGDATA.restored" "$PGDATA"
}

restore_one() { # restore_one NAME: by a second server beside the one that runs
    second=$(mktemp -d)
    trap 'pg_ctl --pgdata="$second/data" --silent --mode=immediate stop; rm -rf "$second"' EXIT
    unpack "$second/data" "$wal"
    # Nothing of it has to survive a crash of the machine: it is there for the dump alone.
    pg_ctl --pgdata="$second/data" --log="$second/log" --silent --timeout=86400 start --options="-c listen_addresses='' \
        -c unix_socket_directories=$second -c synchronous_standby_names='' -c fsync=off" || :
    until pg_isready --quiet --host="$second"; do
        pg_ctl --pgdata="$second/data" status > /dev/null || { cat "$second/log" >&2; exit 1; }
        sleep 1
    done
    pg_dump --host="$second" --format=custom --file="$second/dump" "$1"
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=name="$1" --set=aside="${1}_until_$now" --dbname=postgres <<'SQL' || {
ALTER DATABASE :"name" ALLOW_CONNECTIONS false;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :'name' \g /dev/null
ALTER DATABASE :"name" RENAME TO :"aside";
SQL
        psql --quiet --no-psqlrc --dbname=postgres --command="ALTER DATABASE $1 ALLOW_CONNECTIONS true" || :
        refuse "$1 could not be put aside, and is as it was. Where it still takes no connections, in psql as postgres:
  ALTER DATABASE $1 ALLOW_CONNECTIONS true;"
    }
    pg_restore --create --exit-on-error --dbname=postgres "$second/dump" || {
        echo "$1 is not whole. To have it as it was before, in psql as postgres:" >&2
        printf '  %s;\n' "DROP DATABASE IF EXISTS $1" "ALTER DATABASE \"${1}_until_$now\" RENAME TO $1" "ALTER DATABASE $1 ALLOW_CONNECTIONS true" >&2
        exit 1
    }
}

if [ "$1" = all ]; then
    restore_all
    echo "Start Postgres, and wait until it is ready. Then, with the services still stopped:"
else
    restore_one "$1"
    echo "With the service still stopped:"
fi
since=$(date -u -d "$moment - 1 hour" +%Y-%m-%dT%H:%M:%SZ)
for service in catalogue enrolment notifier; do
    if [ "$1" = all ] || [ "$1" = "$service" ]; then
        echo "  python -m services.$service topics rewind --since $since"
    fi
done
