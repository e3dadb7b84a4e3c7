"""Payments to try things on: those of checkout's own tests."""

from checkout.tests.conftest import order_payment, order_types, payment

__all__ = ["order_payment", "order_types", "payment"]
