"""localstripe, on loopback and in memory only.

Its own command listens on every interface, and writes each change to /tmp/localstripe.pickle. That file may belong
to another user who has run the tests.
"""

import sys

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app

if __name__ == "__main__":
    Store.dump_to_disk = lambda _store: None
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
