"""Set the clock of this process wrong by CHAOS_CLOCK_SECONDS: Python imports this file as it starts.

It stands on the PYTHONPATH of the processes that the chaos run starts so, and nowhere else.
"""

import os
import time

import time_machine

time_machine.travel(time.time() + float(os.environ["CHAOS_CLOCK_SECONDS"]), tick=True).start()
