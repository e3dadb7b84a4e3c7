# PostgreSQL of the official image, under the version of Patroni that `bin/cluster` tests with faults.
FROM postgres:18

RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/patroni \
    && /opt/patroni/bin/pip install --no-cache-dir --disable-pip-version-check \
        "patroni[etcd3]==4.1.5" psycopg2-binary==2.9.13
COPY patroni.yml make_database.sh /srv/patroni/
USER postgres
# PostgreSQL's image asks Docker to stop containers by SIGINT. Patroni ignores SIGINT if it is the first process of a
# container.
STOPSIGNAL SIGTERM
ENTRYPOINT []
CMD ["/opt/patroni/bin/patroni", "/srv/patroni/patroni.yml"]
