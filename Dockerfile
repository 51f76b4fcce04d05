# One image for every process of the Procfile; docker-compose.yml says which one a container runs.
FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1

RUN useradd --create-home --uid 10001 switchboard \
    && install --directory --mode 0700 --owner switchboard --group switchboard /var/lib/switchboard
WORKDIR /srv/switchboard

# First what changes seldom: the layer with the libraries is used again until a pin changes.
COPY requirements.txt ./
RUN pip install --requirement requirements.txt

COPY . .
# A key is needed to read the settings, not to collect files; it is in no layer and in no environment.
RUN SECRET_KEY=not-a-secret-only-for-this-step python manage.py collectstatic --noinput \
    && python -m compileall -q config console messaging scheduling providers media_store

USER switchboard
EXPOSE 8000 8001
CMD ["sh", "-c", "exec granian --interface asginl --http 1 --http1-header-read-timeout 10000 --backpressure 2048 --workers ${WEB_CONCURRENCY:-2} --workers-kill-timeout 5 --host 0.0.0.0 --port 8000 --log-level warning config.asgi:application"]
