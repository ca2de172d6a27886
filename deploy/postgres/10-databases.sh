#!/bin/bash
# Runs once, when the Postgres volume is new: a database and a role for each service, closed to the others.
set -euo pipefail

create() { # create NAME: with the password of its URL, as the service has it
    url=$(<"/run/secrets/${1^^}_DATABASE_URL")
    [[ $url =~ ^[^:]+://[^:@/]+:([^@/]+)@ ]] || { echo "${1^^}_DATABASE_URL has no password" >&2; exit 1; }
    password=${BASH_REMATCH[1]}
    printf -v password '%b' "${password//%/\\x}" # %XX of the URL
    psql --quiet -v ON_ERROR_STOP=1 -v name="$1" -v password="$password" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

create catalogue
create enrolment
create notifier
