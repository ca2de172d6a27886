#!/bin/bash
# Runs once, when the Postgres volume is new: a database and a role for each service, closed to the others.
set -euo pipefail

create() { # create NAME PASSWORD
    psql --quiet -v ON_ERROR_STOP=1 -v name="$1" -v password="$2" --username "$POSTGRES_USER" --dbname postgres <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

create catalogue "$CATALOGUE_DB_PASSWORD"
create enrolment "$ENROLMENT_DB_PASSWORD"
create notifier "$NOTIFIER_DB_PASSWORD"
