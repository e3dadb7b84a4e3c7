"""The API of paying. Each view parses the input, makes one call and shows the result."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from checkout import limits, rules, selectors, services
from checkout.api import serializers
from checkout.permissions import Permission
from overlord.accounts.permissions import StaffPermission, check_staff, is_of_staff
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, idempotency, money, preconditions
from overlord.kernel.errors import Invalid, NotFound
from overlord.kernel.pagination import Pages
from overlord.kernel.schema import idempotency_key, if_match, paginated
from overlord.shop import languages
from tickets import selectors as tickets
from tickets.api.serializers import Reservation
from tickets.permissions import Permission as TicketsPermission

# Made once, because making a serializer copies its fields. That takes longer than to validate them.
PAYMENT_INPUT, PAY_INPUT = serializers.PaymentInput(), serializers.PayInput()


class PaymentList(APIView):
    @extend_schema(
        operation_id="payments_list",
        parameters=paginated.parameters,
        responses=paginated(serializers.Payment),
    )
    def get(self, request: Request) -> Response:
        """List my payments, newest first."""
        return Pages("-id").respond(
            selectors.payments_of(buyer_id=actor_id(request)),
            request=request,
            show=selectors.payments_described,
        )

    @extend_schema(
        operation_id="payments_create",
        request=serializers.PaymentInput,
        responses={201: serializers.Payment, 200: serializers.Payment},
    )
    def post(self, request: Request) -> Response:
        """Make the payment of a reservation's whole order, or return the payment that the order has already."""
        wanted = PAYMENT_INPUT.run_validation(request.data)
        contact = _contact(wanted)
        with limits.taken_emails_counted(request._request, buyer_id=actor_id(request), contact=contact):
            opened = services.payment_create(
                buyer_id=actor_id(request),
                reservation_id=wanted["reservation_id"],
                gateway=settings.PAYMENT_GATEWAY,
                contact=contact,
            )
        return Response(
            selectors.payment_described(opened.payment, opened.order),
            status=status.HTTP_201_CREATED if opened.made else status.HTTP_200_OK,
            headers={"Location": f"/payment/payments/{opened.payment.pk}/"},
        )


def _contact(wanted: Mapping[str, Any]) -> rules.Contact | None:
    return rules.contact(email=wanted.get("email"), name=wanted.get("name"))


class PaymentDetail(APIView):
    @extend_schema(operation_id="payments_get", responses=serializers.PaymentDetail)
    def get(self, request: Request, payment_id: int) -> Response:
        """Return one of my payments. Staff who may refund get any payment, with its refunds."""
        payment = selectors.payment_of(buyer_id=actor_id(request), payment_id=payment_id)
        if payment is not None and not is_of_staff(request, Permission.REFUND):
            [shown] = selectors.payments_described([payment])
            return Response(shown)
        if payment is None and check_staff(request, Permission.REFUND):
            payment = selectors.payment_of_anybody(payment_id=payment_id)
        if payment is None:
            raise NotFound()
        return Response(selectors.payment_described_to_staff(payment))

    @extend_schema(operation_id="payments_remove", parameters=[if_match], responses={204: None})
    def delete(self, request: Request, payment_id: int) -> Response:
        """Remove a payment that has not started or has failed."""
        services.payment_remove(
            buyer_id=actor_id(request),
            payment_id=payment_id,
            version=preconditions.version_of(request.headers),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class Pay(APIView):
    @extend_schema(
        operation_id="payments_pay",
        parameters=[if_match],
        request=serializers.PayInput,
        responses={202: serializers.Payment},
    )
    def post(self, request: Request, payment_id: int) -> Response:
        """Start paying. The outcome appears later in the payment and on `/ws/me/`.

        Without `price` the order is paid at its present price. When the price of an order changes, the version of
        its payment stays the same.
        """
        wanted = PAY_INPUT.run_validation(request.data)
        limits.count_pay(request._request, buyer_id=actor_id(request))
        begun = services.payment_pay(
            buyer_id=actor_id(request),
            payment_id=payment_id,
            token=wanted["token"],
            price=wanted.get("price"),
            version=preconditions.version_of(request.headers),
            contact=_contact(wanted),
            language=languages.of_request(request._request),
        )
        shown = selectors.payment_described(begun.payment, begun.order)
        return Response(shown, status=status.HTTP_202_ACCEPTED)


class Refund(APIView):
    permission_classes = (StaffPermission,)
    permission = Permission.REFUND

    @extend_schema(
        operation_id="payments_refund",
        parameters=[idempotency_key, if_match],
        request=serializers.RefundInput,
        responses={202: serializers.RefundedPayment},
    )
    def post(self, request: Request, payment_id: int) -> Response:
        """Refund all or a part of a payment; only for staff who may refund.

        The outcome appears later in the payment's `refunds`. A request that is repeated with the same
        Idempotency-Key refunds nothing more, and its answer has the present state.
        """
        body = serializers.RefundInput(data=request.data)
        body.is_valid(raise_exception=True)
        amount = body.validated_data.get("amount")
        requested = services.refund_request(
            staff_id=actor_id(request),
            payment_id=payment_id,
            amount_minor=None if amount is None else _minor(amount, payment_id),
            return_tickets=body.validated_data["return_tickets"],
            version=preconditions.version_of(request.headers),
            key=idempotency.key_of(request.headers),
        )
        shown = selectors.payment_described_to_staff(requested.payment)
        headers = idempotency.replayed_headers(requested.replayed)
        return Response(
            {**shown, "refund": requested.refund.pk}, status=status.HTTP_202_ACCEPTED, headers=headers
        )


def _minor(amount: str, payment_id: int) -> int:
    """Return an amount in minor units of a payment's currency; raise NotFound or Invalid."""
    try:
        minor = money.to_minor(amount, selectors.currency_of(payment_id=payment_id))
    except ValueError as error:
        raise Invalid(errors={"amount": [str(error)]}) from None
    if minor == 0:
        raise Invalid(errors={"amount": ["Enter an amount above zero."]})
    return minor


class ReservationReturn(APIView):
    permission_classes = (StaffPermission,)
    permission = TicketsPermission.RETURN_TICKETS

    @extend_schema(operation_id="reservations_return", request=None, responses=Reservation)
    def post(self, request: Request, reservation_id: int) -> Response:
        """Put a reservation's tickets back on sale; only for staff who may return tickets.

        The reservation must have cost nothing or have been refunded in full. A repetition changes nothing.
        """
        services.reservation_return(staff_id=actor_id(request), reservation_id=reservation_id)
        return Response(tickets.reservation_shown(reservation_id=reservation_id, now=clock.now()))


class Webhook(APIView):
    """The address to which gateways send messages. A message is authenticated by its signature."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = ()

    @extend_schema(operation_id="webhooks_take", request=OpenApiTypes.OBJECT, responses={200: None})
    def post(self, request: Request, gateway: str) -> Response:
        """Process a signed message of a gateway, once."""
        services.webhook_take(gateway=gateway, body=request._request.body, headers=request.headers)
        return Response(status=status.HTTP_200_OK)
