# The image of all three programs, rollcall-operator, rollcall-api and rollcall-runner, is the last stage, and the default.
# The stage `ansible` is the runner's for playbooks: docker build --target ansible
FROM python:3.13-slim-trixie AS build
WORKDIR /src
RUN python3 -m venv /opt/rollcall
COPY requirements.lock .
RUN /opt/rollcall/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY operator operator
COPY runner runner
COPY api api
COPY cli cli
RUN /opt/rollcall/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/rollcall/bin/python -m compileall -q /opt/rollcall/lib \
    && /opt/rollcall/bin/pip uninstall --quiet --yes pip

FROM python:3.13-slim-trixie AS build-ansible
WORKDIR /src
RUN python3 -m venv /opt/rollcall
COPY requirements-ansible.lock .
RUN /opt/rollcall/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-ansible.lock
COPY pyproject.toml README.md LICENSE ./
COPY core core
COPY operator operator
COPY runner runner
COPY api api
COPY cli cli
RUN /opt/rollcall/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps . \
    && /opt/rollcall/bin/python -m compileall -q /opt/rollcall/lib \
    && /opt/rollcall/bin/pip uninstall --quiet --yes pip

FROM python:3.13-slim-trixie AS ansible
LABEL org.opencontainers.image.title="Rollcall runner for playbooks" \
      org.opencontainers.image.description="Run Ansible playbooks on fleets of hosts, from Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
# ssh wants to know who it runs as.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git openssh-client sshpass \
    && rm -rf /var/lib/apt/lists/* \
    && echo "rollcall:x:65532:65532::/tmp:/usr/sbin/nologin" >> /etc/passwd
COPY --from=build-ansible /opt/rollcall /opt/rollcall
ENV PATH=/opt/rollcall/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    USER=rollcall LOGNAME=rollcall HOME=/tmp
USER 65532:65532
ENTRYPOINT []
CMD ["rollcall-runner", "--help"]

FROM python:3.13-slim-trixie
LABEL org.opencontainers.image.title="Rollcall" \
      org.opencontainers.image.description="Run jobs on fleets of hosts, from Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/rollcall /opt/rollcall
# asyncssh asks for the user's name and home, and the uid has no passwd entry.
ENV PATH=/opt/rollcall/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    USER=rollcall LOGNAME=rollcall HOME=/tmp
USER 65532:65532
ENTRYPOINT []
CMD ["rollcall-operator", "--help"]
