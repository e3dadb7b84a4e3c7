# The image of the shop's own processes. Its base is not Alpine, because many of our packages have no wheels for Alpine.
FROM python:3.13-slim-bookworm AS build

RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY requirements.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --no-deps --require-hashes --disable-pip-version-check -r requirements.txt

COPY . .
# Give the static files names with a hash of their content, and compress them. These settings are only for this command,
# and are not part of the image.
RUN ENVIRONMENT=production \
    SECRET_KEY=not-a-secret-because-nothing-is-signed-during-the-build \
    DATABASE_URL=postgres://build/build REDIS_URL=redis://build \
    ALLOWED_HOSTS=build CSRF_TRUSTED_ORIGINS=https://build PAYMENT_GATEWAY=sandbox EMAIL_URL=smtp://build \
    python manage.py collectstatic --no-input && python -m compileall -q .


FROM python:3.13-slim-bookworm

RUN groupadd --gid 10001 overlord \
    && useradd --uid 10001 --gid overlord --home-dir /tmp --no-create-home --shell /usr/sbin/nologin overlord \
    && install --directory --owner overlord --group overlord \
        /var/lib/overlord /srv/static /srv/pictures /srv/secrets/postgres /srv/secrets/valkey
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OVERLORD_DATA=/var/lib/overlord
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
