#!/bin/bash
# Runs once, when the Postgres volume is new: a database for each service, closed to the others, and two roles. The owner
# migrates; the service works with the rows, and can neither make, alter nor truncate a table, nor switch a trigger off.
set -euo pipefail
export PGOPTIONS="-c synchronous_commit=local" # nobody archives yet

password_of() { # password_of SETTING: that of its URL, as the service has it
    url=$(<"/run/secrets/$1")
    [[ $url =~ ^[^:]+://[^:@/]+:([^@/]+)@ ]] || { echo "$1 has no password" >&2; exit 1; }
    printf '%b' "${BASH_REMATCH[1]//%/\\x}" # %XX of the URL
}

create() { # create NAME
    password=$(password_of "${1^^}_DATABASE_URL")
    owner_password=$(password_of "${1^^}_OWNER_DATABASE_URL")
    psql --quiet -v ON_ERROR_STOP=1 -v name="$1" -v owner="$1_owner" -v password="$password" -v owner_password="$owner_password" \
        --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"owner" LOGIN PASSWORD :'owner_password';
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"owner" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"name" TO :"name";
\connect :"name"
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO :"name";
ALTER DEFAULT PRIVILEGES FOR ROLE :"owner" GRANT USAGE, SELECT ON SEQUENCES TO :"name";
SQL
}

create catalogue
create enrolment
create notifier
