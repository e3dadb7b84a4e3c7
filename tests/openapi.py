"""Compare an answer with the OpenAPI schema."""

from typing import Any

import jsonschema


def check_answer(schema: dict[str, Any], path: str, method: str, answer: Any) -> None:
    """Check that an answer is what the schema says of its operation and status."""
    responses = schema["paths"][path][method]["responses"]
    described = responses.get(str(answer.status_code), responses["default"])
    content = described["content"][answer["Content-Type"]]["schema"]
    closed = {**schema, **content}
    jsonschema.Draft202012Validator(closed).validate(answer.json())
