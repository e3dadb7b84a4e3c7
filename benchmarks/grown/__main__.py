"""Run a module on the database of DATABASE_URL: `python -m benchmarks.grown seed|probe|ticks NUMBER...`."""

import importlib
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")
django.setup()  # before anything is imported that has models
importlib.import_module(f"benchmarks.grown.{sys.argv[1]}").main(*map(int, sys.argv[2:]))
