"""Compare answers and the bodies of requests with the OpenAPI schema."""

from typing import Any

import jsonschema


def check_answer(schema: dict[str, Any], path: str, method: str, answer: Any) -> None:
    """Check that an answer is what the schema says of its operation and status."""
    responses = schema["paths"][path][method]["responses"]
    described = responses.get(str(answer.status_code), responses["default"])
    content = described["content"][answer["Content-Type"]]["schema"]
    closed = {**schema, **content}
    jsonschema.Draft202012Validator(closed).validate(answer.json())


def is_allowed(schema: dict[str, Any], path: str, method: str, body: Any) -> bool:
    """Return whether the schema allows a JSON body in a request for an operation that must have one."""
    described = schema["paths"][path][method]["requestBody"]
    closed = {**schema, **described["content"]["application/json"]["schema"]}
    return bool(described["required"] and jsonschema.Draft202012Validator(closed).is_valid(body))
