"""Raise the minimum of replicas before a sale opens, and lower it afterwards.

openings.yaml runs it every five minutes:

    openings.py NAME:USUALLY:BEFORE_AN_OPENING ...

Each argument has the name of an autoscaler (HorizontalPodAutoscaler), its minimum at other times, and its minimum
from shortly before an opening until the rush is over.

Each run sets the minimum anew, so the next run makes good one that failed.
"""

import json
import os
import ssl
import sys
import urllib.request
from datetime import datetime, timedelta
from pathlib import Path

AHEAD = timedelta(minutes=20)  # nodes may have to be started first
BEHIND = timedelta(minutes=30)  # how long the rush may last
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_SECONDS = 10


def sale_opens(*, now: datetime) -> bool:
    """Return whether a sale opens soon, or opened just now. People come to a draw when its lobby opens."""
    from django.conf import settings
    from django.db.models import Q

    from tickets.models import Inventory

    lobby = timedelta(minutes=settings.LOBBY_MINUTES)
    near = Q(opens_at__lte=now + AHEAD) | Q(line_first=True, opens_at__lte=now + AHEAD + lobby)
    return Inventory.objects.filter(near, opens_at__gt=now - BEHIND).exists()


def replicas_set(name: str, least: int, *, server: str, account: Path) -> None:
    """Patch one autoscaler. Raises OSError when the server of the cluster refuses it or does not answer."""
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
    for name, usually, before in (word.split(":") for word in sys.argv[1:]):
        replicas_set(name, int(before if soon else usually), server=server, account=ACCOUNT)
    sys.stdout.write(f"A sale opens soon: {'yes' if soon else 'no'}.\n")


if __name__ == "__main__":
    main()
