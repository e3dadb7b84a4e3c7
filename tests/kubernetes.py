"""Read the documents of deploy/kubernetes, and check them against the schemas."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

from tests.compose import ROOT, yaml_documents

FOLDER = ROOT / "deploy/kubernetes"
OF_CLOUDNATIVEPG = "postgresql.cnpg.io/v1"

Document = dict[str, Any]


def documents(folder: Path) -> Iterator[Document]:
    """Return the documents that the resources of a folder list."""
    [kustomization] = yaml_documents((folder / "kustomization.yaml").read_text())
    for name in kustomization["resources"]:
        if (folder / name).is_file():
            yield from yaml_documents((folder / name).read_text())


def all_documents() -> list[Document]:
    folders = [file.parent for file in FOLDER.rglob("kustomization.yaml")]
    return [document for folder in folders for document in documents(folder)]


def of(folder: str, kind: str) -> dict[str, Document]:
    """Return the documents of one kind in a folder, by name."""
    return {each["metadata"]["name"]: each for each in documents(FOLDER / folder) if each["kind"] == kind}


def validate(document: Document, version: str) -> None:
    """Check a document by the schema of Kubernetes, or one of CloudNativePG by ours, which describes a part."""
    if document["apiVersion"] == OF_CLOUDNATIVEPG:
        schema = json.loads((ROOT / "tests/cloudnativepg.schema.json").read_text())
        jsonschema.Draft202012Validator({**schema, "$ref": f"#/$defs/{document['kind']}"}).validate(document)
    else:
        kubernetes_validate.validate(document, version, strict=True)
