"""Raise the minimum number of replicas before a sale opens, and lower it afterwards.

The job of openings.yaml runs this script every five minutes:

    openings.py NAME:USUALLY:AROUND_AN_OPENING ...

Each argument has the name of an autoscaler (HorizontalPodAutoscaler), its usual minimum, and its minimum from
shortly before an opening until the rush is over. Each run sets all minimums, even if they have not changed. So if a
run fails, the next one corrects them.
"""

import json
import os
import ssl
import sys
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

AHEAD = timedelta(minutes=20)  # before an opening. New nodes may have to start first
BEHIND = timedelta(minutes=30)  # after an opening. A rush may last as long
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 10


def sale_opens(*, now: datetime) -> bool:
    """Return whether a sale opens within AHEAD, or has opened within BEHIND. For a draw, its lobby counts too."""
    from django.conf import settings
    from django.db.models import Q

    from tickets.models import Inventory

    lobby = timedelta(minutes=settings.LOBBY_MINUTES)
    near = Q(opens_at__lte=now + AHEAD) | Q(line_first=True, opens_at__lte=now + AHEAD + lobby)
    return Inventory.objects.filter(near, opens_at__gt=now - BEHIND).exists()


def replicas_set(name: str, least: int, *, server: str, account: Path) -> None:
    """Set the minimum of one autoscaler. Raises OSError if the API of Kubernetes refuses it or does not answer."""
    namespace = (account / "namespace").read_text()
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
    request = urllib.request.Request(  # noqa: S310
        server + path,
        data=json.dumps({"spec": {"minReplicas": least}}).encode(),
        headers={
            "Authorization": f"Bearer {(account / 'token').read_text()}",
            "Content-Type": "application/merge-patch+json",
        },
        method="PATCH",
    )
    trusted = ssl.create_default_context(cafile=account / "ca.crt") if server.startswith("https:") else None
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=trusted):  # noqa: S310
        pass


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")
    django.setup()
    from django.utils import timezone

    soon = sale_opens(now=timezone.now())
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    for name, usually, around in (word.split(":") for word in sys.argv[1:]):
        replicas_set(name, int(around if soon else usually), server=server, account=ACCOUNT)
    sys.stdout.write(f"A sale opens soon: {'yes' if soon else 'no'}.\n")


if __name__ == "__main__":
    main()
