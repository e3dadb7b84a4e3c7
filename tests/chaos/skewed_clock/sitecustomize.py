"""Let the clock of this process be wrong by CHAOS_CLOCK_SECONDS: Python imports this file when it starts.

Only processes that the chaos run starts for this purpose have it on their PYTHONPATH.
"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CHAOS_CLOCK_SECONDS"]), tick=True).start()
