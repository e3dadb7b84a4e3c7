from django.db import migrations

# Django's icontains is UPPER(column) LIKE UPPER('%word%'); a trigram index serves it for any part of a word.
SEARCH = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX event_name_search ON tickets_event USING gin (UPPER(name) gin_trgm_ops);
CREATE INDEX event_description_search ON tickets_event USING gin (UPPER(description) gin_trgm_ops);
"""


class Migration(migrations.Migration):
    dependencies = [("tickets", "0008_plain_labels")]

    operations = [
        migrations.RunSQL(SEARCH, "DROP INDEX event_name_search, event_description_search"),
    ]
