"""localstripe on loopback alone, since its own command binds every interface, and in memory alone.

It would write each change to /tmp/localstripe.pickle, which is another user's where another user has tested.
"""

import sys

from aiohttp import web
from localstripe.resources import Store
from localstripe.server import app

if __name__ == "__main__":
    Store.dump_to_disk = lambda _store: None
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
