# One image per service, each with that service's packages (hash-checked) and code alone:
#   docker build --target catalogue -t parcours-catalogue .      (or enrolment, notifier)
# --build-arg COMMIT=$(git rev-parse HEAD) has the metric parcours_build_info name the commit.
# The target `console` holds the commands that concern all services. The target `local` holds the mailbox and the example portal that docker-compose.yml uses to try things out.
ARG PYTHON_IMAGE=python:3.13-slim

# ------------------------------------------------------------------------------------------- packages
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Compiled files name the hash of their source instead of its time, so that two builds give the same files.
ENV COMPILE="/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash"
RUN python -m venv /venv

FROM packages AS catalogue-packages
COPY requirements/catalogue.txt /requirements.txt
RUN /venv/bin/pip install --quiet --no-compile --require-hashes -r /requirements.txt && /venv/bin/pip uninstall --quiet --yes pip && $COMPILE /venv/lib

FROM packages AS enrolment-packages
COPY requirements/enrolment.txt /requirements.txt
RUN /venv/bin/pip install --quiet --no-compile --require-hashes -r /requirements.txt && /venv/bin/pip uninstall --quiet --yes pip && $COMPILE /venv/lib

FROM packages AS notifier-packages
COPY requirements/notifier.txt /requirements.txt
RUN /venv/bin/pip install --quiet --no-compile --require-hashes -r /requirements.txt && /venv/bin/pip uninstall --quiet --yes pip && $COMPILE /venv/lib

FROM packages AS console-packages
COPY requirements/catalogue.txt requirements/enrolment.txt requirements/notifier.txt /
RUN /venv/bin/pip install --quiet --no-compile --require-hashes -r /catalogue.txt -r /enrolment.txt -r /notifier.txt && /venv/bin/pip uninstall --quiet --yes pip && $COMPILE /venv/lib

FROM packages AS local-packages
COPY requirements/local.txt /requirements.txt
RUN /venv/bin/pip install --quiet --no-compile --require-hashes -r /requirements.txt && /venv/bin/pip uninstall --quiet --yes pip && $COMPILE /venv/lib

# ----------------------------------------------------------------------------------------------- code
FROM packages AS code
COPY services /code/services
COPY shared /code/shared
COPY local /code/local
RUN $COMPILE /code

# -------------------------------------------------------------------------------------------- runtime
FROM ${PYTHON_IMAGE} AS runtime
# `useradd` would write the day of the build into /etc/shadow.
RUN echo 'parcours:x:10001:' >> /etc/group && echo 'parcours:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HTTP_HOST=0.0.0.0
WORKDIR /app
COPY --from=code /code/services/__init__.py services/
COPY --from=code /code/shared shared
ARG COMMIT=
ENV PARCOURS_COMMIT=${COMMIT}
# `make images` adds the version, and the SHA-256 of the bill of materials.
LABEL org.opencontainers.image.title=Parcours org.opencontainers.image.licenses=EUPL-1.2 org.opencontainers.image.revision=${COMMIT}
USER 10001

# The health check asks the service itself: /health/live fails when it has stopped making progress.
FROM runtime AS catalogue
COPY --from=catalogue-packages /venv /venv
COPY --from=code /code/services/catalogue services/catalogue
ENV CATALOGUE_PORT=8001
EXPOSE 8001
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ.get(\"CATALOGUE_OPERATIONS_PORT\") or os.environ[\"CATALOGUE_PORT\"]}/health/live', timeout=4)"]
CMD ["python", "-m", "services.catalogue", "serve"]

FROM runtime AS enrolment
COPY --from=enrolment-packages /venv /venv
COPY --from=code /code/services/enrolment services/enrolment
ENV ENROLMENT_PORT=8002
EXPOSE 8002
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ.get(\"ENROLMENT_OPERATIONS_PORT\") or os.environ[\"ENROLMENT_PORT\"]}/health/live', timeout=4)"]
CMD ["python", "-m", "services.enrolment", "serve"]

FROM runtime AS notifier
COPY --from=notifier-packages /venv /venv
COPY --from=code /code/services/notifier services/notifier
ENV NOTIFIER_PORT=8003
EXPOSE 8003
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f'http://127.0.0.1:{os.environ.get(\"NOTIFIER_OPERATIONS_PORT\") or os.environ[\"NOTIFIER_PORT\"]}/health/live', timeout=4)"]
CMD ["python", "-m", "services.notifier", "serve"]

# What an operator does about one person in all services. Serves nothing.
FROM runtime AS console
COPY --from=console-packages /venv /venv
COPY --from=code /code/services services
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "services"]

FROM runtime AS local
COPY --from=local-packages /venv /venv
COPY --from=code /code/local local
USER 0
RUN install --directory --owner=parcours /mailbox /portal
USER 10001
VOLUME /mailbox /portal
EXPOSE 1025 8004 8025
CMD ["python", "-m", "local", "mailbox", "--host", "0.0.0.0", "--directory", "/mailbox"]
