#!/bin/sh
# Puts back what the archive has: the databases as they were at --until a time, or else at the end of the archived WAL
# (without WAL at the end of the last base backup). docs/operations.md has the steps before and after it.
#   restore.sh [--until TIME | --base NAME] all         all databases, while Postgres is stopped
#   restore.sh [--until TIME | --base NAME] enrolment   one database, while Postgres runs and its service is stopped
# --base: as at the end of that base backup. What was there before stays, under a name that ends with the time of now.
set -eu
archive=${ARCHIVE:-/archive}
here=$(cd "$(dirname "$0")" && pwd)
now=$(date -u +%Y%m%dT%H%M%SZ)
if [ "$(id -u)" = 0 ] && [ "${*##* }" != all ] && command -v gosu > /dev/null; then
    exec gosu postgres sh "$0" "$@" # whom a server and the socket want
fi
until=
base=
case "${1:-}" in
    --until) until=$(date -u -d "$2" '+%Y-%m-%d %H:%M:%S.%6N+00'); shift 2 ;;
    --base) base=$archive/base/$2; shift 2 ;;
esac
case "$#:${1:-}" in
    1:all | 1:catalogue | 1:enrolment | 1:notifier) ;;
    *) echo "usage: restore.sh [--until TIME | --base NAME] all|catalogue|enrolment|notifier" >&2; exit 2 ;;
esac

# To the end of the base backup that is named, or from the last one that had ended by then on by the WAL.
if [ -n "$base" ]; then
    target="recovery_target = 'immediate'"
    newest=$base
else
    target=${until:+recovery_target_time = \'$until\'}
    newest=$archive/wal
    by_then=$(date -u -d "${until:-now}" +%Y%m%dT%H%M%SZ)
    base=$(find "$archive/base" -mindepth 1 -maxdepth 1 -name '2*' | sort | awk -v by_then="$by_then" -F / '$NF <= by_then' | tail -n 1)
fi
[ -f "$base/data/backup_manifest" ] || { echo "$archive/base has no such base backup, or none from before that time" >&2; exit 1; }
newest=$(find "$base" "$newest" -type f -printf '%T@\n' 2>/dev/null | sort -n | tail -n 1)
moment=${until:-$(date -u -d "@$newest" '+%Y-%m-%d %H:%M:%S+00')}

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
    if pg_isready --quiet; then
        echo "Postgres runs: stop it first" >&2
        exit 1
    fi
    mkdir -p "$(dirname "$PGDATA")"
    unpack "$PGDATA.restored" "$archive/wal.until-$now"
    # What was archived belongs to a past that ends here: a new archive begins when Postgres has started.
    [ ! -d "$archive/wal" ] || mv "$archive/wal" "$archive/wal.until-$now"
    [ ! -d "$PGDATA" ] || mv "$PGDATA" "$PGDATA.until-$now"
    mv "$PGDATA.restored" "$PGDATA"
}

restore_one() { # restore_one NAME: by a second server beside the one that runs
    second=$(mktemp -d)
    trap 'pg_ctl --pgdata="$second/data" --silent --mode=immediate stop; rm -rf "$second"' EXIT
    unpack "$second/data" "$archive/wal"
    pg_ctl --pgdata="$second/data" --log="$second/log" --silent --timeout=86400 start --options="-c listen_addresses='' \
        -c unix_socket_directories=$second -c synchronous_standby_names=''" || :
    until pg_isready --quiet --host="$second"; do
        pg_ctl --pgdata="$second/data" status > /dev/null || { cat "$second/log" >&2; exit 1; }
        sleep 1
    done
    pg_dump --host="$second" --format=custom --file="$second/dump" "$1"
    psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --set=name="$1" --set=aside="${1}_until_$now" --dbname=postgres <<'SQL'
ALTER DATABASE :"name" ALLOW_CONNECTIONS false;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :'name' \g /dev/null
ALTER DATABASE :"name" RENAME TO :"aside";
SQL
    pg_restore --create --exit-on-error --dbname=postgres "$second/dump"
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
